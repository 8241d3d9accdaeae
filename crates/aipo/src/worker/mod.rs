//! The worker: takes messages, runs tasks, settles outcomes. In one direction:
//!
//! ```text
//! fetch ─▶ decode ─▶ gate ─▶ slot ─▶ run ─▶ decide (aipo-core, pure) ─▶ follow ─▶ settle
//! ```
//!
//! | file | role |
//! |---|---|
//! | `fetch` `decode` `gate` `slots` `run` `follow` `settle` | the steps, one file each; `process` puts them in order |
//! | `suspect` | runs what was there at two crashes apart from its like |
//! | `session` | one lease and everything that depends on it |
//! | `chords` | finishes chords whose parts are all done |
//! | `heartbeat` | renews the lease |
//! | `maintenance` | brings back what dead workers held, deletes what has expired |
//! | `status` | tells who works on what, ends what was revoked |
//! | `signals` | SIGTERM and its like |
//!
//! # Stopping
//! Warm: fetching stops at once, what has not started is handed back, running tasks finish while the lease
//! is renewed. Cold, or when the grace period is over: running tasks are ended and handed back. A worker that
//! is killed hands nothing back; others notice within two lease periods.

mod backoff;
mod chords;
mod decode;
mod fetch;
mod follow;
mod gate;
mod heartbeat;
mod maintenance;
mod process;
mod run;
mod session;
mod settle;
mod signals;
mod slots;
mod status;
mod suspect;

use std::fmt;
use std::sync::Arc;

use aipo_core::{QueueName, Result};
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) use follow::then;
pub(crate) use slots::Slot;
pub use status::{ActiveTask, Totals, WorkerStatus};

use crate::App;
use crate::revoke::Revoked;
use crate::signals::Signal;
use backoff::Backoff;
use slots::Slots;
use status::Tasks;

/// A worker that has not started.
#[must_use = "a worker does nothing until it is started"]
pub struct WorkerBuilder {
    app: App,
    name: Option<String>,
    queues: Vec<QueueName>,
    concurrency: Option<usize>,
}

/// A worker that runs in this process, until it is stopped. Dropping the handle does not stop it.
pub struct Worker {
    name: Arc<str>,
    stop: Stop,
    working: JoinHandle<Result<()>>,
}

/// How a worker is told to stop.
#[derive(Clone, Default)]
pub(crate) struct Stop {
    /// Finish what runs.
    pub(crate) warm: CancellationToken,
    /// Hand back what runs.
    pub(crate) cold: CancellationToken,
}

/// What all sessions of a worker share.
pub(crate) struct Shared {
    app: App,
    name: Arc<str>,
    queues: Vec<QueueName>,
    concurrency: usize,
    started: Timestamp,
    tasks: Arc<Tasks>,
    revoked: Arc<Revoked>,
    /// Told when parts of chords were settled.
    parts: Arc<Notify>,
}

impl WorkerBuilder {
    pub(crate) fn new(app: App) -> Self {
        Self {
            app,
            name: None,
            queues: Vec::new(),
            concurrency: None,
        }
    }

    /// Its name; `{app}-{pid}@{host}` by default. `%h` in it stands for the host, `%n` for the app.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The queues it takes from. By default all that its app's tasks can go to: the one of
    /// `task_default_queue`, those of `task_routes`, and those in the options of the tasks.
    pub fn queues<Q: Into<QueueName>>(mut self, queues: impl IntoIterator<Item = Q>) -> Self {
        self.queues = queues.into_iter().map(Into::into).collect();
        self
    }

    /// How many tasks it runs at the same time, instead of `worker_concurrency`.
    pub fn concurrency(mut self, slots: usize) -> Self {
        self.concurrency = Some(slots.max(1));
        self
    }

