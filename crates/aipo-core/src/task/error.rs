//! What a task answers instead of a value: a failure, or retry, ignore, reject.

use std::any::type_name;
use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::again::{Expires, Retry};
use super::args::BadArguments;
use crate::canvas::Canvas;
use crate::error::BoxError;
use crate::id::QueueName;
use crate::message::ExceptionInfo;
use crate::signature::When;

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
    Retry(Box<Retry>),
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

    /// Run the task again, after the delay that its options give. Celery's `self.retry()`.
    ///
    /// The methods that follow say what shall be different then; what they do not say stays. They are for
    /// a retry only: any other answer stays as it is.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use aipo_core::task::TaskError;
    /// let slower = TaskError::retry()
    ///     .after(Duration::from_secs(30))
    ///     .max_retries(5)
    ///     .kwarg("batch", 10);
    /// ```
    pub fn retry() -> Self {
        Self(Box::new(Answer::Retry(Box::default())))
    }

    /// After this long; at once for zero. Celery's `countdown`.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        self.change(|retry| retry.when = Some(When::In(delay)))
    }

    /// No earlier than at this moment. Celery's `eta`.
    #[must_use]
    pub fn at(self, moment: Timestamp) -> Self {
        self.change(|retry| retry.when = Some(When::At(moment)))
    }

    /// Because of this error, which is also what the task fails with when there are no retries left.
    /// Celery's `exc`; without it that is a `MaxRetriesExceededError`.
    #[must_use]
    pub fn because(self, error: impl Into<TaskError>) -> Self {
        self.change(|retry| {
            if let Answer::Fail { failure, .. } = *error.into().0 {
                retry.failure = Some(failure);
            }
        })
    }

    /// If it was retried less often than this, whatever the task's options say.
    #[must_use]
    pub fn max_retries(self, retries: u32) -> Self {
        self.change(|retry| retry.max_retries = Some(retries))
    }

    /// With these positional arguments. Named ones stay, except those whose places are taken now.
    #[must_use]
    pub fn args(self, args: impl IntoIterator<Item = Value>) -> Self {
        self.change(|retry| retry.args = Some(args.into_iter().collect()))
    }

    /// With this named argument; those that are given in this way replace all named ones. Positional
    /// ones stay, except that one of this name is replaced in its place.
    #[must_use]
    pub fn kwarg(self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.change(|retry| {
            let kwargs = retry.kwargs.get_or_insert_default();
            kwargs.insert(name.into(), value.into());
        })
    }

    /// Not to be started after this moment, or this long after now. By default its expiry stays.
    #[must_use]
    pub fn expires(self, when: impl Into<When>) -> Self {
        self.change(|retry| retry.expires = Expires::By(when.into()))
    }

    /// Without expiry. Celery's `expires=None`.
    #[must_use]
    pub fn never_expires(self) -> Self {
        self.change(|retry| retry.expires = Expires::Never)
    }

    /// In this queue.
    #[must_use]
    pub fn queue(self, queue: impl Into<QueueName>) -> Self {
        self.change(|retry| retry.queue = Some(queue.into()))
    }

    /// With this priority, from 0, the most urgent, to 9.
    #[must_use]
    pub fn priority(self, priority: u8) -> Self {
        self.change(|retry| retry.priority = Some(priority))
    }

    /// With this hard limit of its run time.
    #[must_use]
    pub fn time_limit(self, limit: Duration) -> Self {
        self.change(|retry| retry.time_limit = Some(limit))
    }

    /// With this soft limit of its run time.
    #[must_use]
    pub fn soft_time_limit(self, limit: Duration) -> Self {
        self.change(|retry| retry.soft_time_limit = Some(limit))
    }

    /// Storing its result or not, from the next run on.
    #[must_use]
    pub fn ignore_result(self, ignore: bool) -> Self {
        self.change(|retry| retry.ignore_result = Some(ignore))
    }

    /// With this header beside those that it has. The names of Celery's own are taken: such a retry is
    /// a failure.
    #[must_use]
    pub fn header(self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.change(|retry| {
            retry.headers.insert(name.into(), value.into());
        })
    }

    fn change(mut self, change: impl FnOnce(&mut Retry)) -> Self {
        if let Answer::Retry(retry) = &mut *self.0 {
            change(retry);
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
            Answer::Retry(retry) => match &retry.failure {
                Some(failure) => write!(f, "retry: {}", failure.exception),
                None => f.write_str("retry"),
            },
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

    /// It told at length, for people: what a result has as its traceback, which Python readers expect with each failure.
    pub fn told(&self) -> String {
        match &self.traceback {
            Some(traceback) => traceback.clone(),
            None => self.exception.to_string(),
        }
    }

    /// What a task that was cancelled is stored with: `revoked`, `terminated` or `expired`.
    pub fn revoked(why: &str) -> Self {
        Self::new("celery.exceptions", "TaskRevokedError", why)
    }

    /// What a task ends with that heeds no soft time limit.
    pub fn soft_time_limit() -> Self {
        Self::with_args("billiard.exceptions", "SoftTimeLimitExceeded", Vec::new())
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
