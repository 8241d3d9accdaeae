//! Step 9 of a task's life: a delivery is understood.
//!
//! Before it: `fetch`. After it: `gate`.

use std::sync::Arc;

use aipo_core::message::{
    Body, Embed, Headers, TaskMessage, Undecodable, decode as decode_message,
};
use aipo_core::store::{Delivery, DeliveryTag};
use aipo_core::task::{Outcome, Policy, TaskOptions};
use aipo_core::{QueueName, TaskId};

use crate::App;
use crate::app::AnyTask;

/// A delivery whose headers are understood.
pub(crate) struct Request {
    pub(crate) tag: DeliveryTag,
    pub(crate) queue: QueueName,
    pub(crate) deliveries: u32,
    /// Whether its worker was lost at the start before, with nothing else running there; see `suspect`.
    pub(crate) lost_alone: bool,
    pub(crate) message: TaskMessage,
    /// The options that hold for it.
    pub(crate) policy: Policy,
    /// Its code, or why there is none.
    pub(crate) task: Result<Arc<dyn AnyTask>, Outcome>,
}

/// Understands a delivery. What can't be understood, or is not registered, is a request as well:
/// one without code.
pub(crate) fn decode(app: &App, delivery: Delivery) -> Request {
    let Delivery {
        tag,
        queue,
        deliveries,
        envelope,
        ..
    } = delivery;
    // A message without headers still tells its id in the properties, under which its failure can be
    // found.
    let id = TaskId::from(
        envelope
            .properties
            .correlation_id
            .clone()
            .unwrap_or_default(),
    );
    let (message, refused) = match decode_message(envelope, app.settings()) {
        Ok(message) => (message, None),
        Err(refused) => {
            let message = TaskMessage {
                headers: refused.headers.unwrap_or_else(|| Headers::new("", id)),
                properties: refused.properties,
                body: Vec::new(),
                has_full_headers: true,
            };
            (message, Some(Outcome::Undecodable(refused.reason)))
        }
    };
    let task = app.registry().get(&message.headers.task);
    let of_others = TaskOptions::default();
    let options = task.map_or(&of_others, |task| task.options());
    let policy = Policy::resolve(&message.headers, options, app.settings());
    let task = match refused {
        None => task.cloned().ok_or(Outcome::NotRegistered),
        Some(refused) => Err(refused),
    };
    Request {
        tag,
        queue,
        deliveries,
        lost_alone: false,
        message,
        policy,
        task,
    }
}

/// What a body carries beside the arguments.
pub(crate) fn embedded(body: &[u8]) -> Result<Embed, Undecodable> {
    let mut rewritten = Vec::new();
    match Body::parse_python(body, &mut rewritten) {
        Ok(body) => Ok(body.2.unwrap_or_default()),
        Err(error) => Err(Undecodable::Broken(format!("body: {error}"))),
    }
}
