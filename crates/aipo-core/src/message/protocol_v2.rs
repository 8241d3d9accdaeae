//! Step 6 of a task's life: a call becomes a message, and a message becomes a request again.
//!
//! Before it: the send (`aipo::app`) has settled id, queue and options. After it: the broker
//! publishes. On the way back the worker's `decode` step calls [`decode`].

use std::fmt;

use serde_json::{Map, Value};

use super::body::{Embed, encode_body};
use super::envelope::{Envelope, Properties};
use super::headers::Headers;
use crate::error::{Error, ErrorKind, Result};

/// A message whose headers were understood. The body is read when the task runs.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskMessage {
    /// What it says about its task.
    pub headers: Headers,
    /// What the transport knows of it.
    pub properties: Properties,
    /// The body, JSON.
    pub body: Vec<u8>,
}

/// Why a message can't be understood; what the dead letter will say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undecodable(pub String);

impl fmt::Display for Undecodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Undecodable {}

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
        })
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

/// Understands an envelope.
///
/// # Errors
/// When the headers are no JSON object, lack `task` or `id`, have a header of a wrong type, or the
/// body is in a serialisation or compression that is not accepted. Pickle never is.
pub fn decode(envelope: Envelope) -> Result<TaskMessage, Undecodable> {
    let headers: Headers = serde_json::from_slice(&envelope.headers)
        .map_err(|error| Undecodable(format!("headers: {error}")))?;
    let content_type = &envelope.properties.content_type;
    if content_type != "application/json" {
        return Err(Undecodable(format!(
            "content type {content_type:?} is not accepted"
        )));
    }
    if let Some(compression) = headers.custom.get("compression") {
        return Err(Undecodable(format!(
            "compression {compression} is not accepted"
        )));
    }
    Ok(TaskMessage {
        headers,
        properties: envelope.properties,
        body: envelope.body,
    })
}
