//! What has to happen for a workflow to begin or to go on, and what plans are made with.

use serde_json::Value;

use super::tree::ResultNode;
use crate::id::{GroupId, TaskId};
use crate::signature::Signature;
use crate::state::TaskState;
use crate::task::Failure;

/// What has to happen for a workflow to begin or to go on.
#[derive(Debug, Default)]
pub struct Plan {
    /// The first task of the workflow, where it is known already.
    pub root_id: Option<TaskId>,
    /// What to send, in order.
    pub calls: Vec<PlannedCall>,
    /// Chords to open, with how many parts they have and, where their results are nested, how.
    pub opens: Vec<(GroupId, u64, Option<ResultNode>)>,
    /// Chords that get one more part.
    pub grows: Vec<GroupId>,
    /// Tasks that fail without running.
    pub failures: Vec<PlannedFailure>,
    /// Parts of chords that are done without running.
    pub parts: Vec<PlannedPart>,
    /// Steps that messages refer to, to keep before those are sent.
    pub keeps: Vec<Kept>,
}

/// Steps that messages refer to.
#[derive(Debug, Clone)]
pub struct Kept {
    /// The key under which the state store keeps them.
    pub key: String,
    /// A signature.
    pub steps: Value,
}

/// A call to send.
pub type PlannedCall = Signature;

/// A task that ends without having run.
#[derive(Debug, Clone)]
pub struct PlannedFailure {
    /// Its id.
    pub id: TaskId,
    /// Its group.
    pub group: Option<GroupId>,
    /// The task that sent it, or would have.
    pub parent_id: Option<TaskId>,
    /// How it ends.
    pub state: TaskState,
    /// Why.
    pub failure: Failure,
    /// What was sent in its name.
    pub children: Vec<ResultNode>,
    /// What would have run, where that is known.
    pub call: Option<Signature>,
}

/// A part of a chord.
#[derive(Debug, Clone)]
pub struct PlannedPart {
    /// The chord's group.
    pub group: GroupId,
    /// The place in the group.
    pub index: Option<i64>,
    /// The task.
    pub id: TaskId,
    /// How it ended.
    pub state: TaskState,
    /// Why.
    pub failure: Failure,
    /// The body of the chord.
    pub body: Value,
    /// Errbacks that were called for it already.
    pub told: Vec<Value>,
}

/// Where what is sent comes from.
#[derive(Debug, Clone, Default)]
pub struct Lineage {
    /// The first task of the workflow; each call is its own when there is none.
    pub root_id: Option<TaskId>,
    /// The task in whose name it is sent.
    pub parent_id: Option<TaskId>,
}

/// What messages carry themselves.
#[derive(Clone, Copy)]
pub struct Inline<'a> {
    /// How many bytes all copies of one body may take; with zero, none is carried.
    pub max_size: usize,
    /// Whether a task of this name runs in aipo.
    pub knows: &'a dyn Fn(&str) -> bool,
}
