//! Step 6 of a task's life: a call becomes a message, and a message becomes a request again.
//!
//! Before it: the send (`aipo::app`) has settled id, queue and options. After it: the broker
//! publishes. On the way back the worker's `decode` step calls [`decode`].

use std::fmt;

use serde_json::{Map, Value};

use super::body::{Embed, encode_body};
use super::codec::json::without_nan;
use super::codec::{self, Compression, Format, Serializer};
use super::envelope::{Envelope, Properties};
use super::headers::Headers;
use super::protocol_1::to_protocol_2;
use crate::config::Settings;
use crate::error::{Error, ErrorKind, Result};

/// A message whose headers were understood. The body is read when the task runs.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskMessage {
    /// What it says about its task.
    pub headers: Headers,
    /// What the transport knows of it.
    pub properties: Properties,
    /// The body: JSON, whatever it was on the wire.
    pub body: Vec<u8>,
    /// Whether it came with headers that say all; otherwise (protocol 1) no broker has seen its `eta`.
    pub has_full_headers: bool,
}

/// Why a message can't be understood; what the dead letter will say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Undecodable {
    /// Its content is of a type that is not accepted. kombu's `ContentDisallowed`.
    Disallowed(String),
    /// It is broken, or of a kind that nobody reads. kombu's `DecodeError`.
    Broken(String),
}

impl fmt::Display for Undecodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Disallowed(reason) | Self::Broken(reason)) = self;
        f.write_str(reason)
    }
}

impl std::error::Error for Undecodable {}

/// A message that can't be understood, and what can be said of it all the same.
#[derive(Debug)]
pub struct Refused {
    /// Why.
    pub reason: Undecodable,
    /// What could be read of the headers; `None` when they do not even name task and id.
    pub headers: Option<Headers>,
    /// What the transport knows of it.
    pub properties: Properties,
}

impl TaskMessage {
    /// A message for a call.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`] when an argument can't be encoded.
    pub fn new(
        headers: Headers,
        mut properties: Properties,
        args: &[Value],
        kwargs: &Map<String, Value>,
        embed: &Embed,
    ) -> Result<Self> {
        let body = encode_body(args, kwargs, embed).map_err(|source| {
            Error::new(ErrorKind::Codec, "arguments can't be written as JSON")
                .with("task", &headers.task)
                .caused_by(source)
        })?;
        properties.correlation_id = Some(headers.id.to_string());
        Ok(Self {
            headers,
            properties,
            body,
            has_full_headers: true,
        })
    }

    /// The bytes for a broker, serialised and compressed as asked.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`] when the serialisation has no place for an argument: msgpack for integers beyond
    /// 64 bits.
    pub fn into_envelope_as(mut self, format: Format) -> Result<Envelope> {
        let Format {
            serializer,
            compression,
        } = format;
        self.body = serializer
            .of_json(self.body)
            .map_err(|what| Error::new(ErrorKind::Codec, what).with("task", &self.headers.task))?;
        self.properties.describe(serializer);
        if let Some(compression) = compression {
            self.body = compression.compress(&self.body);
            let name = compression.content_type().into();
            self.headers.custom.insert(COMPRESSION.to_owned(), name);
        }
        Ok(self.into_envelope())
    }

    /// The bytes for a broker.
    pub fn into_envelope(self) -> Envelope {
        Envelope {
            headers: serde_json::to_vec(&self.headers)
                .expect("headers are maps of text keys, which JSON can hold"),
            properties: self.properties,
            body: self.body,
        }
    }
}

/// Understands an envelope: of protocol 2 or 1, in any serialisation that `accept_content` has, compressed
/// or not, at most `task_max_message_size` large when decompressed.
///
/// # Errors
/// When it names no task, has a header of a wrong type, or its body is not accepted. Pickle never is.
pub fn decode(envelope: Envelope, settings: &Settings) -> Result<TaskMessage, Box<Refused>> {
    let Envelope {
        headers: header_bytes,
        mut properties,
        body,
    } = envelope;
    let mut headers = serde_json::from_slice::<Headers>(&header_bytes);
    let compression = match &mut headers {
        Ok(headers) => headers.custom.remove(COMPRESSION),
        Err(_) => loose(&header_bytes).and_then(|mut headers| headers.remove(COMPRESSION)),
    };
    let refuse = |reason, properties| {
        let headers = salvage(&header_bytes);
        Err(Box::new(Refused {
            reason,
            headers,
            properties,
        }))
    };

    let body = match json_body(&properties, compression.as_ref(), body, settings) {
        Ok(body) => body,
        Err(reason) => return refuse(reason, properties),
    };
    properties.describe(Serializer::Json);

    if body.trim_ascii_start().starts_with(b"{") {
        let body = without_nan(&body).unwrap_or(body);
        return match to_protocol_2(&header_bytes, &body) {
            Ok((mut headers, body)) => {
                headers.custom.remove(COMPRESSION);
                Ok(TaskMessage {
                    headers,
                    properties,
                    body,
                    has_full_headers: false,
                })
            }
            Err(reason) => refuse(Undecodable::Broken(reason), properties),
        };
    }
    match headers {
        Ok(headers) => Ok(TaskMessage {
            headers,
            properties,
            body,
            has_full_headers: true,
        }),
        Err(error) => {
            let reason = Undecodable::Broken(format!("headers: {error}"));
            refuse(reason, properties)
        }
    }
}

/// The header that says how the body is compressed.
pub(super) const COMPRESSION: &str = "compression";

/// The body as JSON.
fn json_body(
    properties: &Properties,
    compression: Option<&Value>,
    body: Vec<u8>,
    settings: &Settings,
) -> Result<Vec<u8>, Undecodable> {
    let content_type = properties.content_type.as_str();
    let serializer = match Serializer::of_content_type(content_type) {
        Some(serializer) if settings.accept_content.allows(serializer) => serializer,
        // kombu trusts these, and then there is nothing that Celery can do with them.
        None if ["application/data", "application/text"].contains(&content_type) => {
            let reason = format!("content of type {content_type} has no structure");
            return Err(Undecodable::Broken(reason));
        }
        _ => return Err(Undecodable::Disallowed(codec::untrusted(content_type))),
    };
    let limit = settings.task_max_message_size;
    let body = match compression {
        None | Some(Value::Null) => body,
        Some(name) => name
            .as_str()
            .ok_or_else(|| format!("compression {name} is no text"))
            .and_then(str::parse::<Compression>)
            .and_then(|compression| compression.decompress(&body, limit))
            .map_err(Undecodable::Broken)?,
    };
    serializer.to_json(body, limit).map_err(Undecodable::Broken)
}

/// Headers as any map.
fn loose(headers: &[u8]) -> Option<Map<String, Value>> {
    serde_json::from_slice(headers).ok()
}

/// What can be read of headers that may be wrong in parts: the parts that are right.
fn salvage(headers: &[u8]) -> Option<Headers> {
    let mut all = loose(headers)?;
    all.retain(|name, value| {
        let mut alone = Map::from_iter([
            ("task".to_owned(), Value::from("")),
            ("id".to_owned(), Value::from("")),
        ]);
        alone.insert(name.clone(), value.clone());
        serde_json::from_value::<Headers>(Value::Object(alone)).is_ok()
    });
    serde_json::from_value(Value::Object(all)).ok()
}
