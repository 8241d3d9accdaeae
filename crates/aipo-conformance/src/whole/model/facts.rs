//! The facts of the model: a list of keys, values, claims and expiries.

use std::time::Duration;

use aipo_core::clock;
use aipo_core::store::Fence;
use jiff::Timestamp;

#[derive(Default)]
pub(super) struct Facts {
    facts: Vec<Fact>,
    /// Every claim that was ever won.
    pub(super) claims: Vec<(&'static str, Fence)>,
}

struct Fact {
    key: &'static str,
    value: Vec<u8>,
    expires: Option<Timestamp>,
    fence: Option<Fence>,
}

impl Facts {
    pub(super) fn put(
        &mut self,
        key: &'static str,
        value: Vec<u8>,
        ttl: Option<Duration>,
        fence: Option<Fence>,
        now: Timestamp,
    ) {
        self.delete(key);
        let expires = ttl.map(|ttl| clock::after(now, ttl));
        self.facts.push(Fact {
            key,
            value,
            expires,
            fence,
        });
    }

    /// Checks what a claim answered and takes it over.
    pub(super) fn claim(
        &mut self,
        key: &'static str,
        value: Vec<u8>,
        ttl: Duration,
        answer: Option<Fence>,
        now: Timestamp,
    ) {
        let free = self.get(key, now).is_none();
        assert_eq!(answer.is_some(), free, "a claim is won if the key is free");
        if let Some(fence) = answer {
            let highest = self
                .claims
                .iter()
                .filter(|(of, _)| *of == key)
                .map(|(_, f)| *f)
                .max();
            assert!(Some(fence) > highest, "{fence:?} is not above {highest:?}");
            self.claims.push((key, fence));
            self.put(key, value, Some(ttl), Some(fence), now);
        }
    }

    pub(super) fn holds(&self, key: &str, fence: Fence, now: Timestamp) -> bool {
        self.live(now)
            .any(|fact| fact.key == key && fact.fence == Some(fence))
    }

    pub(super) fn get(&self, key: &str, now: Timestamp) -> Option<Vec<u8>> {
        self.live(now)
            .find(|fact| fact.key == key)
            .map(|fact| fact.value.clone())
    }

    pub(super) fn delete(&mut self, key: &str) {
        self.facts.retain(|fact| fact.key != key);
    }

    pub(super) fn scan(&self, prefix: &str, now: Timestamp) -> Vec<(String, Vec<u8>)> {
        let of_prefix = self.live(now).filter(|fact| fact.key.starts_with(prefix));
        let mut facts: Vec<_> = of_prefix
            .map(|fact| (fact.key.to_owned(), fact.value.clone()))
            .collect();
        facts.sort();
        facts
    }

    pub(super) fn sweep(&mut self, now: Timestamp) -> u64 {
        let before = self.facts.len();
        self.facts.retain(|fact| fact.lives(now));
        (before - self.facts.len()) as u64
    }

    fn live(&self, now: Timestamp) -> impl Iterator<Item = &Fact> {
        self.facts.iter().filter(move |fact| fact.lives(now))
    }
}

impl Fact {
    fn lives(&self, now: Timestamp) -> bool {
        self.expires.is_none_or(|moment| moment > now)
    }
}
