//! Revoking: cancelling tasks that are already sent.
//!
//! First an entry in the log `revoked` of the state store is left: for what runs, is on its way or is not found. Then what
//! waits in a queue is ended at once, with all that follows from it, where the store can find it (`worker/ending.rs`).
//!
//! Workers keep a copy of that log: a fetch tells whether the copy is current
//! ([`Consumer::last_revoked`](aipo_core::store::Consumer::last_revoked)), so a revoke is never missed and costs nothing
//! while there is none.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aipo_core::control::Event;
use aipo_core::message::{Headers, TaskMeta};
use aipo_core::store::state::REVOKED;
use aipo_core::task::Failure;
use aipo_core::{ErrorKind, Result, TaskId, TaskState};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::to_raw_value;
use serde_json::{Map, Value, json};

use crate::App;
use crate::worker::{end_waiting, fields_of_revoked};

/// How long a revoke is remembered. Celery's `CELERY_WORKER_REVOKE_EXPIRES`.
const REMEMBERED: Duration = Duration::from_secs(10_800);
/// How long the revoke of a workflow is remembered where results are kept for ever: 30 days.
const MAX_ROOT_REMEMBERED: Duration = Duration::from_secs(30 * 86_400);
/// How many a worker remembers at most; the oldest go first. Celery's `CELERY_WORKER_REVOKES_MAX`.
const MAX_REMEMBERED: usize = 50_000;
/// How many entries of the log one step reads.
const PAGE: usize = 1_000;
/// The argument of a revoking command which says that its effect is in the store. Python workers ignore it.
pub(crate) const RECORDED: &str = "recorded";

/// What a revoke is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Revoke {
    /// Only a task that has not started: one that runs goes on.
    Waiting,
    /// A running task as well: an async one ends at its next `await`, one on a blocking thread is
    /// told by [`Context::is_cancelled`](crate::Context::is_cancelled). Celery's `terminate=True`.
    Running,
}

/// An entry of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Revocation {
    what: What,
    terminate: bool,
    /// Until when it counts, in milliseconds since 1970.
    until_ms: i64,
}

/// Which tasks are meant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum What {
    Task(TaskId),
    /// All of a workflow, by its root.
    Root(TaskId),
    /// All that carry one of these values under the name of a stamp.
    Stamp {
        name: String,
        values: Vec<Value>,
    },
}

