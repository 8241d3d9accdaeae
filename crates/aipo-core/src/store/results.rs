//! What became of a task.

use std::time::Duration;

use async_trait::async_trait;

use crate::error::Result;
use crate::id::TaskId;
use crate::state::TaskState;

/// The results of one store.
///
/// A result is Celery's meta (see [`TaskMeta`](crate::message::TaskMeta)), in JSON or as the setting
/// `result_serializer` says; a backend keeps its bytes and looks only at the state.
#[async_trait]
pub trait ResultBackend: Send + Sync + 'static {
    /// Stores results.
    ///
    /// - A later result of the same task replaces an earlier one, its expiry too; but nothing replaces a
    ///   `SUCCESS` that has not expired, another `SUCCESS` included (Celery's update rule).
    /// - All of one call are stored, or none is.
    /// - Who waits for one of the tasks is woken if its state is ready.
    async fn store(&self, batch: Vec<ResultRecord>) -> Result<()>;

    /// The stored metas, in the order of `ids`; `None` where nothing is stored or it has expired.
    async fn get(&self, ids: &[TaskId]) -> Result<Vec<Option<Vec<u8>>>>;

    /// Waits until a ready state is stored and gives its meta; `None` when the time is over first.
    ///
    /// - A result that is there already is given at once.
    /// - A result stored by another process ends the wait as well.
    ///
    /// # Cancel safety
    /// The future may be dropped at any point.
    async fn wait(&self, id: &TaskId, timeout: Duration) -> Result<Option<Vec<u8>>>;

    /// Deletes results, if they are there.
    async fn forget(&self, ids: &[TaskId]) -> Result<()>;

    /// Deletes what has expired and says how much that was; a store whose server does this by itself
    /// has nothing to do.
    async fn sweep(&self) -> Result<u64>;
}

/// One result on its way into a backend.
#[derive(Debug, Clone, PartialEq)]
pub struct ResultRecord {
    /// Whose it is.
    pub id: TaskId,
    /// The state that `meta` tells.
    pub state: TaskState,
    /// Celery's meta, serialised.
    pub meta: Vec<u8>,
    /// How long it is kept; for ever when `None`. Setting `result_expires`, default one day.
    pub expires: Option<Duration>,
}
