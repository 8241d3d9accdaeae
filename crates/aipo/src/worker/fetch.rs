//! Step 8 of a task's life: a worker takes messages, as many as it has free slots.
//!
//! Before it: the broker. After it: `decode`, for a batch at a time.
//!
//! Free slots pull work, so no message waits at a busy worker while another is idle. What comes
//! uncounted waits here until a slot is free and is counted then: what was fetched in excess
//! (`worker_prefetch_multiplier` above 1), and what was started before.

use std::sync::Arc;
use std::time::Duration;

use aipo_core::store::{Delivery, DeliveryTag, Fetch};
use aipo_core::{ErrorKind, QueueName, Result};
use tokio::sync::watch;

use super::Shared;
use super::backoff::Backoff;
use super::process::process;
use super::session::Session;
use super::slots::Slots;
use super::suspect::{is_suspect, run_apart};

/// How long one fetch waits. Nothing depends on it: a message ends the wait.
const WAIT: Duration = Duration::from_secs(60);

/// Fetches until the worker stops or the lease is lost. `queues` tells when others are to be taken from.
pub(crate) async fn fetch(session: &Arc<Session>, mut queues: watch::Receiver<Vec<QueueName>>) {
    let Shared {
        slots, held, stop, ..
    } = &*session.shared;
    let mut backoff = Backoff::new();
    loop {
        let free = tokio::select! {
            biased;
            () = stop.warm.cancelled() => break,
            () = session.lost.cancelled() => break,
            free = slots.free() => free,
        };
        let batch = held.take(free);
        if !batch.is_empty() {
            start_held(session, slots, batch).await;
            continue;
        }
        let nowhere = queues.borrow().is_empty();
        let fetched = tokio::select! {
            biased;
            () = stop.warm.cancelled() => break,
            () = session.lost.cancelled() => break,
            Ok(()) = queues.changed() => {
                let queues = queues.borrow_and_update().clone();
                take_from(session, queues).await;
                continue;
            }
            fetched = next(session, free), if !nowhere => fetched,
        };
        match fetched {
            Ok(deliveries) => {
                backoff = Backoff::new();
                let (started, uncounted): (Vec<_>, Vec<_>) = deliveries
                    .into_iter()
                    .partition(|delivery| delivery.started);
                held.add(uncounted);
                if !started.is_empty() {
                    process(session, slots, started).await;
                }
            }
            Err(error) if error.kind() == ErrorKind::LeaseLost => session.lost.cancel(),
            Err(error) => {
                tracing::warn!(%error, "fetching failed; trying again");
                tokio::select! {
                    () = backoff.wait() => {}
                    () = stop.warm.cancelled() => break,
                }
            }
        }
    }
    for delivery in held.take_all() {
        session.settler.hand_back(delivery.tag).await;
    }
}

/// One fetch for the slots that are free, and what may be held beyond them.
async fn next(session: &Session, free: usize) -> Result<Vec<Delivery>> {
    let multiplier = session.app.settings().worker_prefetch_multiplier;
    let extra = session.shared.slots.count() * (multiplier - 1);
    let request = Fetch {
        max: free + extra,
        started: free,
        wait: WAIT,
    };
    session.consumer.fetch(request).await
}

/// Takes from these queues from now on.
async fn take_from(session: &Session, queues: Vec<QueueName>) {
    let mut backoff = Backoff::new();
    while let Err(error) = session.consumer.set_queues(queues.clone()).await {
        if error.kind() == ErrorKind::LeaseLost {
            // The next session begins with the new queues.
            return session.lost.cancel();
        }
        tracing::warn!(%error, "changing the queues failed; trying again");
        tokio::select! {
            () = backoff.wait() => {}
            () = session.stopping.cancelled() => return,
        }
    }
}

/// Counts and processes deliveries that waited for a slot.
async fn start_held(session: &Arc<Session>, slots: &Slots, mut batch: Vec<Delivery>) {
    if let Some(suspect) = batch.pop_if(|delivery| is_suspect(delivery)) {
        return run_apart(session, slots, suspect).await;
    }
    if count_start(session, &mut batch).await {
        process(session, slots, batch).await;
    }
}

/// Counts deliveries as started; false when the lease is lost, and then they must not run.
pub(crate) async fn count_start(session: &Session, batch: &mut [Delivery]) -> bool {
    let tags: Vec<DeliveryTag> = batch.iter().map(|delivery| delivery.tag).collect();
    let mut backoff = Backoff::new();
    while let Err(error) = session.consumer.start(&tags).await {
        if error.kind() == ErrorKind::LeaseLost {
            session.lost.cancel();
            return false;
        }
        tracing::warn!(%error, "counting a start failed; trying again");
        tokio::select! {
            () = backoff.wait() => {}
            // Also where the store stays away from a worker that stops.
            () = session.lost.cancelled() => return false,
        }
    }
    for delivery in batch {
        delivery.started = true;
        delivery.deliveries += 1;
    }
    true
}
