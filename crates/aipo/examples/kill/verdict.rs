//! Judges the evidence of a trial. Pure.
//!
//! 1. Every task has an effect: a run of it ended.
//! 2. Every task is in one final state, `SUCCESS`, with the result of a run that ended.
//! 3. Nothing is left in the queue: not ready, parked, in flight or dead.
//! 4. A task ran again only after a worker was killed that held it: each further run has a kill of
//!    its own, which came before it.
//! 5. What a killed worker held ran again soon.
//! 6. The trial tried something: workers were killed while they held tasks.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aipo::TaskState;
use aipo_core::store::QueueStats;
use serde_json::{Value, json};

use crate::effects::{Effect, What};
use crate::options::Options;

/// How many offenders a failed check names.
const SHOWN: usize = 5;

/// What is known when a trial is over.
pub(crate) struct Evidence {
    pub(crate) tasks: u32,
    /// From the start of the sender to the last result.
    pub(crate) took: Duration,
    /// Whether tasks had not ended when the time was over.
    pub(crate) given_up: bool,
    pub(crate) effects: Vec<Effect>,
    pub(crate) kills: Vec<Kill>,
    /// How each task ended, by number.
    pub(crate) endings: Vec<Ending>,
    pub(crate) queues: Vec<QueueStats>,
}

/// A worker was killed.
pub(crate) struct Kill {
    pub(crate) worker: u32,
    /// Nanoseconds since 1970.
    pub(crate) at: i64,
    /// The tasks that it had begun and not settled.
    pub(crate) held: BTreeSet<u32>,
}

/// How a task ended.
pub(crate) enum Ending {
    Success { worker: u32 },
    Other(TaskState),
    Nothing,
}

/// The figures, and what is wrong.
pub(crate) struct Verdict {
    tasks: u32,
    took: Duration,
    kills: usize,
    /// Tasks in flight at a kill, all kills together.
    held: usize,
    /// Runs beyond the first of each task.
    repeats: usize,
    /// For each task that was held at a kill, the time until it ran again; sorted.
    recoveries: Vec<Duration>,
    wrong: Vec<String>,
}

impl Verdict {
    pub(crate) fn of(evidence: &Evidence, recovery_limit: Duration) -> Self {
        let runs = Runs::of(&evidence.effects);
        let mut verdict = Self {
            tasks: evidence.tasks,
            took: evidence.took,
            kills: evidence.kills.len(),
            held: evidence.kills.iter().map(|kill| kill.held.len()).sum(),
            repeats: runs.repeats(),
            recoveries: Vec::new(),
            wrong: Vec::new(),
        };
        if evidence.given_up {
            let problem = format!("not all tasks have ended after {:?}", evidence.took);
            verdict.wrong.push(problem);
        }
        verdict.every_task_has_an_effect(evidence, &runs);
        verdict.every_task_succeeded_once(evidence, &runs);
        verdict.nothing_is_left(&evidence.queues);
        verdict.repeats_have_a_cause(evidence, &runs);
        verdict.recovery_was_soon(evidence, &runs, recovery_limit);
        if verdict.held == 0 {
            verdict.wrong.push(format!(
                "nothing was tried: none of {} kills hit a worker that held a task",
                verdict.kills
            ));
        }
        verdict
    }

    /// Whether nothing is wrong.
    pub(crate) fn holds(&self) -> bool {
        self.wrong.is_empty()
    }

    fn every_task_has_an_effect(&mut self, evidence: &Evidence, runs: &Runs) {
        let lost = (0..evidence.tasks).filter(|&task| runs.ended(task).is_empty());
        self.blame("tasks without an effect", lost);
    }

    fn every_task_succeeded_once(&mut self, evidence: &Evidence, runs: &Runs) {
        let numbered = || (0..).zip(&evidence.endings);
        if evidence.endings.len() != evidence.tasks as usize {
            let known = evidence.endings.len();
            self.wrong.push(format!("only {known} endings are known"));
        }
        let nothing = numbered().filter(|(_, ending)| matches!(ending, Ending::Nothing));
        self.blame("tasks without a result", nothing.map(|(task, _)| task));
        let failed = numbered().filter_map(|(task, ending)| match ending {
            Ending::Other(state) => Some(format!("{task} is {state:?}")),
            _ => None,
        });
        self.blame("tasks that did not succeed", failed);
        let invented = numbered().filter(|(task, ending)| match ending {
            Ending::Success { worker } => !runs.ended(*task).contains(worker),
            _ => false,
        });
        self.blame("results of no run", invented.map(|(task, _)| task));
    }

