//! Cases for [`Chords`](aipo_core::store::Chords), and for the steps of settlements.

use std::time::Duration;

use aipo_core::TaskState;
use aipo_core::store::{Chord, Complete, Done, Fact, Part, Publish, Step};

use crate::support::Fixture;

pub mod count;
pub mod expiry;
pub mod finish;
pub mod saved;
pub mod settle;
pub mod step;
pub mod take;

/// How long a taken chord is left alone, where a case does not say more about it.
const CLAIM: Duration = Duration::from_secs(30);

fn chord(group: &str, size: u64) -> Chord {
    Chord {
        group: group.into(),
        size,
        structure: None,
        expires: None,
    }
}

/// A part that was a success; its value is its id, and what to do then is named after it.
fn part(group: &str, index: impl Into<Option<i64>>, id: &str) -> Part {
    Part {
        group: group.into(),
        index: index.into(),
        id: id.into(),
        state: TaskState::Success,
        value: format!("\"{id}\""),
        then: format!("then {id}").into_bytes(),
        expires: None,
    }
}

fn opens(chords: impl Into<Vec<Chord>>) -> Step {
    Step {
        opens: chords.into(),
        ..Step::default()
    }
}

fn grows(group: &str) -> Step {
    Step {
        grows: vec![group.into()],
        ..Step::default()
    }
}

fn parts(parts: impl Into<Vec<Part>>) -> Step {
    Step {
        parts: parts.into(),
        ..Step::default()
    }
}

fn keeps(facts: impl Into<Vec<Fact>>) -> Step {
    Step {
        keeps: facts.into(),
        ..Step::default()
    }
}

/// A chord whose parts are all done.
fn completes(group: &str) -> Step {
    Step {
        opens: vec![chord(group, 1)],
        parts: vec![part(group, 0, group)],
        ..Step::default()
    }
}

/// A fact without an end.
fn fact(key: &str, value: &str) -> Fact {
    Fact {
        key: key.to_owned(),
        value: value.into(),
        ttl: None,
    }
}

impl Fixture {
    async fn step(&self, step: Step) {
        self.store
            .chords
            .advance(step, Vec::new())
            .await
            .expect("advance");
    }

    /// Takes what is complete, for [`CLAIM`].
    async fn complete(&self) -> Vec<Complete> {
        self.store
            .chords
            .take_complete(1_000, CLAIM)
            .await
            .expect("take")
    }

    /// Takes the one chord that is complete.
    async fn complete_one(&self) -> Complete {
        let mut complete = self.complete().await;
        assert_eq!(complete.len(), 1, "one chord is complete");
        complete.remove(0)
    }

    async fn finish(&self, group: &str) -> bool {
        self.finish_with(group, Step::default(), []).await
    }

    async fn finish_with(&self, group: &str, step: Step, publish: impl Into<Vec<Publish>>) -> bool {
        self.store
            .chords
            .finish(&group.into(), step, publish.into())
            .await
            .expect("finish")
    }
}

/// Whose chords these are.
fn groups(complete: &[Complete]) -> Vec<&str> {
    complete.iter().map(|chord| chord.group.as_str()).collect()
}

/// Whose parts these are, in their order.
fn ids(complete: &Complete) -> Vec<&str> {
    complete.parts.iter().map(|part| part.id.as_str()).collect()
}

/// What is told of a part made by [`part`].
fn done(id: &str) -> Done {
    let part = part("", 0, id);
    Done {
        id: part.id,
        state: part.state,
        value: part.value,
    }
}
