//! The pure part of tasks: arguments, options, and what follows from an outcome. The trait `Task`
//! itself, with its context, is in the crate `aipo`.

mod again;
mod args;
mod decision;
mod error;
mod options;
mod outcome;
mod parameters;
mod rate;
mod retry;

pub use again::{Expires, NextRun, REDELIVERED, Retry};
pub use args::{ArgsReader, BadArguments, TaskArgs};
pub use decision::{Decision, Facts, Stored, decide};
pub use error::{Answer, Failure, TaskError, TaskResult};
pub use options::{ErrorFilter, ErrorType, Policy, TaskOptions};
pub use outcome::Outcome;
pub use parameters::{Parameter, Parameters};
pub use rate::RateLimit;
pub use retry::{DEFAULT_BACKOFF_MAX, DEFAULT_MAX_RETRIES, DEFAULT_RETRY_DELAY, Retries};
