//! Slots: how many tasks run at the same time, and lending one's own while waiting for another task.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The most that a worker can grow to.
const MAX_SLOTS: usize = 100_000;

/// The slots of one worker.
#[derive(Clone)]
pub(crate) struct Slots(Arc<Pool>);

struct Pool {
    free: Arc<Semaphore>,
    size: Mutex<Size>,
}

struct Size {
    slots: usize,
    /// How many of those that are still occupied go away when they become free.
    excess: usize,
}

impl Slots {
    pub(crate) fn new(count: usize) -> Self {
        Self(Arc::new(Pool {
            free: Arc::new(Semaphore::new(count)),
            size: Mutex::new(Size {
                slots: count,
                excess: 0,
            }),
        }))
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.size().slots
    }

    /// Makes so many more.
    pub(crate) fn grow(&self, by: usize) {
        let mut size = self.0.size();
        let by = by.min(MAX_SLOTS.saturating_sub(size.slots));
        size.slots += by;
        let kept = by.min(size.excess);
        size.excess -= kept;
        self.0.free.add_permits(by - kept);
    }

    /// Makes so many fewer, but leaves at least one. Those that are occupied go when their task has ended.
    pub(crate) fn shrink(&self, by: usize) {
        let mut size = self.0.size();
        let by = by.min(size.slots - 1);
        size.slots -= by;
        size.excess += by - self.0.free.forget_permits(by);
    }

    /// Waits until a slot is free and says how many are. They are not taken: a task that waits to
    /// get its lent slot back goes first.
    pub(crate) async fn free(&self) -> usize {
        let permit = self
            .0
            .free
            .acquire()
            .await
            .expect("the semaphore is never closed");
        drop(permit);
        self.0.free.available_permits().max(1)
    }

    /// Takes a slot.
    pub(crate) async fn take(&self) -> Slot {
        let permit = acquire(&self.0.free).await;
        let holding = Holding {
            permit: Some(permit),
            lent: 0,
            ended: false,
        };
        Slot(Arc::new(Occupied {
            pool: self.0.clone(),
            holding: Mutex::new(holding),
        }))
    }
}

impl Pool {
    /// Takes a slot back, unless it is one too many.
    fn release(&self, permit: Option<OwnedSemaphorePermit>) {
        let Some(permit) = permit else { return };
        let mut size = self.size();
        if size.excess > 0 {
            size.excess -= 1;
            permit.forget();
        }
    }

    fn size(&self) -> MutexGuard<'_, Size> {
        self.size.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn acquire(slots: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    slots
        .clone()
        .acquire_owned()
        .await
        .expect("the semaphore is never closed")
}

/// A slot that a task occupies. Clones are the same slot.
#[derive(Clone)]
pub(crate) struct Slot(Arc<Occupied>);

struct Occupied {
    pool: Arc<Pool>,
    holding: Mutex<Holding>,
}

struct Holding {
    permit: Option<OwnedSemaphorePermit>,
    /// How many waits of the task lend the slot right now.
    lent: usize,
    ended: bool,
}

impl Slot {
    /// Gives the slot back for as long as `waiting` takes, and gets one again afterwards.
    pub(crate) async fn lend<F: Future>(&self, waiting: F) -> F::Output {
        {
            let mut holding = self.holding();
            holding.lent += 1;
            self.0.pool.release(holding.permit.take());
        }
        let lent = Lent(self);
        let output = waiting.await;
        // The wait is over but still counted as lent, so that no other wait of this task, ending
        // at the same time, gets a second slot for it.
        let permit = acquire(&self.0.pool.free).await;
        drop(lent);
        let mut holding = self.holding();
        if holding.lent == 0 && !holding.ended && holding.permit.is_none() {
            holding.permit = Some(permit);
        }
        output
    }

    /// The task has ended: the slot is free, whoever still holds a clone.
    pub(crate) fn end(&self) {
        let mut holding = self.holding();
        holding.ended = true;
        self.0.pool.release(holding.permit.take());
    }

    fn holding(&self) -> MutexGuard<'_, Holding> {
        self.0
            .holding
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// One wait during which the slot is lent. Dropped in the middle of the wait, for example by a
/// timeout around it, the task goes on; it takes a slot if one is free and otherwise runs in
/// excess until it ends, since there is nothing left to wait in.
struct Lent<'a>(&'a Slot);

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let mut holding = self.0.holding();
        holding.lent -= 1;
        if holding.lent == 0 && !holding.ended && holding.permit.is_none() {
            holding.permit = self.0.0.pool.free.clone().try_acquire_owned().ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_lent_slot_serves_others_and_comes_back() {
        let slots = Slots::new(1);
        let slot = slots.take().await;
        slot.lend(async {
            let other = slots.take().await;
            other.end();
        })
        .await;
        assert_eq!(slots.0.free.available_permits(), 0);
        slot.end();
        assert_eq!(slots.0.free.available_permits(), 1);
    }

    #[tokio::test]
    async fn waits_side_by_side_lend_one_slot() {
        let slots = Slots::new(1);
        let slot = slots.take().await;
        let wait = || slot.lend(tokio::task::yield_now());
        tokio::join!(wait(), wait(), wait());
        assert_eq!(slots.0.free.available_permits(), 0);
        slot.end();
        assert_eq!(slots.0.free.available_permits(), 1);
    }

    #[tokio::test]
    async fn an_abandoned_wait_takes_the_slot_back() {
        let slots = Slots::new(1);
        let slot = slots.take().await;
        tokio::select! {
            biased;
            () = slot.lend(std::future::pending()) => unreachable!("pending never ends"),
            () = async {} => {}
        }
        assert_eq!(slots.0.free.available_permits(), 0);
        slot.end();
        assert_eq!(slots.0.free.available_permits(), 1);
    }

    #[tokio::test]
    async fn a_slot_too_many_goes_away_when_it_is_free() {
        let slots = Slots::new(3);
        let (one, two) = (slots.take().await, slots.take().await);
        slots.shrink(9);
        assert_eq!(slots.count(), 1);
        assert_eq!(slots.0.free.available_permits(), 0);
        one.end();
        assert_eq!(slots.0.free.available_permits(), 0);
        two.end();
        assert_eq!(slots.0.free.available_permits(), 1);
    }

    #[tokio::test]
    async fn growing_keeps_what_was_to_go_first() {
        let slots = Slots::new(2);
        let (one, two) = (slots.take().await, slots.take().await);
        slots.shrink(1);
        slots.grow(2);
        assert_eq!(slots.count(), 3);
        assert_eq!(slots.0.free.available_permits(), 1);
        one.end();
        two.end();
        assert_eq!(slots.0.free.available_permits(), 3);
    }
}
