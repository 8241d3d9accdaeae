//! For tests of programs that use aipo: an app in memory, a task without a worker, what was sent.
//!
//! With `#[tokio::test(start_paused = true)]` the app's clock is virtual: countdowns, retries and time limits
//! pass at once, in their order.
//!
//! ```
//! use std::time::Duration;
//! use aipo::{App, TaskResult, testing};
//!
//! #[aipo::task]
//! async fn add(x: i64, y: i64) -> TaskResult<i64> {
//!     Ok(x + y)
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
//! let app = testing::build(App::builder("test").task(add::task())).await.unwrap();
//! let worker = app.worker().start().await.unwrap();
//! let handle = app.send(add::s(2, 2).countdown(Duration::from_secs(3600))).await.unwrap();
//! assert_eq!(handle.get(Duration::from_secs(4000)).await.unwrap(), 4);
//! worker.stop().await.unwrap();
//! # });
//! ```

use std::sync::{Arc, Mutex, PoisonError};

use aipo_core::message::{Embed, Headers, Properties};
use aipo_core::task::TaskResult;
use aipo_core::{Clock, QueueName, Result, TaskId};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::signals::Signal;
use crate::task::{Context, ContextParts, SoftLimit, Task, scope};
use crate::{App, AppBuilder};

/// The moment at which the clocks of this module start.
pub const START: Timestamp = Timestamp::constant(1_767_225_600, 0);

/// Builds an app on a fresh memory store, with a clock that runs with `tokio::time` from [`START`].
///
/// # Errors
/// As [`AppBuilder::build`].
///
/// # Panics
/// Outside of a tokio runtime.
pub async fn build(app: AppBuilder) -> Result<App> {
    let clock = Clock::tokio(START);
    app.clock(clock.clone())
        .store(crate::memory::store(clock))
        .build()
        .await
}

/// A context as a worker would make it, for a task with this id.
pub fn context<T: Task>(app: &App, id: impl Into<TaskId>) -> Context {
    Context::new(ContextParts {
        app: app.clone(),
        headers: Headers::new(T::NAME, id.into()),
        properties: Properties::default(),
        body: Vec::new(),
        queue: app.settings().task_default_queue.clone(),
        deliveries: 1,
        worker: "testing".into(),
        cancelled: CancellationToken::new(),
        soft_limit: SoftLimit::default(),
        slot: None,
        children: Mutex::default(),
        embed: Embed::default(),
    })
}

/// Runs a task here and now, without broker and worker: its code alone, no hooks, no retries, no
/// limits.
///
/// # Errors
/// What the task answers.
pub async fn run<T: Task>(app: &App, task: &T, args: T::Args) -> TaskResult<T::Output> {
    let cx = context::<T>(app, TaskId::new());
    scope(cx.clone(), task.run(&cx, args)).await
}

/// What an app has sent since this was made.
#[derive(Debug, Clone, Default)]
pub struct Sent(Arc<Mutex<Vec<(QueueName, Headers)>>>);

impl Sent {
    /// Takes note of everything that the app sends from now on.
    pub fn by(app: &App) -> Self {
        let sent = Self::default();
        let list = sent.clone();
        app.signals().connect(move |signal| {
            if let Signal::AfterTaskPublish { headers, queue } = signal {
                let entry = ((*queue).clone(), (*headers).clone());
                list.0
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(entry);
            }
        });
        sent
    }

    /// Queue and headers of all that was sent, in order. The arguments are in `argsrepr` and
    /// `kwargsrepr`.
    pub fn all(&self) -> Vec<(QueueName, Headers)> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The names of the tasks that were sent, in order.
    pub fn names(&self) -> Vec<String> {
        self.all()
            .into_iter()
            .map(|(_, headers)| headers.task)
            .collect()
    }
}
