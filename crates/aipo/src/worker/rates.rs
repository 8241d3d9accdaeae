//! Rate limits: how often each task may start in this worker.
//!
//! A task whose turn has not come holds nothing: its message is parked in the store until then. Turns are given out
//! one after the other, so that of many messages each is parked once as a rule, and not all of them
//! every time one may start.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aipo_core::Settings;
use aipo_core::task::{RateLimit, TaskOptions};
use jiff::Timestamp;

/// After so many intervals without a start the turns that were given out are taken to be stale: what was parked for
/// them was deleted, or went to another worker.
const STALE_AFTER: u32 = 4;

/// The rates of one worker's tasks, by name.
#[derive(Default)]
pub(crate) struct Rates(Mutex<HashMap<String, Rate>>);

#[derive(Default)]
struct Rate {
    /// What an operator has said, which goes before the options; `Some(None)` is no limit.
    set: Option<Option<RateLimit>>,
    bucket: Option<Bucket>,
}

/// A bucket that holds one token.
struct Bucket {
    /// When the next task may start.
    next: Timestamp,
    /// The last turn that was given out.
    promised: Timestamp,
}

impl Rates {
    /// Changes the limit of a task, for this worker.
    pub(crate) fn set(&self, task: &str, limit: Option<RateLimit>) {
        let rate = Rate {
            set: Some(limit),
            bucket: None,
        };
        self.lock().insert(task.to_owned(), rate);
    }

    /// The limit of a task, as an operator, its options or the settings say.
    pub(crate) fn limit(
        &self,
        task: &str,
        options: &TaskOptions,
        settings: &Settings,
    ) -> Option<RateLimit> {
        let set = self.lock().get(task).and_then(|rate| rate.set);
        set.unwrap_or_else(|| options.rate_limit.or(settings.task_default_rate_limit))
    }

    /// Lets a task start, or says when it may try again.
    pub(crate) fn turn(
        &self,
        task: &str,
        limit: RateLimit,
        now: Timestamp,
    ) -> Result<(), Timestamp> {
        let mut rates = self.lock();
        if !rates.contains_key(task) {
            rates.insert(task.to_owned(), Rate::default());
        }
        let rate = rates.get_mut(task).expect("it was inserted");
        let bucket = rate.bucket.get_or_insert(Bucket {
            next: now,
            promised: now,
        });
        bucket.turn(limit.interval(), now)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Rate>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bucket {
    fn turn(&mut self, interval: Duration, now: Timestamp) -> Result<(), Timestamp> {
        let after = aipo_core::clock::after;
        if now < self.next {
            self.promised = after(self.promised, interval).max(self.next);
            return Err(self.promised);
        }
        if now >= after(self.next, interval * STALE_AFTER) {
            self.promised = now;
        }
        // One that comes a little late does not make all that follow late.
        let on_time = after(self.next, interval);
        self.next = if now < on_time {
            on_time
        } else {
            after(now, interval)
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(ms).expect("a moment near 1970")
    }

    fn limit(text: &str) -> RateLimit {
        text.parse().expect("a rate")
    }

    #[test]
    fn starts_are_spread_and_each_of_many_gets_a_turn_of_its_own() {
        let rates = Rates::default();
        let turn = |ms| rates.turn("t", limit("10/s"), at(ms));
        assert_eq!(turn(0), Ok(()));
        assert_eq!(turn(1), Err(at(100)));
        assert_eq!(turn(1), Err(at(200)));
        assert_eq!(turn(2), Err(at(300)));
        // They come back, one of them a little late.
        assert_eq!(turn(100), Ok(()));
        assert_eq!(turn(230), Ok(()));
        assert_eq!(turn(300), Ok(()));
        assert_eq!(turn(301), Err(at(400)));
    }

    #[test]
    fn turns_that_nobody_came_back_for_are_forgotten() {
        let rates = Rates::default();
        let turn = |ms| rates.turn("t", limit("10/s"), at(ms));
        assert_eq!(turn(0), Ok(()));
        for _ in 0..1000 {
            assert!(turn(0).is_err());
        }
        assert_eq!(turn(600), Ok(()));
        assert_eq!(turn(601), Err(at(700)));
    }

    #[test]
    fn tasks_do_not_share_a_rate_and_an_operator_has_the_last_word() {
        let rates = Rates::default();
        let settings = Settings {
            task_default_rate_limit: Some(limit("1/s")),
            ..Settings::default()
        };
        let options = TaskOptions {
            rate_limit: Some(limit("2/s")),
            ..TaskOptions::default()
        };
        assert_eq!(rates.limit("a", &options, &settings), Some(limit("2/s")));
        let default = TaskOptions::default();
        assert_eq!(rates.limit("b", &default, &settings), Some(limit("1/s")));
        rates.set("a", None);
        assert_eq!(rates.limit("a", &options, &settings), None);
        rates.set("a", Some(limit("3/s")));
        assert_eq!(rates.limit("a", &options, &settings), Some(limit("3/s")));
        assert_eq!(rates.turn("a", limit("3/s"), at(0)), Ok(()));
        assert_eq!(rates.turn("b", limit("3/s"), at(0)), Ok(()));
        assert!(rates.turn("a", limit("3/s"), at(0)).is_err());
    }
}
