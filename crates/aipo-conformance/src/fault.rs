//! A store that fails: any store, with errors injected at random by a seed, or down altogether.
//!
//! Whoever uses a store must bear three kinds of failure, and can't tell them apart:
//!
//! | fault | the call | what the caller sees |
//! |---|---|---|
//! | before | never reached the store | a temporary error |
//! | cut | was dropped on its way; it has happened, or not, or will shortly | a temporary error |
//! | after | happened, and its answer was lost | a temporary error |
//!
//! A fetch whose answer was lost holds nothing: as for one that was dropped, the store hands back what
//! was taken. So [`Faults`] does, for the fetch that it fails *after*.
//!
//! ```
//! # fn with_faults(store: aipo_core::Store, seed: u64) -> aipo_core::Store {
//! use aipo_conformance::fault::{Faults, Rates};
//!
//! let faults = Faults::new(seed);
//! faults.set_rates(Rates { before: 5, cut: 5, after: 5 });
//! faults.wrap(&store)
//! # }
//! ```

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aipo_core::store::{
    Broker, Bus, Chords, Complete, Consumer, ConsumerOptions, DeadLetter, Delivery, DeliveryTag,
    Entry, Fence, Fetch, Listener, Location, Notice, Parked, Publish, QueueStats, ResultBackend,
    ResultRecord, Settled, Settlement, StateStore, Step, Topic, Verdict,
};
use aipo_core::{Error, ErrorKind, GroupId, QueueName, Result, Store, TaskId};
use async_trait::async_trait;
use fastrand::Rng;

use crate::support::poll_times;

/// The most polls that a call gets before it is cut.
const MAX_POLLS_BEFORE_CUT: usize = 6;

/// What goes wrong, shared by the stores that it wraps. Clone it to keep hold of it.
#[derive(Clone)]
pub struct Faults(Arc<Inner>);

struct Inner {
    rng: Mutex<Rng>,
    rates: Mutex<Rates>,
    down: AtomicBool,
    injected: AtomicU64,
}

/// How many of a hundred calls fail in which way. Default: none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rates {
    /// They fail before they reach the store.
    pub before: u8,
    /// They are dropped on their way.
    pub cut: u8,
    /// They fail after they took effect.
    pub after: u8,
}

/// What happens to one call.
#[derive(Debug, Clone, Copy)]
enum Fault {
    None,
    Before,
    Cut { polls: usize },
    After,
}

impl Faults {
    /// No faults yet. The same seed injects the same faults into the same sequence of calls.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Inner {
            rng: Mutex::new(Rng::with_seed(seed)),
            rates: Mutex::default(),
            down: AtomicBool::new(false),
            injected: AtomicU64::new(0),
        }))
    }

    /// From now on calls fail this often.
    ///
    /// # Panics
    /// When the rates together are above 100.
    pub fn set_rates(&self, rates: Rates) {
        let whole = u32::from(rates.before) + u32::from(rates.cut) + u32::from(rates.after);
        assert!(whole <= 100, "{rates:?} is more than every call");
        *self
            .0
            .rates
            .lock()
            .expect("nothing panics with the rates locked") = rates;
    }

    /// While it is down every call fails before it reaches the store. A wait that has begun goes on.
    pub fn set_down(&self, down: bool) {
        self.0.down.store(down, Ordering::SeqCst);
    }

    /// How many calls have failed so far.
    pub fn injected(&self) -> u64 {
        self.0.injected.load(Ordering::SeqCst)
    }

    /// The store with these faults. The store itself stays as it is, for a test to look at.
    pub fn wrap(&self, store: &Store) -> Store {
        Store {
            broker: Arc::new(Faulty {
                inner: store.broker.clone(),
                faults: self.clone(),
            }),
            results: Arc::new(Faulty {
                inner: store.results.clone(),
                faults: self.clone(),
            }),
            state: Arc::new(Faulty {
                inner: store.state.clone(),
                faults: self.clone(),
            }),
            bus: Arc::new(Faulty {
                inner: store.bus.clone(),
                faults: self.clone(),
            }),
            chords: Arc::new(Faulty {
                inner: store.chords.clone(),
                faults: self.clone(),
            }),
            settles_results: store.settles_results,
            url: store.url.clone(),
        }
    }

    fn choose(&self) -> Fault {
        let rates = *self
            .0
            .rates
            .lock()
            .expect("nothing panics with the rates locked");
        let mut rng = self
            .0
            .rng
            .lock()
            .expect("nothing panics with the generator locked");
        let point = rng.u8(..100);
        let fault = if self.0.down.load(Ordering::SeqCst) || point < rates.before {
            Fault::Before
        } else if point < rates.before + rates.cut {
            Fault::Cut {
                polls: rng.usize(..=MAX_POLLS_BEFORE_CUT),
            }
        } else if point < rates.before + rates.cut + rates.after {
            Fault::After
        } else {
            Fault::None
        };
        if !matches!(fault, Fault::None) {
            self.0.injected.fetch_add(1, Ordering::SeqCst);
        }
        fault
    }

    async fn call<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let fault = self.choose();
        match fault {
            Fault::None => return call.await,
            Fault::Before => {}
            Fault::Cut { polls } => drop(poll_times(call, polls).await),
            Fault::After => drop(call.await?),
        }
        Err(injected(operation, fault))
    }
}

