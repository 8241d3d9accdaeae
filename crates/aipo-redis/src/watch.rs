//! Waiting for keys to change, without asking again and again.
//!
//! A connection of its own has `CLIENT TRACKING` on: the server remembers which keys were read through it,
//! and says once when one of them is changed, by whomever. So whoever waits first registers
//! its keys here, then reads them through this connection, and if that was in vain sleeps until it is
//! told. A change before the read is seen by the read, and one after it is told; nothing falls in between.
//!
//! Nothing leaves a queue for the sake of waiting, as it would with a blocking pop, so a wait may be dropped at
//! any time; Python's bare `LPUSH` wakes as well as aipo's; and one connection serves all waits of a process.
//! Idle, it costs a probe every [`PROBE_EVERY`], by which a connection that died without a word is noticed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use aipo_core::Result;
use redis::cmd;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::config::RedisOptions;
use crate::link::{Link, News};

/// How often the connection is tried while somebody waits. It is given up when a probe is not answered in
/// the time of any call.
const PROBE_EVERY: Duration = Duration::from_secs(2);

/// The connection and who waits on it.
pub(crate) struct Watch {
    pub(crate) link: Link,
    waiters: Arc<Mutex<Waiters>>,
}

#[derive(Default)]
struct Waiters {
    by_key: HashMap<Vec<u8>, Vec<Arc<Notify>>>,
    /// Tries the connection; there while anybody waits, and a little longer.
    probe: Option<JoinHandle<()>>,
}

/// A place among those who wait for some keys, until it is dropped.
pub(crate) struct Waiter {
    waiters: Arc<Mutex<Waiters>>,
    keys: Vec<Vec<u8>>,
    told: Arc<Notify>,
}

impl Watch {
    pub(crate) fn new(options: &RedisOptions) -> Result<Self> {
        let waiters = Arc::new(Mutex::new(Waiters::default()));
        let listener = {
            let waiters = waiters.clone();
            Box::new(move |news| match news {
                News::Changed(key) => lock(&waiters).tell(&key),
                News::All => lock(&waiters).tell_all(),
                News::Published { .. } => {}
            })
        };
        let track = cmd("CLIENT").arg("TRACKING").arg("ON").to_owned();
        Ok(Self {
            link: Link::new(options, Some(track), listener)?,
            waiters,
        })
    }

    /// Registers a waiter, who must read the keys through `link` after this.
    pub(crate) fn register(&self, keys: Vec<Vec<u8>>) -> Waiter {
        let told = Arc::new(Notify::new());
        let mut waiters = lock(&self.waiters);
        for key in &keys {
            waiters
                .by_key
                .entry(key.clone())
                .or_default()
                .push(told.clone());
        }
        if waiters.probe.as_ref().is_none_or(JoinHandle::is_finished) {
            let probe = probe(self.link.clone(), Arc::downgrade(&self.waiters));
            waiters.probe = Some(tokio::spawn(probe));
        }
        Waiter {
            waiters: self.waiters.clone(),
            keys,
            told,
        }
    }
}

/// Tries the connection while anybody waits. The link itself tells all waiters when it fails.
async fn probe(link: Link, waiters: Weak<Mutex<Waiters>>) {
    loop {
        tokio::time::sleep(PROBE_EVERY).await;
        let Some(waiters) = waiters.upgrade() else {
            return;
        };
        {
            let mut waiters = lock(&waiters);
            if waiters.by_key.is_empty() {
                waiters.probe = None;
                return;
            }
        }
        if let Err(error) = link.send(&cmd("PING")).await {
            // The waiters were told, and meet the error themselves if it lasts.
            tracing::debug!(%error, "the connection to redis that waits was lost");
        }
    }
}

impl Waiters {
    fn tell(&self, key: &[u8]) {
        for waiter in self.by_key.get(key).into_iter().flatten() {
            waiter.notify_one();
        }
    }

    fn tell_all(&self) {
        for waiter in self.by_key.values().flatten() {
            waiter.notify_one();
        }
    }
}

fn lock(waiters: &Mutex<Waiters>) -> MutexGuard<'_, Waiters> {
    // A panic elsewhere leaves it sound: each change is one call.
    waiters.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Waiter {
    /// Comes back when one of the keys may have changed since the last time.
    pub(crate) async fn told(&self) {
        self.told.notified().await;
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let by_key = &mut lock(&self.waiters).by_key;
        for key in &self.keys {
            if let Some(waiting) = by_key.get_mut(key) {
                waiting.retain(|told| !Arc::ptr_eq(told, &self.told));
                if waiting.is_empty() {
                    by_key.remove(key);
                }
            }
        }
    }
}
