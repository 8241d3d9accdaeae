//! Steps 11 and 12 of a task's life: it runs in its slot, under its limits, and ends in an outcome.
//!
//! Before it: `gate`. After it: `aipo_core::task::decide`, then `settle`.
//!
//! Whatever the task does (return, fail, panic, run too long), the outcome is a value here, and the
//! worker goes on.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use aipo_core::message::{Body, Undecodable};
use aipo_core::task::{Answer, Failure, Outcome, Policy, Retry, TaskError};
use serde_json::value::RawValue;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::app::AnyTask;
use crate::task::{Base, Context, is_reserved_header, scope};

/// Runs a task to its outcome.
///
/// `interrupted` ends it because the worker ends; a cancelled context alone means that the task was
/// revoked.
pub(crate) async fn run(
    task: &Arc<dyn AnyTask>,
    cx: &Context,
    policy: &Policy,
    interrupted: &CancellationToken,
) -> Outcome {
    // Around the limits as well: a task that is ended by one may panic while it is dropped.
    let run = catch_panic(under_limits(task, cx, policy, interrupted));
    run.await.unwrap_or_else(|panic| panicked(&*panic))
}

async fn under_limits(
    task: &Arc<dyn AnyTask>,
    cx: &Context,
    policy: &Policy,
    interrupted: &CancellationToken,
) -> Outcome {
    let work = scope(cx.clone(), work(task, cx));
    let mut work = pin!(work);
    let mut soft_limit = pin!(after(policy.soft_time_limit));
    let mut hard_limit = pin!(after(policy.time_limit));
    let mut soft_limit_passed = false;
    let cancelled = &cx.parts().cancelled;
    loop {
        tokio::select! {
            biased;
            outcome = &mut work => return outcome,
            limit = &mut hard_limit => {
                // Tells a task on a blocking thread, which can't be ended from outside.
                cancelled.cancel();
                return Outcome::TimeLimit(limit);
            }
            _ = &mut soft_limit, if !soft_limit_passed => {
                soft_limit_passed = true;
                let soft_limit = &cx.parts().soft_limit;
                soft_limit.passed.cancel();
                if !soft_limit.is_heeded() {
                    cancelled.cancel();
                    let failure = TaskError::failure(Failure::soft_time_limit());
                    return answered(failure, task);
                }
            }
            () = cancelled.cancelled() => {
                return if interrupted.is_cancelled() {
                    Outcome::Interrupted
                } else {
                    Outcome::Revoked { terminated: true }
                };
            }
        }
    }
}

/// The arguments, the hooks that come before, and the task itself.
async fn work(task: &Arc<dyn AnyTask>, cx: &Context) -> Outcome {
    let running = {
        let mut rewritten = Vec::new();
        let body = match Body::parse_python(&cx.parts().body, &mut rewritten) {
            Ok(body) => body,
            Err(error) => {
                return Outcome::Undecodable(Undecodable::Broken(format!("body: {error}")));
            }
        };
        match task.run(cx, &body) {
            Ok(running) => running,
            Err(failure) => {
                return Outcome::Failure {
                    failure,
                    retryable: false,
                };
            }
        }
    };
    for base in bases(cx, task) {
        if let Err(error) = base.before_start(cx).await {
            return answered(error, task);
        }
    }
    match running.await {
        Ok(value) => success(cx, value),
        Err(error) => answered(error, task),
    }
}

/// The hooks that come after: told what follows, not only what happened.
pub(crate) async fn after_run(task: &Arc<dyn AnyTask>, cx: &Context, event: &AfterRun<'_>) {
    if bases(cx, task).next().is_none() {
        return;
    }
    let hooks = async {
        for base in bases(cx, task) {
            match event {
                AfterRun::Success(value) => base.on_success(cx, value).await,
                AfterRun::Failure(failure) => base.on_failure(cx, failure).await,
                AfterRun::Retry(failure) => base.on_retry(cx, failure).await,
                AfterRun::Other => {}
            }
            base.after_return(cx, event.state().as_ref()).await;
        }
    };
    if let Err(panic) = scope(cx.clone(), catch_panic(hooks)).await {
        let text = panic_text(&*panic);
        tracing::error!(task.id = %cx.id(), task.name = cx.name(), "a hook panicked: {text}");
    }
}

