//! Random workflows against an interpreter of their own, on every store, while workers are killed.
//!
//! Tasks succeed, fail, retry, run out of retries, refuse their messages, are revoked before and while they run,
//! expire, are unknown to all workers, end their workers, or put other workflows in their places; callbacks and errbacks
//! are workflows too. A kill is what `kill -9` is for a store: the worker vanishes at any instant, and settles and hands
//! back nothing.
//!
//! # The law
//! A task may *run* again after a kill; that is what "at least once" means. But its settlement, which stores the
//! result, sends what follows and counts its part of a chord, is one atomic step of the one delivery that still holds
//! the message. So, kills or not:
//! 1. Every result that was promised comes, and is what the interpreter says.
//! 2. Callbacks, errbacks, steps of chains and bodies of chords are sent exactly once: under each label as many
//!    different messages run as the interpreter counts. What is sent twice has another id.
//! 3. Or it has an id that was fixed beforehand, as steps of chains and bodies do. So no delivery of a message (its
//!    id, its retries, how often it was delivered) runs twice.
//! 4. Nothing is left behind but the dead letters of what was refused, unknown or deadly: no message, and no step that
//!    was kept for later.
//!
//! | test | time | kills |
//! |---|---|---|
//! | `random_workflows_give_what_the_interpreter_says` | virtual, in memory | a worker stops cold or is cut off from its store; calls of the store fail |
//! | `threads_that_are_killed` | real | all that a worker runs in is dropped |
//! | `processes_that_are_killed` | real | `SIGKILL`; or `SIGSTOP` for longer than the lease, and on it goes |
//!
//! `AIPO_SEED` gives the same workflows again, and in virtual time the same kills; `AIPO_WORKFLOWS` says how many there are.

mod crew;
mod interpreter;
mod spec;
mod trial;
mod unhurried;
mod work;

use std::time::Duration;

use aipo::{App, Canvas, ResultNode, WaitError};
use aipo_core::store::QueueStats;
use serde_json::Value;

use interpreter::{End, Out};

/// A number that the environment gives.
fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().expect("a number"))
}

fn seed() -> u64 {
    variable("AIPO_SEED").unwrap_or_else(|| fastrand::u64(..))
}

fn workflows(by_default: u64) -> u64 {
    variable("AIPO_WORKFLOWS").unwrap_or(by_default)
}

/// How to see a failure again.
fn replay(seed: u64, workflows: u64, test: &str) -> String {
    format!(
        "AIPO_SEED={seed} AIPO_WORKFLOWS={workflows} cargo test -p aipo --features redis --test it -- workflow_law::{test}"
    )
}

async fn send(app: &App, canvas: Canvas) -> Result<ResultNode, String> {
    let sent = app.send_canvas(canvas).await;
    let node = sent.map_err(|error| error.to_string())?;
    node.ok_or_else(|| "it runs nothing".to_owned())
}

/// What came of it, once all of it has ended.
async fn outcome(app: &App, node: &ResultNode, end: Duration) -> Result<Out, String> {
    if let Some(members) = &node.members {
        let mut outs = Vec::new();
        for member in members {
            outs.push(Box::pin(outcome(app, member, end)).await?);
        }
        return Ok(Out::Many(outs));
    }
    let handle = app.result::<Value>(node.id.as_str());
    match handle.get(end).await {
        Ok(value) => Ok(Out::One(End::Value(value))),
        Err(WaitError::Failed { .. }) => Ok(Out::One(End::Failed)),
        Err(WaitError::Revoked { .. }) => Ok(Out::One(End::Revoked)),
        Err(error) => Err(error.to_string()),
    }
}

/// What is in a store.
#[derive(Debug, PartialEq)]
struct Left {
    /// Messages that wait or run.
    undone: u64,
    /// Dead letters.
    dead: u64,
    /// Steps that come later, kept apart from their messages.
    kept: usize,
}

async fn left(app: &App) -> aipo::Result<Left> {
    let store = app.store();
    let queues = store.broker.queues().await?;
    let undone = |queue: &QueueStats| queue.ready + queue.parked + queue.in_flight;
    let dead = queues.iter().map(|queue| queue.dead).sum();
    Ok(Left {
        undone: queues.iter().map(undone).sum(),
        dead,
        // What follows a dead letter stays there, for one that is sent once more.
        kept: match dead {
            0 => store.state.scan("step/").await?.len(),
            _ => 0,
        },
    })
}
