//! The parts of chords.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use aipo_core::store::{Chord, Chords, Complete, Done, Part, Publish, Step};
use aipo_core::{GroupId, Result, TaskId, clock};
use async_trait::async_trait;
use jiff::Timestamp;

use super::{Data, Shared};

/// Chords by group.
#[derive(Default)]
pub(super) struct Counts(BTreeMap<GroupId, Count>);

#[derive(Default)]
struct Count {
    /// How many parts it has, once it was opened.
    size: Option<u64>,
    grown: u64,
    /// By place, then by the order in which they were done.
    parts: BTreeMap<(i64, usize), Done>,
    counted: HashSet<(TaskId, Option<i64>)>,
    structure: Option<Vec<u8>>,
    then: Vec<u8>,
    taken_until: Option<Timestamp>,
    finished: bool,
    expires: Option<Timestamp>,
}

impl Count {
    fn is_complete(&self) -> bool {
        !self.finished
            && self
                .size
                .is_some_and(|size| size + self.grown == self.counted.len() as u64)
    }

    /// Whether there is more than a saved group.
    fn is_chord(&self) -> bool {
        self.size.is_some() || self.grown > 0 || !self.counted.is_empty() || self.finished
    }

    fn keep(&mut self, expires: Option<Duration>, now: Timestamp) {
        self.expires = expires.map(|time| clock::after(now, time));
    }
}

impl Counts {
    fn living(&mut self, group: &GroupId, now: Timestamp) -> &mut Count {
        let count = self.0.entry(group.clone()).or_default();
        if count.expires.is_some_and(|expires| expires <= now) {
            *count = Count::default();
        }
        count
    }

    fn open(&mut self, chord: Chord, now: Timestamp) {
        let count = self.living(&chord.group, now);
        if count.finished {
            *count = Count {
                structure: count.structure.take(),
                ..Count::default()
            };
        }
        count.size = Some(chord.size);
        if chord.structure.is_some() {
            count.structure = chord.structure;
        }
        count.keep(chord.expires, now);
    }

    fn grow(&mut self, group: &GroupId, now: Timestamp) {
        self.living(group, now).grown += 1;
    }

    fn add(&mut self, part: Part, now: Timestamp) {
        let count = self.living(&part.group, now);
        if count.finished || !count.counted.insert((part.id.clone(), part.index)) {
            return;
        }
        let place = (part.index.unwrap_or(i64::MAX), count.parts.len());
        let done = Done {
            id: part.id,
            state: part.state,
            value: part.value,
        };
        count.parts.insert(place, done);
        if !part.then.is_empty() {
            count.then = part.then;
        }
        count.keep(part.expires, now);
    }

    fn take_complete(&mut self, limit: usize, claim: Duration, now: Timestamp) -> Vec<Complete> {
        let is_free = |count: &Count| {
            let lives = count.expires.is_none_or(|expires| expires > now);
            lives && count.is_complete() && count.taken_until.is_none_or(|until| until <= now)
        };
        let free = self.0.iter_mut().filter(|(_, count)| is_free(count));
        let take = |(group, count): (&GroupId, &mut Count)| {
            count.taken_until = Some(clock::after(now, claim));
            Complete {
                group: group.clone(),
                parts: count.parts.values().cloned().collect(),
                structure: count.structure.clone(),
                then: count.then.clone(),
            }
        };
        free.take(limit).map(take).collect()
    }

    /// Ends a chord; false when there is nothing to end.
    fn finish(&mut self, group: &GroupId, now: Timestamp) -> bool {
        let ends = |count: &&mut Count| {
            count.expires.is_none_or(|expires| expires > now) && count.is_complete()
        };
        let Some(count) = self.0.get_mut(group).filter(ends) else {
            return false;
        };
        *count = Count {
            finished: true,
            structure: count.structure.take(),
            expires: count.expires,
            ..Count::default()
        };
        true
    }

    fn save(&mut self, group: &GroupId, meta: Vec<u8>, expires: Option<Duration>, now: Timestamp) {
        let count = self.living(group, now);
        count.structure = Some(meta);
        count.keep(expires, now);
    }

    fn saved(&self, group: &GroupId, now: Timestamp) -> Option<Vec<u8>> {
        let count = self.0.get(group)?;
        let lives = count.expires.is_none_or(|expires| expires > now);
        count.structure.clone().filter(|_| lives)
    }

    fn delete_saved(&mut self, group: &GroupId) {
        let Some(count) = self.0.get_mut(group) else {
            return;
        };
        count.structure = None;
        if !count.is_chord() {
            self.0.remove(group);
        }
    }

    pub(super) fn sweep(&mut self, now: Timestamp) -> u64 {
        let before = self.0.len();
        self.0
            .retain(|_, count| count.expires.is_none_or(|expires| expires > now));
        (before - self.0.len()) as u64
    }
}

impl Data {
    /// Does all of a step.
    pub(super) fn advance(&mut self, step: Step, now: Timestamp) {
        for result in step.results {
            self.store_result(result, now);
        }
        for chord in step.opens {
            self.chords.open(chord, now);
        }
        for group in step.grows {
            self.chords.grow(&group, now);
        }
        for part in step.parts {
            self.chords.add(part, now);
        }
        for fact in step.keeps {
            self.facts.set(fact, now);
        }
        for key in step.drops {
            self.facts.remove(&key);
        }
    }
}

pub(super) struct MemoryChords(pub(super) Arc<Shared>);

#[async_trait]
impl Chords for MemoryChords {
    async fn advance(&self, step: Step, publish: Vec<Publish>) -> Result<()> {
        let now = self.0.clock.now();
        let mut data = self.0.lock();
        data.advance(step, now);
        data.publish(publish, now);
        Ok(())
    }

    async fn take_complete(&self, limit: usize, claim: Duration) -> Result<Vec<Complete>> {
        let now = self.0.clock.now();
        Ok(self.0.lock().chords.take_complete(limit, claim, now))
    }

    async fn finish(&self, group: &GroupId, step: Step, publish: Vec<Publish>) -> Result<bool> {
        let now = self.0.clock.now();
        let mut data = self.0.lock();
        let ended = data.chords.finish(group, now);
        if ended {
            data.advance(step, now);
            data.publish(publish, now);
        }
        Ok(ended)
    }

    async fn save_group(
        &self,
        group: &GroupId,
        meta: Vec<u8>,
        expires: Option<Duration>,
    ) -> Result<()> {
        let now = self.0.clock.now();
        self.0.lock().chords.save(group, meta, expires, now);
        Ok(())
    }

    async fn saved_group(&self, group: &GroupId) -> Result<Option<Vec<u8>>> {
        let now = self.0.clock.now();
        Ok(self.0.lock().chords.saved(group, now))
    }

    async fn delete_group(&self, group: &GroupId) -> Result<()> {
        self.0.lock().chords.delete_saved(group);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_kept_of_a_chord_that_is_not_there() {
        let mut counts = Counts::default();
        assert!(!counts.finish(&"g".into(), Timestamp::UNIX_EPOCH));
        assert!(counts.0.is_empty());
    }
}
