//! Messages that were running at two crashes: perhaps what crashed their worker, perhaps not.
//!
//! A task that ends its process takes all that runs beside it along, and each of those is counted one start nearer
//! to being given up, though it did nothing wrong. What always holds is this: **nobody is given up for the company it was
//! in.** A message is given up when it was started as often as it may be, and its worker was lost at the last start
//! *while it was alone there*: nothing else of the worker ran, so it is nobody else's doing.
//!
//! So the worker starts a suspect by itself: it starts nothing else meanwhile, lets end what runs, and notes in the state store
//! that this start is alone. The note is gone before anything else starts, and also when the worker loses
//! its lease and lives. Left is only the note of one whose process ended, and it is read before the next start.
//!
//! Nobody waits for ever, and a suspect that was not alone just goes on until it is:
//!
//! - What still runs after one lease period runs on, and the suspect beside it, without a note. The crash that may follow
//!   leaves a worker with nothing but suspects.
//! - A suspect is alone for one lease period, since what ends a process mostly does so at once, and longer only while no slot is
//!   free for others. After each further crash it is twice as long, so that one that ends its process late is found too.
//!
//! A task that may be started once or twice (`max_deliveries`) is given up by the count.

use std::sync::Arc;
use std::time::Duration;

use aipo_core::store::Delivery;

use super::backoff::Backoff;
use super::decode::decode;
use super::fetch::count_start;
use super::process::run_one;
use super::session::Session;
use super::slots::Slots;

/// How often a message was started before it is a suspect. One crash is likely somebody else's
/// doing, and a worker that was killed in the middle of long work shall not do it all one by one.
const CRASHES: u32 = 2;

/// How often the time alone is doubled at most: to 43 minutes with a lease of 10 seconds.
const DOUBLINGS: u32 = 8;

/// How long the note is kept of a process that ended: until some worker takes the message again. When none
/// does for so long, the message has one more start.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

pub(crate) fn is_suspect(delivery: &Delivery) -> bool {
    !delivery.started && delivery.deliveries >= CRASHES
}

/// Whether a message that has been started too often is to be given up.
pub(crate) fn is_to_blame(max_deliveries: u32, lost_alone: bool) -> bool {
    lost_alone || max_deliveries <= CRASHES
}

/// Starts a suspect, alone if that can be, and comes back when others may start.
pub(crate) async fn run_apart(session: &Arc<Session>, slots: &Slots, delivery: Delivery) {
    let lease = session.app.settings().worker_lease.0;
    let crashes = delivery.deliveries - CRASHES;
    let turn = lease.saturating_mul(1 << crashes.min(DOUBLINGS));

    let alone = is_alone(session, lease).await;
    if session.stopping.is_cancelled() || session.lost.is_cancelled() {
        return session.settler.hand_back(delivery.tag).await;
    }
    let slot = slots.take().await;
    let mut batch = [delivery];
    if !count_start(session, &mut batch).await {
        return;
    }
    let [delivery] = batch;
    let mut request = decode(&session.app, delivery);
    let note = Note {
        session,
        key: format!("alone:{}", request.message.headers.id),
        start: request.deliveries,
    };
    request.lost_alone = note.tells_of_last_start().await;
    let noted = alone && note.write().await;
    let running = session
        .running
        .spawn(run_one(session.clone(), request, slot));
    if noted {
        tokio::select! {
            // Its outcome is settled.
            _ = running => {}
            () = session.stopping.cancelled() => {}
            () = session.lost.cancelled() => {}
            () = async { tokio::time::sleep(turn).await; slots.free().await; } => {}
        }
        note.erase().await;
    }
}

/// Waits until nothing runs, at most so long; says whether that is so.
async fn is_alone(session: &Session, patience: Duration) -> bool {
    // Whether it is closed matters to those who wait only.
    session.running.close();
    let alone = tokio::select! {
        biased;
        () = session.stopping.cancelled() => false,
        () = session.lost.cancelled() => false,
        waited = tokio::time::timeout(patience, session.running.wait()) => waited.is_ok(),
    };
    session.running.reopen();
    alone
}

/// That a start of a message is alone in its worker.
struct Note<'a> {
    session: &'a Session,
    key: String,
    /// Which start of the message this is.
    start: u32,
}

impl Note<'_> {
    /// Whether the start before this one was alone when its worker was lost. A store that does not answer
    /// tells of nothing.
    async fn tells_of_last_start(&self) -> bool {
        let state = &self.session.app.store().state;
        match state.get(std::slice::from_ref(&self.key)).await {
            Ok(notes) => notes == [Some((self.start - 1).to_string().into_bytes())],
            Err(error) => {
                tracing::warn!(%error, "asking how a task was lost failed; it is started once more");
                false
            }
        }
    }

    /// Says whether it is written.
    async fn write(&self) -> bool {
        let state = &self.session.app.store().state;
        let value = self.start.to_string().into_bytes();
        let written = state.put(&self.key, value, Some(KEPT)).await;
        if let Err(error) = &written {
            tracing::warn!(%error, "noting that a task is alone failed; others start beside it");
        }
        written.is_ok()
    }

    /// Tried again while the store is away, since nothing may start before; at most until the worker stops.
    async fn erase(&self) {
        let mut backoff = Backoff::new();
        while let Err(error) = self.session.app.store().state.delete(&self.key).await {
            tracing::warn!(%error, "noting that a task is not alone failed; trying again");
            tokio::select! {
                () = backoff.wait() => {}
                () = self.session.stopping.cancelled() => return,
            }
        }
    }
}
