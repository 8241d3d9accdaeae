//! What the unit tests share.

use aipo_conformance::testing::id_of;
pub(crate) use aipo_conformance::testing::{
    A_MOMENT, AN_HOUR, GUARD, consumer, counts, message, publish, still_waiting, within,
};
use aipo_core::store::{Consumer, Delivery, Fetch, Settlement, Verdict};
use aipo_core::{Clock, Store};
use tempfile::TempDir;

use crate::config::{SqliteOptions, Synchronous};

/// A database file of its own.
pub(crate) struct Bed {
    pub(crate) folder: TempDir,
    pub(crate) options: SqliteOptions,
}

impl Bed {
    pub(crate) fn new() -> Self {
        Self::with_clock(Clock::system())
    }

    pub(crate) fn with_clock(clock: Clock) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let mut options = SqliteOptions::new(folder.path().join("test.db"));
        options.clock = clock;
        options.synchronous = Synchronous::Off;
        Self { folder, options }
    }

    pub(crate) async fn connect(&self) -> Store {
        crate::connect(self.options.clone()).await.expect("connect")
    }
}

/// Fetches at most `max`, and waits for the first.
pub(crate) async fn fetch(consumer: &dyn Consumer, max: usize) -> Vec<String> {
    let request = Fetch {
        max,
        started: max,
        wait: AN_HOUR,
    };
    let taken = within(consumer.fetch(request)).await.expect("fetch");
    taken.iter().map(id_of).collect()
}

pub(crate) fn ack(delivery: &Delivery) -> Settlement {
    aipo_conformance::testing::settlement(delivery, Verdict::Ack)
}