fn injected(operation: &'static str, fault: Fault) -> Error {
    let kind = match fault {
        Fault::Cut { .. } => ErrorKind::Timeout,
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, format!("injected fault: {fault:?}")).with("operation", operation)
}

/// One part of a store, with faults.
struct Faulty<T: ?Sized> {
    inner: Arc<T>,
    faults: Faults,
}

#[async_trait]
impl Broker for Faulty<dyn Broker> {
    async fn publish(&self, messages: Vec<Publish>) -> Result<()> {
        self.faults
            .call("publish", self.inner.publish(messages))
            .await
    }

    async fn consume(&self, options: ConsumerOptions) -> Result<Box<dyn Consumer>> {
        let inner = self
            .faults
            .call("consume", self.inner.consume(options))
            .await?;
        Ok(Box::new(FaultyConsumer {
            inner,
            faults: self.faults.clone(),
        }))
    }

    async fn recover(&self) -> Result<usize> {
        self.faults.call("recover", self.inner.recover()).await
    }

    async fn queues(&self) -> Result<Vec<QueueStats>> {
        self.faults.call("queues", self.inner.queues()).await
    }

    async fn purge(&self, queue: &QueueName) -> Result<u64> {
        self.faults.call("purge", self.inner.purge(queue)).await
    }

    async fn locate(&self, ids: &[TaskId]) -> Result<Vec<Option<Location>>> {
        self.faults.call("locate", self.inner.locate(ids)).await
    }

    async fn parked(&self, queues: &[QueueName], limit: usize) -> Result<Vec<Parked>> {
        self.faults
            .call("parked", self.inner.parked(queues, limit))
            .await
    }

    async fn dead_letters(
        &self,
        queue: Option<&QueueName>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>> {
        self.faults
            .call("dead_letters", self.inner.dead_letters(queue, limit))
            .await
    }

    async fn redrive(&self, ids: &[u64]) -> Result<usize> {
        self.faults.call("redrive", self.inner.redrive(ids)).await
    }

    async fn discard(&self, ids: &[u64]) -> Result<usize> {
        self.faults.call("discard", self.inner.discard(ids)).await
    }
}

struct FaultyConsumer {
    inner: Box<dyn Consumer>,
    faults: Faults,
}

#[async_trait]
impl Consumer for FaultyConsumer {
    async fn fetch(&self, request: Fetch) -> Result<Vec<Delivery>> {
        let fault = self.faults.choose();
        match fault {
            Fault::None => return self.inner.fetch(request).await,
            Fault::Before => {}
            Fault::Cut { polls } => {
                // An answer that came before the cut was not read either.
                if let Some(answer) = poll_times(self.inner.fetch(request), polls).await {
                    self.hand_back(&answer?).await?;
                }
            }
            Fault::After => self.hand_back(&self.inner.fetch(request).await?).await?,
        }
        Err(injected("fetch", fault))
    }

    async fn claim(&self, ids: &[TaskId]) -> Result<Vec<Delivery>> {
        self.faults.call("claim", self.inner.claim(ids)).await
    }

    async fn start(&self, tags: &[DeliveryTag]) -> Result<()> {
        self.faults.call("start", self.inner.start(tags)).await
    }

    async fn settle(&self, batch: Vec<Settlement>) -> Result<Vec<Settled>> {
        self.faults.call("settle", self.inner.settle(batch)).await
    }

    async fn renew(&self) -> Result<()> {
        self.faults.call("renew", self.inner.renew()).await
    }

    async fn set_queues(&self, queues: Vec<QueueName>) -> Result<()> {
        self.faults
            .call("set_queues", self.inner.set_queues(queues))
            .await
    }

    fn last_revoked(&self) -> Option<u64> {
        self.inner.last_revoked()
    }

