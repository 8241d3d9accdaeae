//! A consumer that is given other queues while it works.

use aipo_core::QueueName;
use aipo_core::store::{Fetch, Verdict};

use crate::Harness;
use crate::support::{AN_HOUR, Fixture, Holder, ids, message, still_waiting, within};

async fn set_queues(consumer: &Holder, queues: &[&str]) {
    let queues = queues.iter().map(|queue| QueueName::from(*queue)).collect();
    consumer.set_queues(queues).await.expect("set queues");
}

pub async fn the_next_fetch_takes_from_the_new_queues(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish([message("a", "1"), message("b", "2"), message("c", "3")])
        .await;
    let consumer = bed.consumer(&["a"]).await;

    set_queues(&consumer, &["b", "c"]).await;
    let mut taken = ids(&consumer.take(10).await);
    taken.sort();
    assert_eq!(taken, ["2", "3"]);

    set_queues(&consumer, &["a"]).await;
    assert_eq!(ids(&consumer.take(10).await), ["1"]);
}

pub async fn a_queue_exists_from_its_first_setting_on(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let consumer = bed.consumer(&["a"]).await;

    set_queues(&consumer, &["b"]).await;

    let names: Vec<String> = bed
        .queues()
        .await
        .iter()
        .map(|stats| stats.queue.to_string())
        .collect();
    assert_eq!(names, ["a", "b"]);
}

pub async fn what_is_in_flight_stays(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish([message("a", "1"), message("a", "2"), message("b", "3")])
        .await;
    let consumer = bed.consumer(&["a"]).await;
    let before = consumer.take(2).await;

    set_queues(&consumer, &["b"]).await;

    assert_eq!(bed.counts("a").await, [0, 0, 2, 0]);
    let now = consumer.take_one().await;
    assert!(before.iter().all(|delivery| delivery.tag != now.tag));
    consumer.done(&before[0], Verdict::Ack).await;
    consumer.done(&before[1], Verdict::Release).await;
    consumer.done(&now, Verdict::Ack).await;
    assert_eq!(bed.counts("a").await, [1, 0, 0, 0]);
    assert_eq!(consumer.take(10).await, []);
}

/// What was told of a delivery does not name another after the queues have changed, and changed back.
pub async fn tags_are_not_used_again(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish([message("a", "1")]).await;
    let consumer = bed.consumer(&["a"]).await;
    let mut tags = Vec::new();

    for _ in 0..4 {
        let held = consumer.take_one().await;
        assert!(!tags.contains(&held.tag));
        tags.push(held.tag);
        consumer.done(&held, Verdict::Release).await;
        set_queues(&consumer, &["b"]).await;
        set_queues(&consumer, &["a"]).await;
    }
}

pub async fn a_fetch_that_waits_keeps_its_queues(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    let consumer = first.consumer(&["a"]).await;
    let fetch = Fetch {
        max: 10,
        started: 10,
        wait: AN_HOUR,
    };

    for bed in [&first, &second] {
        set_queues(&consumer, &["a"]).await;
        let mut wait = consumer.fetch(fetch);
        still_waiting(&mut wait).await;

        set_queues(&consumer, &["b"]).await;
        bed.publish([message("b", "new")]).await;
        still_waiting(&mut wait).await;
        bed.publish([message("a", "old")]).await;

        assert_eq!(ids(&within(wait).await.expect("fetch")), ["old"]);
        assert_eq!(ids(&consumer.take(10).await), ["new"]);
    }
}

pub async fn a_closed_consumer_takes_nothing_from_earlier_queues(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let consumer = bed.consumer(&["a"]).await;
    let mut wait = consumer.fetch(Fetch {
        max: 1,
        started: 1,
        wait: AN_HOUR,
    });
    still_waiting(&mut wait).await;
    set_queues(&consumer, &["b"]).await;

    consumer.close().await.expect("close");
    bed.publish([message("a", "1")]).await;

    let refused = within(wait).await.expect_err("it is closed");
    assert_eq!(refused.kind(), aipo_core::ErrorKind::LeaseLost);
    assert_eq!(bed.counts("a").await, [1, 0, 0, 0]);
}

pub async fn a_consumer_may_have_no_queues(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish([message("a", "1")]).await;
    let consumer = bed.consumer(&["a"]).await;

    set_queues(&consumer, &[]).await;
    assert_eq!(consumer.take(10).await, []);
    consumer.renew().await.expect("renew");

    set_queues(&consumer, &["a"]).await;
    assert_eq!(ids(&consumer.take(10).await), ["1"]);
}

pub async fn a_queue_named_twice_is_one(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish([message("a", "1"), message("b", "2"), message("a", "3")])
        .await;
    let consumer = bed.consumer(&["c"]).await;

    set_queues(&consumer, &["a", "b", "a"]).await;

    let mut taken = ids(&consumer.take(10).await);
    taken.sort();
    assert_eq!(taken, ["1", "2", "3"]);
}

pub async fn other_consumers_keep_their_queues(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let (one, two) = (bed.consumer(&["a"]).await, bed.consumer(&["a"]).await);

    set_queues(&one, &["b"]).await;
    bed.publish([message("a", "1"), message("b", "2")]).await;

    assert_eq!(ids(&two.take(10).await), ["1"]);
    assert_eq!(ids(&one.take(10).await), ["2"]);
}
