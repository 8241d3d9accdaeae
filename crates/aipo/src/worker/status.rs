//! What a worker tells about itself, and what it is told: the tasks that run, who was revoked.
//!
//! The status is a fact in the state store under `worker:{name}`, renewed with every heartbeat and gone
//! soon after the worker; `aipo inspect` reads it, on every store.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aipo_core::store::Fence;
use aipo_core::{Result, TaskId, TaskState};
use serde::{Deserialize, Serialize};
use tokio::time::MissedTickBehavior;

use super::Shared;
use super::heartbeat::BEATS_PER_LEASE;
use crate::App;
use crate::revoke::{Revoke, Revoked};
use crate::task::Context;

const PREFIX: &str = "worker:";

/// A worker as it told of itself at its last heartbeat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerStatus {
    /// Its name.
    pub name: String,
    /// The app it works for.
    pub app: String,
    /// Its process.
    pub pid: u32,
    /// When it started, RFC 3339.
    pub started: String,
    /// The queues it takes from.
    pub queues: Vec<String>,
    /// How many tasks it runs at the same time.
    pub concurrency: usize,
    /// The tasks it knows.
    pub registered: Vec<String>,
    /// The tasks that run.
    pub active: Vec<ActiveTask>,
    /// What came of the tasks it had so far.
    pub total: Totals,
}

/// A running task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActiveTask {
    /// Its id.
    pub id: TaskId,
    /// Its name.
    pub name: String,
    /// Its positional arguments, as Python prints them.
    pub args: String,
    /// Its named arguments, as Python prints them.
    pub kwargs: String,
    /// How long it has been running, in seconds.
    pub runtime_secs: f64,
}

/// How many tasks ended how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Totals {
    /// `SUCCESS`.
    pub succeeded: u64,
    /// `FAILURE`.
    pub failed: u64,
    /// `RETRY`.
    pub retried: u64,
    /// `REVOKED`.
    pub revoked: u64,
}

/// The tasks that run in a worker, and what became of those that have.
#[derive(Default)]
pub(crate) struct Tasks {
    running: Mutex<HashMap<TaskId, Context>>,
    succeeded: AtomicU64,
    failed: AtomicU64,
    retried: AtomicU64,
    revoked: AtomicU64,
}

/// Keeps a task in the list for as long as it lives.
pub(crate) struct Listed<'a> {
    tasks: &'a Tasks,
    id: TaskId,
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        self.tasks.running().remove(&self.id);
    }
}

impl Tasks {
    pub(crate) fn list(&self, cx: &Context) -> Listed<'_> {
        self.running().insert(cx.id().clone(), cx.clone());
        Listed {
            tasks: self,
            id: cx.id().clone(),
        }
    }

    pub(crate) fn count(&self, state: Option<&TaskState>) {
        let counter = match state {
            Some(TaskState::Success) => &self.succeeded,
            Some(TaskState::Failure) => &self.failed,
            Some(TaskState::Retry) => &self.retried,
            Some(TaskState::Revoked) => &self.revoked,
            _ => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn running(&self) -> MutexGuard<'_, HashMap<TaskId, Context>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn active(&self) -> Vec<ActiveTask> {
        let describe = |cx: &Context| ActiveTask {
            id: cx.id().clone(),
            name: cx.name().to_owned(),
            args: cx.headers().argsrepr.clone().unwrap_or_default(),
            kwargs: cx.headers().kwargsrepr.clone().unwrap_or_default(),
            runtime_secs: cx.running_for().as_secs_f64(),
        };
        let mut active: Vec<_> = self.running().values().map(describe).collect();
        active.sort_by(|a, b| b.runtime_secs.total_cmp(&a.runtime_secs));
        active
    }

    fn totals(&self) -> Totals {
        Totals {
            succeeded: self.succeeded.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            retried: self.retried.load(Ordering::Relaxed),
            revoked: self.revoked.load(Ordering::Relaxed),
        }
    }

    /// Ends the running tasks that were revoked with their run.
    pub(crate) async fn end_revoked(&self, app: &App, revoked: &Revoked) -> Result<()> {
        if self.running().is_empty() {
            return Ok(());
        }
        revoked.update(app, None).await?;
        let now = app.clock().now();
        for cx in self.running().values() {
            if revoked.of(cx.headers(), now) == Some(Revoke::Running) {
                cx.parts().cancelled.cancel();
            }
        }
        Ok(())
    }
}

/// Tells and is told, with every heartbeat, until dropped.
pub(crate) async fn status(shared: std::sync::Arc<Shared>) {
    let lease = shared.app.settings().worker_lease.0;
    let mut beats = tokio::time::interval(lease / BEATS_PER_LEASE);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut claim = None;
    loop {
        beats.tick().await;
        if let Err(error) = announce(&shared, &mut claim, lease * 2).await {
            tracing::warn!(%error, "telling the worker's status failed; trying again");
        }
        if let Err(error) = shared.tasks.end_revoked(&shared.app, &shared.revoked).await {
            tracing::warn!(%error, "asking for revoked tasks failed; trying again");
        }
    }
}

/// Claims the name, or renews the claim.
async fn announce(shared: &Shared, claim: &mut Option<Fence>, ttl: Duration) -> Result<()> {
    let key = format!("{PREFIX}{}", shared.name);
    let value = serde_json::to_vec(&describe(shared)).expect("a status is JSON");
    let state = &shared.app.store().state;
    if let Some(fence) = *claim {
        if state.renew(&key, fence, value.clone(), ttl).await? {
            return Ok(());
        }
        *claim = None;
    }
    *claim = state.claim(&key, value, ttl).await?;
    if claim.is_none() {
        tracing::warn!(worker = %shared.name, "another worker has this name; only one of them is shown");
    }
    Ok(())
}

/// Takes the worker off the list.
pub(crate) async fn sign_off(shared: &Shared) -> Result<()> {
    shared
        .app
        .store()
        .state
        .delete(&format!("{PREFIX}{}", shared.name))
        .await
}

fn describe(shared: &Shared) -> WorkerStatus {
    let app = &shared.app;
    WorkerStatus {
        name: shared.name.to_string(),
        app: app.name().to_owned(),
        pid: std::process::id(),
        started: shared.started.to_string(),
        queues: shared.queues.iter().map(ToString::to_string).collect(),
        concurrency: shared.concurrency,
        registered: app.tasks().into_iter().map(str::to_owned).collect(),
        active: shared.tasks.active(),
        total: shared.tasks.totals(),
    }
}

impl App {
    /// The workers that are there, by name, each as it told of itself at its last heartbeat.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn workers(&self) -> Result<Vec<WorkerStatus>> {
        let facts = self.store().state.scan(PREFIX).await?;
        // A status in a form that this version does not know is another version's worker; it is
        // left out rather than hiding all the others.
        let read = |(key, value): (String, Vec<u8>)| match serde_json::from_slice(&value) {
            Ok(status) => Some(status),
            Err(error) => {
                tracing::warn!(key, %error, "the status of a worker can't be read");
                None
            }
        };
        Ok(facts.into_iter().filter_map(read).collect())
    }
}
