//! Remote control and events as Celery speaks them: what is said, not how it travels (that is
//! [`Bus`](crate::store::Bus)). Pure.
//!
//! | file | what |
//! |---|---|
//! | `request` | a command, whom it is for, and the reply |
//! | `event` | what a worker, a task or a sender tells of itself |
//! | `info` | a task, as a worker tells of it |
//! | `clock` | the Lamport clock that orders all of these |
//!
//! | exchange | kind | who listens |
//! |---|---|---|
//! | `{control_exchange}.pidbox` | fanout | every worker |
//! | `reply.{control_exchange}.pidbox` | direct | who asked, under a key of its own |
//! | `{event_exchange}` | fanout | monitors; workers to elections |

mod clock;
mod event;
mod info;
mod request;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

pub use clock::LamportClock;
pub use event::{EVENTS_IN_A_NOTICE, Event, TASK_MULTI, decode_events, events_notice};
pub use info::{ScheduledTask, TaskInfo};
pub use request::{Reply, ReplyTo, Request, control_exchange, reply_exchange};

use crate::error::{Error, ErrorKind, Result};
use crate::message::{Envelope, Properties};

/// Celery's delivery mode of what need not survive a restart of the broker.
const TRANSIENT: u8 = 1;

/// Headers and body as an envelope.
fn envelope(headers: Value, body: &impl Serialize, delivery_mode: u8) -> Envelope {
    Envelope {
        headers: headers.to_string().into_bytes(),
        properties: Properties {
            delivery_mode,
            ..Properties::default()
        },
        body: serde_json::to_vec(body).expect("what is told has text keys, which JSON can hold"),
    }
}

/// The headers of an envelope; none when they are not understood, since none of them is needed.
fn headers(envelope: &Envelope) -> Map<String, Value> {
    serde_json::from_slice(&envelope.headers).unwrap_or_default()
}

/// The clock in the headers of an envelope.
fn clock_header(headers: &Map<String, Value>) -> u64 {
    headers.get("clock").and_then(Value::as_u64).unwrap_or(0)
}

fn body<T: DeserializeOwned>(envelope: &Envelope) -> Result<T> {
    let content_type = &envelope.properties.content_type;
    if content_type != "application/json" {
        let message = format!("content type {content_type:?} is not accepted");
        return Err(Error::new(ErrorKind::Codec, message));
    }
    serde_json::from_slice(&envelope.body).map_err(|source| {
        Error::new(ErrorKind::Codec, "the body is not understood").caused_by(source)
    })
}