/// What the hooks are told.
pub(crate) enum AfterRun<'a> {
    Success(&'a RawValue),
    Failure(&'a Failure),
    Retry(&'a Failure),
    /// It was ignored, handed back or revoked.
    Other,
}

impl AfterRun<'_> {
    fn state(&self) -> Option<aipo_core::TaskState> {
        match self {
            Self::Success(_) => Some(aipo_core::TaskState::Success),
            Self::Failure(_) => Some(aipo_core::TaskState::Failure),
            Self::Retry(_) => Some(aipo_core::TaskState::Retry),
            Self::Other => None,
        }
    }
}

/// The app's, then the task's own.
fn bases<'a>(
    cx: &'a Context,
    task: &'a Arc<dyn AnyTask>,
) -> impl Iterator<Item = &'a Arc<dyn Base>> {
    cx.app().bases().iter().chain(task.base())
}

fn success(cx: &Context, value: Box<RawValue>) -> Outcome {
    let limit = cx.app().settings().result_max_size;
    let size = value.get().len();
    let text = if size > limit {
        format!("the result has {size} bytes, more than result_max_size, {limit}")
    } else if let Err(what) = cx.app().settings().result_serializer.check(&value) {
        what
    } else {
        return Outcome::Success(value);
    };
    let failure = Failure::new("kombu.exceptions", "EncodeError", text);
    Outcome::Failure {
        failure,
        retryable: false,
    }
}

fn answered(error: TaskError, task: &Arc<dyn AnyTask>) -> Outcome {
    match error.into_answer() {
        Answer::Fail { failure, error } => {
            let error = error
                .as_deref()
                .map(|error| error as &(dyn std::error::Error + 'static));
            let options = task.options();
            let retryable =
                options.autoretry_for.selects(error) && !options.dont_autoretry_for.selects(error);
            Outcome::Failure { failure, retryable }
        }
        Answer::Retry(retry) => asked_to_retry(retry),
        Answer::Replace(canvas) => Outcome::Replace(canvas),
        Answer::Ignore => Outcome::Ignore,
        Answer::Reject { requeue, reason } => Outcome::Reject { requeue, reason },
        other => {
            let text = format!("a task answered {other:?}, which this worker does not know");
            let failure = Failure::new("builtins", "NotImplementedError", text);
            Outcome::Failure {
                failure,
                retryable: false,
            }
        }
    }
}

fn asked_to_retry(retry: Box<Retry>) -> Outcome {
    match retry.headers.keys().find(|name| is_reserved_header(name)) {
        None => Outcome::Retry(retry),
        Some(name) => {
            let text = format!("header {name:?} of the retry is one of Celery's own");
            Outcome::Failure {
                failure: Failure::new("builtins", "ValueError", text),
                retryable: false,
            }
        }
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Outcome {
    let text = format!("the task panicked: {}", panic_text(panic));
    let failure = Failure::new("builtins", "RuntimeError", text);
    Outcome::Failure {
        failure,
        retryable: false,
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

/// Turns a panic inside a future into a value.
async fn catch_panic<F: Future>(future: F) -> Result<F::Output, Box<dyn Any + Send>> {
    let mut future = pin!(future);
    std::future::poll_fn(|context| {
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    })
    .await
}

/// Ends after a limit with the limit; never without one.
async fn after(limit: Option<Duration>) -> Duration {
    match limit {
        Some(limit) => {
            sleep(limit).await;
            limit
        }
        None => std::future::pending().await,
    }
}
