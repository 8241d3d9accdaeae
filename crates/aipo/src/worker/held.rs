//! What a worker holds beyond its free slots: fetched, not counted as started, not yet run.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aipo_core::store::Delivery;

use super::suspect::is_suspect;

/// Deliveries that wait for a slot, in order.
#[derive(Default)]
pub(crate) struct Held(Mutex<VecDeque<Delivery>>);

impl Held {
    pub(crate) fn add(&self, deliveries: Vec<Delivery>) {
        self.lock().extend(deliveries);
    }

    /// Takes at most so many; a suspect by itself.
    pub(crate) fn take(&self, most: usize) -> Vec<Delivery> {
        let mut held = self.lock();
        let first = held.iter().take(most);
        let count = match first.take_while(|delivery| !is_suspect(delivery)).count() {
            0 => held.len().min(1),
            count => count,
        };
        held.drain(..count).collect()
    }

    /// Takes all of them.
    pub(crate) fn take_all(&self) -> VecDeque<Delivery> {
        std::mem::take(&mut self.lock())
    }

    /// All of them, for people to look at.
    pub(crate) fn list(&self) -> Vec<Delivery> {
        self.lock().iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Delivery>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
