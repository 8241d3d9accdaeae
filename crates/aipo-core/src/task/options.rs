//! How a task behaves: its own options, and what they come to for one message.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use super::rate::RateLimit;
use super::retry::Retries;
use crate::config::Settings;
use crate::id::QueueName;
use crate::message::Headers;

/// The options of a task, for all its calls: the attributes of Celery's `Task`.
///
/// `None` leaves a matter to the settings.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TaskOptions {
    /// Its queue; else `task_routes` or `task_default_queue` decides.
    pub queue: Option<QueueName>,
    /// From 0, the most urgent, to 9; else `task_default_priority`.
    pub priority: Option<u8>,
    /// How often and when it is retried.
    pub retries: Retries,
    /// Which errors are retried without being asked. Default: none. Celery's `autoretry_for`.
    pub autoretry_for: ErrorFilter,
    /// Which are not, although `autoretry_for` has them. Celery's `dont_autoretry_for`.
    pub dont_autoretry_for: ErrorFilter,
    /// The hard limit of its run time; else `task_time_limit`.
    pub time_limit: Option<Duration>,
    /// The soft limit; else `task_soft_time_limit`.
    pub soft_time_limit: Option<Duration>,
    /// How often it may start in one worker; else `task_default_rate_limit`.
    pub rate_limit: Option<RateLimit>,
    /// How long after its send it may still start; for ever when `None`.
    pub expires: Option<Duration>,
    /// Whether it is acknowledged after it ran; else `task_acks_late`.
    pub acks_late: Option<bool>,
    /// Whether its result is not stored; else `task_ignore_result`.
    pub ignore_result: Option<bool>,
    /// Whether failures are stored even so; else `task_store_errors_even_if_ignored`.
    pub store_errors_even_if_ignored: Option<bool>,
    /// Whether `STARTED` is stored; else `task_track_started`.
    pub track_started: Option<bool>,
    /// How often it may be started when workers die of it; else `task_max_deliveries`, which says what counts.
    pub max_deliveries: Option<u32>,
    /// Whether, used as an errback, it takes the failed request, the exception and the traceback while more than
    /// one of its parameters is open; otherwise it is given the id of the failed task. Default: the id. Celery
    /// goes by the parameters alone.
    pub errback_takes_request: bool,
}

/// Selects errors by their type.
#[derive(Clone, Default)]
pub enum ErrorFilter {
    /// No error.
    #[default]
    None,
    /// Every error.
    Any,
    /// Errors of these types.
    Types(Vec<ErrorType>),
}

/// A type of errors, for [`ErrorFilter`].
#[derive(Clone, Copy)]
pub struct ErrorType {
    name: &'static str,
    matches: fn(&(dyn StdError + 'static)) -> bool,
}

impl ErrorType {
    /// The errors of type `E`.
    pub fn of<E: StdError + 'static>() -> Self {
        Self {
            name: std::any::type_name::<E>(),
            matches: |error| error.is::<E>(),
        }
    }
}

impl ErrorFilter {
    /// Whether the filter selects this error. An error without a type of its own, such as
    /// `TaskError::fail("…")`, is selected only by [`ErrorFilter::Any`].
    pub fn selects(&self, error: Option<&(dyn StdError + 'static)>) -> bool {
        match self {
            Self::None => false,
            Self::Any => true,
            Self::Types(types) => {
                error.is_some_and(|error| types.iter().any(|of| (of.matches)(error)))
            }
        }
    }
}

impl fmt::Debug for ErrorFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Any => f.write_str("any"),
            Self::Types(types) => f
                .debug_list()
                .entries(types.iter().map(|of| of.name))
                .finish(),
        }
    }
}

impl PartialEq for ErrorFilter {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::None, Self::None) | (Self::Any, Self::Any) => true,
            (Self::Types(these), Self::Types(those)) => these
                .iter()
                .map(|of| of.name)
                .eq(those.iter().map(|of| of.name)),
            _ => false,
        }
    }
}

/// What options, settings and headers come to for one message.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// How often and when it is retried.
    pub retries: Retries,
    /// The hard limit of its run time.
    pub time_limit: Option<Duration>,
    /// The soft limit of its run time.
    pub soft_time_limit: Option<Duration>,
    /// Whether it is acknowledged after it ran.
    pub acks_late: bool,
    /// Whether its value is stored.
    pub store_result: bool,
    /// Whether its failures and retries are stored.
    pub store_errors: bool,
    /// Whether `STARTED` is stored.
    pub track_started: bool,
    /// How often it may be started in all.
    pub max_deliveries: u32,
}

impl Policy {
    /// Resolves in this order: the message's headers, the task's options, the settings.
    pub fn resolve(headers: &Headers, options: &TaskOptions, settings: &Settings) -> Self {
        let ignore_result = headers
            .ignore_result
            .or(options.ignore_result)
            .unwrap_or(settings.task_ignore_result);
        let store_errors_even_if_ignored = options
            .store_errors_even_if_ignored
            .unwrap_or(settings.task_store_errors_even_if_ignored);
        Self {
            retries: options.retries,
            time_limit: headers
                .timelimit
                .hard()
                .or(options.time_limit)
                .or(settings.task_time_limit),
            soft_time_limit: headers
                .timelimit
                .soft()
                .or(options.soft_time_limit)
                .or(settings.task_soft_time_limit),
            acks_late: options.acks_late.unwrap_or(settings.task_acks_late),
            store_result: !ignore_result,
            store_errors: !ignore_result || store_errors_even_if_ignored,
            track_started: options.track_started.unwrap_or(settings.task_track_started),
            max_deliveries: options
                .max_deliveries
                .unwrap_or(settings.task_max_deliveries),
        }
    }
}
