//! What a workflow comes to: a recursive function over it as it is written, which knows nothing of messages, ids and
//! stores.

use std::collections::BTreeMap;

use serde_json::Value;

use super::spec::{How, Spec, ends_in_many};

/// What comes of a workflow: of each task that is awaited.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Out {
    One(End),
    Many(Vec<Out>),
}

/// What comes of a task.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum End {
    Value(Value),
    Failed,
    Revoked,
}

/// What happens meanwhile.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Tally {
    /// How many messages run under each label, but for deadly ones. A retry is a message of its own.
    pub(super) runs: BTreeMap<u64, usize>,
    /// How many messages are kept as dead letters.
    pub(super) dead: u64,
}

impl Tally {
    pub(super) fn run(&mut self, label: u64, times: usize) {
        *self.runs.entry(label).or_default() += times;
    }
}

impl Out {
    /// All of it as one value, if there is one.
    fn whole(&self) -> Result<Value, End> {
        match self {
            Self::One(End::Value(value)) => Ok(value.clone()),
            Self::One(end) => Err(end.clone()),
            Self::Many(members) => members.iter().map(Self::whole).collect(),
        }
    }
}

/// The value of a task: a number that depends on all that it was given.
pub(super) fn digest(label: u64, args: &[Value]) -> Value {
    let text = format!("{label} {}", Value::from(args.to_vec()));
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash >> 12).into()
}

/// `input` is `None` where nothing came before.
pub(super) fn expect(spec: &Spec, input: Option<&Value>, tally: &mut Tally) -> Out {
    match spec {
        Spec::Task {
            label,
            how,
            takes_nothing,
            callback,
            errback,
        } => {
            let input = input.filter(|_| !takes_nothing);
            let end = end_of(*label, how, input, tally);
            match &end {
                End::Value(value) => {
                    _ = callback
                        .as_ref()
                        .map(|step| expect(step, Some(value), tally))
                }
                End::Failed => call_errback(errback.as_deref(), tally),
                End::Revoked => {}
            }
            Out::One(end)
        }
        Spec::Chain(steps) => {
            let mut steps = joined(steps).into_iter();
            let first = steps.next().expect("a chain has steps");
            let mut out = expect(&first, input, tally);
            while let Some(step) = steps.next() {
                out = match out.whole() {
                    Ok(value) => expect(&step, Some(&value), tally),
                    Err(end) => return never_run(&steps.next_back().unwrap_or(step), &end),
                };
            }
            out
        }
        Spec::Group(members) => Out::Many(
            members
                .iter()
                .map(|member| expect(member, input, tally))
                .collect(),
        ),
        Spec::Chord(header, body) => {
            let members = header.iter().map(|member| expect(member, input, tally));
            match Out::Many(members.collect()).whole() {
                Ok(values) => expect(body, Some(&values), tally),
                Err(_) => fails_as_body(body, tally),
            }
        }
        Spec::Gather => Out::One(End::Value(input.cloned().unwrap_or_default())),
    }
}

fn end_of(label: u64, how: &How, input: Option<&Value>, tally: &mut Tally) -> End {
    let args: Vec<Value> = input.cloned().into_iter().collect();
    let runs = match how {
        How::Marked | How::Revoked | How::Expired | How::Unknown | How::Deadly => 0,
        How::AfterRetries(retries) => 1 + *retries as usize,
        How::OutOfRetries => 2,
        _ => 1,
    };
    if runs > 0 {
        tally.run(label, runs);
    }
    match how {
        How::Well | How::AfterRetries(_) => End::Value(digest(label, &args)),
        How::Badly | How::OutOfRetries => End::Failed,
        How::Rejecting | How::Unknown | How::Deadly => {
            tally.dead += 1;
            End::Failed
        }
        How::Marked | How::Revoked | How::RevokedRunning | How::Expired => End::Revoked,
        How::As(other) => {
            let mut steps = vec![(**other).clone()];
            if ends_in_many(other) {
                steps.push(Spec::Gather);
            }
            let out = expect(&Spec::Chain(steps), None, tally);
            out.whole().map_or_else(|end| end, End::Value)
        }
    }
}

/// The steps of a chain as they run. Those of chains in it are its own, and what gives several results makes a chord
/// with the step after it, as its body.
fn joined(steps: &[Spec]) -> Vec<Spec> {
    let mut joined: Vec<Spec> = Vec::new();
    for step in flat(steps).into_iter().rev() {
        match joined.pop() {
            Some(next) if ends_in_many(&step) => joined.push(join(step, next)),
            next => {
                joined.extend(next);
                joined.push(step);
            }
        }
    }
    joined.reverse();
    joined
}

fn flat(steps: &[Spec]) -> Vec<Spec> {
    let parts = steps.iter().map(|step| match step {
        Spec::Chain(steps) => flat(steps),
        step => vec![step.clone()],
    });
    parts.flatten().collect()
}

fn join(step: Spec, next: Spec) -> Spec {
    let next = Box::new(next);
    match step {
        Spec::Group(members) => Spec::Chord(members, next),
        Spec::Chord(header, body) => Spec::Chord(header, Box::new(Spec::Chain(vec![*body, *next]))),
        other => unreachable!("{other:?} gives one result"),
    }
}

/// What is awaited of a step that never runs: it ends as what was before it.
fn never_run(step: &Spec, end: &End) -> Out {
    match step {
        Spec::Task { .. } | Spec::Gather => Out::One(end.clone()),
        Spec::Chain(steps) => never_run(steps.last().expect("a chain has steps"), end),
        Spec::Group(members) => {
            Out::Many(members.iter().map(|step| never_run(step, end)).collect())
        }
        Spec::Chord(_, body) => never_run(body, end),
    }
}

/// What is awaited of the body of a chord whose header failed: its first task fails and calls its errback, which is
/// that of each member where the body is a group.
fn fails_as_body(body: &Spec, tally: &mut Tally) -> Out {
    match body {
        Spec::Task { errback, .. } => call_errback(errback.as_deref(), tally),
        Spec::Chain(steps) => {
            let first = joined(steps).swap_remove(0);
            fails_as_body(&first, tally);
        }
        Spec::Group(members) => {
            let errbacks = members.iter().map(errback_of);
            errbacks.for_each(|errback| call_errback(errback, tally));
        }
        Spec::Chord(_, inner) => _ = fails_as_body(inner, tally),
        Spec::Gather => {}
    }
    never_run(body, &End::Failed)
}

/// An errback is given an id, which nobody can foretell; but nobody awaits its value either.
fn call_errback(errback: Option<&Spec>, tally: &mut Tally) {
    if let Some(errback) = errback {
        expect(errback, Some(&Value::Null), tally);
    }
}

/// The errback of the task that is awaited, if it is one.
fn errback_of(spec: &Spec) -> Option<&Spec> {
    match spec {
        Spec::Task { errback, .. } => errback.as_deref(),
        Spec::Chain(steps) => errback_of(steps.last()?),
        Spec::Chord(_, body) => errback_of(body),
        Spec::Group(_) | Spec::Gather => None,
    }
}
