//! The state store.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use aipo_core::store::{Entry, Fact, Fence, StateStore};
use aipo_core::{Result, clock};
use async_trait::async_trait;
use jiff::Timestamp;

use super::Shared;

#[derive(Default)]
pub(super) struct Facts {
    by_key: BTreeMap<String, Held>,
    /// Keys by the expiry of their fact, of those that expire.
    expiries: BTreeSet<(Timestamp, String)>,
    /// The last token given out, for whatever key: so a token grows although nothing of the claim
    /// before is left.
    last_fence: u64,
}

struct Held {
    value: Vec<u8>,
    expires: Option<Timestamp>,
    /// The token of the claim, if it is one.
    fence: Option<Fence>,
}

impl Facts {
    fn put(&mut self, key: &str, fact: Held) {
        self.remove(key);
        self.expiries
            .extend(fact.expires.map(|moment| (moment, key.to_owned())));
        self.by_key.insert(key.to_owned(), fact);
    }

    pub(super) fn set(&mut self, fact: Fact, now: Timestamp) {
        let Fact { key, value, ttl } = fact;
        let held = Held {
            value,
            expires: ttl.map(|ttl| clock::after(now, ttl)),
            fence: None,
        };
        self.put(&key, held);
    }

    fn get(&self, key: &str, now: Timestamp) -> Option<&Held> {
        self.by_key.get(key).filter(|fact| fact.lives(now))
    }

    fn claim(&mut self, key: &str, value: Vec<u8>, ttl: Duration, now: Timestamp) -> Option<Fence> {
        if self.get(key, now).is_some() {
            return None;
        }
        self.last_fence += 1;
        let fence = Fence(self.last_fence);
        let expires = Some(clock::after(now, ttl));
        self.put(
            key,
            Held {
                value,
                expires,
                fence: Some(fence),
            },
        );
        Some(fence)
    }

    fn holds(&self, key: &str, fence: Fence, now: Timestamp) -> bool {
        self.get(key, now)
            .is_some_and(|fact| fact.fence == Some(fence))
    }

    pub(super) fn remove(&mut self, key: &str) {
        if let Some(Held {
            expires: Some(moment),
            ..
        }) = self.by_key.remove(key)
        {
            self.expiries.remove(&(moment, key.to_owned()));
        }
    }

    fn scan(&self, prefix: &str, now: Timestamp) -> Vec<(String, Vec<u8>)> {
        self.by_key
            .range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .filter(|(_, fact)| fact.lives(now))
            .map(|(key, fact)| (key.clone(), fact.value.clone()))
            .collect()
    }

    fn sweep(&mut self, now: Timestamp) -> u64 {
        let mut swept = 0;
        while let Some((moment, key)) = self.expiries.first()
            && *moment <= now
        {
            self.by_key.remove(key);
            self.expiries.pop_first();
            swept += 1;
        }
        swept
    }
}

impl Held {
    fn lives(&self, now: Timestamp) -> bool {
        self.expires.is_none_or(|moment| moment > now)
    }
}

/// Logs by name.
#[derive(Default)]
pub(super) struct Logs(HashMap<String, Log>);

#[derive(Default)]
struct Log {
    last: u64,
    entries: VecDeque<(Timestamp, Entry)>,
}

impl Logs {
    /// The number of the last entry there ever was.
    pub(super) fn last(&self, log: &str) -> u64 {
        self.0.get(log).map_or(0, |log| log.last)
    }

    fn append(&mut self, log: &str, values: Vec<Vec<u8>>, until: Timestamp) -> u64 {
        let log = self.0.entry(log.to_owned()).or_default();
        for value in values {
            log.last += 1;
            let number = log.last;
            log.entries.push_back((until, Entry { number, value }));
        }
        log.last
    }

    fn entries(&self, log: &str, after: u64, limit: usize, now: Timestamp) -> Vec<Entry> {
        let Some(log) = self.0.get(log) else {
            return Vec::new();
        };
        let first = log
            .entries
            .partition_point(|(_, entry)| entry.number <= after);
        log.entries
            .range(first..)
            .filter(|(until, _)| *until > now)
            .map(|(_, entry)| entry.clone())
            .take(limit)
            .collect()
    }

    fn sweep(&mut self, now: Timestamp) -> u64 {
        let mut swept = 0;
        for log in self.0.values_mut() {
            let before = log.entries.len();
            log.entries.retain(|(until, _)| *until > now);
            swept += (before - log.entries.len()) as u64;
        }
        swept
    }
}

pub(super) struct MemoryState(pub(super) Arc<Shared>);

#[async_trait]
impl StateStore for MemoryState {
    async fn put(&self, key: &str, value: Vec<u8>, ttl: Option<Duration>) -> Result<()> {
        let key = key.to_owned();
        let now = self.0.clock.now();
        self.0.lock().facts.set(Fact { key, value, ttl }, now);
        Ok(())
    }

    async fn claim(&self, key: &str, value: Vec<u8>, ttl: Duration) -> Result<Option<Fence>> {
        Ok(self
            .0
            .lock()
            .facts
            .claim(key, value, ttl, self.0.clock.now()))
    }

    async fn renew(&self, key: &str, fence: Fence, value: Vec<u8>, ttl: Duration) -> Result<bool> {
        let now = self.0.clock.now();
        let mut data = self.0.lock();
        let holds = data.facts.holds(key, fence, now);
        if holds {
            let expires = Some(clock::after(now, ttl));
            data.facts.put(
                key,
                Held {
                    value,
                    expires,
                    fence: Some(fence),
                },
            );
        }
        Ok(holds)
    }

    async fn release(&self, key: &str, fence: Fence) -> Result<bool> {
        let mut data = self.0.lock();
        let holds = data.facts.holds(key, fence, self.0.clock.now());
        if holds {
            data.facts.remove(key);
        }
        Ok(holds)
    }

    async fn get(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>> {
        let now = self.0.clock.now();
        let data = self.0.lock();
        let value = |key: &String| data.facts.get(key, now).map(|fact| fact.value.clone());
        Ok(keys.iter().map(value).collect())
    }

    async fn delete(&self, key: &str) -> Result<()> {
        self.0.lock().facts.remove(key);
        Ok(())
    }

    async fn scan(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>> {
        Ok(self.0.lock().facts.scan(prefix, self.0.clock.now()))
    }

    async fn append(&self, log: &str, values: Vec<Vec<u8>>, ttl: Duration) -> Result<u64> {
        let until = self.0.clock.after(ttl);
        Ok(self.0.lock().logs.append(log, values, until))
    }

    async fn entries(&self, log: &str, after: u64, limit: usize) -> Result<Vec<Entry>> {
        let now = self.0.clock.now();
        Ok(self.0.lock().logs.entries(log, after, limit, now))
    }

    async fn sweep(&self) -> Result<u64> {
        let now = self.0.clock.now();
        let mut data = self.0.lock();
        Ok(data.facts.sweep(now) + data.logs.sweep(now) + data.chords.sweep(now))
    }
}
