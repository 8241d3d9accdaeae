//! Step 8 of a task's life: a worker takes messages, as many as it has free slots.
//!
//! Before it: the broker. After it: `decode`, for a batch at a time.
//!
//! Free slots pull work, so no message waits at a busy worker while another is idle. What comes
//! uncounted waits here until a slot is free and is counted then: what was fetched in excess
//! (`worker_prefetch_multiplier` above 1), and what was started before.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use aipo_core::ErrorKind;
use aipo_core::store::{Delivery, DeliveryTag, Fetch};
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use super::process::process;
use super::session::Session;
use super::slots::Slots;
use super::suspect::{is_suspect, quarantine};

/// How long one fetch waits. Nothing depends on it: a message ends the wait.
const WAIT: Duration = Duration::from_secs(60);

/// Fetches until the worker stops or the lease is lost.
pub(crate) async fn fetch(session: &Arc<Session>, slots: &Slots, stop: &CancellationToken) {
    let extra = session.extra;
    let mut held: VecDeque<Delivery> = VecDeque::new();
    let mut backoff = Backoff::new();
    loop {
        let free = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = session.lost.cancelled() => break,
            free = slots.free() => free,
        };
        if !held.is_empty() {
            let batch: Vec<Delivery> = held.drain(..free.min(held.len())).collect();
            start_held(session, slots, batch).await;
            continue;
        }
        let request = Fetch {
            max: free + extra,
            started: free,
            wait: WAIT,
        };
        let fetched = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = session.lost.cancelled() => break,
            fetched = session.consumer.fetch(request) => fetched,
        };
        match fetched {
            Ok(deliveries) => {
                backoff = Backoff::new();
                let (started, uncounted): (Vec<_>, Vec<_>) = deliveries
                    .into_iter()
                    .partition(|delivery| delivery.started);
                let (suspects, waiting): (Vec<_>, Vec<_>) =
                    uncounted.into_iter().partition(is_suspect);
                held.extend(waiting);
                if !started.is_empty() {
                    process(session, slots, started).await;
                }
                for suspect in suspects {
                    quarantine(session, slots, suspect).await;
                }
            }
            Err(error) if error.kind() == ErrorKind::LeaseLost => session.lost.cancel(),
            Err(error) => {
                tracing::warn!(%error, "fetching failed; trying again");
                tokio::select! {
                    () = backoff.wait() => {}
                    () = stop.cancelled() => break,
                }
            }
        }
    }
    for delivery in held {
        session.settler.hand_back(delivery.tag).await;
    }
}

/// Counts and processes deliveries that waited for a slot.
async fn start_held(session: &Arc<Session>, slots: &Slots, mut batch: Vec<Delivery>) {
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
        backoff.wait().await;
    }
    for delivery in batch {
        delivery.started = true;
        delivery.deliveries += 1;
    }
    true
}
