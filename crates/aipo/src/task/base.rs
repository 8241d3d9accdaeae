//! Behaviour that many tasks share.

use aipo_core::task::{Failure, TaskResult};
use async_trait::async_trait;
use serde_json::value::RawValue;

use super::context::Context;

/// Hooks around a task's run: Celery's task base class, with its names.
///
/// Written once and given to a task (`#[task(base = …)]`, [`Task::base`](super::Task::base)) or to all
/// tasks of an app ([`AppBuilder::base`](crate::AppBuilder::base)); the app's come first. They run in the
/// task's slot and count towards its time limits. A panic in a hook is the task's failure.
#[async_trait]
pub trait Base: Send + Sync + 'static {
    /// Before the task runs; an error is the task's answer and it does not run.
    async fn before_start(&self, cx: &Context) -> TaskResult<()> {
        let _ = cx;
        Ok(())
    }

    /// After it returned a value.
    async fn on_success(&self, cx: &Context, value: &RawValue) {
        let _ = (cx, value);
    }

    /// After it failed for good.
    async fn on_failure(&self, cx: &Context, failure: &Failure) {
        let _ = (cx, failure);
    }

    /// After it failed and will be retried.
    async fn on_retry(&self, cx: &Context, failure: &Failure) {
        let _ = (cx, failure);
    }

    /// After all of that, whatever it was; with the state that follows, where there is one.
    async fn after_return(&self, cx: &Context, state: Option<&aipo_core::TaskState>) {
        let _ = (cx, state);
    }
}
