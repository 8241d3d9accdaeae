//! Workflows: what runs after what. Pure: signatures in, a plan out. No I/O.
//!
//! | file | what |
//! |---|---|
//! | `signature` | Celery's signature as it travels: a task, a chain, a group, a chord |
//! | `change` | changes to one as a whole: options, stamps |
//! | `steps` | a chain's steps as they run: nested chains spliced, a group before a step made a chord |
//! | `freeze` | ids for everything, and the tree of results that will come of it |
//! | `plan` | what has to happen: messages to send, chords to open, tasks that end |
//! | `planner` | from a signature to a plan |
//! | `follow` | what follows from a task that ended: callbacks, the chain, the chord, errbacks |
//! | `join` | what follows from a chord that is complete |
//! | `reference` | what comes later in a large workflow is kept once, and messages refer to it |
//! | `depth` | how deep all of it may nest |
//! | `options` | the options of a signature, as calls take them |
//! | `stamp` | names and values that go along with all of it |
//! | `replace` | a task that puts a workflow in its own place |
//!
//! # How Celery carries a workflow
//! Nobody holds a workflow as a whole. Each message says what comes after it: `callbacks`, `errbacks`, the rest of
//! its `chain` and the body of its `chord`. Whoever runs a task sends what follows. Only a chord needs a place where
//! its parts are counted: [`store::chords`](crate::store::chords).

mod change;
mod depth;
mod follow;
mod freeze;
mod join;
mod options;
mod plan;
mod planner;
mod reference;
mod replace;
mod signature;
mod stamp;
mod steps;
mod tree;

pub use depth::{check_levels, parse};
pub use follow::{Ended, Follows, follow_failure, follow_revoked, follow_success};
pub use join::{JoinError, follow_chord, revoke_chord};
pub use plan::{Inline, Kept, Lineage, Plan, PlannedCall, PlannedFailure, PlannedPart};
pub use planner::Planner;
pub use reference::{RESUME, first_reference, give_up, kept, reference, resolve};
pub use replace::{add_to_chord, replace};
pub use signature::{Canvas, Kind};
pub use tree::ResultNode;

/// Why a workflow can't be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanvasError(pub String);

impl std::fmt::Display for CanvasError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CanvasError {}
