//! Messages that were running at two crashes: perhaps what crashed their worker, perhaps not.
//!
//! A message that ends its process takes all that runs beside it along, and each of those is counted one
//! delivery nearer to being given up, though it did nothing wrong. So after two crashes a message gets
//! its next run apart from others like it: the one at fault then ends the process without them.
//!
//! The turn is over after one lease period, even if the task still runs: what ends a process mostly does so
//! at once, long tasks need not wait for each other, and a task that waits for another one which is
//! a suspect too can't wait for ever.

use std::pin::pin;
use std::sync::Arc;

use aipo_core::store::Delivery;
use tokio::sync::OwnedSemaphorePermit;

use super::fetch::count_start;
use super::process::run_one;
use super::session::Session;
use super::slots::Slots;

/// How often a message was started before it is a suspect. One crash is likely somebody else's
/// doing, and a worker that was killed in the middle of long work shall not do it all one by one.
const CRASHES: u32 = 2;

pub(crate) fn is_suspect(delivery: &Delivery) -> bool {
    !delivery.started && delivery.deliveries >= CRASHES
}

/// Lets a suspect go its way, one after the other. Those that wait take no slot, but their number is
/// bounded; beyond it this waits, and no more is fetched.
pub(crate) async fn quarantine(session: &Arc<Session>, slots: &Slots, delivery: Delivery) {
    let places = session.suspects.places.clone();
    let place = places
        .acquire_owned()
        .await
        .expect("the semaphore is never closed");
    session
        .running
        .spawn(alone(session.clone(), slots.clone(), delivery, place));
}

async fn alone(
    session: Arc<Session>,
    slots: Slots,
    delivery: Delivery,
    _place: OwnedSemaphorePermit,
) {
    let turn = tokio::select! {
        biased;
        () = session.stopping.cancelled() => None,
        () = session.lost.cancelled() => None,
        turn = session.suspects.turn.acquire() => turn.ok(),
    };
    let Some(turn) = turn else {
        return session.settler.hand_back(delivery.tag).await;
    };
    let slot = slots.take().await;
    let mut batch = [delivery];
    if !count_start(&session, &mut batch).await {
        return;
    }
    let [delivery] = batch;
    let mut running = pin!(run_one(session.clone(), delivery, slot));
    let longest_turn = session.app.settings().worker_lease.0;
    if tokio::time::timeout(longest_turn, &mut running)
        .await
        .is_err()
    {
        drop(turn);
        running.await;
    }
}
