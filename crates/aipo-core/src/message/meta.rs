//! What is stored of a task's outcome: Celery's result meta.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::error::{Error, ErrorKind, Result};
use crate::id::{GroupId, TaskId};
use crate::state::TaskState;

/// The stored outcome of a task, as Celery's backends write it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TaskMeta {
    /// The state.
    pub status: TaskState,
    /// The value returned (`SUCCESS`), an [`ExceptionInfo`] (`FAILURE`, `RETRY`, `REVOKED`), or
    /// what the state wants to tell.
    pub result: Box<RawValue>,
    /// The failure told at length, for people.
    pub traceback: Option<String>,
    /// The tasks that it sent, as Celery's result tuples.
    #[serde(default)]
    pub children: Option<Vec<Value>>,
    /// When it ended; null unless the state is ready.
    #[serde(default)]
    pub date_done: Option<String>,
    /// Whose it is.
    pub task_id: TaskId,
    /// The group the task is a member of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_id: Option<GroupId>,
    /// The task that sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<TaskId>,
    /// What `result_extended` adds (name, args, kwargs, worker, retries, queue), and stamps.
    #[serde(flatten)]
    pub extended: Map<String, Value>,
}

/// An exception as a result carries it, from which Python rebuilds one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExceptionInfo {
    /// The class's name.
    pub exc_type: String,
    /// The arguments it was made with; usually one text.
    pub exc_message: Value,
    /// The class's module.
    #[serde(default)]
    pub exc_module: Option<String>,
}

impl TaskMeta {
    /// Reads a stored meta.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`] when the bytes are no meta.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        serde_json::from_slice(bytes).map_err(|source| {
            Error::new(ErrorKind::Codec, "stored result is no result meta").caused_by(source)
        })
    }

    /// The bytes to store.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a meta has text keys only, which JSON can hold")
    }

    /// The exception, where the state has one.
    pub fn exception(&self) -> Option<ExceptionInfo> {
        serde_json::from_str(self.result.get()).ok()
    }
}

impl ExceptionInfo {
    /// The arguments as one text.
    pub fn message(&self) -> String {
        match &self.exc_message {
            Value::Array(parts) => {
                let parts: Vec<String> = parts.iter().map(plain).collect();
                parts.join(", ")
            }
            other => plain(other),
        }
    }
}

impl std::fmt::Display for ExceptionInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.exc_type)?;
        let text = self.message();
        if text.is_empty() {
            Ok(())
        } else {
            write!(f, ": {text}")
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}
