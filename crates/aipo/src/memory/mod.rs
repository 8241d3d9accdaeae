//! A store in the memory of one process: for tests, and for trying things out.
//!
//! It keeps every promise of the contracts but one: nothing outlives the process. Clones of the
//! [`Store`] are handles on the same data, as other processes have with other stores.
//!
//! # Layout
//! ```text
//! Shared ── Mutex<Data> ─┬─ queues   messages by serial; ready by (priority, order), parked by due
//!                        ├─ results  metas by task, and by expiry
//!                        ├─ facts    values by key, and by expiry; logs by name
//!                        ├─ chords   counts by group
//!                        └─ waiters  who waits for a queue, who for a result
//! ```
//! `bus` is a broadcast beside all that. `queues`, `results` and `state` hold plain data and answer at once; what waits (`consumer` and the
//! result backend) takes the lock, looks, registers and lets go before it sleeps. One lock for
//! everything is what makes a settlement one step.
//!
//! # Guarantees
//! - An operation costs the logarithm of what is stored, and is linear in what it was given or answers.
//!   Only `purge`, a recovery and a count of queues cost what they go over.
//! - Time is the store's [`Clock`] for all that is stored, and `tokio::time` for all that waits. With
//!   [`Clock::tokio`] and paused time both move together: a wait for a parked message passes at once.
//!
//! | capability | |
//! |---|---|
//! | several processes | no |
//! | survives a restart | no |
//! | [`settles_results`](Store::settles_results) | yes |

mod broker;
mod bus;
mod chords;
mod consumer;
mod queues;
mod results;
mod state;
mod waiters;

use std::sync::{Arc, Mutex, MutexGuard};

use aipo_core::{Clock, QueueName, Store, TaskId};

use self::chords::Counts;
use self::queues::Queues;
use self::results::Results;
use self::state::{Facts, Logs};
use self::waiters::Waiters;

/// A new, empty store that tells time by `clock`. Clone it for another handle on the same data.
pub fn store(clock: Clock) -> Store {
    let shared = Arc::new(Shared {
        clock,
        data: Mutex::default(),
    });
    Store {
        broker: Arc::new(broker::MemoryBroker(shared.clone())),
        results: Arc::new(results::MemoryResults(shared.clone())),
        state: Arc::new(state::MemoryState(shared.clone())),
        chords: Arc::new(chords::MemoryChords(shared)),
        bus: Arc::new(bus::MemoryBus::new()),
        settles_results: true,
        url: "memory://".to_owned(),
    }
}

/// What all handles share.
struct Shared {
    clock: Clock,
    data: Mutex<Data>,
}

/// Everything that is stored.
#[derive(Default)]
struct Data {
    queues: Queues,
    results: Results,
    facts: Facts,
    logs: Logs,
    chords: Counts,
    /// Fetches that wait for a message in their queues.
    fetches: Waiters<QueueName>,
    /// Waits for the result of a task.
    waits: Waiters<TaskId>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Data> {
        self.data
            .lock()
            .expect("no operation panics while it holds the lock")
    }
}

impl Data {
    /// Wakes the fetches that wait for one of these queues.
    fn wake_fetches<'a>(&self, queues: impl IntoIterator<Item = &'a QueueName>) {
        for queue in queues {
            self.fetches.wake(queue);
        }
    }
}
