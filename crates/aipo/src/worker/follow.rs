//! Step 14 of a task's life: what follows from a decision, beside the task's own result: callbacks, the next step of
//! a chain, errbacks, its part of a chord.
//!
//! Before it: `aipo_core::task::decide`. After it: `settle`, which carries all of it out in one step.

use aipo_core::canvas::{
    Canvas, CanvasError, Ended, Follows, Lineage, Planner, ResultNode, follow_failure,
    follow_revoked, follow_success, replace,
};
use aipo_core::store::{Part, Verdict};
use aipo_core::task::{Decision, Failure, Stored};
use aipo_core::{Result, TaskState};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use crate::App;
use crate::app::Work;
use crate::task::Context;

/// What is kept with the parts of a chord: its body, and in whose name it is sent.
#[derive(Serialize, Deserialize)]
pub(crate) struct Then {
    /// A signature, read by `canvas::parse`.
    pub(crate) body: Box<RawValue>,
    pub(crate) root_id: Option<aipo_core::TaskId>,
    pub(crate) parent_id: Option<aipo_core::TaskId>,
}

/// As the store keeps it.
pub(crate) fn then(body: &Value, lineage: &Lineage) -> Vec<u8> {
    let then = Then {
        body: to_raw_value(body).expect("a signature has text keys only, which JSON can hold"),
        root_id: lineage.root_id.clone(),
        parent_id: lineage.parent_id.clone(),
    };
    serde_json::to_vec(&then).expect("JSON and ids, which JSON can hold")
}

/// What follows. A decision that can't be followed up, since a callback is no signature or a message would be too
/// large, becomes a failure, so that the workflow ends.
///
/// # Errors
/// What the store answers when steps are kept there.
pub(crate) async fn follow(cx: &Context, decision: &mut Decision) -> Result<Work> {
    let embed = &cx.parts().embed;
    let nothing_follows = embed.callbacks.is_none()
        && embed.errbacks.is_none()
        && embed.chain.is_none()
        && embed.chord.is_none();
    if nothing_follows && decision.replace.is_none() {
        return Ok(Work::default());
    }
    let mut follows = match Follows::read(embed) {
        Ok(follows) => follows,
        Err(error) => {
            tracing::error!(task.id = %cx.id(), %error, "what follows can't be read");
            return Ok(Work::default());
        }
    };
    let mut used = Vec::new();
    let ignored = as_ended(decision);
    let end = ignored.as_ref().unwrap_or(decision);
    recall(cx, &mut follows, end, &mut used).await?;
    let mut work = match plan(cx, &follows, end) {
        Ok(work) => work,
        Err(error) => {
            let text = format!("what follows can't be sent: {error}");
            tracing::error!(task.id = %cx.id(), task.name = cx.name(), "{text}");
            let module = match decision.replace.is_some() {
                true => (
                    "celery.exceptions",
                    "ImproperlyConfigured",
                    error.to_string(),
                ),
                false => ("kombu.exceptions", "EncodeError", text),
            };
            *decision = Decision {
                state: Some(TaskState::Failure),
                value: Stored::Exception(Failure::new(module.0, module.1, module.2)),
                store: true,
                retry: None,
                requeue: false,
                replace: None,
                verdict: Verdict::Ack,
            };
            recall(cx, &mut follows, decision, &mut used).await?;
            plan(cx, &follows, decision).unwrap_or_else(|error| {
                tracing::error!(task.id = %cx.id(), %error, "its errbacks can't be sent either");
                Work::default()
            })
        }
    };
    // A dead letter may be sent once more, with all that follows it.
    if !matches!(decision.verdict, Verdict::DeadLetter { .. }) {
        work.step.drops = used;
    }
    let end = ignored.as_ref().unwrap_or(decision);
    Ok(with_part(cx, &follows, end, work))
}

/// How a task that asked to be ignored ends for what waits for it: what has no result never comes. In Celery that waits for
/// ever.
fn as_ended(decision: &Decision) -> Option<Decision> {
    let Decision {
        state: None,
        retry: None,
        requeue: false,
        replace: None,
        verdict: Verdict::Ack,
        ..
    } = decision
    else {
        return None;
    };
    let failure = Failure::new("celery.exceptions", "Ignore", "the task has no result");
    Some(Decision {
        state: Some(TaskState::Revoked),
        value: Stored::Exception(failure),
        store: false,
        retry: None,
        requeue: false,
        replace: None,
        verdict: Verdict::Ack,
    })
}

