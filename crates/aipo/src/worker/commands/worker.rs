//! Commands about the worker itself: queues, slots, events, the end.

use aipo_core::QueueName;
use serde::Deserialize;
use serde_json::Value;

use super::{Answer, Arguments, Raised, ok};
use crate::worker::{Shared, presence};

#[derive(Deserialize)]
struct Queue {
    queue: QueueName,
}

/// Exchange and routing key are ignored: a queue is its name here.
pub(super) fn add_consumer(shared: &Shared, arguments: Arguments<'_>) -> Answer {
    let Queue { queue } = arguments.read()?;
    shared.queues.send_if_modified(|queues| {
        let is_new = !queues.contains(&queue);
        if is_new {
            queues.push(queue.clone());
        }
        is_new
    });
    tracing::info!(%queue, "taking from one more queue");
    ok(format!("add consumer {queue}"))
}

pub(super) fn cancel_consumer(shared: &Shared, arguments: Arguments<'_>) -> Answer {
    let Queue { queue } = arguments.read()?;
    shared.queues.send_if_modified(|queues| {
        let before = queues.len();
        queues.retain(|other| *other != queue);
        queues.len() != before
    });
    tracing::info!(%queue, "no longer taking from a queue");
    ok(format!("no longer consuming from {queue}"))
}

#[derive(Deserialize)]
struct By {
    #[serde(default = "one")]
    n: usize,
}

fn one() -> usize {
    1
}

pub(super) fn pool_grow(shared: &Shared, arguments: Arguments<'_>) -> Answer {
    let By { n } = arguments.read()?;
    shared.slots.grow(n);
    tracing::info!(slots = shared.slots.count(), "the pool grows");
    ok("pool will grow")
}

/// What runs in a slot too many runs to its end.
pub(super) fn pool_shrink(shared: &Shared, arguments: Arguments<'_>) -> Answer {
    let By { n } = arguments.read()?;
    shared.slots.shrink(n);
    tracing::info!(slots = shared.slots.count(), "the pool shrinks");
    ok("pool will shrink")
}

/// There is no autoscaler: idle slots cost nothing here.
pub(super) fn autoscale(arguments: Arguments<'_>) -> Answer {
    arguments.only(&["max", "min"])?;
    Err(Raised::new("ValueError", "Autoscale not enabled"))
}

/// There are no processes to restart.
pub(super) fn pool_restart() -> Answer {
    Err(Raised::new("ValueError", "Pool restarts not enabled"))
}

pub(super) fn enable_events(shared: &Shared, arguments: Arguments<'_>) -> Answer {
    arguments.only(&[])?;
    match shared.events.tell_of_tasks(true) {
        true => {
            tracing::info!("task events are on");
            ok("task events enabled")
        }
        false => ok("task events already enabled"),
    }
}

pub(super) fn disable_events(shared: &Shared, arguments: Arguments<'_>) -> Answer {
    arguments.only(&[])?;
    match shared.events.tell_of_tasks(false) {
        true => {
            tracing::info!("task events are off");
            ok("task events disabled")
        }
        false => ok("task events already disabled"),
    }
}

/// Monitors ask for this when they start, to find the workers.
pub(super) fn heartbeat(shared: &Shared, arguments: Arguments<'_>) -> Answer {
    arguments.only(&[])?;
    presence::tell(shared, "worker-heartbeat");
    Ok(Value::Null)
}

/// Python workers decide among themselves; see `mailbox` for our part in that.
pub(super) fn election(arguments: Arguments<'_>) -> Answer {
    let id = arguments.given.get("id").cloned().unwrap_or_default();
    tracing::info!(%id, "an election, which is left to Python workers");
    Ok(Value::Null)
}

pub(super) fn shutdown(shared: &Shared) {
    tracing::info!("asked to stop: running tasks finish");
    shared.stop.warm.cancel();
}
