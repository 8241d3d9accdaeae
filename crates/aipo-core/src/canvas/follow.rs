//! What follows from a task that has ended.
//!
//! | it | then |
//! |---|---|
//! | succeeded | its callbacks and the next step of its chain, each with its value |
//! | failed | the rest of its chain fails with it, and its errbacks are called |
//! | was revoked | the rest of its chain is revoked with it |
//!
//! Its part of a chord is counted by the store, in the step that settles it.

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::CanvasError;
use super::depth::parse;
use super::plan::{Plan, PlannedFailure, PlannedPart};
use super::planner::Planner;
use super::signature::{Canvas, Kind};
use super::tree::ResultNode;
use crate::id::TaskId;
use crate::message::{Embed, Headers};
use crate::signature::Signature;
use crate::state::TaskState;
use crate::task::Failure;

/// What a message says of what comes after its task, read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Follows {
    pub(super) callbacks: Vec<Value>,
    pub(super) errbacks: Vec<Value>,
    pub(super) chain: Vec<Value>,
    pub(super) chord: Option<Value>,
}

impl Follows {
    /// Reads it.
    ///
    /// # Errors
    /// As [`parse`](super::parse).
    pub fn read(embed: &Embed) -> Result<Self, CanvasError> {
        let value = |raw: &RawValue| parse(raw.get());
        let list = |raws: &Option<Vec<Box<RawValue>>>| {
            raws.iter()
                .flatten()
                .map(|raw| value(raw))
                .collect::<Result<Vec<Value>, CanvasError>>()
        };
        Ok(Self {
            callbacks: list(&embed.callbacks)?,
            errbacks: list(&embed.errbacks)?,
            chain: list(&embed.chain)?,
            chord: embed
                .chord
                .as_deref()
                .map(value)
                .transpose()?
                .filter(|chord| !chord.is_null()),
        })
    }

    /// The step of the chain that is next.
    pub fn next_mut(&mut self) -> Option<&mut Value> {
        self.chain.last_mut()
    }

    /// The steps of the chain that are left, the next one last.
    pub fn chain_mut(&mut self) -> &mut [Value] {
        &mut self.chain
    }

    /// The body of the chord that the task is part of.
    pub fn chord(&self) -> Option<&Value> {
        self.chord.as_ref()
    }
}

/// Plans what follows a success, and gives the results it will have.
///
/// # Errors
/// When something that follows is no signature.
pub fn follow_success(
    planner: &mut Planner<'_>,
    follows: &Follows,
    value: &Value,
) -> Result<Vec<ResultNode>, CanvasError> {
    let args = std::slice::from_ref(value);
    let mut children = Vec::new();
    let callbacks = &follows.callbacks;
    let mut callbacks = callbacks
        .iter()
        .map(Canvas::from_value)
        .collect::<Result<Vec<_>, _>>()?;
    if callbacks.len() > 1 {
        // Celery sends several as one group, which makes them one child.
        let (groups, others): (Vec<_>, Vec<_>) = callbacks
            .into_iter()
            .partition(|callback| matches!(callback.kind, Kind::Group(_)));
        callbacks = groups;
        if !others.is_empty() {
            callbacks.push(Canvas::group(others));
        }
    }
    for callback in callbacks {
        children.extend(planner.apply(callback, args, Map::new())?);
    }
    if let Some((next, rest)) = follows.chain.split_last() {
        let options = Map::from_iter([("chain".to_owned(), rest.to_vec().into())]);
        children.extend(planner.apply(Canvas::from_value(next)?, args, options)?);
    }
    Ok(children)
}

/// A task that did not succeed.
pub struct Ended<'a> {
    /// Its id.
    pub id: &'a TaskId,
    /// Why.
    pub failure: &'a Failure,
    /// How errbacks want to be called: `true` for those that take the request, the exception and the traceback, by
    /// name of the task and arguments given to it beforehand.
    pub takes_request: &'a dyn Fn(&Canvas) -> bool,
}

/// Plans what follows a failure, and gives the results of the errbacks.
///
/// # Errors
/// When something that follows is no signature.
pub fn follow_failure(
    planner: &mut Planner<'_>,
    follows: &Follows,
    ended: &Ended<'_>,
) -> Result<Vec<ResultNode>, CanvasError> {
    let chain = &follows.chain;
    end_chain(planner.plan(), chain, &TaskState::Failure, ended.failure)?;
    call_errbacks(planner, &follows.errbacks, ended)
}

/// Plans what follows a revoke.
///
/// # Errors
/// When something that follows is no signature.
pub fn follow_revoked(
    planner: &mut Planner<'_>,
    follows: &Follows,
    failure: &Failure,
) -> Result<(), CanvasError> {
    let chain = &follows.chain;
    end_chain(planner.plan(), chain, &TaskState::Revoked, failure)
}

