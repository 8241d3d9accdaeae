//! What the cases share, beside the words of [`crate::testing`]: a store on fresh data, a clock that the case moves,
//! and a consumer that does what cases do with it.

use std::future::poll_fn;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::Poll;
use std::time::Duration;

use aipo_core::store::{
    Consumer, DeadLetter, Delivery, Fetch, Location, Publish, QueueStats, ResultRecord, Settled,
    Settlement, Verdict,
};
use aipo_core::{Clock, Store, TaskId, TaskState};
use jiff::Timestamp;

use crate::Harness;
use crate::testing;
pub(crate) use crate::testing::{
    A_MOMENT, AN_HOUR, id_of, ids, message, publish, settlement, still_waiting, within,
};

/// The lease of a consumer that a case does not say more about.
pub(crate) const LEASE: Duration = Duration::from_secs(10);

/// A clock that stands still until it is told to move. It counts whole milliseconds, which is as
/// fine as a store has to keep time.
#[derive(Clone)]
pub(crate) struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// Stands at the beginning of 2026.
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicI64::new(1_767_225_600_000)))
    }

    pub(crate) fn clock(&self) -> Clock {
        let this = self.clone();
        Clock::from_fn(move || this.now())
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.0.load(Ordering::SeqCst))
            .expect("no case leaves the years that a timestamp can tell")
    }

    /// The moment `delay` from now.
    pub(crate) fn after(&self, delay: Duration) -> Timestamp {
        self.now() + delay
    }

    pub(crate) fn advance(&self, by: Duration) {
        let ms = i64::try_from(by.as_millis()).expect("cases advance by hours, not by ages");
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

/// A store on fresh data whose time the case controls.
pub(crate) struct Fixture {
    pub(crate) store: Store,
    pub(crate) clock: ManualClock,
}

impl Fixture {
    pub(crate) async fn open(harness: &impl Harness) -> Self {
        let clock = ManualClock::new();
        Self {
            store: harness.open(clock.clock()).await,
            clock,
        }
    }

    /// Another handle on the same data, with the same clock.
    pub(crate) async fn second(&self, harness: &impl Harness) -> Self {
        let store = harness.second(&self.store, self.clock.clock()).await;
        Self {
            store,
            clock: self.clock.clone(),
        }
    }

    pub(crate) async fn publish(&self, messages: impl Into<Vec<Publish>>) {
        publish(&self.store, messages).await;
    }

    pub(crate) async fn consumer(&self, queues: &[&str]) -> Holder {
        consumer(&self.store, "worker", queues).await
    }

    pub(crate) async fn consumer_named(&self, name: &str, queues: &[&str]) -> Holder {
        consumer(&self.store, name, queues).await
    }

    /// Starts the first message of `queue` and closes: it goes back, counted once more.
    pub(crate) async fn start_and_close(&self, queue: &str) {
        let consumer = self.consumer(&[queue]).await;
        consumer.take_one().await;
        consumer.close().await.expect("close");
    }

    pub(crate) async fn recover(&self) -> usize {
        self.store.broker.recover().await.expect("recover")
    }

    /// Lets every lease that exists run out, and recovers.
    pub(crate) async fn outlive_leases(&self) -> usize {
        self.clock.advance(LEASE * 2);
        self.recover().await
    }

    pub(crate) async fn queues(&self) -> Vec<QueueStats> {
        self.store.broker.queues().await.expect("queues")
    }

    /// What `queue` holds: ready, parked, in flight, dead; zeros for one that does not exist.
    pub(crate) async fn counts(&self, queue: &str) -> [u64; 4] {
        testing::counts(&self.store, queue).await
    }

    pub(crate) async fn locate(&self, id: &str) -> Option<Location> {
        let mut found = self
            .store
            .broker
            .locate(&[TaskId::from(id)])
            .await
            .expect("locate");
        assert_eq!(found.len(), 1, "one answer for each id");
        found.remove(0)
    }

    pub(crate) async fn dead_letters(&self) -> Vec<DeadLetter> {
        self.store
            .broker
            .dead_letters(None, 100)
            .await
            .expect("dead letters")
    }

    pub(crate) async fn store_result(&self, record: ResultRecord) {
        self.store.results.store(vec![record]).await.expect("store");
    }

    pub(crate) async fn result(&self, id: &str) -> Option<Vec<u8>> {
        let mut found = self
            .store
            .results
            .get(&[TaskId::from(id)])
            .await
            .expect("get");
        assert_eq!(found.len(), 1, "one answer for each id");
        found.remove(0)
    }

    /// A ready result that is there already; `None` when there is none.
    pub(crate) async fn ready_result(&self, id: &str) -> Option<Vec<u8>> {
        self.store
            .results
            .wait(&TaskId::from(id), Duration::ZERO)
            .await
            .expect("wait")
    }

    pub(crate) async fn fact(&self, key: &str) -> Option<Vec<u8>> {
        let mut found = self.store.state.get(&[key.to_owned()]).await.expect("get");
        assert_eq!(found.len(), 1, "one answer for each key");
        found.remove(0)
    }
}

/// A consumer with short words for what cases do with it.
pub(crate) struct Holder(Box<dyn Consumer>);

impl Deref for Holder {
    type Target = dyn Consumer;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl Holder {
    /// Fetches what is ready now, at most `max`, all counted as started: by the fetch, or afterwards
    /// where they were started before.
    pub(crate) async fn take(&self, max: usize) -> Vec<Delivery> {
        let mut taken = self
            .0
            .fetch(Fetch {
                max,
                started: max,
                wait: Duration::ZERO,
            })
            .await
            .expect("fetch");
        let again = taken.iter_mut().filter(|delivery| !delivery.started);
        let mut again: Vec<&mut Delivery> = again.collect();
        if !again.is_empty() {
            let tags: Vec<_> = again.iter().map(|delivery| delivery.tag).collect();
            self.0.start(&tags).await.expect("start");
        }
        for delivery in &mut again {
            delivery.started = true;
            delivery.deliveries += 1;
        }
        taken
    }

    /// Fetches what is ready now, at most `max`, none counted.
    pub(crate) async fn hold(&self, max: usize) -> Vec<Delivery> {
        self.0
            .fetch(Fetch {
                max,
                started: 0,
                wait: Duration::ZERO,
            })
            .await
            .expect("fetch")
    }

    /// Fetches the one message that is ready now, counted as started.
    pub(crate) async fn take_one(&self) -> Delivery {
        let mut taken = self.take(1).await;
        assert_eq!(taken.len(), 1, "a message is ready");
        taken.remove(0)
    }

    /// Fetches the one message that is ready now, not counted.
    pub(crate) async fn hold_one(&self) -> Delivery {
        let mut held = self.hold(1).await;
        assert_eq!(held.len(), 1, "a message is ready");
        held.remove(0)
    }

    pub(crate) async fn settle_one(&self, settlement: Settlement) -> Settled {
        let answers = self.0.settle(vec![settlement]).await.expect("settle");
        assert_eq!(answers.len(), 1, "one answer for each settlement");
        answers[0]
    }

    /// Settles with nothing but a verdict, which is to happen.
    pub(crate) async fn done(&self, delivery: &Delivery, verdict: Verdict) {
        assert_eq!(
            self.settle_one(settlement(delivery, verdict)).await,
            Settled::Done
        );
    }
}

pub(crate) async fn consumer(store: &Store, name: &str, queues: &[&str]) -> Holder {
    consumer_with(store, name, queues, LEASE).await
}

pub(crate) async fn consumer_with(
    store: &Store,
    name: &str,
    queues: &[&str],
    lease: Duration,
) -> Holder {
    Holder(testing::consumer_with(store, name, queues, lease).await)
}

/// Messages `0`, `1`, … of one queue.
pub(crate) fn numbered(queue: &str, count: usize) -> Vec<Publish> {
    (0..count)
        .map(|number| message(queue, &number.to_string()))
        .collect()
}

pub(crate) fn dead(reason: &str) -> Verdict {
    Verdict::DeadLetter {
        reason: reason.to_owned(),
    }
}

/// A result that is kept for ever.
pub(crate) fn result(id: &str, state: TaskState, meta: &str) -> ResultRecord {
    ResultRecord {
        id: id.into(),
        state,
        meta: meta.as_bytes().to_vec(),
        expires: None,
    }
}

/// Polls `future` up to `times` times, with other work done in between, and drops it; its answer if
/// it ended before.
pub(crate) async fn poll_times<F: Future>(future: F, times: usize) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    for _ in 0..times {
        // One poll each, so that every place where the future can be dropped is met.
        let polled = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
        if let Poll::Ready(answer) = polled {
            return Some(answer);
        }
        tokio::task::yield_now().await;
    }
    None
}

/// The seed of everything random in a case: a new one for each run, or the one in `AIPO_SEED`. It is
/// printed, and a test that fails shows it.
pub(crate) fn seed() -> u64 {
    let seed = variable("AIPO_SEED").unwrap_or_else(|| fastrand::u64(..));
    eprintln!("replay with AIPO_SEED={seed}");
    seed
}

/// A number from the environment.
pub(crate) fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is not a number: {text}")),
    )
}
