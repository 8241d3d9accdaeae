//! A message as a store keeps it: bytes and properties, not yet understood.
//!
//! A broker moves envelopes and never looks inside. That the bytes may be anything is the point:
//! a message that can't be decoded is still delivered, refused by the worker and kept with its bytes.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::codec::Serializer;

/// A message outside of any queue.
///
/// Wire: Celery's message protocol; on Redis this is kombu's envelope, on RabbitMQ a message with
/// its header table.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Envelope {
    /// The headers: the bytes of one JSON object when a sender did its job.
    pub headers: Vec<u8>,
    /// What the transport itself needs to know.
    pub properties: Properties,
    /// The body, in the encoding that the properties name (after base64, before compression).
    pub body: Vec<u8>,
}

impl Envelope {
    /// Headers and body together, in bytes.
    pub fn size(&self) -> usize {
        self.headers.len() + self.body.len()
    }
}

/// The properties of a message, by kombu's names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Properties {
    /// How the body is serialised. Default `application/json`.
    #[serde(rename = "content-type", default = "json_type")]
    pub content_type: String,
    /// How the serialised text became bytes. Default `utf-8`.
    #[serde(rename = "content-encoding", default = "utf8_encoding")]
    pub content_encoding: String,
    /// The task's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// Where results of the `rpc://` backend go: the sender's own id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// 2 for a message that survives a restart of the broker, 1 for one that need not. Default 2.
    #[serde(default = "persistent")]
    pub delivery_mode: u8,
    /// From 0, the most urgent and the default, to 9, as Celery on Redis has it.
    #[serde(default)]
    pub priority: u8,
    /// Time to live in milliseconds, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiration: Option<String>,
    /// What else was there; kept and passed on.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Properties {
    /// Says how the body is serialised.
    pub(super) fn describe(&mut self, serializer: Serializer) {
        serializer.content_type().clone_into(&mut self.content_type);
        serializer
            .content_encoding()
            .clone_into(&mut self.content_encoding);
    }
}

impl Default for Properties {
    fn default() -> Self {
        Self {
            content_type: json_type(),
            content_encoding: utf8_encoding(),
            correlation_id: None,
            reply_to: None,
            delivery_mode: persistent(),
            priority: 0,
            expiration: None,
            other: Map::new(),
        }
    }
}

fn json_type() -> String {
    "application/json".to_owned()
}

fn utf8_encoding() -> String {
    "utf-8".to_owned()
}

fn persistent() -> u8 {
    2
}
