//! The worker: takes messages, runs tasks, settles outcomes. In one direction:
//!
//! ```text
//! fetch ─▶ decode ─▶ gate ─▶ slot ─▶ run ─▶ decide (aipo-core, pure) ─▶ follow ─▶ settle
//! ```
//!
//! | file | role |
//! |---|---|
//! | `fetch` `decode` `gate` `slots` `run` `follow` `settle` | the steps, one file each; `process` puts them in order |
//! | `announce` | each step told to the log, the signals and the events |
//! | `held` `rates` `limits` | what waits for a slot; how often and how long tasks may run |
//! | `suspect` | starts what was there at two crashes alone, so that nobody is given up for another |
//! | `session` | one lease and everything that depends on it |
//! | `chords` | finishes chords whose parts are all done |
//! | `ending` | ends what waits and was revoked; also without a worker |
//! | `heartbeat` | renews the lease |
//! | `maintenance` | brings back what dead workers held, deletes what has expired |
//! | `tasks` | which run; ends those that were revoked |
//! | `presence` `events` | tells that the worker is there, and what happens |
//! | `mailbox` `commands` `mingle` | obeys and answers; greets the others |
//! | `signals` | SIGTERM and its like |
//!
//! # Stopping
//! Warm: fetching stops at once, what has not started is handed back, running tasks finish while the lease
//! is renewed. Cold, or when the grace period is over: running tasks are ended and handed back. A worker that
//! is killed hands nothing back; others notice within two lease periods.

mod announce;
mod backoff;
mod chords;
mod commands;
mod decode;
mod ending;
mod events;
mod fetch;
mod follow;
mod gate;
mod heartbeat;
mod held;
mod limits;
mod mailbox;
mod maintenance;
mod mingle;
mod presence;
mod process;
mod rates;
mod run;
mod session;
mod settle;
mod signals;
mod slots;
mod suspect;
mod tasks;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aipo_core::{QueueName, Result};
use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) use announce::fields_of_revoked;
pub(crate) use chords::failed_part;
pub(crate) use ending::end_waiting;
pub(crate) use follow::then;
pub(crate) use slots::Slot;

use crate::App;
use crate::revoke::Revoked;
use crate::signals::Signal;
use backoff::Backoff;
use events::{Events, Outbox};
use held::Held;
use limits::Limits;
use mailbox::Mailbox;
use rates::Rates;
use slots::Slots;
use tasks::Tasks;

/// How long a worker that stops waits until its last events are told.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A worker that has not started.
#[must_use = "a worker does nothing until it is started"]
pub struct WorkerBuilder {
    app: App,
    name: Option<String>,
    queues: Vec<QueueName>,
    concurrency: Option<usize>,
    task_events: bool,
    heartbeat: Option<Duration>,
    mingle: bool,
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
    /// The queues it takes from now.
    queues: watch::Sender<Vec<QueueName>>,
    slots: Slots,
    started: Timestamp,
    tasks: Tasks,
    held: Held,
    revoked: Revoked,
    rates: Rates,
    limits: Limits,
    events: Events,
    /// How often it tells that it is there; never when `None`.
    presence: Option<Duration>,
    /// Whether it greets the others.
    mingle: bool,
    stop: Stop,
    /// Told when parts of chords were settled, or may have been.
    parts: Arc<Notify>,
}

impl WorkerBuilder {
    pub(crate) fn new(app: App) -> Self {
        Self {
            app,
            name: None,
            queues: Vec::new(),
            concurrency: None,
            task_events: false,
            heartbeat: Some(presence::HEARTBEAT),
            mingle: true,
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

    /// Tells what happens to its tasks from the start; otherwise `worker_send_task_events` decides, and who asks for it
    /// later. Celery's `-E`.
    pub fn task_events(mut self) -> Self {
        self.task_events = true;
        self
    }

    /// How often it tells monitors that it is there, every two seconds by default; never when `None`. Celery's
    /// `--heartbeat-interval` and `--without-heartbeat`.
    pub fn heartbeat(mut self, every: Option<Duration>) -> Self {
        self.heartbeat = every.map(|every| every.max(Duration::from_millis(100)));
        self
    }

    /// Starts without greeting the other workers. Celery's `--without-mingle`.
    pub fn without_mingle(mut self) -> Self {
        self.mingle = false;
        self
    }

    /// Starts it; it takes messages and obeys commands from now on.
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
        let settings = app.settings();
        let queues = if self.queues.is_empty() {
            app.queues()
        } else {
            self.queues
        };
        let task_events = self.task_events || settings.worker_send_task_events;
        let (events, outbox) = Events::new(app.clone(), name.clone(), task_events);
        let stop = Stop::default();
        let shared = Arc::new(Shared {
            name: name.clone(),
            queues: watch::Sender::new(queues),
            slots: Slots::new(self.concurrency.unwrap_or(settings.worker_concurrency)),
            started: app.clock().now(),
            tasks: Tasks::default(),
            held: Held::default(),
            revoked: Revoked::default(),
            rates: Rates::default(),
            limits: Limits::default(),
            events,
            presence: self.heartbeat,
            mingle: self.mingle,
            stop: stop.clone(),
            parts: Arc::default(),
            app,
        });
        let mailbox = match shared.app.settings().worker_enable_remote_control {
            true => Some(mailbox::open(&shared).await),
            false => None,
        };
        let working = tokio::spawn(work(shared, mailbox, outbox));
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
async fn work(shared: Arc<Shared>, mailbox: Option<Mailbox>, outbox: Outbox) -> Result<()> {
    let app = &shared.app;
    let store = app.store();
    let ending = CancellationToken::new();
    let telling = tokio::spawn({
        let (shared, ending) = (shared.clone(), ending.clone());
        async move { events::tell(&shared.events, outbox, ending).await }
    });
    let mut background = vec![
        tokio::spawn(maintenance::recover(
            store.clone(),
            app.settings().worker_lease.0,
        )),
        tokio::spawn(maintenance::sweep(store.clone())),
        tokio::spawn(tasks::end_revoked(shared.clone())),
        tokio::spawn(presence::presence(shared.clone())),
        tokio::spawn(chords::chords(shared.clone())),
    ];
    background.extend(mailbox.map(|open| tokio::spawn(mailbox::serve(shared.clone(), open))));
    let queues = shared.queues.borrow().clone();
    tracing::info!(worker = %shared.name, ?queues, concurrency = shared.slots.count(), "worker ready");
    app.signals().send(&Signal::WorkerReady {
        worker: &shared.name,
    });

    let stop = &shared.stop;
    let mut backoff = Backoff::new();
    let mut result = Ok(());
    while !stop.warm.is_cancelled() {
        result = session::session(&shared).await;
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
    presence::say_goodbye(&shared);
    ending.cancel();
    if tokio::time::timeout(LAST_WORDS, telling).await.is_err() {
        tracing::warn!("the last events could not be told");
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
