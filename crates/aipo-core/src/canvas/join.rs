//! What follows from a chord that is complete: its body with all results, or, when a part failed, the failure
//! of the body.

use serde_json::{Map, Value};

use super::CanvasError;
use super::follow::{Ended, belong, call_errbacks, end_chain, end_step, with_membership};
use super::freeze::Frozen;
use super::plan::{PlannedFailure, PlannedPart};
use super::planner::Planner;
use super::signature::{Canvas, Kind, list};
use super::steps::awaited;
use crate::id::TaskId;
use crate::message::repr_exception;
use crate::state::TaskState;
use crate::task::Failure;

/// Why a chord's body can't run.
#[derive(Debug, Clone)]
pub struct JoinError {
    /// What its body is told: Celery's `ChordError`.
    pub error: Failure,
    /// What the part that failed was told.
    pub cause: Failure,
    /// Errbacks that were called for that part. An errback of a chord is linked to the chords in its header too, and
    /// is called for one failure once.
    pub told: Vec<Value>,
}

impl JoinError {
    /// A part of the chord failed.
    pub fn dependency(task: &TaskId, cause: Failure, told: Vec<Value>) -> Box<Self> {
        let text = format!(
            "Dependency {task} raised {}",
            repr_exception(&cause.exception)
        );
        let mut error = Self::new(text, cause);
        error.told = told;
        error
    }

    /// The results could not be put together.
    pub fn join(cause: Failure) -> Box<Self> {
        let text = format!("Join error: {}", repr_exception(&cause.exception));
        Self::new(text, cause)
    }

    /// The body could not be sent.
    pub fn callback(cause: Failure) -> Box<Self> {
        let text = format!("Callback error: {}", repr_exception(&cause.exception));
        Self::new(text, cause)
    }

    fn new(text: String, cause: Failure) -> Box<Self> {
        Box::new(Self {
            error: Failure::new("celery.exceptions", "ChordError", text),
            cause,
            told: Vec::new(),
        })
    }
}

/// Plans what follows a chord: `body` runs with the results, or fails.
///
/// # Errors
/// When the body is no signature.
pub fn follow_chord(
    planner: &mut Planner<'_>,
    body: &Value,
    results: Result<Vec<Value>, Box<JoinError>>,
    takes_request: &dyn Fn(&Canvas) -> bool,
) -> Result<(), CanvasError> {
    let body = Canvas::from_value(body)?;
    match results {
        Ok(results) => planner.apply(body, &[results.into()], Map::new()).map(drop),
        Err(error) => fail(planner, body, &error, takes_request),
    }
}

/// Plans what follows a chord of a workflow that was revoked and whose body can't run: it is revoked with what comes
/// after it, and no errback is called.
///
/// # Errors
/// When the body is no signature.
pub fn revoke_chord(planner: &mut Planner<'_>, body: &Value) -> Result<(), CanvasError> {
    let mut body = Canvas::from_value(body)?;
    planner.freeze(&mut body, Frozen::default());
    let failure = Failure::revoked("revoked");
    let (plan, state) = (planner.plan(), TaskState::Revoked);
    end_step(plan, &body, &state, &failure);
    end_chain(plan, &list(body.options.get("chain")), &state, &failure)
}

fn fail(
    planner: &mut Planner<'_>,
    mut body: Canvas,
    error: &JoinError,
    takes_request: &dyn Fn(&Canvas) -> bool,
) -> Result<(), CanvasError> {
    planner.freeze(&mut body, Frozen::default());
    let follows = list(body.options.get("chain"));
    match &body.kind {
        Kind::Group(_) => fail_group(planner, &body, &error.cause, takes_request)?,
        Kind::Chain(tasks) => {
            let steps = with_membership(tasks, &body.options);
            fail_chain(
                planner,
                steps,
                errbacks_of_first(&body),
                error,
                takes_request,
            )?;
        }
        Kind::Chord { body: inner, .. } => {
            let mut inner = (**inner).clone();
            for name in ["link_error", "chain"] {
                if let Some(option) = body.options.remove(name) {
                    inner.options.entry(name).or_insert(option);
                }
            }
            belong(&mut inner, &body.options);
            return fail(planner, inner, error, takes_request);
        }
        Kind::Task { .. } => fail_task(planner, &body, error, takes_request)?,
    }
    end_chain(planner.plan(), &follows, &TaskState::Failure, &error.error)
}

