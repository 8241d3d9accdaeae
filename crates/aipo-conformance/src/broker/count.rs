//! How often a message was started: counted before it runs, once for each start.

use aipo_core::ErrorKind;
use aipo_core::store::{DeliveryTag, Fetch, Verdict};

use crate::Harness;
use crate::support::{Fixture, message, numbered};

pub async fn the_first_of_a_fetch_are_counted_as_asked(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish(numbered("q", 4)).await;
    let consumer = bed.consumer(&["q"]).await;

    let fetch = Fetch {
        max: 4,
        started: 2,
        wait: std::time::Duration::ZERO,
    };
    let taken = consumer.fetch(fetch).await.expect("fetch");

    let counted: Vec<_> = taken.iter().map(|d| (d.started, d.deliveries)).collect();
    assert_eq!(counted, [(true, 1), (true, 1), (false, 0), (false, 0)]);
}

pub async fn counting_more_than_come_counts_those_that_come(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish(numbered("q", 2)).await;
    let consumer = bed.consumer(&["q"]).await;

    let fetch = Fetch {
        max: 3,
        started: 9,
        wait: std::time::Duration::ZERO,
    };
    let taken = consumer.fetch(fetch).await.expect("fetch");

    assert_eq!(taken.len(), 2);
    assert!(
        taken
            .iter()
            .all(|delivery| delivery.started && delivery.deliveries == 1)
    );
}

/// It may have been what ended its worker, so the next worker chooses when to run it.
pub async fn what_was_started_before_comes_uncounted(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish([message("q", "a")]).await;
    let crashing = bed.consumer(&["q"]).await;
    crashing.take_one().await;
    drop(crashing);
    assert_eq!(bed.outlive_leases().await, 1);
    bed.publish([message("q", "b")]).await;

    let fetch = Fetch {
        max: 2,
        started: 2,
        wait: std::time::Duration::ZERO,
    };
    let consumer = bed.consumer(&["q"]).await;
    let taken = consumer.fetch(fetch).await.expect("fetch");

    let counted: Vec<_> = taken.iter().map(|d| (d.started, d.deliveries)).collect();
    assert_eq!(counted, [(false, 1), (true, 1)]);
}

pub async fn a_start_counts_what_it_names(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish(numbered("q", 3)).await;
    let one = bed.consumer(&["q"]).await;
    let held = one.hold(3).await;

    one.start(&[held[0].tag, held[2].tag]).await.expect("start");
    one.close().await.expect("close");

    let again = bed.consumer(&["q"]).await.hold(3).await;
    let counts: Vec<u32> = again.iter().map(|delivery| delivery.deliveries).collect();
    assert_eq!(counts, [1, 0, 1]);
}

pub async fn a_start_of_nothing_counts_nothing(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish([message("q", "a")]).await;
    let one = bed.consumer(&["q"]).await;
    one.hold_one().await;

    one.start(&[]).await.expect("start");
    one.close().await.expect("close");

    assert_eq!(bed.consumer(&["q"]).await.hold_one().await.deliveries, 0);
}

/// A worker that does not know whether its first call went through calls again.
pub async fn a_delivery_is_counted_once_however_often_it_is_started(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish(numbered("q", 2)).await;
    let one = bed.consumer(&["q"]).await;
    let counted_by_fetch = one.take_one().await;
    let counted_by_start = one.hold_one().await;

    one.start(&[counted_by_start.tag, counted_by_fetch.tag])
        .await
        .expect("start");
    one.start(&[counted_by_start.tag]).await.expect("start");
    one.close().await.expect("close");

    let again = bed.consumer(&["q"]).await.hold(2).await;
    assert!(
        again.iter().all(|delivery| delivery.deliveries == 1),
        "{again:?}"
    );
}

/// Whoever runs a delivery that is no longer its own runs it beside another.
pub async fn a_start_of_what_is_not_held_is_refused_whole(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish(numbered("q", 2)).await;
    let one = bed.consumer(&["q"]).await;
    let (settled, held) = (one.take_one().await, one.hold_one().await);
    one.done(&settled, Verdict::Ack).await;

    for not_held in [settled.tag, DeliveryTag(u64::MAX >> 1)] {
        let refused = one
            .start(&[held.tag, not_held])
            .await
            .expect_err("one is not held");
        assert_eq!(refused.kind(), ErrorKind::LeaseLost);
    }

    one.close().await.expect("close");
    assert_eq!(bed.consumer(&["q"]).await.hold_one().await.deliveries, 0);
}

pub async fn each_run_counts_one_more(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish([message("q", "a")]).await;

    for run in 1..=4 {
        let consumer = bed.consumer(&["q"]).await;
        let delivery = consumer.take_one().await;
        assert_eq!((delivery.deliveries, delivery.started), (run, true));
        consumer.close().await.expect("close");
    }
}

pub async fn a_crash_keeps_the_count_of_what_was_started(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish(numbered("q", 3)).await;
    let crashing = bed.consumer(&["q"]).await;
    crashing.take_one().await;
    let started_later = crashing.hold_one().await;
    crashing.start(&[started_later.tag]).await.expect("start");
    crashing.hold_one().await;
    drop(crashing);

    assert_eq!(bed.outlive_leases().await, 3);

    let again = bed.consumer(&["q"]).await.hold(3).await;
    let counts: Vec<u32> = again.iter().map(|delivery| delivery.deliveries).collect();
    assert_eq!(counts, [1, 1, 0]);
    assert!(
        again.iter().all(|delivery| !delivery.started),
        "this delivery was not counted yet"
    );
}

/// A message that kills its worker each time is found out by its count.
pub async fn crash_after_crash_is_counted(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish([message("q", "a")]).await;

    for run in 1..=4 {
        let crashing = bed.consumer(&["q"]).await;
        assert_eq!(crashing.take_one().await.deliveries, run);
        drop(crashing);
        assert_eq!(bed.outlive_leases().await, 1);
    }
}

pub async fn a_release_takes_the_counted_start_back(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish([message("q", "a")]).await;
    bed.start_and_close("q").await;
    let consumer = bed.consumer(&["q"]).await;

    let second = consumer.take_one().await;
    assert_eq!(second.deliveries, 2);
    consumer.done(&second, Verdict::Release).await;

    assert_eq!(consumer.take_one().await.deliveries, 2);
}

pub async fn a_release_of_what_was_not_counted_takes_nothing_back(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish([message("q", "a")]).await;
    bed.start_and_close("q").await;
    let consumer = bed.consumer(&["q"]).await;

    let second = consumer.hold_one().await;
    assert_eq!((second.deliveries, second.started), (1, false));
    consumer.done(&second, Verdict::Release).await;

    assert_eq!(consumer.take_one().await.deliveries, 2);
}

pub async fn a_close_keeps_the_count(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish(numbered("q", 2)).await;
    let closing = bed.consumer(&["q"]).await;
    closing.take_one().await;
    closing.hold_one().await;

    closing.close().await.expect("close");

    let again = bed.consumer(&["q"]).await.hold(2).await;
    let counts: Vec<u32> = again.iter().map(|delivery| delivery.deliveries).collect();
    assert_eq!(counts, [1, 0]);
}