impl App {
    /// Cancels tasks: they end as `REVOKED` and will not start. Works with no worker up.
    ///
    /// With one that waits ends what would have come after it: the rest of its chain as `REVOKED` too, and its part of a
    /// chord, whose body then fails once a worker finishes the chord.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn revoke(&self, ids: &[TaskId], what: Revoke) -> Result<()> {
        let mut ended = Vec::new();
        let recorded = self.record_revoke(ids, what, &mut ended).await;
        self.tell_ended(&ended).await;
        recorded?;
        let arguments = json!({ "task_id": ids, "terminate": what == Revoke::Running });
        self.tell_revoke("revoke", arguments).await;
        Ok(())
    }

    /// What there is to do about a revoke, apart from telling of it. What it ends is added to `ended`.
    pub(crate) async fn record_revoke(
        &self,
        ids: &[TaskId],
        what: Revoke,
        ended: &mut Vec<TaskId>,
    ) -> Result<()> {
        self.remember_revoked(ids.iter().cloned().map(What::Task), what, REMEMBERED)
            .await?;
        self.end_waiting(ids, ended).await
    }

    /// Ends what waits of tasks whose revoke is remembered, as far as that is possible now. The entries come first: a
    /// message that a worker takes between the two steps is caught by them.
    pub(crate) async fn end_waiting(&self, ids: &[TaskId], ended: &mut Vec<TaskId>) -> Result<()> {
        match end_waiting(self, ids, ended).await {
            // More waits than this store searches, or it took too long; what is meant is dropped when its turn comes.
            Err(error) if matches!(error.kind(), ErrorKind::TooLarge | ErrorKind::LeaseLost) => {
                tracing::debug!(%error, "revoked tasks that wait end when their turn comes");
                Ok(())
            }
            answer => answer,
        }
    }

    /// Tells `task-revoked` of tasks that this program ended while they waited. Monitors know of those by `task-sent`, so
    /// the same setting asks for it.
    pub(crate) async fn tell_ended(&self, ids: &[TaskId]) {
        if !self.settings().task_send_sent_event || ids.is_empty() {
            return;
        }
        let fields = ids.iter().map(|id| fields_of_revoked(id, "revoked"));
        let events = fields.map(|fields| self.event("task-revoked", self.origin(), fields));
        let events: Vec<Event> = events.collect();
        if let Err(error) = self.tell_events(&events).await {
            tracing::warn!(%error, "telling that tasks were revoked failed");
        }
    }

    /// Cancels all tasks that carry one of `values` as the stamp `name`, as they come to a worker, and for
    /// [`Revoke::Running`] those that run. Celery's `revoke_by_stamped_headers`.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn revoke_by_stamp(
        &self,
        name: impl Into<String>,
        values: Vec<Value>,
        what: Revoke,
    ) -> Result<()> {
        let name = name.into();
        let headers = Map::from_iter([(name.clone(), Value::Array(values.clone()))]);
        self.remember_revoked([What::Stamp { name, values }], what, REMEMBERED)
            .await?;
        let arguments = json!({ "headers": headers, "terminate": what == Revoke::Running });
        self.tell_revoke("revoke_by_stamped_headers", arguments)
            .await;
        Ok(())
    }

    /// Tells workers at once what is in the store already: Python workers don't look there, and what runs in
    /// aipo's ends sooner. A worker of aipo sees by [`RECORDED`] that nothing is left to store.
    async fn tell_revoke(&self, command: &str, mut arguments: Value) {
        arguments[RECORDED] = true.into();
        if let Err(error) = self.control().tell(command, arguments).await {
            tracing::warn!(%error, "telling workers of a revoke failed; they learn of it from the store");
        }
    }

    /// Remembers that a workflow was revoked, for as long as results are kept: it may have steps that wait that long.
    pub(crate) async fn remember_revoked_root(&self, root: TaskId, what: Revoke) -> Result<()> {
        let results = self.settings().result_expires.non_zero();
        let remembered = results.unwrap_or(MAX_ROOT_REMEMBERED).max(REMEMBERED);
        self.remember_revoked([What::Root(root)], what, remembered)
            .await
    }

    /// Remembers tasks that were revoked elsewhere, such as by Python workers.
    pub(crate) async fn remember_revoked_tasks(&self, ids: Vec<TaskId>) -> Result<()> {
        let tasks = ids.into_iter().map(What::Task);
        self.remember_revoked(tasks, Revoke::Waiting, REMEMBERED)
            .await
    }

    async fn remember_revoked(
        &self,
        whats: impl IntoIterator<Item = What>,
        what: Revoke,
        remembered: Duration,
    ) -> Result<()> {
        let until_ms = self.clock().after(remembered).as_millisecond();
        let terminate = what == Revoke::Running;
        let entry = |what| {
            let revocation = Revocation {
                what,
                terminate,
                until_ms,
            };
            serde_json::to_vec(&revocation)
                .expect("a revocation has text keys, which JSON can hold")
        };
        let entries: Vec<Vec<u8>> = whats.into_iter().map(entry).collect();
        if entries.is_empty() {
            return Ok(());
        }
        let state = &self.store().state;
        state.append(REVOKED, entries, remembered).await.map(drop)
    }

    /// Stores `REVOKED` for tasks of which nothing is known but their id.
    pub(crate) async fn store_revoked(&self, ids: &[TaskId]) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let queue = &self.settings().task_default_queue;
        let records = ids.iter().map(|id| {
            let failure = Failure::revoked("revoked");
            let headers = Headers::new("", id.clone());
            let meta = TaskMeta {
                result: to_raw_value(&failure.exception)
                    .expect("an exception is text, which JSON can hold"),
                ..self.meta(&headers, TaskState::Revoked)
            };
            self.result_record(&headers, &[], queue, None, meta)
        });
        self.store().results.store(records.collect()).await
    }
}

