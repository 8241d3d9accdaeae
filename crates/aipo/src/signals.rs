//! Signals: what happens to tasks and workers, told to whoever wants to know.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use aipo_core::message::Headers;
use aipo_core::task::Failure;
use aipo_core::{QueueName, TaskState};
use serde_json::value::RawValue;

use crate::task::Context;

/// Something that happened, by Celery's names.
#[derive(Debug)]
#[non_exhaustive]
pub enum Signal<'a> {
    /// A message is about to be sent.
    BeforeTaskPublish {
        /// What it says.
        headers: &'a Headers,
        /// Where it goes.
        queue: &'a QueueName,
    },
    /// A message was accepted by the broker.
    AfterTaskPublish {
        /// What it says.
        headers: &'a Headers,
        /// Where it went.
        queue: &'a QueueName,
    },
    /// A worker took a message and will run its task.
    TaskReceived {
        /// What it says.
        headers: &'a Headers,
        /// Where it came from.
        queue: &'a QueueName,
    },
    /// A task is about to run.
    TaskPrerun {
        /// The task.
        cx: &'a Context,
    },
    /// A task has run, whatever came of it.
    TaskPostrun {
        /// The task.
        cx: &'a Context,
        /// The state that follows, where there is one.
        state: Option<&'a TaskState>,
        /// How long it ran.
        duration: Duration,
    },
    /// A task returned a value.
    TaskSuccess {
        /// The task.
        cx: &'a Context,
        /// The value, JSON.
        value: &'a RawValue,
        /// How long it ran.
        duration: Duration,
    },
    /// A task failed for good, or could not be started at all.
    TaskFailure {
        /// What its message says.
        headers: &'a Headers,
        /// Why.
        failure: &'a Failure,
    },
    /// A task failed and will be retried.
    TaskRetry {
        /// What its message says.
        headers: &'a Headers,
        /// Why.
        failure: &'a Failure,
        /// After how long.
        delay: Duration,
    },
    /// A task was revoked, or expired. Told by the worker that drops it, or by the program that revoked it while it waited.
    TaskRevoked {
        /// What its message says.
        headers: &'a Headers,
        /// Why: `revoked`, `terminated` or `expired`.
        failure: &'a Failure,
    },
    /// A worker takes messages from now on.
    WorkerReady {
        /// Its name.
        worker: &'a str,
    },
    /// A worker takes no more messages.
    WorkerShutdown {
        /// Its name.
        worker: &'a str,
    },
}

type Receiver = Arc<dyn Fn(&Signal<'_>) + Send + Sync>;

/// Where signals of an app are sent and received.
///
/// Receivers run where the signal arises, one after the other, so they should be quick; one that
/// panics is logged and does not disturb the task.
#[derive(Default)]
pub struct Signals {
    receivers: RwLock<Vec<Receiver>>,
    /// Read without the lock, since most apps have no receivers and every task asks.
    any: AtomicBool,
}

impl Signals {
    /// Calls `receiver` with every signal from now on.
    pub fn connect(&self, receiver: impl Fn(&Signal<'_>) + Send + Sync + 'static) {
        if let Ok(mut receivers) = self.receivers.write() {
            receivers.push(Arc::new(receiver));
            self.any.store(true, Ordering::Release);
        }
    }

    /// Whether anybody listens.
    pub(crate) fn any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    pub(crate) fn send(&self, signal: &Signal<'_>) {
        if !self.any() {
            return;
        }
        // Cloned out of the lock, so that a receiver may connect another one.
        let receivers = self
            .receivers
            .read()
            .map(|list| list.clone())
            .unwrap_or_default();
        for receiver in receivers {
            let call = std::panic::AssertUnwindSafe(|| receiver(signal));
            if std::panic::catch_unwind(call).is_err() {
                tracing::error!(?signal, "a signal receiver panicked");
            }
        }
    }
}

impl fmt::Debug for Signals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let receivers = self.receivers.read().map_or(0, |list| list.len());
        write!(f, "Signals({receivers} receivers)")
    }
}