/// Whoever waits for a chain waits for its last step, so that one fails, with the errbacks of the chain and its first step.
fn fail_chain(
    planner: &mut Planner<'_>,
    mut steps: Vec<Canvas>,
    errbacks: Vec<Value>,
    error: &JoinError,
    takes_request: &dyn Fn(&Canvas) -> bool,
) -> Result<(), CanvasError> {
    let Some(mut last) = steps.pop() else {
        return Ok(());
    };
    for step in &steps {
        end_step(planner.plan(), step, &TaskState::Failure, &error.error);
    }
    if steps.is_empty() {
        errbacks.iter().for_each(|errback| last.link_error(errback));
        return fail(planner, last, error, takes_request);
    }
    if matches!(last.kind, Kind::Task { .. }) {
        last.set("link_error", errbacks);
        return fail(planner, last, error, takes_request);
    }
    end_step(planner.plan(), &last, &TaskState::Failure, &error.error);
    let id = TaskId::from(awaited(&last).unwrap_or_default());
    let ended = Ended {
        id: &id,
        failure: &error.error,
        takes_request,
    };
    call_errbacks(planner, &errbacks, &ended).map(drop)
}

/// The errbacks that are called when a signature can't begin: its own, and those of what it begins with.
fn errbacks_of_first(canvas: &Canvas) -> Vec<Value> {
    let mut errbacks = list(canvas.options.get("link_error"));
    match &canvas.kind {
        Kind::Chain(tasks) => {
            errbacks.extend(tasks.first().map(errbacks_of_first).unwrap_or_default())
        }
        Kind::Chord { body, .. } => errbacks.extend(errbacks_of_first(body)),
        Kind::Task { .. } | Kind::Group(_) => {}
    }
    errbacks
}

fn fail_task(
    planner: &mut Planner<'_>,
    body: &Canvas,
    error: &JoinError,
    takes_request: &dyn Fn(&Canvas) -> bool,
) -> Result<(), CanvasError> {
    let id = TaskId::from(body.text("task_id").unwrap_or_default());
    let ended = Ended {
        id: &id,
        failure: &error.error,
        takes_request,
    };
    let mut told = error.told.clone();
    let mut errbacks = list(body.options.get("link_error"));
    errbacks.retain(|errback| !told.contains(errback));
    let children = call_errbacks(planner, &errbacks, &ended)?;
    told.extend(errbacks);
    let group = body.text("group_id");
    planner.plan().failures.push(PlannedFailure {
        id: id.clone(),
        group: group.map(Into::into),
        parent_id: body.text("parent_id").map(Into::into),
        state: TaskState::Failure,
        failure: error.error.clone(),
        children,
        call: None,
    });
    if let Some(chord) = body.options.get("chord").filter(|chord| !chord.is_null())
        && let Some(group) = group
    {
        planner.plan().parts.push(PlannedPart {
            group: group.into(),
            index: body.options.get("group_index").and_then(Value::as_i64),
            id,
            state: TaskState::Failure,
            failure: error.error.clone(),
            body: chord.clone(),
            told,
        });
    }
    Ok(())
}

/// A body that is a group fails as a whole, each member with what the header failed with.
fn fail_group(
    planner: &mut Planner<'_>,
    group: &Canvas,
    cause: &Failure,
    takes_request: &dyn Fn(&Canvas) -> bool,
) -> Result<(), CanvasError> {
    let Kind::Group(members) = &group.kind else {
        unreachable!("the caller looked")
    };
    let of_group = list(group.options.get("link_error"));
    for member in members {
        let first = planner.plan().failures.len();
        end_step(planner.plan(), member, &TaskState::Failure, cause);
        let ended: Vec<TaskId> = planner.plan().failures[first..]
            .iter()
            .map(|failure| failure.id.clone())
            .collect();
        let Some(id) = ended.last() else { continue };
        let mut errbacks = errbacks_of(member);
        for errback in &of_group {
            if !errbacks.contains(errback) {
                errbacks.push(errback.clone());
            }
        }
        let told = Ended {
            id,
            failure: cause,
            takes_request,
        };
        let children = call_errbacks(planner, &errbacks, &told)?;
        if let Some(failure) = planner.plan().failures.last_mut() {
            failure.children = children;
        }
    }
    if let Some(id) = group.text("task_id") {
        planner.plan().failures.push(PlannedFailure {
            id: id.into(),
            group: None,
            parent_id: None,
            state: TaskState::Failure,
            failure: cause.clone(),
            children: Vec::new(),
            call: None,
        });
    }
    Ok(())
}