/// A worker's copy of the log.
#[derive(Default)]
pub(crate) struct Revoked {
    known: Mutex<Known>,
    /// Held while reading the log, so that it is read once for all who ask.
    reading: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Known {
    /// The number of the last entry read.
    last: u64,
    /// Tasks by the number of their last entry.
    order: BTreeMap<u64, TaskId>,
    tasks: HashMap<TaskId, (u64, Revocation)>,
    roots: HashMap<TaskId, Revocation>,
    stamps: Vec<Revocation>,
}

impl Revoked {
    /// Brings the copy up to date. `last` is the number that the log is known to have reached; when it is not
    /// known the log is read in any case.
    pub(crate) async fn update(&self, app: &App, last: Option<u64>) -> Result<()> {
        let current = |known: &Known| last.is_some_and(|last| known.last >= last);
        if current(&self.known()) {
            return Ok(());
        }
        let _alone = self.reading.lock().await;
        loop {
            let after = {
                let known = self.known();
                if current(&known) {
                    return Ok(());
                }
                known.last
            };
            let entries = app.store().state.entries(REVOKED, after, PAGE).await?;
            let is_last = entries.len() < PAGE;
            let mut known = self.known();
            for entry in entries {
                known.last = entry.number;
                match serde_json::from_slice(&entry.value) {
                    Ok(revocation) => known.add(entry.number, revocation),
                    Err(error) => tracing::warn!(%error, "a revocation can't be read"),
                }
            }
            if is_last {
                // What has expired is told no more, so the end may lie before what was known to be there.
                known.last = known.last.max(last.unwrap_or_default());
                known.forget_expired(app.clock().now());
                return Ok(());
            }
        }
    }

    /// Remembers stamps in this worker alone, for as long as it runs, as Celery's command does.
    pub(crate) fn add_stamp(&self, name: &str, values: Vec<Value>, what: Revoke, now: Timestamp) {
        let until = aipo_core::clock::after(now, REMEMBERED);
        let revocation = Revocation {
            what: What::Stamp {
                name: name.to_owned(),
                values,
            },
            terminate: what == Revoke::Running,
            until_ms: until.as_millisecond(),
        };
        let mut known = self.known();
        let number = known.last;
        known.add(number, revocation);
    }

    /// Whether a task is revoked, and for what.
    pub(crate) fn of(&self, headers: &Headers, now: Timestamp) -> Option<Revoke> {
        let known = self.known();
        let task = known
            .tasks
            .get(&headers.id)
            .map(|(_, revocation)| revocation);
        let stamps = known.stamps.iter().filter(|stamp| stamp.marks(headers));
        let root = headers.root_id.as_ref().unwrap_or(&headers.id);
        let root = known.roots.get(root);
        let counting = task
            .into_iter()
            .chain(root)
            .chain(stamps)
            .filter(|revocation| revocation.counts(now));
        counting.map(Revocation::kind).max()
    }

    /// Whether a workflow is revoked, by its root.
    pub(crate) fn has_root(&self, root: &TaskId, now: Timestamp) -> bool {
        let known = self.known();
        let root = known.roots.get(root);
        root.is_some_and(|revocation| revocation.counts(now))
    }

    /// The tasks that are revoked by id, the oldest revoke first.
    pub(crate) fn ids(&self) -> Vec<TaskId> {
        self.known().order.values().cloned().collect()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn add(&mut self, number: u64, revocation: Revocation) {
        let id = match &revocation.what {
            What::Task(id) => id.clone(),
            What::Root(root) => {
                let root = root.clone();
                if self.roots.len() < MAX_REMEMBERED || self.roots.contains_key(&root) {
                    self.roots.insert(root, revocation);
                } else {
                    tracing::warn!(%root, "too many workflows are revoked to remember another one");
                }
                return;
            }
            What::Stamp { .. } => {
                self.stamps.push(revocation);
                let excess = self.stamps.len().saturating_sub(MAX_REMEMBERED);
                self.stamps.drain(..excess);
                return;
            }
        };
        self.order.insert(number, id.clone());
        if let Some((before, _)) = self.tasks.insert(id, (number, revocation)) {
            self.order.remove(&before);
        }
        if self.order.len() > MAX_REMEMBERED
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.tasks.remove(&oldest);
        }
    }

