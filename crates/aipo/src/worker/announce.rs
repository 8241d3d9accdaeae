//! Each step of a task told to all who want to know: the log, the signals of this process, the events of the
//! cluster. What `process` does is told here, one function for each step.

use std::time::Duration;

use aipo_core::message::{ExceptionInfo, repr_exception, repr_value};
use aipo_core::task::{Decision, Failure, Stored};
use aipo_core::{TaskId, TaskState};
use jiff::Timestamp;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::session::Session;
use crate::App;
use crate::signals::Signal;
use crate::task::Context;

/// A worker has it and will run it.
pub(crate) fn received(session: &Session, cx: &Context) {
    let headers = cx.headers();
    session.app.signals().send(&Signal::TaskReceived {
        headers,
        queue: cx.queue(),
    });
    session.shared.events.task("task-received", || {
        json!({
            "uuid": cx.id(),
            "name": headers.display_name(),
            "args": headers.argsrepr,
            "kwargs": headers.kwargsrepr,
            "root_id": headers.root_id,
            "parent_id": headers.parent_id,
            "retries": headers.retries,
            "eta": headers.eta,
            "expires": headers.expires,
        })
    });
}

/// It is about to run.
pub(crate) fn started(session: &Session, cx: &Context) {
    session.app.signals().send(&Signal::TaskPrerun { cx });
    session
        .shared
        .events
        .task("task-started", || json!({ "uuid": cx.id() }));
}

/// It has run, whatever came of it.
pub(crate) fn has_run(session: &Session, cx: &Context, decision: &Decision) {
    session.app.signals().send(&Signal::TaskPostrun {
        cx,
        state: decision.state.as_ref(),
        duration: cx.running_for(),
    });
}

/// What came of it, whether it ran or not.
pub(crate) fn concluded(session: &Session, cx: &Context, decision: &Decision) {
    session.shared.tasks.count(decision.state.as_ref());
    match (&decision.state, &decision.value) {
        (Some(TaskState::Success), Stored::Value(value)) => succeeded(session, cx, value),
        (Some(TaskState::Failure), Stored::Exception(failure)) => failed(session, cx, failure),
        (Some(TaskState::Retry), Stored::Exception(failure) | Stored::Told(failure)) => {
            retried(session, cx, failure, decision);
        }
        (Some(TaskState::Revoked), Stored::Exception(failure)) => {
            revoked_by_worker(session, cx, failure)
        }
        _ => not_finished(session, cx, decision),
    }
}

fn succeeded(session: &Session, cx: &Context, value: &RawValue) {
    let duration = cx.running_for();
    let duration_ms = duration.as_millis() as u64;
    tracing::info!(task.id = %cx.id(), task.name = name(cx), duration_ms, "task succeeded");
    session.app.signals().send(&Signal::TaskSuccess {
        cx,
        value,
        duration,
    });
    session.shared.events.task("task-succeeded", || {
        let value: Value = serde_json::from_str(value.get()).unwrap_or_default();
        json!({ "uuid": cx.id(), "result": repr_value(&value), "runtime": duration.as_secs_f64() })
    });
}

fn failed(session: &Session, cx: &Context, failure: &Failure) {
    let error = &failure.exception;
    let duration_ms = cx.running_for().as_millis() as u64;
    tracing::error!(task.id = %cx.id(), task.name = name(cx), duration_ms, %error, "task failed");
    session.app.signals().send(&Signal::TaskFailure {
        headers: cx.headers(),
        failure,
    });
    session
        .shared
        .events
        .task("task-failed", || with_exception(cx, failure));
    if error.exc_type == "Reject" {
        rejected(session, cx, false);
    }
}

fn rejected(session: &Session, cx: &Context, requeue: bool) {
    session.shared.events.task(
        "task-rejected",
        || json!({ "uuid": cx.id(), "requeue": requeue }),
    );
}

fn retried(session: &Session, cx: &Context, failure: &Failure, decision: &Decision) {
    let error = &failure.exception;
    let delay = delay(decision, session.app.clock().now());
    let retry_in_ms = delay.as_millis() as u64;
    tracing::warn!(task.id = %cx.id(), task.name = name(cx), retry_in_ms, %error, "task will be retried");
    session.app.signals().send(&Signal::TaskRetry {
        headers: cx.headers(),
        failure,
        delay,
    });
    session
        .shared
        .events
        .task("task-retried", || with_exception(cx, failure));
}

/// How long it is until the retry that was decided on.
fn delay(decision: &Decision, now: Timestamp) -> Duration {
    let when = decision.retry.as_ref().and_then(|retry| retry.when);
    let at = when.map_or(now, |when| when.resolve(now));
    Duration::try_from(at.duration_since(now)).unwrap_or_default()
}

/// It was revoked, or has expired, and will not run; also where no worker has it.
pub(crate) fn revoked(app: &App, cx: &Context, failure: &Failure) {
    let reason = &failure.exception;
    tracing::info!(task.id = %cx.id(), task.name = name(cx), %reason, "task revoked");
    app.signals().send(&Signal::TaskRevoked {
        headers: cx.headers(),
        failure,
    });
}

fn revoked_by_worker(session: &Session, cx: &Context, failure: &Failure) {
    revoked(&session.app, cx, failure);
    let why = failure.exception.message();
    let events = &session.shared.events;
    events.task("task-revoked", || fields_of_revoked(cx.id(), &why).into());
}

/// The fields of `task-revoked`.
pub(crate) fn fields_of_revoked(id: &TaskId, why: &str) -> Map<String, Value> {
    let terminated = why == "terminated";
    // No signal ends a task here; SIGTERM is what Celery says where nothing else was asked for.
    let signum = terminated.then_some(15);
    Map::from_iter(
        [
            ("uuid", json!(id)),
            ("terminated", json!(terminated)),
            ("signum", json!(signum)),
            ("expired", json!(why == "expired")),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    )
}

/// It leaves no trace here: it was ignored, goes back to its queue, or was refused.
fn not_finished(session: &Session, cx: &Context, decision: &Decision) {
    let Decision {
        verdict, requeue, ..
    } = decision;
    tracing::info!(task.id = %cx.id(), task.name = name(cx), ?verdict, requeue, "task not finished here");
    if *requeue {
        rejected(session, cx, true);
    }
}

fn name(cx: &Context) -> &str {
    cx.headers().display_name()
}

fn with_exception(cx: &Context, failure: &Failure) -> Value {
    let exception: &ExceptionInfo = &failure.exception;
    json!({
        "uuid": cx.id(),
        "exception": repr_exception(exception),
        // Always a text, as monitors expect it.
        "traceback": failure.told(),
    })
}