/// What would have come later in a chain ends now, so that nobody waits for it for ever.
pub(super) fn end_chain(
    plan: &mut Plan,
    chain: &[Value],
    state: &TaskState,
    failure: &Failure,
) -> Result<(), CanvasError> {
    for step in chain {
        end_step(plan, &Canvas::from_value(step)?, state, failure);
    }
    Ok(())
}

/// A step that will not run ends: what is awaited of it is the body of a chord, the last of a chain, all of a group.
pub(super) fn end_step(plan: &mut Plan, step: &Canvas, state: &TaskState, failure: &Failure) {
    match &step.kind {
        Kind::Task { .. } => {}
        Kind::Chain(tasks) => {
            for task in with_membership(tasks, &step.options) {
                end_step(plan, &task, state, failure);
            }
        }
        Kind::Group(members) => members
            .iter()
            .for_each(|member| end_step(plan, member, state, failure)),
        Kind::Chord { body, .. } => {
            let mut body = (**body).clone();
            // Celery names what is awaited in the chord when the body has no id of its own.
            if let Some(id) = step.text("task_id")
                && body.text("task_id").is_none()
            {
                body.set("task_id", id);
            }
            belong(&mut body, &step.options);
            end_step(plan, &body, state, failure);
            return;
        }
    }
    let Some(id) = step.text("task_id") else {
        return;
    };
    let group = step.text("group_id");
    plan.failures.push(PlannedFailure {
        id: id.into(),
        group: group.map(Into::into),
        parent_id: step.text("parent_id").map(Into::into),
        state: state.clone(),
        failure: failure.clone(),
        children: Vec::new(),
        call: matches!(step.kind, Kind::Task { .. }).then(|| Signature {
            kwargs: step.kwargs.clone(),
            ..Signature::new(step.name()).args(step.args.clone())
        }),
    });
    if let Some(chord) = step.options.get("chord").filter(|chord| !chord.is_null())
        && let Some(group) = group
        && matches!(step.kind, Kind::Task { .. })
    {
        plan.parts.push(PlannedPart {
            group: group.into(),
            index: step.options.get("group_index").and_then(Value::as_i64),
            id: id.into(),
            state: state.clone(),
            failure: failure.clone(),
            body: chord.clone(),
            told: Vec::new(),
        });
    }
}

/// The steps of a chain; the last one is part of what the chain is part of.
pub(super) fn with_membership(tasks: &[Canvas], of_chain: &Map<String, Value>) -> Vec<Canvas> {
    let mut tasks = tasks.to_vec();
    if let Some(last) = tasks.last_mut() {
        belong(last, of_chain);
    }
    tasks
}

/// Makes a signature part of the chord that the options of what it stands for name.
pub(super) fn belong(part: &mut Canvas, options: &Map<String, Value>) {
    if options.get("chord").is_none_or(Value::is_null) {
        return;
    }
    for name in ["chord", "group_id", "group_index"] {
        if let Some(option) = options.get(name) {
            part.set(name, option.clone());
        }
    }
}

/// Sends errbacks: those that take an id as one group, the others each with what they want to know.
pub(super) fn call_errbacks(
    planner: &mut Planner<'_>,
    errbacks: &[Value],
    ended: &Ended<'_>,
) -> Result<Vec<ResultNode>, CanvasError> {
    let errbacks = errbacks
        .iter()
        .map(Canvas::from_value)
        .collect::<Result<Vec<_>, _>>()?;
    let (with_request, by_id): (Vec<_>, Vec<_>) = errbacks
        .into_iter()
        .partition(|errback| (ended.takes_request)(errback));
    let mut children = Vec::new();
    let exception = serde_json::to_value(&ended.failure.exception)
        .expect("an exception has text keys only, which JSON can hold");
    let args = [
        serde_json::json!({ "id": ended.id }),
        exception,
        ended.failure.traceback.clone().into(),
    ];
    let id = Value::from(ended.id.as_str());
    // Also where it failed without running: the body of a chord.
    let options = Map::from_iter([("parent_id".to_owned(), id.clone())]);
    // Celery calls these itself, so they are nobody's children.
    for errback in with_request {
        planner.apply(errback, &args, options.clone())?;
    }
    if !by_id.is_empty() {
        children.extend(planner.apply(Canvas::group(by_id), &[id], options)?);
    }
    Ok(children)
}

/// The lineage of what a task sends.
impl From<&Headers> for super::Lineage {
    fn from(headers: &Headers) -> Self {
        Self {
            root_id: Some(headers.root_id.as_ref().unwrap_or(&headers.id).clone()),
            parent_id: Some(headers.id.clone()),
        }
    }
}
