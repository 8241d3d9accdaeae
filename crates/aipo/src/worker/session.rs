//! One lease of a worker: a consumer and everything that depends on it.
//!
//! A session ends when the worker stops or when the lease is lost. In the second case whatever still
//! runs is cancelled, since it belongs to another worker by now, and the worker opens a new session.

use std::sync::Arc;
use std::time::Duration;

use aipo_core::Result;
use aipo_core::store::{Consumer, ConsumerOptions};
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::fetch::fetch;
use super::heartbeat::heartbeat;
use super::settle::Settler;
use super::slots::Slots;
use super::status::Tasks;
use super::{Shared, Stop};
use crate::App;
use crate::revoke::Revoked;

/// What the steps of a task share.
pub(crate) struct Session {
    pub(crate) app: App,
    /// The worker's name.
    pub(crate) worker: Arc<str>,
    pub(crate) consumer: Arc<dyn Consumer>,
    pub(crate) settler: Settler,
    /// How many messages are held beyond the free slots.
    pub(crate) extra: usize,
    /// Told when parts of chords were settled.
    pub(crate) parts: Arc<Notify>,
    /// What is on its way from delivery to settlement.
    pub(crate) running: TaskTracker,
    /// The tasks that run, for control and status.
    pub(crate) tasks: Arc<Tasks>,
    /// What was revoked, as far as this worker knows.
    pub(crate) revoked: Arc<Revoked>,
    /// Deliveries that are run one by one, see `suspect`.
    pub(crate) suspects: Suspects,
    /// Cancelled when the worker takes no more messages.
    pub(crate) stopping: CancellationToken,
    /// Cancelled when the lease is lost.
    pub(crate) lost: CancellationToken,
    /// Cancelled when what still runs must end at once.
    pub(crate) interrupted: CancellationToken,
}

/// Where suspects wait.
pub(crate) struct Suspects {
    /// A place to wait in.
    pub(crate) places: Arc<Semaphore>,
    /// The turn to run.
    pub(crate) turn: Semaphore,
}

/// Runs one session to its end.
///
/// # Errors
/// When the store refuses the consumer.
pub(crate) async fn session(shared: &Shared, slots: &Slots, stop: &Stop) -> Result<()> {
    let settings = shared.app.settings();
    let consumer: Arc<dyn Consumer> = shared
        .app
        .store()
        .broker
        .consume(ConsumerOptions {
            name: shared.name.to_string(),
            queues: shared.queues.clone(),
            lease: settings.worker_lease.0,
        })
        .await?
        .into();
    let lost = CancellationToken::new();
    let (settler, settling) = Settler::new(
        shared.app.store().clone(),
        consumer.clone(),
        lost.clone(),
        shared.parts.clone(),
    );
    let settling = tokio::spawn(settling);
    let session = Arc::new(Session {
        app: shared.app.clone(),
        worker: shared.name.clone(),
        consumer: consumer.clone(),
        settler,
        extra: shared.concurrency * (settings.worker_prefetch_multiplier - 1),
        running: TaskTracker::new(),
        tasks: shared.tasks.clone(),
        revoked: shared.revoked.clone(),
        parts: shared.parts.clone(),
        suspects: Suspects {
            places: Arc::new(Semaphore::new(shared.concurrency)),
            turn: Semaphore::new(1),
        },
        stopping: stop.warm.clone(),
        lost: lost.clone(),
        interrupted: CancellationToken::new(),
    });
    let beating = tokio::spawn(heartbeat(
        consumer.clone(),
        settings.worker_lease.0,
        lost.clone(),
    ));

    fetch(&session, slots, &stop.warm).await;

    // The lease is renewed for as long as tasks run; only then does the heart stop.
    finish_running(
        &session,
        stop,
        settings.worker_soft_shutdown_timeout.non_zero(),
    )
    .await;
    drop(session);
    if let Err(error) = settling.await {
        tracing::error!(%error, "the settler died; what it held will run again");
    }
    beating.abort();
    if lost.is_cancelled() {
        tracing::warn!(worker = %shared.name, "the lease was lost; starting over with a new one");
        return Ok(());
    }
    consumer.close().await
}

/// Waits for what runs, for as long as it may.
async fn finish_running(session: &Session, stop: &Stop, grace: Option<Duration>) {
    session.running.close();
    let out_of_grace = async {
        match grace {
            Some(grace) => tokio::time::sleep(grace).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = session.running.wait() => return,
        () = session.lost.cancelled() => {}
        () = stop.cold.cancelled() => tracing::warn!("stopping at once; running tasks are handed back"),
        () = out_of_grace => tracing::warn!("the grace period is over; running tasks are handed back"),
    }
    session.interrupted.cancel();
    session.running.wait().await;
}
