//! A task as workers tell of it: in `active`, `reserved`, `scheduled`, `query_task`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::TaskId;

/// A task that a worker runs or holds. Celery's `request.info()`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskInfo {
    /// Its id.
    pub id: TaskId,
    /// The name to show: its shadow if it has one.
    pub name: String,
    /// Its positional arguments: a list, or a text as Python prints them.
    pub args: Value,
    /// Its named arguments: an object, or a text as Python prints them.
    pub kwargs: Value,
    /// Its own name.
    #[serde(rename = "type")]
    pub kind: String,
    /// The node.
    pub hostname: String,
    /// When it started, in seconds since 1970; `None` before.
    #[serde(default)]
    pub time_start: Option<f64>,
    /// Whether its message is acknowledged.
    #[serde(default)]
    pub acknowledged: bool,
    /// Where its message came from: `exchange`, `routing_key`, `priority`, `redelivered`.
    #[serde(default)]
    pub delivery_info: Value,
    /// The process that runs it; `None` before.
    #[serde(default)]
    pub worker_pid: Option<u32>,
}

/// A task that waits for its time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduledTask {
    /// When it may start, ISO 8601.
    pub eta: String,
    /// Celery's priority of timers, always 6; not the task's.
    pub priority: u8,
    /// The task.
    pub request: TaskInfo,
}