    /// Starts it; it takes messages from now on.
    ///
    /// # Errors
    /// When the store can't be reached at all; later it waits for the store to come back.
    pub async fn start(self) -> Result<Worker> {
        let app = self.app;
        // Reaching the store once tells a wrong address before anybody thinks that it works.
        app.store().broker.recover().await?;
        let host = crate::host::name();
        let name: Arc<str> = match self.name {
            Some(name) => name.replace("%h", &host).replace("%n", app.name()).into(),
            None => format!("{}-{}@{host}", app.name(), std::process::id()).into(),
        };
        let shared = Arc::new(Shared {
            name: name.clone(),
            queues: if self.queues.is_empty() {
                app.queues()
            } else {
                self.queues
            },
            concurrency: self
                .concurrency
                .unwrap_or(app.settings().worker_concurrency),
            started: app.clock().now(),
            tasks: Arc::default(),
            revoked: Arc::default(),
            parts: Arc::default(),
            app,
        });
        let stop = Stop::default();
        let working = tokio::spawn(work(shared, stop.clone()));
        Ok(Worker {
            name,
            stop,
            working,
        })
    }

    /// Starts it and runs until SIGTERM or Ctrl-C: the first stops it warm, the second cold.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn run(self) -> Result<()> {
        let signals = signals::Signals::new();
        let worker = self.start().await?;
        let obeying = tokio::spawn(signals::obey(signals, worker.stop.clone()));
        let result = worker.join().await;
        obeying.abort();
        result
    }
}

impl Worker {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Stops it warm: waits for running tasks to finish.
    ///
    /// # Errors
    /// When handing back failed; then it happens when the lease has run out.
    pub async fn stop(self) -> Result<()> {
        self.stop.warm.cancel();
        self.join().await
    }

    /// Stops it cold: running tasks are ended and handed back.
    ///
    /// # Errors
    /// As [`stop`](Self::stop).
    pub async fn abort(self) -> Result<()> {
        self.stop.cold.cancel();
        self.stop.warm.cancel();
        self.join().await
    }

    /// Waits until it has stopped.
    ///
    /// # Errors
    /// As [`stop`](Self::stop).
    pub async fn join(self) -> Result<()> {
        match self.working.await {
            Ok(result) => result,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

/// The life of a worker, session after session.
async fn work(shared: Arc<Shared>, stop: Stop) -> Result<()> {
    let app = &shared.app;
    let store = app.store();
    let background = [
        tokio::spawn(maintenance::recover(
            store.clone(),
            app.settings().worker_lease.0,
        )),
        tokio::spawn(maintenance::sweep(store.clone())),
        tokio::spawn(status::status(shared.clone())),
        tokio::spawn(chords::chords(shared.clone(), shared.parts.clone())),
    ];
    let queues: Vec<&str> = shared.queues.iter().map(QueueName::as_str).collect();
    tracing::info!(worker = %shared.name, ?queues, concurrency = shared.concurrency, "worker ready");
    app.signals().send(&Signal::WorkerReady {
        worker: &shared.name,
    });

    let slots = Slots::new(shared.concurrency);
    let mut backoff = Backoff::new();
    let mut result = Ok(());
    while !stop.warm.is_cancelled() {
        result = session::session(&shared, &slots, &stop).await;
        match &result {
            Ok(()) => backoff = Backoff::new(),
            Err(error) if !stop.warm.is_cancelled() => {
                tracing::warn!(%error, "the worker has no lease; trying again");
                tokio::select! {
                    () = backoff.wait() => {}
                    () = stop.warm.cancelled() => {}
                }
            }
            Err(_) => {}
        }
    }

    for role in background {
        role.abort();
    }
    if let Err(error) = status::sign_off(&shared).await {
        tracing::warn!(%error, "signing off failed; the worker is listed until its status expires");
    }
    app.signals().send(&Signal::WorkerShutdown {
        worker: &shared.name,
    });
    tracing::info!(worker = %shared.name, "worker stopped");
    result
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Worker({})", self.name)
    }
}
