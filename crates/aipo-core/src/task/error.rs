//! What a task answers instead of a value: a failure, or retry, ignore, reject.

use std::any::type_name;
use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use serde_json::Value;

use super::args::BadArguments;
use crate::canvas::Canvas;
use crate::error::BoxError;
use crate::message::ExceptionInfo;

/// The result of a task.
pub type TaskResult<T> = Result<T, TaskError>;

/// How a task ends when it does not return a value.
///
/// Any error becomes a failure with `?`. The other answers are values as well: return
/// [`TaskError::retry`], [`TaskError::ignore`] or [`TaskError::reject`].
pub struct TaskError(Box<Answer>);

/// The answers there are.
#[derive(Debug)]
#[non_exhaustive]
pub enum Answer {
    /// It failed. The task's options may still turn this into a retry (`autoretry_for`).
    Fail {
        /// The failure as it will be told.
        failure: Failure,
        /// The error itself, for `autoretry_for` to look at.
        error: Option<BoxError>,
    },
    /// Run it again. Celery's `self.retry()`.
    Retry {
        /// How long to wait; the task's options decide when `None`.
        countdown: Option<Duration>,
        /// Why, and what it fails with when there are no retries left.
        failure: Option<Failure>,
    },
    /// Put this in its place. Celery's `self.replace()`.
    Replace(Box<Canvas>),
    /// Store nothing and be done. Celery's `Ignore`.
    Ignore,
    /// Give the message back, or up. Celery's `Reject`.
    Reject {
        /// Whether the message goes back to its queue; otherwise it becomes a dead letter.
        requeue: bool,
        /// Why, in words.
        reason: String,
    },
}

/// A failure as it is stored: what Python needs to raise a sensible exception, and the whole story
/// for people.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// Type, arguments and module of the exception.
    pub exception: ExceptionInfo,
    /// The error with its chain of sources.
    pub traceback: Option<String>,
}

impl TaskError {
    /// A failure with this message; Python raises it as a `RuntimeError`.
    pub fn fail(message: impl Into<String>) -> Self {
        Self::failure(Failure::new("builtins", "RuntimeError", message.into()))
    }

    /// A failure that says itself what Python shall raise.
    pub fn failure(failure: Failure) -> Self {
        Self(Box::new(Answer::Fail {
            failure,
            error: None,
        }))
    }

    /// A failure from an error whose type is only known at run time.
    pub fn from_boxed(error: BoxError) -> Self {
        let failure = Failure::from_error("builtins.RuntimeError", &*error);
        Self(Box::new(Answer::Fail {
            failure,
            error: Some(error),
        }))
    }

    /// Run the task again, after the delay that its options give.
    pub fn retry() -> Self {
        Self(Box::new(Answer::Retry {
            countdown: None,
            failure: None,
        }))
    }

    /// For a retry: after this long. Other answers stay as they are.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        if let Answer::Retry { countdown, .. } = &mut *self.0 {
            *countdown = Some(delay);
        }
        self
    }

    /// For a retry: because of this error, which is also what it fails with in the end. Other
    /// answers stay as they are.
    #[must_use]
    pub fn because(mut self, error: impl Into<TaskError>) -> Self {
        if let Answer::Retry { failure, .. } = &mut *self.0
            && let Answer::Fail { failure: cause, .. } = *error.into().0
        {
            *failure = Some(cause);
        }
        self
    }

    /// Put a workflow in the task's place: what waits for the task waits for that, and what follows the task
    /// follows that.
    pub fn replace(with: impl Into<Canvas>) -> Self {
        Self(Box::new(Answer::Replace(Box::new(with.into()))))
    }

    /// Be done and store nothing.
    pub fn ignore() -> Self {
        Self(Box::new(Answer::Ignore))
    }

    /// Give the message up: it becomes a dead letter and the task a failure.
    pub fn reject(reason: impl Into<String>) -> Self {
        Self(Box::new(Answer::Reject {
            requeue: false,
            reason: reason.into(),
        }))
    }

    /// Give the message back to its queue.
    pub fn requeue() -> Self {
        Self(Box::new(Answer::Reject {
            requeue: true,
            reason: String::new(),
        }))
    }

    /// The answer itself.
    pub fn into_answer(self) -> Answer {
        *self.0
    }

    /// The answer itself.
    pub fn answer(&self) -> &Answer {
        &self.0
    }
}

impl<E: StdError + Send + Sync + 'static> From<E> for TaskError {
    fn from(error: E) -> Self {
        let failure = Failure::from_error(type_name::<E>(), &error);
        Self(Box::new(Answer::Fail {
            failure,
            error: Some(Box::new(error)),
        }))
    }
}

impl fmt::Debug for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Answer::Fail { failure, .. } => failure.exception.fmt(f),
            Answer::Retry {
                failure: Some(failure),
                ..
            } => write!(f, "retry: {}", failure.exception),
            Answer::Retry { .. } => f.write_str("retry"),
            Answer::Replace(canvas) => write!(f, "replace by {}", canvas.name()),
            Answer::Ignore => f.write_str("ignore"),
            Answer::Reject { reason, .. } => write!(f, "reject: {reason}"),
        }
    }
}

impl Failure {
    /// A failure of this Python type with one text as its argument.
    pub fn new(module: &str, name: &str, message: impl Into<Value>) -> Self {
        Self::with_args(module, name, vec![message.into()])
    }

    /// A failure of this Python type with these arguments.
    pub fn with_args(module: &str, name: &str, args: Vec<Value>) -> Self {
        Self {
            exception: ExceptionInfo {
                exc_type: name.to_owned(),
                exc_message: Value::Array(args),
                exc_module: Some(module.to_owned()),
            },
            traceback: None,
        }
    }

    /// What a task that was cancelled is stored with: `revoked`, `terminated` or `expired`.
    pub fn revoked(why: &str) -> Self {
        Self::new("celery.exceptions", "TaskRevokedError", why)
    }

    /// An error under the name of its Rust type. A Python reader that does not know the module
    /// makes an exception class of that name.
    pub fn from_error(type_name: &str, error: &(dyn StdError + 'static)) -> Self {
        let path = type_name
            .split('<')
            .next()
            .unwrap_or(type_name)
            .replace("::", ".");
        let (module, name) = path.rsplit_once('.').unwrap_or(("rust", &path));
        let mut failure = Self::new(module, name, error.to_string());
        let mut story = failure.exception.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            story.push_str("\n  caused by: ");
            story.push_str(&cause.to_string());
            source = cause.source();
        }
        failure.traceback = Some(story);
        failure
    }
}

impl From<BadArguments> for Failure {
    fn from(bad: BadArguments) -> Self {
        Self::new("builtins", "TypeError", bad.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_keeps_type_message_and_sources() {
        let cause = "x".parse::<i32>().expect_err("no number");
        let error = crate::Error::new(crate::ErrorKind::Config, "bad port").caused_by(cause);
        let Answer::Fail { failure, .. } = TaskError::from(error).into_answer() else {
            panic!("an error is a failure")
        };
        assert_eq!(failure.exception.exc_type, "Error");
        assert_eq!(
            failure.exception.exc_module.as_deref(),
            Some("aipo_core.error")
        );
        assert_eq!(
            failure.exception.exc_message,
            serde_json::json!(["bad port"])
        );
        assert_eq!(
            failure.traceback.as_deref(),
            Some("Error: bad port\n  caused by: invalid digit found in string")
        );
    }
}
