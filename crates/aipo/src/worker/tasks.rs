//! The tasks of a worker: which run, and how many there were.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aipo_core::{Result, TaskId, TaskState};
use jiff::Timestamp;
use serde::Serialize;
use tokio::time::MissedTickBehavior;

use super::Shared;
use super::heartbeat::BEATS_PER_LEASE;
use crate::App;
use crate::revoke::{Revoke, Revoked};
use crate::task::Context;

/// How many names are counted apart at most. Names to show (`shadow`) are free text; beyond this many a task is
/// counted under its own name.
const MAX_NAMES: usize = 1_000;

/// A running task.
#[derive(Clone)]
pub(crate) struct Running {
    pub(crate) cx: Context,
    pub(crate) started: Timestamp,
    /// Whether it was acknowledged before it ran.
    pub(crate) acknowledged: bool,
}

/// How many tasks ended how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Outcomes {
    succeeded: u64,
    failed: u64,
    retried: u64,
    revoked: u64,
}

/// The tasks that run in a worker, and what became of those that have.
#[derive(Default)]
pub(crate) struct Tasks {
    running: Mutex<HashMap<TaskId, Running>>,
    /// How many were started, in all and by name.
    processed: AtomicU64,
    total: Mutex<HashMap<String, u64>>,
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
    /// Counts and lists a task that starts.
    pub(crate) fn list(&self, running: Running) -> Listed<'_> {
        self.processed.fetch_add(1, Ordering::Relaxed);
        self.count_name(&running.cx);
        let id = running.cx.id().clone();
        self.running().insert(id.clone(), running);
        Listed { tasks: self, id }
    }

    fn count_name(&self, cx: &Context) {
        let mut total = self.total.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = cx.headers().display_name();
        if let Some(count) = total.get_mut(shown) {
            *count += 1;
            return;
        }
        let name = if total.len() < MAX_NAMES {
            shown
        } else {
            cx.name()
        };
        *total.entry(name.to_owned()).or_default() += 1;
    }

    /// Counts what came of a task.
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

    fn running(&self) -> MutexGuard<'_, HashMap<TaskId, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tasks that run, the first to start first.
    pub(crate) fn active(&self) -> Vec<Running> {
        let mut active: Vec<Running> = self.running().values().cloned().collect();
        active.sort_by_key(|task| task.started);
        active
    }

    /// How many run.
    pub(crate) fn active_count(&self) -> usize {
        self.running().len()
    }

    /// How many were started.
    pub(crate) fn processed(&self) -> u64 {
        self.processed.load(Ordering::Relaxed)
    }

    /// How many were started, by the name to show.
    pub(crate) fn total(&self) -> HashMap<String, u64> {
        self.total
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn outcomes(&self) -> Outcomes {
        Outcomes {
            succeeded: self.succeeded.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            retried: self.retried.load(Ordering::Relaxed),
            revoked: self.revoked.load(Ordering::Relaxed),
        }
    }

    /// Ends the running tasks that were revoked with their run, as far as this worker knows, and says which.
    pub(crate) fn end_known_revoked(&self, revoked: &Revoked, now: Timestamp) -> Vec<TaskId> {
        let mut ended = Vec::new();
        for task in self.running().values() {
            if revoked.of(task.cx.headers(), now) == Some(Revoke::Running) {
                task.cx.parts().cancelled.cancel();
                ended.push(task.cx.id().clone());
            }
        }
        ended
    }

    async fn end_revoked(&self, app: &App, revoked: &Revoked) -> Result<()> {
        if self.running().is_empty() {
            return Ok(());
        }
        revoked.update(app, None).await?;
        self.end_known_revoked(revoked, app.clock().now());
        Ok(())
    }
}

/// Ends what was revoked, with every heartbeat, until dropped.
pub(crate) async fn end_revoked(shared: Arc<Shared>) {
    let lease = shared.app.settings().worker_lease.0;
    let mut beats = tokio::time::interval(lease / BEATS_PER_LEASE);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beats.tick().await;
        if let Err(error) = shared.tasks.end_revoked(&shared.app, &shared.revoked).await {
            tracing::warn!(%error, "asking for revoked tasks failed; trying again");
        }
    }
}
