//! The task that is measured, and the tally of its runs.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aipo_core::task::{ArgsReader, BadArguments, Parameter, Parameters, TaskArgs, TaskResult};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::{Context, Task};

/// Indices from here on are warm-up: they run, but are neither counted nor checked.
pub(super) const WARM_UP: u64 = 1 << 40;

/// The argument: a small record such as applications send.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Payload {
    id: u64,
    kind: Cow<'static, str>,
    to: Cow<'static, str>,
    tags: Vec<Cow<'static, str>>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    padding: String,
}

impl Payload {
    pub(super) fn new(id: u64, padding: usize) -> Self {
        Self {
            id,
            kind: "email.welcome".into(),
            to: "user@example.com".into(),
            tags: vec!["a".into(), "b".into()],
            padding: "x".repeat(padding),
        }
    }
}

/// What the task returns.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Done {
    pub(super) id: u64,
    pub(super) ok: bool,
}

/// The arguments of the task.
pub(super) struct JobArgs {
    pub(super) payload: Payload,
}

// By hand, since the macros name this crate from outside.
impl TaskArgs for JobArgs {
    const PARAMETERS: Parameters = Parameters {
        positional: &[Parameter {
            name: "payload",
            required: true,
        }],
        ..Parameters::NONE
    };

    fn decode(mut reader: ArgsReader<'_>) -> Result<Self, BadArguments> {
        let payload = reader.required("payload")?;
        Ok(Self { payload })
    }

    fn encode(self) -> serde_json::Result<(Vec<Value>, Map<String, Value>)> {
        Ok((vec![serde_json::to_value(self.payload)?], Map::new()))
    }
}

/// Takes its argument apart, counts its run, and returns.
pub(super) struct Job {
    pub(super) tally: Arc<Tally>,
}

impl Task for Job {
    const NAME: &'static str = "aipo.bench";
    type Args = JobArgs;
    type Output = Done;

    async fn run(&self, _cx: &Context, args: JobArgs) -> TaskResult<Done> {
        let id = args.payload.id;
        self.tally.count(id);
        Ok(Done { id, ok: true })
    }
}

/// Which tasks ran, one bit for each, and whether one ran twice.
pub(super) struct Tally {
    seen: Vec<AtomicU64>,
    expected: u64,
    since: Instant,
    ran: AtomicU64,
    double: AtomicU64,
    /// Nanoseconds from `since` to the first run; `u64::MAX` before it.
    first: AtomicU64,
    /// Nanoseconds from `since` to the moment when all had run.
    last: AtomicU64,
    complete: Notify,
}

/// What the tally says in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Counted {
    /// How many of the tasks ran.
    pub(super) ran: u64,
    /// How many did not.
    pub(super) missing: u64,
    /// How many runs there were beyond the first of each task.
    pub(super) double: u64,
}

impl Tally {
    /// A tally for the tasks with indices below `expected`.
    pub(super) fn new(expected: u64) -> Self {
        Self {
            seen: (0..expected.div_ceil(64))
                .map(|_| AtomicU64::new(0))
                .collect(),
            expected,
            since: Instant::now(),
            ran: AtomicU64::new(0),
            double: AtomicU64::new(0),
            first: AtomicU64::new(u64::MAX),
            last: AtomicU64::new(0),
            complete: Notify::new(),
        }
    }

    fn count(&self, id: u64) {
        if id >= self.expected {
            return;
        }
        let bit = 1 << (id % 64);
        let word = &self.seen[(id / 64) as usize];
        if word.fetch_or(bit, Ordering::Relaxed) & bit != 0 {
            self.double.fetch_add(1, Ordering::Relaxed);
            return;
        }
        // The clock is read twice in a run, not for each task.
        let before = self.ran.fetch_add(1, Ordering::AcqRel);
        if before == 0 {
            self.first.store(self.elapsed(), Ordering::Release);
        }
        if before + 1 == self.expected {
            self.last.store(self.elapsed(), Ordering::Release);
            self.complete.notify_one();
        }
    }

    fn elapsed(&self) -> u64 {
        self.since.elapsed().as_nanos() as u64
    }

    /// How many tasks have run so far.
    pub(super) fn ran(&self) -> u64 {
        self.ran.load(Ordering::Acquire)
    }

    /// When the first task ran; `None` before.
    pub(super) fn first(&self) -> Option<Instant> {
        match self.first.load(Ordering::Acquire) {
            u64::MAX => None,
            nanos => Some(self.since + Duration::from_nanos(nanos)),
        }
    }

    /// When all tasks had run.
    pub(super) fn last(&self) -> Instant {
        self.since + Duration::from_nanos(self.last.load(Ordering::Acquire))
    }

    /// Waits until every task has run; false when none does for `patience`.
    pub(super) async fn complete(&self, patience: Duration) -> bool {
        let mut before = self.ran();
        while before < self.expected {
            let waited = tokio::time::timeout(patience, self.complete.notified()).await;
            let ran = self.ran();
            if waited.is_err() && ran == before {
                return false;
            }
            before = ran;
        }
        true
    }

    /// What ran and what did not.
    pub(super) fn counted(&self) -> Counted {
        let bits = |word: &AtomicU64| u64::from(word.load(Ordering::Acquire).count_ones());
        let ran = self.seen.iter().map(bits).sum();
        Counted {
            ran,
            missing: self.expected - ran,
            double: self.double.load(Ordering::Acquire),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tells_what_is_missing_and_what_ran_twice() {
        let tally = Tally::new(70);
        for id in (0..70).filter(|id| *id != 65).chain([3, 3, WARM_UP]) {
            tally.count(id);
        }
        let counted = Counted {
            ran: 69,
            missing: 1,
            double: 2,
        };
        assert_eq!(tally.counted(), counted);
    }

    #[tokio::test(start_paused = true)]
    async fn gives_up_when_nothing_runs_any_more() {
        let tally = Tally::new(2);
        tally.count(0);
        assert!(!tally.complete(Duration::from_secs(30)).await);
        tally.count(1);
        assert!(tally.complete(Duration::from_secs(30)).await);
    }
}
