//! One lease of a worker: a consumer and everything that depends on it.
//!
//! A session ends when the worker stops or when the lease is lost. In the second case whatever still
//! runs is cancelled, since it belongs to another worker by now, and the worker opens a new session.

use std::sync::Arc;
use std::time::Duration;

use aipo_core::Result;
use aipo_core::store::{Consumer, ConsumerOptions};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::fetch::fetch;
use super::heartbeat::heartbeat;
use super::settle::Settler;
use super::{Shared, Stop};
use crate::App;

/// What the steps of a task share.
pub(crate) struct Session {
    pub(crate) app: App,
    pub(crate) shared: Arc<Shared>,
    pub(crate) consumer: Arc<dyn Consumer>,
    pub(crate) settler: Settler,
    /// What is on its way from delivery to settlement.
    pub(crate) running: TaskTracker,
    /// Cancelled when the worker takes no more messages.
    pub(crate) stopping: CancellationToken,
    /// Cancelled when the lease is lost.
    pub(crate) lost: CancellationToken,
    /// Cancelled when what still runs must end at once.
    pub(crate) interrupted: CancellationToken,
}

/// Runs one session to its end.
///
/// # Errors
/// When the store refuses the consumer.
pub(crate) async fn session(shared: &Arc<Shared>) -> Result<()> {
    let settings = shared.app.settings();
    let stop = &shared.stop;
    // Before it is known what the queues are, so that no change of them is missed.
    let queues = shared.queues.subscribe();
    let first_queues = queues.borrow().clone();
    let consumer: Arc<dyn Consumer> = shared
        .app
        .store()
        .broker
        .consume(ConsumerOptions {
            name: shared.name.to_string(),
            queues: first_queues,
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
        shared: shared.clone(),
        consumer: consumer.clone(),
        settler,
        running: TaskTracker::new(),
        stopping: stop.warm.clone(),
        lost: lost.clone(),
        interrupted: CancellationToken::new(),
    });
    let beating = tokio::spawn(heartbeat(
        consumer.clone(),
        settings.worker_lease.0,
        stop.warm.clone(),
        lost.clone(),
    ));

    fetch(&session, queues).await;

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
