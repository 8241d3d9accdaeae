//! Time limits that an operator has set while the worker runs.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aipo_core::task::Policy;

/// The limits of tasks by name; what is not set is left as message, options and settings say.
#[derive(Default)]
pub(crate) struct Limits(Mutex<HashMap<String, Limit>>);

#[derive(Clone, Copy)]
struct Limit {
    hard: Option<Duration>,
    soft: Option<Duration>,
}

impl Limits {
    pub(crate) fn set(&self, task: &str, hard: Option<Duration>, soft: Option<Duration>) {
        let mut limits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        limits.insert(task.to_owned(), Limit { hard, soft });
    }

    /// Puts the limits of a task in place of those that it has.
    pub(crate) fn apply(&self, task: &str, policy: &mut Policy) {
        let limits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Limit { hard, soft }) = limits.get(task) else {
            return;
        };
        policy.time_limit = hard.or(policy.time_limit);
        policy.soft_time_limit = soft.or(policy.soft_time_limit);
    }
}
