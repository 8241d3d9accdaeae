//! Who is to be woken when something happens to a key.
//!
//! Everybody who waits for a key is woken, and looks again. Waking only one would cost less and
//! could lose a message: the one may have been dropped in the meantime.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::Arc;

use tokio::sync::Notify;

use super::{Data, Shared};

/// Those who wait, by what they wait for.
pub(super) struct Waiters<K> {
    by_key: HashMap<K, BTreeMap<u64, Arc<Notify>>>,
    last: u64,
}

impl<K> Default for Waiters<K> {
    fn default() -> Self {
        Self {
            by_key: HashMap::new(),
            last: 0,
        }
    }
}

impl<K: Eq + Hash + Clone> Waiters<K> {
    pub(super) fn wake(&self, key: &K) {
        for waiter in self.by_key.get(key).into_iter().flat_map(BTreeMap::values) {
            waiter.notify_one();
        }
    }

    fn add(&mut self, keys: &[K], waiter: &Arc<Notify>) -> u64 {
        self.last += 1;
        for key in keys {
            self.by_key
                .entry(key.clone())
                .or_default()
                .insert(self.last, waiter.clone());
        }
        self.last
    }

    fn remove(&mut self, keys: &[K], number: u64) {
        for key in keys {
            if let Some(waiters) = self.by_key.get_mut(key) {
                waiters.remove(&number);
                if waiters.is_empty() {
                    self.by_key.remove(key);
                }
            }
        }
    }
}

/// One waiter's registration; ends when it is dropped, as a wait may be at any time.
pub(super) struct Interest<'a, K: Eq + Hash + Clone> {
    shared: &'a Shared,
    waiters: fn(&mut Data) -> &mut Waiters<K>,
    keys: Arc<[K]>,
    number: u64,
    notify: Arc<Notify>,
}

impl<'a, K: Eq + Hash + Clone> Interest<'a, K> {
    /// Registers under the lock that `data` is from. A wake-up from then on is kept until it is waited
    /// for, so nothing can slip in between the look, made under the same lock, and the wait.
    pub(super) fn register(
        shared: &'a Shared,
        data: &mut Data,
        waiters: fn(&mut Data) -> &mut Waiters<K>,
        keys: Arc<[K]>,
    ) -> Self {
        let notify = Arc::new(Notify::new());
        let number = waiters(data).add(&keys, &notify);
        Self {
            shared,
            waiters,
            keys,
            number,
            notify,
        }
    }

    pub(super) async fn woken(&self) {
        self.notify.notified().await;
    }
}

impl<K: Eq + Hash + Clone> Drop for Interest<'_, K> {
    fn drop(&mut self) {
        (self.waiters)(&mut self.shared.lock()).remove(&self.keys, self.number);
    }
}
