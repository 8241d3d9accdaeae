//! Slots: how many tasks run at the same time, and lending one's own while waiting for another task.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The slots of one worker.
#[derive(Clone)]
pub(crate) struct Slots(Arc<Semaphore>);

impl Slots {
    pub(crate) fn new(count: usize) -> Self {
        Self(Arc::new(Semaphore::new(count)))
    }

    /// Waits until a slot is free and says how many are. They are not taken: a task that waits to
    /// get its lent slot back goes first.
    pub(crate) async fn free(&self) -> usize {
        let permit = self
            .0
            .acquire()
            .await
            .expect("the semaphore is never closed");
        drop(permit);
        self.0.available_permits().max(1)
    }

    /// Takes a slot.
    pub(crate) async fn take(&self) -> Slot {
        let permit = acquire(&self.0).await;
        let holding = Holding {
            permit: Some(permit),
            lent: 0,
            ended: false,
        };
        Slot(Arc::new(Occupied {
            slots: self.0.clone(),
            holding: Mutex::new(holding),
        }))
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
    slots: Arc<Semaphore>,
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
            holding.permit = None;
        }
        let lent = Lent(self);
        let output = waiting.await;
        // The wait is over but still counted as lent, so that no other wait of this task, ending
        // at the same time, gets a second slot for it.
        let permit = acquire(&self.0.slots).await;
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
        holding.permit = None;
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
            holding.permit = self.0.0.slots.clone().try_acquire_owned().ok();
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
        assert_eq!(slots.0.available_permits(), 0);
        slot.end();
        assert_eq!(slots.0.available_permits(), 1);
    }

    #[tokio::test]
    async fn waits_side_by_side_lend_one_slot() {
        let slots = Slots::new(1);
        let slot = slots.take().await;
        let wait = || slot.lend(tokio::task::yield_now());
        tokio::join!(wait(), wait(), wait());
        assert_eq!(slots.0.available_permits(), 0);
        slot.end();
        assert_eq!(slots.0.available_permits(), 1);
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
        assert_eq!(slots.0.available_permits(), 0);
        slot.end();
        assert_eq!(slots.0.available_permits(), 1);
    }
}