    fn nothing_is_left(&mut self, queues: &[QueueStats]) {
        let left = queues
            .iter()
            .filter(|queue| queue.ready + queue.parked + queue.in_flight + queue.dead > 0);
        self.blame(
            "queues that are not empty",
            left.map(|queue| format!("{queue:?}")),
        );
    }

    fn repeats_have_a_cause(&mut self, evidence: &Evidence, runs: &Runs) {
        let mut causes: BTreeMap<u32, Vec<i64>> = BTreeMap::new();
        for kill in &evidence.kills {
            for &task in &kill.held {
                causes.entry(task).or_default().push(kill.at);
            }
        }
        let uncaused = runs.began.iter().filter(|(task, began)| {
            let causes = causes.get(task).map_or(&[][..], Vec::as_slice);
            let repeats = &began[1..];
            let each_after_its_cause = repeats
                .iter()
                .zip(causes)
                .all(|((at, _), cause)| at > cause);
            repeats.len() > causes.len() || !each_after_its_cause
        });
        self.blame(
            "tasks that ran again without cause",
            uncaused.map(|(task, _)| task),
        );
    }

    fn recovery_was_soon(&mut self, evidence: &Evidence, runs: &Runs, limit: Duration) {
        let mut never = Vec::new();
        for kill in &evidence.kills {
            for &task in &kill.held {
                let began = runs.began.get(&task).map_or(&[][..], Vec::as_slice);
                let again = began
                    .iter()
                    .find(|(at, worker)| *at > kill.at && *worker != kill.worker);
                match again {
                    Some((at, _)) => self
                        .recoveries
                        .push(Duration::from_nanos((at - kill.at).unsigned_abs())),
                    None => never.push(task),
                }
            }
        }
        self.recoveries.sort_unstable();
        self.blame("tasks held by a killed worker that never ran again", never);
        if self.longest_recovery() >= limit {
            self.wrong.push(format!(
                "a task ran again only {:?} after the kill, and not within {limit:?}",
                self.longest_recovery()
            ));
        }
    }

    /// Notes a check that does not hold, with the first few offenders.
    fn blame(&mut self, what: &str, offenders: impl IntoIterator<Item = impl std::fmt::Display>) {
        let offenders: Vec<String> = offenders.into_iter().map(|name| name.to_string()).collect();
        if offenders.is_empty() {
            return;
        }
        let shown = offenders[..offenders.len().min(SHOWN)].join(", ");
        let more = if offenders.len() > SHOWN { ", …" } else { "" };
        self.wrong
            .push(format!("{} {what}: {shown}{more}", offenders.len()));
    }

    fn longest_recovery(&self) -> Duration {
        self.recoveries.last().copied().unwrap_or_default()
    }

    fn median_recovery(&self) -> Duration {
        let middle = self.recoveries.len() / 2;
        self.recoveries.get(middle).copied().unwrap_or_default()
    }

    /// For people.
    pub(crate) fn table(&self, options: &Options) -> String {
        let seconds = |time: Duration| format!("{:.1} s", time.as_secs_f64());
        let rows = [
            ("tasks", self.tasks.to_string()),
            (
                "workers",
                format!(
                    "{} at a time, {} slots each",
                    options.workers, options.slots
                ),
            ),
            ("lease", seconds(options.lease)),
            ("time", seconds(self.took)),
            ("workers killed", self.kills.to_string()),
            ("tasks in flight at a kill", self.held.to_string()),
            ("runs beyond the first", self.repeats.to_string()),
            ("recovery, median", seconds(self.median_recovery())),
            ("recovery, longest", seconds(self.longest_recovery())),
            ("seed", options.seed.to_string()),
        ];
        let mut text: String = rows
            .iter()
            .map(|(name, value)| format!("{name:26} {value}\n"))
            .collect();
        for problem in &self.wrong {
            text.push_str(&format!("WRONG: {problem}\n"));
        }
        text.push_str(match self.holds() {
            true => "every task took effect, ended in SUCCESS, and ran again only after a kill",
            false => "NOT ALL CHECKS HOLD",
        });
        text
    }

    /// For programs.
    pub(crate) fn json(&self, options: &Options) -> Value {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        json!({
            "tasks": self.tasks,
            "workers": options.workers,
            "slots": options.slots,
            "lease_ms": millis(options.lease),
            "seed": options.seed,
            "took_ms": millis(self.took),
            "kills": self.kills,
            "in_flight_at_kills": self.held,
            "repeats": self.repeats,
            "recovery_median_ms": millis(self.median_recovery()),
            "recovery_longest_ms": millis(self.longest_recovery()),
            "wrong": self.wrong,
        })
    }
}

