//! Step 17 of a task's life: the caller's side of a result.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use aipo_core::canvas::ResultNode;
use aipo_core::message::{ExceptionInfo, TaskMeta, from_json};
use aipo_core::store::Location;
use aipo_core::{Error, ErrorKind, Result, TaskId, TaskState};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::App;
use crate::flow::Related;
use crate::task::current;

/// A task that was sent, and what becomes of it. Celery's `AsyncResult`.
pub struct Handle<T> {
    app: App,
    id: TaskId,
    /// What it has in common with all of its workflow, if that is known.
    root: Option<TaskId>,
    /// What came before it in a workflow, as its sender knows.
    parent: Option<Arc<ResultNode>>,
    output: PhantomData<fn() -> T>,
}

/// Why there is no value.
#[derive(Debug)]
#[non_exhaustive]
pub enum WaitError {
    /// The time was over first; the task may still end well.
    Timeout {
        /// Which task.
        id: TaskId,
        /// How long was waited.
        after: Duration,
    },
    /// The task failed.
    Failed {
        /// Which task.
        id: TaskId,
        /// The exception.
        exception: ExceptionInfo,
        /// The failure told at length.
        traceback: Option<String>,
    },
    /// The task was revoked or expired.
    Revoked {
        /// Which task.
        id: TaskId,
        /// `revoked`, `terminated` or `expired`.
        reason: String,
    },
    /// The store failed, or the value is of another type.
    Store(Error),
}

impl<T> Handle<T> {
    pub(crate) fn new(app: App, id: TaskId) -> Self {
        Self {
            app,
            id,
            root: None,
            parent: None,
            output: PhantomData,
        }
    }

    pub(crate) fn rooted(self, root: Option<TaskId>) -> Self {
        Self { root, ..self }
    }

    pub(crate) fn of_node(app: &App, node: &ResultNode, root: Option<TaskId>) -> Self {
        Self {
            parent: node.parent.as_deref().cloned().map(Arc::new),
            ..Self::new(app.clone(), node.id.as_str().into()).rooted(root)
        }
    }

    /// What came before it in the workflow that it was sent with; `None` for the first, and for a handle that
    /// was made of an id. Celery's `parent`.
    pub fn parent(&self) -> Option<Related> {
        let parent = self.parent.as_deref()?;
        Some(Related::of_node(&self.app, parent, self.root.clone()))
    }

