//! Plays random operations on a store and on a model of it, and compares every answer.
//!
//! The model (`queues`, `results`, `facts`, `logs`) is as plain as can be: lists that are searched from
//! end to end, so that reading it is enough to believe it. It leaves open what the contracts leave
//! open: which of several queues is served, where a parked message stands when it has become due, and how
//! messages that were handed back stand among each other.
//!
//! A run prints its seed and every operation, which a test shows when it fails. `AIPO_SEED` replays
//! a run, `AIPO_STEPS` sets its length (default 3,000).

mod chance;
mod facts;
mod logs;
mod operation;
mod play;
mod queues;
mod results;

use crate::Harness;
use crate::support::{seed, variable};

/// Enough for every operation to meet every state many times, in a few seconds on a slow store.
const STEPS: u64 = 3_000;

/// How often everything that is stored is compared, not only what an operation answers.
const STEPS_BETWEEN_INSPECTIONS: u64 = 100;

pub async fn a_store_answers_as_the_model_does(harness: &impl Harness) {
    let steps = variable("AIPO_STEPS").unwrap_or(STEPS);

    let mut play = play::Play::begin(harness, seed()).await;
    for step in 1..=steps {
        let operation = play.choose();
        eprintln!("{step}: {operation:?}");
        play.run(operation).await;
        if step % STEPS_BETWEEN_INSPECTIONS == 0 {
            play.inspect().await;
        }
    }
    play.end().await;
}