/// The effects by task.
struct Runs {
    /// When each run began, and in which worker; by time.
    began: BTreeMap<u32, Vec<(i64, u32)>>,
    /// The workers in which a run ended.
    ended: BTreeMap<u32, Vec<u32>>,
}

impl Runs {
    fn of(effects: &[Effect]) -> Self {
        let mut runs = Self {
            began: BTreeMap::new(),
            ended: BTreeMap::new(),
        };
        for effect in effects {
            let Effect {
                task, worker, at, ..
            } = *effect;
            match effect.what {
                What::Began => runs.began.entry(task).or_default().push((at, worker)),
                What::Ended => runs.ended.entry(task).or_default().push(worker),
            }
        }
        runs.began
            .values_mut()
            .for_each(|began| began.sort_unstable());
        runs
    }

    fn ended(&self, task: u32) -> &[u32] {
        self.ended.get(&task).map_or(&[], Vec::as_slice)
    }

    fn repeats(&self) -> usize {
        self.began.values().map(|began| began.len() - 1).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_nanos(100);

    fn effect(task: u32, worker: u32, at: i64, what: What) -> Effect {
        Effect {
            task,
            worker,
            at,
            what,
        }
    }

    /// Two tasks; worker 0 is killed in the middle of task 1, and worker 1 runs it again.
    fn good() -> Evidence {
        Evidence {
            tasks: 2,
            took: Duration::from_secs(1),
            given_up: false,
            effects: vec![
                effect(0, 0, 10, What::Began),
                effect(0, 0, 20, What::Ended),
                effect(1, 0, 30, What::Began),
                effect(1, 1, 90, What::Began),
                effect(1, 1, 95, What::Ended),
            ],
            kills: vec![Kill {
                worker: 0,
                at: 40,
                held: BTreeSet::from([1]),
            }],
            endings: vec![Ending::Success { worker: 0 }, Ending::Success { worker: 1 }],
            queues: vec![queue()],
        }
    }

    fn queue() -> QueueStats {
        QueueStats {
            queue: "kill".into(),
            ready: 0,
            parked: 0,
            in_flight: 0,
            dead: 0,
        }
    }

    #[test]
    fn a_good_trial_holds_and_has_figures() {
        let verdict = Verdict::of(&good(), LIMIT);
        assert_eq!(verdict.wrong, Vec::<String>::new());
        assert_eq!((verdict.held, verdict.repeats), (1, 1));
        assert_eq!(verdict.longest_recovery(), Duration::from_nanos(50));
    }

    #[test]
    fn each_broken_promise_is_seen() {
        #[track_caller]
        fn check(spoil: impl FnOnce(&mut Evidence), expected: &[&str]) {
            let mut evidence = good();
            spoil(&mut evidence);
            assert_eq!(Verdict::of(&evidence, LIMIT).wrong, expected);
        }
        check(
            |evidence| evidence.given_up = true,
            &["not all tasks have ended after 1s"],
        );
        check(
            |evidence| _ = evidence.effects.remove(1),
            &["1 tasks without an effect: 0", "1 results of no run: 0"],
        );
        check(
            |evidence| _ = evidence.endings.pop(),
            &["only 1 endings are known"],
        );
        check(
            |evidence| evidence.endings[0] = Ending::Nothing,
            &["1 tasks without a result: 0"],
        );
        check(
            |evidence| evidence.endings[0] = Ending::Other(TaskState::Failure),
            &["1 tasks that did not succeed: 0 is Failure"],
        );
        check(
            |evidence| evidence.endings[0] = Ending::Success { worker: 1 },
            &["1 results of no run: 0"],
        );
        check(
            |evidence| evidence.queues[0].dead = 1,
            &[
                "1 queues that are not empty: QueueStats { queue: \"kill\", ready: 0, \
                 parked: 0, in_flight: 0, dead: 1 }",
            ],
        );
        check(
            |evidence| evidence.effects.push(effect(0, 1, 60, What::Began)),
            &["1 tasks that ran again without cause: 0"],
        );
        check(
            |evidence| evidence.effects.push(effect(1, 2, 35, What::Began)),
            &["1 tasks that ran again without cause: 1"],
        );
        check(
            |evidence| evidence.effects[3].at = 140,
            &["a task ran again only 100ns after the kill, and not within 100ns"],
        );
        check(
            |evidence| {
                evidence.effects.truncate(3);
                evidence.endings[1] = Ending::Nothing;
            },
            &[
                "1 tasks without an effect: 1",
                "1 tasks without a result: 1",
                "1 tasks held by a killed worker that never ran again: 1",
            ],
        );
        check(
            |evidence| {
                evidence.kills.clear();
                evidence.effects.remove(2);
            },
            &["nothing was tried: none of 0 kills hit a worker that held a task"],
        );
    }
}