    /// What it sent and what followed it, as its result tells. Celery's `children`.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn children(&self) -> Result<Vec<Related>> {
        let meta = self.meta().await?;
        Ok(meta.map_or_else(Vec::new, |meta| self.children_in(&meta)))
    }

    /// The children that a result of the same workflow tells.
    pub(crate) fn children_in(&self, meta: &TaskMeta) -> Vec<Related> {
        let children = meta.children.iter().flatten();
        let nodes = children.filter_map(ResultNode::from_value);
        let related = |node| Related::of_node(&self.app, &node, self.root.clone());
        nodes.map(related).collect()
    }

    /// The id of the task.
    pub fn id(&self) -> &TaskId {
        &self.id
    }

    /// Where the task stands; `None` when nothing is known of such a task: it was never sent, its
    /// result was ignored, has expired or was forgotten.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn state(&self) -> Result<Option<TaskState>> {
        if let Some(meta) = self.meta().await? {
            return Ok(Some(meta.status));
        }
        let location = self
            .app
            .store()
            .broker
            .locate(std::slice::from_ref(&self.id))
            .await?;
        match location.into_iter().flatten().next() {
            Some(Location::Ready { .. } | Location::Parked { .. }) => Ok(Some(TaskState::Pending)),
            Some(Location::InFlight { .. }) => Ok(Some(TaskState::Received)),
            Some(Location::Dead { .. }) => Ok(Some(TaskState::Failure)),
            // It may have ended between the two questions.
            None => Ok(self.meta().await?.map(|meta| meta.status)),
        }
    }

    /// What is stored of it, whatever its state; `None` when nothing is.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn meta(&self) -> Result<Option<TaskMeta>> {
        let metas = self.metas(std::slice::from_ref(&self.id)).await?;
        Ok(metas.into_iter().flatten().next())
    }

    /// What is stored of any tasks.
    pub(crate) async fn metas(&self, ids: &[TaskId]) -> Result<Vec<Option<TaskMeta>>> {
        let stored = self.app.store().results.get(ids).await?.into_iter();
        let decoded = |bytes: Option<Vec<u8>>| bytes.map(|bytes| self.decode(&bytes)).transpose();
        stored.map(decoded).collect()
    }

    fn decode(&self, meta: &[u8]) -> Result<TaskMeta> {
        TaskMeta::decode(meta, self.app.settings().result_read_limit())
    }

    /// Deletes its result.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn forget(&self) -> Result<()> {
        self.app
            .store()
            .results
            .forget(std::slice::from_ref(&self.id))
            .await
    }

    /// Cancels it, see [`App::revoke`].
    ///
    /// # Errors
    /// What the store answers.
    pub async fn revoke(&self) -> Result<()> {
        let id = std::slice::from_ref(&self.id);
        self.app.revoke(id, crate::Revoke::Waiting).await
    }

    /// Cancels all of its workflow that has not run: what waits ends as `REVOKED` now, what would come later never
    /// starts. A task that runs goes on; [`Revoke::Running`](crate::Revoke::Running) ends it as well. Works with
    /// no worker up. Tasks belong together that share a root, so for a workflow that a task has sent, that task and all
    /// else it sent is meant.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn revoke_tree(&self, what: crate::Revoke) -> Result<()> {
        self.app
            .revoke_workflow(&self.id, self.root.as_ref(), what)
            .await
    }

    /// Waits until it has ended, however it ends, and gives what is stored of it; `None` when the
    /// time is over first. Inside a task the slot is given back meanwhile.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn wait(&self, timeout: Duration) -> Result<Option<TaskMeta>> {
        let waiting = self.app.store().results.wait(&self.id, timeout);
        let stored = match current() {
            Some(cx) => cx.without_slot(waiting).await?,
            None => waiting.await?,
        };
        stored.map(|bytes| self.decode(&bytes)).transpose()
    }

    /// Waits until it has succeeded.
    pub(crate) async fn success(&self, timeout: Duration) -> Result<TaskMeta, WaitError> {
        let Some(meta) = self.wait(timeout).await.map_err(WaitError::Store)? else {
            return Err(WaitError::Timeout {
                id: self.id.clone(),
                after: timeout,
            });
        };
        let exception = || {
            meta.exception().unwrap_or_else(|| ExceptionInfo {
                exc_type: "Exception".to_owned(),
                exc_message: meta.result.get().into(),
                exc_module: None,
            })
        };
        match meta.status {
            TaskState::Failure => Err(WaitError::Failed {
                id: self.id.clone(),
                exception: exception(),
                traceback: meta.traceback.clone(),
            }),
            TaskState::Revoked => Err(WaitError::Revoked {
                id: self.id.clone(),
                reason: exception().message(),
            }),
            _ => Ok(meta),
        }
    }

    /// The same task, its value as it is.
    pub(crate) fn untyped(&self) -> Handle<Value> {
        Handle {
            app: self.app.clone(),
            id: self.id.clone(),
            root: self.root.clone(),
            parent: self.parent.clone(),
            output: PhantomData,
        }
    }
}

impl<T: DeserializeOwned> Handle<T> {
    /// Waits for the value. Inside a task the slot is given back meanwhile, so that tasks which wait
    /// for each other can't block a worker.
    ///
    /// # Errors
    /// [`WaitError`] says whether the task failed, was revoked, or the time was over first.
    ///
    /// # Cancel safety
    /// The future may be dropped; the task is not affected.
    pub async fn get(&self, timeout: Duration) -> Result<T, WaitError> {
        self.value(&self.success(timeout).await?)
    }

    /// The value that its result has.
    pub(crate) fn value(&self, meta: &TaskMeta) -> Result<T, WaitError> {
        from_json(meta.result.get()).map_err(|source| {
            let error = Error::new(ErrorKind::Codec, "the result is of another type");
            WaitError::Store(error.with("task id", &self.id).caused_by(source))
        })
    }

    /// [`get`](Self::get) for code that is not async, such as a task that is a plain function.
    ///
    /// # Errors
    /// As `get`.
    ///
    /// # Panics
    /// On a thread that runs async code, which it would block, and outside of a tokio runtime.
    pub fn get_blocking(&self, timeout: Duration) -> Result<T, WaitError> {
        tokio::runtime::Handle::current().block_on(self.get(timeout))
    }
}

impl<T> Clone for Handle<T> {
    fn clone(&self) -> Self {
        Self {
            app: self.app.clone(),
            id: self.id.clone(),
            root: self.root.clone(),
            parent: self.parent.clone(),
            output: PhantomData,
        }
    }
}

impl<T> fmt::Debug for Handle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({})", self.id)
    }
}

impl fmt::Display for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout { id, after } => write!(f, "no result of task {id} after {after:?}"),
            Self::Failed { id, exception, .. } => write!(f, "task {id} failed: {exception}"),
            Self::Revoked { id, reason } => write!(f, "task {id} was revoked ({reason})"),
            Self::Store(_) => f.write_str("the result can't be had"),
        }
    }
}

impl std::error::Error for WaitError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Store(error) => Some(error),
            _ => None,
        }
    }
}
