//! How one delivery of a task ended, whether it ran or not.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::value::RawValue;

use super::again::Retry;
use super::error::Failure;
use crate::canvas::Canvas;
use crate::message::Undecodable;

/// How it ended. [`decide`](super::decide) says what follows.
#[derive(Debug)]
pub enum Outcome {
    /// It returned this value, JSON.
    Success(Box<RawValue>),
    /// It failed: an error, a panic, arguments that do not fit.
    Failure {
        /// The failure as it is told.
        failure: Failure,
        /// Whether its options ask for a retry of such an error.
        retryable: bool,
    },
    /// It asked to be run again.
    Retry(Box<Retry>),
    /// It put a workflow in its own place.
    Replace(Box<Canvas>),
    /// It asked to be forgotten.
    Ignore,
    /// It refused the message.
    Reject {
        /// Whether the message goes back to its queue.
        requeue: bool,
        /// Why, in words.
        reason: String,
    },
    /// It ran longer than its hard limit and was ended.
    TimeLimit(Duration),
    /// It was cancelled.
    Revoked {
        /// Whether it was running already.
        terminated: bool,
    },
    /// It is not to be started yet, which no broker knew.
    NotDue {
        /// When it is.
        due: Timestamp,
    },
    /// It was not to be started any more at this time.
    Expired,
    /// Nobody here knows the task.
    NotRegistered,
    /// The message can't be understood.
    Undecodable(Undecodable),
    /// It was started too often, and each time the worker was lost.
    WorkerLost {
        /// How often it was started.
        deliveries: u32,
    },
    /// The worker ends before the task does, or before it could start.
    Interrupted,
}
