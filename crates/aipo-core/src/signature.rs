//! Step 2 of a task's life: a call that has not been sent yet.
//!
//! Before it: a task and its arguments. After it: the send (`aipo::app`) fills in the defaults.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::id::{GroupId, QueueName, TaskId};
use crate::message::{Compression, Serializer};

/// A task's name, arguments and options. Celery's signature, without a type.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Signature {
    /// The task's name.
    pub task: String,
    /// Positional arguments.
    pub args: Vec<Value>,
    /// Named arguments.
    pub kwargs: Map<String, Value>,
    /// How this call differs from the task's own options.
    pub options: CallOptions,
}

/// Options of one call: Celery's options of `apply_async`. `None` leaves the matter to the task,
/// then to the settings.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CallOptions {
    /// The id; a new one when `None`. Any text.
    pub task_id: Option<TaskId>,
    /// The queue. Before it come the task's own, the setting `task_routes`, `task_default_queue`.
    pub queue: Option<QueueName>,
    /// From 0, the most urgent, to 9.
    pub priority: Option<u8>,
    /// When it may run: sent as header `eta`.
    pub eta: Option<When>,
    /// When it need not run any more: sent as header `expires`.
    pub expires: Option<When>,
    /// The hard limit of its run time.
    pub time_limit: Option<Duration>,
    /// The soft limit of its run time.
    pub soft_time_limit: Option<Duration>,
    /// Whether its result is not stored.
    pub ignore_result: Option<bool>,
    /// A name to show instead of the task's.
    pub shadow: Option<String>,
    /// How the message is serialised; else the setting `task_serializer`.
    pub serializer: Option<Serializer>,
    /// How it is compressed; else the setting `task_compression`.
    pub compression: Option<Compression>,
    /// Headers of the application's own.
    pub headers: Map<String, Value>,
    /// Where it stands in a workflow.
    pub place: Place,
}

/// Where a call stands in a workflow: what it belongs to and what comes after it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Place {
    /// The first task of the workflow; the task that sends it decides when `None`.
    pub root_id: Option<TaskId>,
    /// The task in whose name it is sent; the one that sends it when `None`.
    pub parent_id: Option<TaskId>,
    /// The group it is a member of.
    pub group: Option<GroupId>,
    /// Its place in that group, from 0.
    pub group_index: Option<i64>,
    /// Signatures to run with its value.
    pub callbacks: Vec<Value>,
    /// Signatures to run when it fails.
    pub errbacks: Vec<Value>,
    /// The rest of the chain, in reverse.
    pub chain: Option<Vec<Value>>,
    /// The body of the chord that it is part of.
    pub chord: Option<Value>,
    /// How often a task replaced itself to get here.
    pub replaced_task_nesting: u32,
    /// Where `rpc://` results go.
    pub reply_to: Option<String>,
    /// The names of its stamps.
    pub stamped_headers: Vec<String>,
    /// Its stamps.
    pub stamps: Map<String, Value>,
}

/// A moment, or a time from now: Celery's `eta` and `countdown`, `expires` as time or as seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// At that moment.
    At(Timestamp),
    /// That long after the send.
    In(Duration),
}

impl When {
    /// The moment, for a send at `now`; the last representable moment when it is later still.
    pub fn resolve(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(moment) => moment,
            Self::In(delay) => crate::clock::after(now, delay),
        }
    }
}

impl From<Duration> for When {
    fn from(delay: Duration) -> Self {
        Self::In(delay)
    }
}

impl From<Timestamp> for When {
    fn from(moment: Timestamp) -> Self {
        Self::At(moment)
    }
}

impl Signature {
    /// A call of the task of that name, without arguments.
    pub fn new(task: impl Into<String>) -> Self {
        Self {
            task: task.into(),
            ..Self::default()
        }
    }

    /// Sets the positional arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = Value>) -> Self {
        self.args = args.into_iter().collect();
        self
    }

    /// Adds a named argument.
    #[must_use]
    pub fn kwarg(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.kwargs.insert(name.into(), value.into());
        self
    }
}
