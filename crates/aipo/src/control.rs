//! Control of tasks that are already sent: revoking.
//!
//! What waits in a queue is taken out of it at once. For what runs, or is on its way, a fact is left
//! in the state store, which workers look at before they start a task and with every heartbeat.

use std::time::Duration;

use aipo_core::message::{Headers, TaskMeta};
use aipo_core::task::Failure;
use aipo_core::{Result, TaskId, TaskState};
use serde_json::value::to_raw_value;

use crate::App;

/// How long a revoke is remembered for a task whose message was not found waiting. Celery's
/// `CELERY_WORKER_REVOKE_EXPIRES`.
const REVOKE_TTL: Duration = Duration::from_secs(10_800);
/// The value of the fact when a running task is to be ended too.
const TERMINATE: &[u8] = b"terminate";

/// What a revoke is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revoke {
    /// Only a task that has not started: one that runs goes on.
    Waiting,
    /// A running task as well: an async one ends at its next `await`, one on a blocking thread is
    /// told by [`Context::is_cancelled`](crate::Context::is_cancelled). Celery's `terminate=True`.
    Running,
}

impl App {
    /// Cancels a task: it ends as `REVOKED` and will not start. Works with no worker up.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn revoke(&self, id: &TaskId, what: Revoke) -> Result<()> {
        let value = if what == Revoke::Running {
            TERMINATE.to_vec()
        } else {
            Vec::new()
        };
        // The fact comes first: a message that a worker takes between the two steps is caught by it.
        self.store()
            .state
            .put(&fact(id), value, Some(REVOKE_TTL))
            .await?;
        let cancelled = self.store().broker.cancel(std::slice::from_ref(id)).await?;
        if !cancelled.contains(&true) {
            return Ok(());
        }
        let failure = Failure::revoked("revoked");
        let headers = Headers::new("", id.clone());
        let meta = TaskMeta {
            result: to_raw_value(&failure.exception)
                .expect("an exception is text, which JSON can hold"),
            ..self.meta(&headers, TaskState::Revoked)
        };
        let queue = &self.settings().task_default_queue;
        let record = self.result_record(&headers, queue, None, meta);
        self.store().results.store(vec![record]).await
    }

    /// Which of these tasks are revoked, and for what.
    pub(crate) async fn revoked(&self, ids: &[TaskId]) -> Result<Vec<Option<Revoke>>> {
        let keys: Vec<String> = ids.iter().map(fact).collect();
        let facts = self.store().state.get(&keys).await?;
        let meaning = |value: Vec<u8>| {
            if value == TERMINATE {
                Revoke::Running
            } else {
                Revoke::Waiting
            }
        };
        Ok(facts.into_iter().map(|value| value.map(meaning)).collect())
    }
}

fn fact(id: &TaskId) -> String {
    format!("revoked:{id}")
}
