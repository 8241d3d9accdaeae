//! What a worker holds beyond its free slots: fetched, not counted as started, not yet run.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aipo_core::store::Delivery;

/// Deliveries that wait for a slot, in order.
#[derive(Default)]
pub(crate) struct Held(Mutex<VecDeque<Delivery>>);

impl Held {
    pub(crate) fn add(&self, deliveries: Vec<Delivery>) {
        self.lock().extend(deliveries);
    }

    /// Takes at most so many.
    pub(crate) fn take(&self, most: usize) -> Vec<Delivery> {
        let mut held = self.lock();
        let count = most.min(held.len());
        held.drain(..count).collect()
    }

    /// All of them, for people to look at.
    pub(crate) fn list(&self) -> Vec<Delivery> {
        self.lock().iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Delivery>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
