//! The results of a group, and how results belong together.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aipo_core::canvas::ResultNode;
use aipo_core::message::TaskMeta;
use aipo_core::{GroupId, Result, TaskId, TaskState};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::App;
use crate::result::{Handle, WaitError};
use crate::task::current;

/// A group that was sent, and what becomes of its members. Celery's `GroupResult`.
///
/// Where a member is a group itself, as Python may send it, its members stand in its place.
pub struct GroupHandle<T> {
    app: App,
    node: Arc<ResultNode>,
    root: Option<TaskId>,
    members: Vec<Handle<T>>,
}

/// A result that belongs to another one: the one before it, or one that it led to.
#[derive(Debug, Clone)]
pub enum Related {
    /// A task.
    Task(Handle<Value>),
    /// A group.
    Group(GroupHandle<Value>),
}

impl Related {
    pub(crate) fn of_node(app: &App, node: &ResultNode, root: Option<TaskId>) -> Self {
        match node.is_group() {
            true => Self::Group(GroupHandle::new(app, node.clone(), root)),
            false => Self::Task(Handle::of_node(app, node, root)),
        }
    }

    /// The id of the task or the group.
    pub fn id(&self) -> &str {
        match self {
            Self::Task(handle) => handle.id().as_str(),
            Self::Group(handle) => handle.id(),
        }
    }
}

impl<T> GroupHandle<T> {
    pub(crate) fn new(app: &App, node: ResultNode, root: Option<TaskId>) -> Self {
        let mut leaves = Vec::new();
        node.leaves(&mut leaves);
        let members = leaves
            .into_iter()
            .map(|leaf| Handle::of_node(app, leaf, root.clone()))
            .collect();
        Self {
            app: app.clone(),
            node: Arc::new(node),
            root,
            members,
        }
    }

    /// The id of the group.
    pub fn id(&self) -> &str {
        &self.node.id
    }

    /// Its members in their order.
    pub fn members(&self) -> &[Handle<T>] {
        &self.members
    }

    /// What came before the group, as far as its sender knows.
    pub fn parent(&self) -> Option<Related> {
        let parent = self.node.parent.as_deref()?;
        Some(Related::of_node(&self.app, parent, self.root.clone()))
    }

    /// The states of its members; `None` where nothing is stored.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn states(&self) -> Result<Vec<Option<TaskState>>> {
        let stored = self.app.store().results.get(&self.ids()).await?;
        let limit = self.app.settings().result_read_limit();
        let state = |meta: Option<Vec<u8>>| {
            let meta = meta
                .map(|bytes| TaskMeta::decode(&bytes, limit))
                .transpose()?;
            Ok(meta.map(|meta| meta.status))
        };
        stored.into_iter().map(state).collect()
    }

    /// Whether all members have ended.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn ready(&self) -> Result<bool> {
        let states = self.states().await?;
        Ok(states
            .iter()
            .all(|state| state.as_ref().is_some_and(TaskState::is_ready)))
    }

    /// Whether all members have succeeded.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn successful(&self) -> Result<bool> {
        Ok(self.completed().await? == self.members.len())
    }

    /// Whether a member has failed or was revoked.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn failed(&self) -> Result<bool> {
        let states = self.states().await?;
        let failed = |state: &TaskState| state.is_ready() && *state != TaskState::Success;
        Ok(states.iter().flatten().any(failed))
    }

    /// How many members have succeeded. Celery's `completed_count`.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn completed(&self) -> Result<usize> {
        let states = self.states().await?;
        let succeeded = states
            .iter()
            .filter(|state| **state == Some(TaskState::Success));
        Ok(succeeded.count())
    }

    /// Cancels its members, see [`App::revoke`].
    ///
    /// # Errors
    /// What the store answers.
    pub async fn revoke(&self) -> Result<()> {
        self.app.revoke(&self.ids(), crate::Revoke::Waiting).await
    }

    /// Cancels all of its workflow that has not run, see [`Handle::revoke_tree`].
    ///
    /// # Errors
    /// What the store answers.
    pub async fn revoke_tree(&self, what: crate::Revoke) -> Result<()> {
        let id = TaskId::from(self.id());
        self.app
            .revoke_workflow(&id, self.root.as_ref(), what)
            .await
    }

    /// Deletes the results of its members. Celery's `forget`.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn forget(&self) -> Result<()> {
        self.app.store().results.forget(&self.ids()).await
    }

    /// Keeps the ids of its members, and what came before it, under its own id: [`App::group`], or Python's
    /// `GroupResult.restore`, makes a handle of them. Kept as long as results, setting `result_expires`. Celery's
    /// `GroupResult.save`.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn save(&self) -> Result<()> {
        let settings = self.app.settings();
        let expires = settings.result_expires.non_zero();
        let meta = crate::app::group_meta(&self.node, settings.result_format());
        let id = GroupId::from(self.id());
        self.app.store().chords.save_group(&id, meta, expires).await
    }

    /// Deletes what [`save`](Self::save) keeps, if anything; its members and their results stay. Celery's
    /// `GroupResult.delete`.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn delete(&self) -> Result<()> {
        let id = GroupId::from(self.id());
        self.app.store().chords.delete_group(&id).await
    }

    fn ids(&self) -> Vec<TaskId> {
        self.members
            .iter()
            .map(|member| member.id().clone())
            .collect()
    }
}

impl<T: DeserializeOwned> GroupHandle<T> {
    /// Waits for all values, in the order of the members, at most so long for all together.
    ///
    /// # Errors
    /// That of the first member, in their order, that has no value.
    ///
    /// # Cancel safety
    /// The future may be dropped; the tasks are not affected.
    pub async fn join(&self, timeout: Duration) -> Result<Vec<T>, WaitError> {
        let started = Instant::now();
        let mut values = Vec::with_capacity(self.members.len());
        for member in &self.members {
            let left = timeout.saturating_sub(started.elapsed());
            values.push(member.get(left).await?);
        }
        Ok(values)
    }
}

impl<T: DeserializeOwned + Send + 'static> GroupHandle<T> {
    /// The members as they end, at most so long from now. Celery: iterating over a `GroupResult`.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn completions(&self, timeout: Duration) -> Completions<T> {
        let mut waiting = JoinSet::new();
        for (index, member) in self.members.iter().enumerate() {
            let member = member.clone();
            waiting.spawn(async move { (index, member.get(timeout).await) });
        }
        Completions(waiting)
    }
}

/// The members of a group as they end.
#[derive(Debug)]
pub struct Completions<T>(JoinSet<(usize, Result<T, WaitError>)>);

impl<T: Send + 'static> Completions<T> {
    /// The next one that ends: its place in the group, and what became of it. `None` after all of them.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<(usize, Result<T, WaitError>)> {
        let waiting = self.0.join_next();
        let ended = match current() {
            Some(cx) => cx.without_slot(waiting).await,
            None => waiting.await,
        };
        match ended? {
            Ok(ended) => Some(ended),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

impl<T> Clone for GroupHandle<T> {
    fn clone(&self) -> Self {
        Self {
            app: self.app.clone(),
            node: self.node.clone(),
            root: self.root.clone(),
            members: self.members.clone(),
        }
    }
}

impl<T> fmt::Debug for GroupHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GroupHandle({}, {:?})", self.id(), self.members)
    }
}
