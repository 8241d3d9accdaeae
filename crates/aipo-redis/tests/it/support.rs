//! Short words for what the tests do.

use std::time::Duration;

use aipo_conformance::testing;
use aipo_core::store::{Consumer, Delivery, Fetch, Settled, Verdict};

pub(crate) use testing::{AN_HOUR, GUARD, consumer, counts, ids, message, publish, within};

/// What is ready now, all of it counted as started: by the fetch, or afterwards what was started
/// before.
pub(crate) async fn take(consumer: &dyn Consumer) -> Vec<Delivery> {
    fetch(consumer, Duration::ZERO).await
}

/// Waits for messages, all of them counted as started.
pub(crate) async fn wait(consumer: &dyn Consumer) -> Vec<Delivery> {
    within(fetch(consumer, GUARD)).await
}

async fn fetch(consumer: &dyn Consumer, wait: Duration) -> Vec<Delivery> {
    let fetch = Fetch {
        max: 100,
        started: 100,
        wait,
    };
    let mut taken = consumer.fetch(fetch).await.expect("fetch");
    for delivery in taken.iter_mut().filter(|delivery| !delivery.started) {
        consumer.start(&[delivery.tag]).await.expect("start");
        delivery.started = true;
        delivery.deliveries += 1;
    }
    taken
}

pub(crate) async fn settle(consumer: &dyn Consumer, delivery: &Delivery, verdict: Verdict) {
    let settlement = testing::settlement(delivery, verdict);
    let answers = consumer.settle(vec![settlement]).await.expect("settle");
    assert_eq!(answers, [Settled::Done]);
}
