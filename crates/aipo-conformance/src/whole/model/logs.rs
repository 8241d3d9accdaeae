//! The logs of the model: a list of what was appended, by which call.

use std::time::Duration;

use aipo_core::clock;
use aipo_core::store::Entry;
use jiff::Timestamp;

#[derive(Default)]
pub(super) struct Logs {
    entries: Vec<Appended>,
    /// What each call that appended something to a log was answered: the number of its last entry.
    pub(super) told: Vec<(&'static str, u64)>,
}

struct Appended {
    log: &'static str,
    value: Vec<u8>,
    until: Timestamp,
    /// The store chose a number after this, that of the call before, and up to `last`.
    before: u64,
    /// The number of the last entry of the same call.
    last: u64,
}

impl Logs {
    /// Checks the number that an append answered, and takes over what it appended.
    pub(super) fn append(
        &mut self,
        log: &'static str,
        values: Vec<Vec<u8>>,
        ttl: Duration,
        answer: u64,
        now: Timestamp,
    ) {
        let before = self.last(log);
        if values.is_empty() {
            assert_eq!(answer, before, "nothing was appended");
            return;
        }
        let least = before + values.len() as u64;
        assert!(answer >= least, "{answer} is below {least}");
        let until = clock::after(now, ttl);
        for value in values {
            self.entries.push(Appended {
                log,
                value,
                until,
                before,
                last: answer,
            });
        }
        self.told.push((log, answer));
    }

    fn last(&self, log: &str) -> u64 {
        let of_log = self.told.iter().filter(|(told_of, _)| *told_of == log);
        of_log.map(|(_, number)| *number).max().unwrap_or(0)
    }

    /// Checks what a log told after `after`, which is zero or was told by an append.
    pub(super) fn check(
        &self,
        log: &str,
        after: u64,
        limit: usize,
        answer: &[Entry],
        now: Timestamp,
    ) {
        let expected: Vec<&Appended> = self
            .entries
            .iter()
            .filter(|entry| entry.log == log && entry.last > after && entry.until > now)
            .take(limit)
            .collect();
        let values: Vec<&[u8]> = expected.iter().map(|entry| &*entry.value).collect();
        let told: Vec<&[u8]> = answer.iter().map(|entry| &*entry.value).collect();
        assert_eq!(told, values);
        assert!(
            answer.is_sorted_by(|a, b| a.number < b.number),
            "{answer:?} is not in order"
        );
        for (entry, expected) in answer.iter().zip(expected) {
            assert!(
                expected.before < entry.number && entry.number <= expected.last,
                "{entry:?} is not among those of its call"
            );
        }
    }

    pub(super) fn sweep(&mut self, now: Timestamp) -> u64 {
        let before = self.entries.len();
        self.entries.retain(|entry| entry.until > now);
        (before - self.entries.len()) as u64
    }
}
