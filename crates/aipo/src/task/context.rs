//! What a running task knows and can do: its context.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aipo_core::canvas::{Canvas, Follows, ResultNode, add_to_chord};
use aipo_core::message::{Embed, Headers, Properties, TaskMeta};
use aipo_core::store::ResultRecord;
use aipo_core::task::{REDELIVERED, TaskResult};
use aipo_core::{Error, ErrorKind, QueueName, Result, TaskId, TaskState};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use crate::App;
use crate::app::not_a_workflow;
use crate::flow::Sendable;
use crate::worker::Slot;

/// The state that [`Context::progress`] stores.
pub(crate) const PROGRESS: &str = "PROGRESS";

/// What a running task knows of itself, and what it can do meanwhile. Cheap to clone.
///
/// Celery: `self` and `self.request` of a bound task.
#[derive(Clone)]
pub struct Context(Arc<Inner>);

struct Inner {
    parts: ContextParts,
    since: tokio::time::Instant,
}

/// What a worker makes a context of.
pub(crate) struct ContextParts {
    pub(crate) app: App,
    pub(crate) headers: Headers,
    pub(crate) properties: Properties,
    /// Its arguments and what follows from it, as they came.
    pub(crate) body: Vec<u8>,
    pub(crate) queue: QueueName,
    pub(crate) deliveries: u32,
    pub(crate) worker: Arc<str>,
    pub(crate) cancelled: CancellationToken,
    pub(crate) soft_limit: SoftLimit,
    /// The slot it occupies; none outside of a worker.
    pub(crate) slot: Option<Slot>,
    /// What it sent, for its result's `children`.
    pub(crate) children: Mutex<Vec<ResultNode>>,
    /// What its message carries beside the arguments.
    pub(crate) embed: Embed,
}

/// Whether its soft time limit has passed, and whether it cares.
#[derive(Default)]
pub(crate) struct SoftLimit {
    pub(crate) passed: CancellationToken,
    heeded: AtomicBool,
}

impl SoftLimit {
    /// The token, for a task that asks for it and so goes on when the limit has passed.
    fn heed(&self) -> &CancellationToken {
        self.heeded.store(true, Ordering::Relaxed);
        &self.passed
    }

    /// Whether the task has asked for it.
    pub(crate) fn is_heeded(&self) -> bool {
        self.heeded.load(Ordering::Relaxed)
    }
}

impl Context {
    pub(crate) fn new(parts: ContextParts) -> Self {
        Self(Arc::new(Inner {
            parts,
            since: tokio::time::Instant::now(),
        }))
    }

    /// The id of the task.
    pub fn id(&self) -> &TaskId {
        &self.0.parts.headers.id
    }

    /// The name of the task.
    pub fn name(&self) -> &str {
        &self.0.parts.headers.task
    }

    /// How often it was retried: 0 the first time.
    pub fn retries(&self) -> u32 {
        self.0.parts.headers.retries
    }

    /// How often its message was started, counting this time: more than 1 when a worker was lost
    /// while it ran, and then some of its work may be done already.
    pub fn deliveries(&self) -> u32 {
        self.0.parts.deliveries
    }

    /// Whether its message was handed out before: it was given back with
    /// [`TaskError::requeue`](aipo_core::task::TaskError::requeue), or its worker was lost. Celery:
    /// `delivery_info["redelivered"]`.
    pub fn redelivered(&self) -> bool {
        self.deliveries() > 1 || was_given_back(self.headers())
    }

    /// Whether it runs without a message, as in [`testing::run`](crate::testing::run). Celery:
    /// `request.is_eager`.
    pub fn is_eager(&self) -> bool {
        self.0.parts.slot.is_none()
    }

    /// All headers of its message, the application's own under [`Headers::custom`].
    pub fn headers(&self) -> &Headers {
        &self.0.parts.headers
    }

    /// The properties of its message.
    pub fn properties(&self) -> &Properties {
        &self.0.parts.properties
    }

    /// The queue it came from.
    pub fn queue(&self) -> &QueueName {
        &self.0.parts.queue
    }

    /// The name of the worker that runs it.
    pub fn worker(&self) -> &str {
        &self.0.parts.worker
    }

    /// The app.
    pub fn app(&self) -> &App {
        &self.0.parts.app
    }

