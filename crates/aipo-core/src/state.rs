//! The states a task goes through, by Celery's names.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Where a task stands.
///
/// Wire: `status` of a result. `Pending` is never stored: it is what a waiting task is said to be.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TaskState {
    /// Waiting in a queue, or parked until its ETA.
    Pending,
    /// A worker holds it. Only announced, not stored.
    Received,
    /// It runs. Stored only with `task_track_started`.
    Started,
    /// It failed and will run again.
    Retry,
    /// It returned a value.
    Success,
    /// It failed for good.
    Failure,
    /// It was cancelled or expired before it could end.
    Revoked,
    /// A worker refused it. Only announced, not stored.
    Rejected,
    /// A state of the task's own, such as `PROGRESS`.
    Custom(String),
}

impl TaskState {
    /// The name as Celery writes it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Pending => "PENDING",
            Self::Received => "RECEIVED",
            Self::Started => "STARTED",
            Self::Retry => "RETRY",
            Self::Success => "SUCCESS",
            Self::Failure => "FAILURE",
            Self::Revoked => "REVOKED",
            Self::Rejected => "REJECTED",
            Self::Custom(name) => name,
        }
    }

    /// Whether nothing comes after it: Celery's `READY_STATES`.
    pub fn is_ready(&self) -> bool {
        matches!(self, Self::Success | Self::Failure | Self::Revoked)
    }
}

impl From<&str> for TaskState {
    fn from(name: &str) -> Self {
        match name {
            "PENDING" => Self::Pending,
            "RECEIVED" => Self::Received,
            "STARTED" => Self::Started,
            "RETRY" => Self::Retry,
            "SUCCESS" => Self::Success,
            "FAILURE" => Self::Failure,
            "REVOKED" => Self::Revoked,
            "REJECTED" => Self::Rejected,
            other => Self::Custom(other.to_owned()),
        }
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for TaskState {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for TaskState {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let name = std::borrow::Cow::<'de, str>::deserialize(from)?;
        Ok(Self::from(&*name))
    }
}
