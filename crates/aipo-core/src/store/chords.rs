//! Where the parts of chords are counted: tasks side by side, and one more when all of them have ended.
//!
//! ```text
//!  open ──▶ parts are counted ──▶ complete ──▶ taken ──▶ finished
//!                                     ▲           │
//!                                     └───────────┘ when the claim is over
//! ```
//!
//! A part is counted in the same step that settles its task, and what follows the chord happens in the step that
//! finishes it. Whoever takes a complete chord and dies leaves it to the next one, so a chord is never lost and
//! never finished twice.
//!
//! Beside a chord is kept how its results are nested, where they are; a group that somebody saves is kept in the same
//! place, whether or not it is part of a chord.
//!
//! A store that shares its chords with Python counts as Celery's backend does, in the same place: a worker of
//! either kind may see the last part.

use std::time::Duration;

use async_trait::async_trait;

use super::broker::Publish;
use super::results::ResultRecord;
use super::state::Fact;
use crate::error::Result;
use crate::id::{GroupId, TaskId};
use crate::state::TaskState;

/// The chords of one store.
///
/// What is kept of a chord is forgotten when [`Part::expires`] or [`Chord::expires`] is over after its last change.
#[async_trait]
pub trait Chords: Send + Sync + 'static {
    /// Changes all that a workflow's step changes, and publishes messages, all together.
    async fn advance(&self, step: Step, publish: Vec<Publish>) -> Result<()>;

    /// Takes chords that are complete, at most `limit`.
    ///
    /// - A chord is complete when it was opened and as many parts are done as it has.
    /// - A part counts once, however often its task ran. Parts may be done before the chord is opened.
    /// - What was taken is given to nobody else until `claim` is over; then, if it was not finished, to the next.
    async fn take_complete(&self, limit: usize, claim: Duration) -> Result<Vec<Complete>>;

    /// Finishes a chord that is complete and, in the same step, does what follows; `false`, with no effect, when there
    /// is no such chord or it was finished before. Later parts of a finished chord change nothing.
    async fn finish(&self, group: &GroupId, step: Step, publish: Vec<Publish>) -> Result<bool>;

    /// Saves how the results of a group are nested, under its id: Celery's group meta, serialised as results are. The
    /// structure of a chord is kept in the same place, and Python's `GroupResult.save` and `restore` use it as well.
    ///
    /// - It replaces what was saved of the group before. Of its chord, if it has one, only the structure changes.
    /// - It is a change like others, so all that is kept of the group is forgotten when `expires` is over after it; never
    ///   when that is `None`. Setting `result_expires`.
    async fn save_group(
        &self,
        group: &GroupId,
        meta: Vec<u8>,
        expires: Option<Duration>,
    ) -> Result<()>;

    /// What was saved of a group, or the structure of its chord, also of a finished one; `None` when there is neither or
    /// it was forgotten.
    async fn saved_group(&self, group: &GroupId) -> Result<Option<Vec<u8>>>;

    /// Deletes what [`saved_group`](Self::saved_group) gives, if anything. A chord that is not finished is without a
    /// structure from then on.
    async fn delete_group(&self, group: &GroupId) -> Result<()>;
}

/// What a step of a workflow changes, beside the result and the message of the task that takes it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Step {
    /// Results of tasks that end without having run.
    pub results: Vec<ResultRecord>,
    /// Chords that begin. One that was finished before begins anew.
    pub opens: Vec<Chord>,
    /// Chords that have one part more, one for each.
    pub grows: Vec<GroupId>,
    /// Parts that are done.
    pub parts: Vec<Part>,
    /// Facts that are set, as by [`StateStore::put`](super::StateStore::put).
    pub keeps: Vec<Fact>,
    /// Keys of facts that are deleted.
    pub drops: Vec<String>,
}

/// A chord that begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chord {
    /// The group of its parts, which names it.
    pub group: GroupId,
    /// How many parts it has.
    pub size: u64,
    /// How its results are nested, where they are, as of [`Chords::save_group`]; what was saved before stays when `None`.
    pub structure: Option<Vec<u8>>,
    /// How long it is kept after its last change; for ever when `None`. Setting `result_expires`.
    pub expires: Option<Duration>,
}

/// A part that is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The chord's group.
    pub group: GroupId,
    /// Its place among the parts; one without a place comes last.
    pub index: Option<i64>,
    /// The task.
    pub id: TaskId,
    /// How it ended: a ready state.
    pub state: TaskState,
    /// Its value or its exception, JSON.
    pub value: String,
    /// What to do when the chord is complete; that of the last part holds. One that is empty does not count: its part
    /// does not know.
    pub then: Vec<u8>,
    /// As of [`Chord::expires`].
    pub expires: Option<Duration>,
}

/// A chord whose parts are all done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complete {
    /// Its group.
    pub group: GroupId,
    /// Its parts, by their places.
    pub parts: Vec<Done>,
    /// As it was opened with, or as it was saved.
    pub structure: Option<Vec<u8>>,
    /// What to do now.
    pub then: Vec<u8>,
}

/// What became of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// The task.
    pub id: TaskId,
    /// How it ended.
    pub state: TaskState,
    /// Its value or its exception, JSON.
    pub value: String,
}

impl Step {
    /// Takes out the facts that are set, as a step of their own: where one step takes several, they come first.
    pub fn take_keeps(&mut self) -> Self {
        Self {
            keeps: std::mem::take(&mut self.keeps),
            ..Self::default()
        }
    }

    /// Takes out the facts that are deleted, as a step of their own: where one step takes several, they come last.
    pub fn take_drops(&mut self) -> Self {
        Self {
            drops: std::mem::take(&mut self.drops),
            ..Self::default()
        }
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        let Self {
            results,
            opens,
            grows,
            parts,
            keeps,
            drops,
        } = self;
        results.is_empty()
            && opens.is_empty()
            && grows.is_empty()
            && parts.is_empty()
            && keeps.is_empty()
            && drops.is_empty()
    }
}