    /// What the app was given with [`AppBuilder::data`](crate::AppBuilder::data): a database, a client.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the app has nothing of this type.
    pub fn data<T: Send + Sync + 'static>(&self) -> Result<&T> {
        self.0.parts.app.data()
    }

    /// Sends another task, or a workflow; this task becomes its parent.
    ///
    /// # Errors
    /// As [`App::send`].
    pub async fn send<S: Sendable>(&self, what: S) -> Result<S::Handle> {
        self.0.parts.app.send(what).await
    }

    /// Sends a workflow; this task becomes its parent.
    ///
    /// # Errors
    /// As [`App::send`].
    pub async fn send_canvas(&self, canvas: impl Into<Canvas>) -> Result<Option<ResultNode>> {
        self.0.parts.app.send_canvas(canvas.into()).await
    }

    /// Adds one more part to the chord that it is part of, and sends it. Celery's `add_to_chord`.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when it is part of no chord, otherwise as [`App::send`].
    pub async fn add_to_chord(&self, canvas: impl Into<Canvas>) -> Result<()> {
        let app = self.app();
        let headers = self.headers();
        let follows = Follows::read(&self.0.parts.embed).map_err(not_a_workflow)?;
        let canvas = canvas.into();
        let (node, plan) = app.plan(headers.into(), |planner| {
            add_to_chord(planner, canvas, headers, &follows)
        })?;
        app.advance(app.work(plan)?).await?;
        node.into_iter().for_each(|node| self.adopt(node));
        Ok(())
    }

    /// Tells how far it has come: stored as the state `PROGRESS` with `meta` as its value.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`] when `meta` can't be JSON, or what the result backend answers.
    pub async fn progress(&self, meta: impl Serialize) -> Result<()> {
        self.set_state(PROGRESS, meta).await
    }

    /// Stores a state of the task's own with its value, until the next one. Celery's `update_state`.
    ///
    /// # Errors
    /// As [`progress`](Self::progress).
    pub async fn set_state(&self, state: &str, meta: impl Serialize) -> Result<()> {
        let value = serde_json::value::to_raw_value(&meta).map_err(|source| {
            Error::new(ErrorKind::Codec, "a state's value can't be written as JSON")
                .caused_by(source)
        })?;
        let serializer = self.0.parts.app.settings().result_serializer;
        serializer
            .check(&value)
            .map_err(|what| Error::new(ErrorKind::Codec, what))?;
        let record = self.record(TaskState::from(state), value, None);
        self.0.parts.app.store().results.store(vec![record]).await
    }

    /// Tells an event of the task's own, `task-` and a name, with what goes with it, an object. Monitors take
    /// the name in capitals for the task's state. Told at once, whether or not task events are on. Celery's
    /// `send_event`.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when `fields` is no object, otherwise what the store answers.
    pub async fn send_event(&self, kind: &str, fields: Value) -> Result<()> {
        let Value::Object(mut fields) = fields else {
            let message = format!("the fields of event {kind:?} are no object");
            return Err(Error::new(ErrorKind::Config, message));
        };
        fields.insert("uuid".to_owned(), self.id().as_str().into());
        let app = &self.0.parts.app;
        app.tell_events(&[app.event(kind, self.worker(), fields)])
            .await
    }

    /// Whether it should stop: it was revoked, its worker lost the lease, or the worker stops at once.
    pub fn is_cancelled(&self) -> bool {
        self.0.parts.cancelled.is_cancelled()
    }

    /// Waits until it should stop.
    pub async fn cancelled(&self) {
        self.0.parts.cancelled.cancelled().await;
    }

    /// Whether its soft time limit has passed. A task that asks before that goes on when it passes; one that
    /// never asked ends there with `SoftTimeLimitExceeded`.
    pub fn soft_limit_reached(&self) -> bool {
        self.0.parts.soft_limit.heed().is_cancelled()
    }

    /// Waits until its soft time limit has passed; for ever when it has none. To be asked before that, as
    /// [`soft_limit_reached`](Self::soft_limit_reached).
    pub async fn soft_limit(&self) {
        self.0.parts.soft_limit.heed().cancelled().await;
    }

    /// How long ago the worker took it up.
    pub(crate) fn running_for(&self) -> Duration {
        self.0.since.elapsed()
    }

    pub(crate) fn parts(&self) -> &ContextParts {
        &self.0.parts
    }

    /// Takes note of a task or a workflow that this one sent. As in Celery its child is what begins first: the first
    /// task of a chain, the header of a chord.
    pub(crate) fn adopt(&self, child: ResultNode) {
        if let Ok(mut children) = self.0.parts.children.lock() {
            children.push(child.into_first());
        }
    }

    /// A result of this task, ready to be stored.
    pub(crate) fn record(
        &self,
        state: TaskState,
        value: Box<RawValue>,
        traceback: Option<String>,
    ) -> ResultRecord {
        let children = self
            .0
            .parts
            .children
            .lock()
            .map(|ids| ids.clone())
            .unwrap_or_default();
        let meta = TaskMeta {
            result: value,
            traceback,
            children: Some(children.iter().map(ResultNode::to_value).collect()),
            ..self.0.parts.app.meta(&self.0.parts.headers, state)
        };
        self.0.parts.app.result_record(
            &self.0.parts.headers,
            &self.0.parts.body,
            &self.0.parts.queue,
            Some(self.worker()),
            meta,
        )
    }

    /// Runs a future that only waits for other tasks, with the slot given back meanwhile: tasks
    /// that wait for each other can't block a worker.
    pub(crate) async fn without_slot<F: Future>(&self, waiting: F) -> F::Output {
        match &self.0.parts.slot {
            Some(slot) => slot.lend(waiting).await,
            None => waiting.await,
        }
    }
}

/// Whether a message says that a task gave it back, here or on Python's side.
pub(crate) fn was_given_back(headers: &Headers) -> bool {
    let told = headers.custom.get(REDELIVERED);
    told.is_some_and(|told| *told == true)
}

tokio::task_local! {
    /// The task that runs here.
    static CURRENT: Context;
}

/// The task that runs here, if one does.
pub(crate) fn current() -> Option<Context> {
    CURRENT.try_with(Clone::clone).ok()
}

/// Runs a future as the given task.
pub(crate) async fn scope<F: Future>(cx: Context, future: F) -> F::Output {
    CURRENT.scope(cx, future).await
}

/// Runs work that blocks, on a thread of its own, as the given task. A panic there is a panic here.
pub(crate) async fn blocking_scope<T: Send + 'static>(
    cx: &Context,
    work: impl FnOnce(&Context) -> TaskResult<T> + Send + 'static,
) -> TaskResult<T> {
    let cx = cx.clone();
    let thread = tokio::task::spawn_blocking(move || {
        let task = cx.clone();
        CURRENT.sync_scope(cx, move || work(&task))
    });
    match thread.await {
        Ok(answer) => answer,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => Err(error.into()),
        },
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Context({} {})", self.name(), self.id())
    }
}
