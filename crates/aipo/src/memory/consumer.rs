//! A consumer: fetches, waits, settles.
//!
//! # Cancel safety
//! A fetch takes under the lock and answers without another await, so a dropped fetch had taken nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use aipo_core::store::state::REVOKED;
use aipo_core::store::{Consumer, Delivery, DeliveryTag, Fetch, Settled, Settlement};
use aipo_core::{QueueName, Result, TaskId};
use async_trait::async_trait;
use tokio::time::Instant;

use super::waiters::Interest;
use super::{Data, Shared};

pub(super) struct MemoryConsumer {
    shared: Arc<Shared>,
    number: u64,
    /// Its queues, of which the one that was served last comes last. A fetch that waits keeps those that it
    /// began with.
    turns: Mutex<Turns>,
    last_revoked: AtomicU64,
}

type Turns = Arc<Mutex<Vec<QueueName>>>;

/// What a fetch that found nothing waits for at most.
struct Nothing<'a> {
    interest: Interest<'a, QueueName>,
    /// Until the next parked message is due.
    next_due: Option<Duration>,
}

#[async_trait]
impl Consumer for MemoryConsumer {
    async fn fetch(&self, request: Fetch) -> Result<Vec<Delivery>> {
        let began = Instant::now();
        let turns = locked(&self.turns).clone();
        loop {
            let nothing = match self.look(&turns, request)? {
                Ok(taken) => return Ok(taken),
                Err(nothing) => nothing,
            };
            let left = request.wait.saturating_sub(began.elapsed());
            if left.is_zero() || request.max == 0 {
                return Ok(Vec::new());
            }
            let nap = nothing.next_due.map_or(left, |due| due.min(left));
            tokio::select! {
                () = nothing.interest.woken() => {}
                () = tokio::time::sleep(nap) => {}
            }
        }
    }

    async fn claim(&self, ids: &[TaskId]) -> Result<Vec<Delivery>> {
        let now = self.shared.clock.now();
        self.shared.lock().queues.claim(self.number, ids, now)
    }

    async fn start(&self, tags: &[DeliveryTag]) -> Result<()> {
        self.shared
            .lock()
            .queues
            .start(self.number, tags, self.shared.clock.now())
    }

    async fn settle(&self, batch: Vec<Settlement>) -> Result<Vec<Settled>> {
        let now = self.shared.clock.now();
        let mut data = self.shared.lock();
        Ok(batch
            .into_iter()
            .map(|settlement| data.settle(self.number, settlement, now))
            .collect())
    }

    async fn set_queues(&self, queues: Vec<QueueName>) -> Result<()> {
        let now = self.shared.clock.now();
        let mut data = self.shared.lock();
        let turns = data.queues.set_queues(self.number, queues, now)?;
        *locked(&self.turns) = Arc::new(Mutex::new(turns));
        Ok(())
    }

    fn last_revoked(&self) -> Option<u64> {
        Some(self.last_revoked.load(Ordering::Acquire))
    }

    async fn renew(&self) -> Result<()> {
        self.shared
            .lock()
            .queues
            .renew(self.number, self.shared.clock.now())
    }

    async fn close(&self) -> Result<()> {
        let mut data = self.shared.lock();
        let returned = data.queues.close(self.number, self.shared.clock.now())?;
        data.wake_fetches(&returned);
        Ok(())
    }
}

impl MemoryConsumer {
    pub(super) fn new(shared: Arc<Shared>, number: u64, turns: Vec<QueueName>) -> Self {
        Self {
            shared,
            number,
            turns: Mutex::new(Arc::new(Mutex::new(turns))),
            last_revoked: AtomicU64::new(0),
        }
    }

    /// Takes what is ready or, in the same step, registers for what comes.
    fn look(&self, turns: &Turns, request: Fetch) -> Result<Result<Vec<Delivery>, Nothing<'_>>> {
        let now = self.shared.clock.now();
        let mut data = self.shared.lock();
        let mut turns = locked(turns);
        let taken = data.queues.take(self.number, &mut turns, request, now)?;
        self.last_revoked
            .store(data.logs.last(REVOKED), Ordering::Release);
        if !taken.is_empty() {
            return Ok(Ok(taken));
        }
        let next_due = data
            .queues
            .next_due(&turns)
            .map(|due| self.shared.clock.until(due));
        let interest = Interest::register(
            &self.shared,
            &mut data,
            |data| &mut data.fetches,
            turns.as_slice().into(),
        );
        Ok(Err(Nothing { interest, next_due }))
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .expect("what is done under the lock does not panic")
}

impl Data {
    fn settle(&mut self, consumer: u64, end: Settlement, now: jiff::Timestamp) -> Settled {
        let Some(returned) = self.queues.settle(consumer, end.tag, end.verdict, now) else {
            return Settled::LeaseLost;
        };
        self.wake_fetches(&returned);
        if let Some(result) = end.result {
            self.store_result(result, now);
        }
        self.advance(end.step, now);
        self.publish(end.publish, now);
        Settled::Done
    }
}