/// Puts steps that are kept in the place of references to them: the next step of the chain where it runs now, all where
/// they end.
async fn recall(
    cx: &Context,
    follows: &mut Follows,
    decision: &Decision,
    used: &mut Vec<String>,
) -> Result<()> {
    let app = cx.app();
    match decision.state {
        Some(TaskState::Success) => {
            if let Some(next) = follows.next_mut() {
                app.recall(next, used).await?;
            }
        }
        Some(TaskState::Failure | TaskState::Revoked) => {
            for step in follows.chain_mut() {
                app.recall_all(step, used).await?;
            }
        }
        _ => {}
    }
    Ok(())
}

fn plan(cx: &Context, follows: &Follows, decision: &Decision) -> Result<Work> {
    let app = cx.app();
    let planned =
        |planner: &mut Planner<'_>| match (&decision.state, &decision.value, &decision.replace) {
            (_, _, Some(canvas)) => {
                let node = replace(planner, (**canvas).clone(), cx.headers(), follows);
                node.map(|node| node.into_iter().collect::<Vec<ResultNode>>())
            }
            (Some(TaskState::Success), Stored::Value(value), _) => {
                match serde_json::from_str::<Value>(value.get()) {
                    Ok(value) => follow_success(planner, follows, &value),
                    Err(error) => Err(CanvasError(error.to_string())),
                }
            }
            (Some(TaskState::Failure), Stored::Exception(failure), _) => {
                let ended = Ended {
                    id: cx.id(),
                    failure,
                    takes_request: &|errback| takes_request(app, errback),
                };
                follow_failure(planner, follows, &ended)
            }
            (Some(TaskState::Revoked), Stored::Exception(failure), _) => {
                follow_revoked(planner, follows, failure).map(|()| Vec::new())
            }
            _ => Ok(Vec::new()),
        };
    let (children, plan) = app.plan(Lineage::from(cx.headers()), planned)?;
    let work = app.work(plan)?;
    // Celery stores a failure before it calls errbacks, so they are no children.
    if decision.state == Some(TaskState::Success) {
        children.into_iter().for_each(|child| cx.adopt(child));
    }
    Ok(work)
}

/// What follows a message whose body can't be read, and with it what it is part of: should its group be a chord, this part
/// has failed, and the others know what to do.
pub(crate) fn follow_unread(cx: &Context, decision: &Decision) -> Work {
    let mut work = Work::default();
    work.step.parts.extend(part(cx, decision, Vec::new()));
    work
}

/// Adds the task's own part of its chord, when it has ended.
fn with_part(cx: &Context, follows: &Follows, decision: &Decision, mut work: Work) -> Work {
    if let Some(body) = follows.chord() {
        let then = then(body, &Lineage::from(cx.headers()));
        work.step.parts.extend(part(cx, decision, then));
    }
    work
}

/// A task's part of the chord that its group is.
fn part(cx: &Context, decision: &Decision, then: Vec<u8>) -> Option<Part> {
    let headers = cx.headers();
    let state = decision.state.clone().filter(TaskState::is_ready)?;
    let group = headers.group.clone()?;
    let value = match &decision.value {
        Stored::Value(value) => value.get().to_owned(),
        Stored::Exception(failure) | Stored::Told(failure) => {
            serde_json::to_string(&failure.exception)
                .expect("an exception is text and values, which JSON can hold")
        }
        Stored::Nothing => "null".to_owned(),
    };
    Some(Part {
        group,
        index: headers.group_index,
        id: headers.id.clone(),
        state,
        value,
        then,
        expires: cx.app().settings().result_expires.non_zero(),
    })
}

/// Whether an errback is a task here that wants request, exception and traceback.
pub(crate) fn takes_request(app: &App, errback: &Canvas) -> bool {
    let Some(task) = app.registry().get(errback.name()) else {
        return false;
    };
    if !task.options().errback_takes_request {
        return false;
    }
    // What a signature brings along is given already; an immutable one is called with nothing else.
    let given = match errback.immutable {
        true => 0,
        false => errback.args.len() + errback.kwargs.len(),
    };
    let parameters = task.parameters();
    parameters.rest || parameters.positional.len().saturating_sub(given) > 1
}