    fn forget_expired(&mut self, now: Timestamp) {
        self.stamps.retain(|revocation| revocation.counts(now));
        self.roots.retain(|_, revocation| revocation.counts(now));
        // All live equally long, so the oldest go first.
        while let Some(oldest) = self.order.first_entry()
            && self
                .tasks
                .get(oldest.get())
                .is_none_or(|(_, revocation)| !revocation.counts(now))
        {
            self.tasks.remove(&oldest.remove());
        }
    }
}

impl Revocation {
    fn kind(&self) -> Revoke {
        match self.terminate {
            true => Revoke::Running,
            false => Revoke::Waiting,
        }
    }

    fn counts(&self, now: Timestamp) -> bool {
        self.until_ms > now.as_millisecond()
    }

    /// Whether a task carries one of the values as a stamp.
    fn marks(&self, headers: &Headers) -> bool {
        let What::Stamp { name, values } = &self.what else {
            return false;
        };
        let is_stamped = headers
            .stamped_headers
            .as_ref()
            .is_some_and(|names| names.contains(name));
        is_stamped
            && match headers.stamps.get(name) {
                Some(Value::Array(stamps)) => stamps.iter().any(|stamp| values.contains(stamp)),
                Some(stamp) => values.contains(stamp),
                None => false,
            }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn headers(id: &str, stamps: Value) -> Headers {
        let Value::Object(stamps) = stamps else {
            panic!("stamps are a map")
        };
        Headers {
            stamped_headers: Some(stamps.keys().cloned().collect()),
            stamps,
            ..Headers::new("t", id.into())
        }
    }

    fn app() -> impl Future<Output = App> {
        let clock = aipo_core::Clock::from_fn(|| Timestamp::UNIX_EPOCH);
        async {
            App::builder("test")
                .broker("memory://")
                .clock(clock)
                .build()
                .await
                .expect("an app")
        }
    }

    #[tokio::test]
    async fn a_revoke_is_known_once_the_copy_is_updated() {
        let app = app().await;
        let revoked = Revoked::default();
        let (a, b) = (headers("a", json!({})), headers("b", json!({})));
        let now = app.clock().now();
        app.revoke(&["a".into()], Revoke::Waiting)
            .await
            .expect("revoke");
        assert_eq!(revoked.of(&a, now), None);

        revoked.update(&app, Some(1)).await.expect("update");
        assert_eq!(revoked.of(&a, now), Some(Revoke::Waiting));
        assert_eq!(revoked.of(&b, now), None);
        assert_eq!(revoked.of(&a, now + REMEMBERED), None);

        app.revoke(&["b".into(), "a".into()], Revoke::Running)
            .await
            .expect("revoke");
        revoked.update(&app, None).await.expect("update");
        assert_eq!(revoked.of(&a, now), Some(Revoke::Running));
        assert_eq!(revoked.ids(), ["b".into(), "a".into()]);
    }

    #[tokio::test]
    async fn stamps_are_compared_as_json() {
        let app = app().await;
        let revoked = Revoked::default();
        let values = vec![json!("one"), json!(4242)];
        app.revoke_by_stamp("user", values, Revoke::Waiting)
            .await
            .expect("revoke");
        revoked.update(&app, None).await.expect("update");
        let check = |stamps: Value, expected: bool| {
            let now = app.clock().now();
            assert_eq!(
                revoked.of(&headers("a", stamps.clone()), now).is_some(),
                expected,
                "{stamps}"
            );
        };
        check(json!({"user": "one"}), true);
        check(json!({"user": ["zero", "one"]}), true);
        check(json!({"user": 4242}), true);
        check(json!({"user": "4242"}), false);
        check(json!({"group": "one"}), false);
        check(json!({}), false);
    }

    #[tokio::test]
    async fn a_worker_remembers_the_newest() {
        let app = app().await;
        let ids: Vec<TaskId> = (0..MAX_REMEMBERED + 10)
            .map(|n| n.to_string().into())
            .collect();
        app.revoke(&ids, Revoke::Waiting).await.expect("revoke");
        let revoked = Revoked::default();
        revoked.update(&app, None).await.expect("update");
        assert_eq!(revoked.ids(), ids[10..]);
        let now = app.clock().now();
        assert_eq!(revoked.of(&headers("9", json!({})), now), None);
        assert_eq!(
            revoked.of(&headers("10", json!({})), now),
            Some(Revoke::Waiting)
        );
    }
}
