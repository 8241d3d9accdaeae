//! The suite that every store runs, for the memory store.

use aipo_conformance::Harness;
use aipo_core::{Clock, Store};

struct Memory;

impl Harness for Memory {
    async fn open(&self, clock: Clock) -> Store {
        aipo::memory::store(clock)
    }

    async fn second(&self, store: &Store, _clock: Clock) -> Store {
        store.clone()
    }
}

aipo_conformance::conformance!(Memory);