/// The errbacks of what is awaited of a signature.
fn errbacks_of(canvas: &Canvas) -> Vec<Value> {
    match &canvas.kind {
        Kind::Task { .. } | Kind::Group(_) => list(canvas.options.get("link_error")),
        Kind::Chain(tasks) => {
            let mut errbacks = list(canvas.options.get("link_error"));
            errbacks.extend(tasks.last().map(errbacks_of).unwrap_or_default());
            errbacks
        }
        Kind::Chord { body, .. } => errbacks_of(body),
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::{Inline, Lineage, Plan};
    use super::*;

    fn named(id: &str) -> Canvas {
        let mut task = Canvas::task(id);
        task.set("task_id", id);
        task
    }

    /// What follows when a part of this body's chord has failed.
    fn failed(body: &Canvas) -> Plan {
        let mut count = 0;
        let mut new_id = || {
            count += 1;
            format!("new-{count}")
        };
        let lineage = Lineage {
            root_id: Some("root".into()),
            parent_id: Some("last-part".into()),
        };
        let inline = Inline {
            max_size: usize::MAX,
            knows: &|_| true,
        };
        let mut planner = Planner::new(lineage, inline, &mut new_id);
        let cause = Failure::new("builtins", "ValueError", "why");
        let error = JoinError::dependency(&"part".into(), cause, Vec::new());
        follow_chord(&mut planner, &body.to_value(), Err(error), &|_| false).expect("signatures");
        planner.finish()
    }

    #[test]
    fn errbacks_of_a_body_that_did_not_run_are_its_children() {
        let mut body = named("body");
        body.link_error(&Canvas::task("errback").to_value());
        let plan = failed(&body);

        let [errback] = &plan.calls[..] else {
            panic!("one errback: {:?}", plan.calls)
        };
        assert_eq!(errback.args, ["body"]);
        let place = &errback.options.place;
        assert_eq!(place.parent_id, Some("body".into()));
        assert_eq!(place.root_id, Some("root".into()));
        assert_eq!(plan.failures.len(), 1);
        assert_eq!(plan.failures[0].children.len(), 1);
    }

    #[test]
    fn a_body_that_is_a_chain_fails_under_the_id_of_its_last_step() {
        let mut first = named("first");
        first.link_error(&Canvas::task("of-first").to_value());
        let mut last = named("last");
        last.link_error(&Canvas::task("of-last").to_value());
        let mut body = Canvas::chain(vec![first, named("second"), last]);
        body.link_error(&Canvas::task("of-chain").to_value());
        let plan = failed(&body);

        let told = plan.calls.iter().map(|call| (&*call.task, &call.args[..]));
        let id = [Value::from("last")];
        assert_eq!(
            told.collect::<Vec<_>>(),
            [("of-chain", &id[..]), ("of-first", &id[..])]
        );
        let ended = plan.failures.iter().map(|failure| failure.id.as_str());
        assert_eq!(ended.collect::<Vec<_>>(), ["first", "second", "last"]);
    }

    #[test]
    fn the_errbacks_of_a_member_of_a_body_are_its_children() {
        let mut body = Canvas::group(vec![named("a"), named("b")]);
        body.link_error(&Canvas::task("errback").to_value());
        let plan = failed(&body);

        for id in ["a", "b"] {
            let failure = plan.failures.iter().find(|failure| failure.id == id.into());
            let failure = failure.expect("it has failed");
            assert_eq!(failure.failure.exception.exc_type, "ValueError");
            assert_eq!(failure.children.len(), 1, "{id}");
        }
    }
}