    async fn close(&self) -> Result<()> {
        self.faults.call("close", self.inner.close()).await
    }
}

impl FaultyConsumer {
    async fn hand_back(&self, taken: &[Delivery]) -> Result<()> {
        let release = |delivery: &Delivery| Settlement {
            tag: delivery.tag,
            verdict: Verdict::Release,
            result: None,
            publish: Vec::new(),
            step: Default::default(),
        };
        self.inner
            .settle(taken.iter().map(release).collect())
            .await
            .map(drop)
    }
}

#[async_trait]
impl ResultBackend for Faulty<dyn ResultBackend> {
    async fn store(&self, batch: Vec<ResultRecord>) -> Result<()> {
        self.faults.call("store", self.inner.store(batch)).await
    }

    async fn get(&self, ids: &[TaskId]) -> Result<Vec<Option<Vec<u8>>>> {
        self.faults.call("get", self.inner.get(ids)).await
    }

    async fn wait(&self, id: &TaskId, timeout: Duration) -> Result<Option<Vec<u8>>> {
        self.faults.call("wait", self.inner.wait(id, timeout)).await
    }

    async fn forget(&self, ids: &[TaskId]) -> Result<()> {
        self.faults.call("forget", self.inner.forget(ids)).await
    }

    async fn sweep(&self) -> Result<u64> {
        self.faults.call("sweep", self.inner.sweep()).await
    }
}

#[async_trait]
impl Chords for Faulty<dyn Chords> {
    async fn advance(&self, step: Step, publish: Vec<Publish>) -> Result<()> {
        self.faults
            .call("advance", self.inner.advance(step, publish))
            .await
    }

    async fn take_complete(&self, limit: usize, claim: Duration) -> Result<Vec<Complete>> {
        self.faults
            .call("take_complete", self.inner.take_complete(limit, claim))
            .await
    }

    async fn finish(&self, group: &GroupId, step: Step, publish: Vec<Publish>) -> Result<bool> {
        self.faults
            .call("finish", self.inner.finish(group, step, publish))
            .await
    }

    async fn save_group(
        &self,
        group: &GroupId,
        meta: Vec<u8>,
        expires: Option<Duration>,
    ) -> Result<()> {
        self.faults
            .call("save_group", self.inner.save_group(group, meta, expires))
            .await
    }

    async fn saved_group(&self, group: &GroupId) -> Result<Option<Vec<u8>>> {
        self.faults
            .call("saved_group", self.inner.saved_group(group))
            .await
    }

    async fn delete_group(&self, group: &GroupId) -> Result<()> {
        self.faults
            .call("delete_group", self.inner.delete_group(group))
            .await
    }
}

#[async_trait]
impl StateStore for Faulty<dyn StateStore> {
    async fn put(&self, key: &str, value: Vec<u8>, ttl: Option<Duration>) -> Result<()> {
        self.faults
            .call("put", self.inner.put(key, value, ttl))
            .await
    }

    async fn claim(&self, key: &str, value: Vec<u8>, ttl: Duration) -> Result<Option<Fence>> {
        self.faults
            .call("claim", self.inner.claim(key, value, ttl))
            .await
    }

    async fn renew(&self, key: &str, fence: Fence, value: Vec<u8>, ttl: Duration) -> Result<bool> {
        self.faults
            .call("renew", self.inner.renew(key, fence, value, ttl))
            .await
    }

    async fn release(&self, key: &str, fence: Fence) -> Result<bool> {
        self.faults
            .call("release", self.inner.release(key, fence))
            .await
    }

    async fn get(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>> {
        self.faults.call("get", self.inner.get(keys)).await
    }

    async fn delete(&self, key: &str) -> Result<()> {
        self.faults.call("delete", self.inner.delete(key)).await
    }

    async fn scan(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>> {
        self.faults.call("scan", self.inner.scan(prefix)).await
    }

    async fn append(&self, log: &str, values: Vec<Vec<u8>>, ttl: Duration) -> Result<u64> {
        self.faults
            .call("append", self.inner.append(log, values, ttl))
            .await
    }

    async fn entries(&self, log: &str, after: u64, limit: usize) -> Result<Vec<Entry>> {
        self.faults
            .call("entries", self.inner.entries(log, after, limit))
            .await
    }

    async fn sweep(&self) -> Result<u64> {
        self.faults.call("sweep", self.inner.sweep()).await
    }
}

/// A listener has no faults of its own: it goes on by itself, whatever its connection does.
#[async_trait]
impl Bus for Faulty<dyn Bus> {
    async fn tell(&self, notices: Vec<Notice>) -> Result<()> {
        self.faults.call("tell", self.inner.tell(notices)).await
    }

    async fn listen(&self, topics: Vec<Topic>) -> Result<Box<dyn Listener>> {
        self.faults.call("listen", self.inner.listen(topics)).await
    }
}
