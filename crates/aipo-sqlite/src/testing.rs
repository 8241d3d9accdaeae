//! What the unit tests share.

use std::time::Duration;

use aipo_core::message::Envelope;
use aipo_core::store::{
    Consumer, ConsumerOptions, Delivery, Fetch, Publish, QueueStats, Settlement, Verdict,
};
use aipo_core::{Clock, Store};
use tempfile::TempDir;

use crate::config::{SqliteOptions, Synchronous};

/// Longer than any right answer takes; only ends a test that would hang.
pub(crate) const GUARD: Duration = Duration::from_secs(60);

/// For waits that must end before their time, which is longer than the guard.
pub(crate) const FOR_EVER: Duration = Duration::from_secs(3600);

/// Long enough for a call to reach its wait; a slower machine makes a test weaker, never wrong.
pub(crate) const A_MOMENT: Duration = Duration::from_millis(50);

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

/// A message of the task `id`.
pub(crate) fn message(queue: &str, id: &str) -> Publish {
    let envelope = Envelope {
        body: id.as_bytes().to_vec(),
        ..Envelope::default()
    };
    Publish {
        queue: queue.into(),
        id: id.into(),
        priority: 0,
        due: None,
        envelope,
    }
}

pub(crate) async fn publish(store: &Store, messages: impl Into<Vec<Publish>>) {
    store
        .broker
        .publish(messages.into())
        .await
        .expect("publish");
}

pub(crate) async fn consumer(store: &Store, queues: &[&str]) -> Box<dyn Consumer> {
    let options = ConsumerOptions {
        name: "worker".to_owned(),
        queues: queues.iter().map(|queue| (*queue).into()).collect(),
        lease: Duration::from_secs(3600),
    };
    store.broker.consume(options).await.expect("consume")
}

/// Fetches at most `max`, and waits for the first.
pub(crate) async fn fetch(consumer: &dyn Consumer, max: usize) -> Vec<String> {
    let request = Fetch {
        max,
        started: max,
        wait: FOR_EVER,
    };
    let taken = within(consumer.fetch(request)).await.expect("fetch");
    taken.into_iter().map(body).collect()
}

fn body(delivery: Delivery) -> String {
    String::from_utf8(delivery.envelope.body).expect("the body is the id, which is text")
}

/// What a queue holds: ready, parked, in flight, dead.
pub(crate) async fn counts(store: &Store, queue: &str) -> [u64; 4] {
    let queues = store.broker.queues().await.expect("queues");
    queues
        .iter()
        .find(|stats| stats.queue.as_str() == queue)
        .map_or(
            [0; 4],
            |&QueueStats {
                 ready,
                 parked,
                 in_flight,
                 dead,
                 ..
             }| { [ready, parked, in_flight, dead] },
        )
}

/// Waits for what must come, and fails instead of hanging.
pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(GUARD, future)
        .await
        .expect("ends long before the guard")
}

/// Polls a wait for a moment, so that what the test does next happens while it waits.
pub(crate) async fn still_waiting<F: Future + Unpin>(wait: &mut F) {
    assert!(
        tokio::time::timeout(A_MOMENT, wait).await.is_err(),
        "ended with nothing to end it"
    );
}

pub(crate) fn ack(delivery: &Delivery) -> Settlement {
    Settlement {
        tag: delivery.tag,
        verdict: Verdict::Ack,
        result: None,
        publish: Vec::new(),
        step: Default::default(),
    }
}
