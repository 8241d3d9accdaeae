//! What a fetch that need not wait promises.

use std::collections::BTreeSet;

use aipo_core::store::{Delivery, Fetch};

use crate::Harness;
use crate::support::{AN_HOUR, Fixture, ids, message, numbered, poll_times, within};

pub async fn the_oldest_message_comes_first(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    for id in ["1", "2", "3"] {
        bed.publish([message("q", id)]).await;
    }
    let consumer = bed.consumer(&["q"]).await;

    assert_eq!(ids(&consumer.take(1).await), ["1"]);
    assert_eq!(ids(&consumer.take(2).await), ["2", "3"]);
}

pub async fn as_many_come_as_are_ready_and_asked_for(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish(numbered("q", 5)).await;
    let consumer = bed.consumer(&["q"]).await;

    assert_eq!(consumer.take(3).await.len(), 3);
    assert_eq!(consumer.take(3).await.len(), 2);
    assert_eq!(consumer.take(3).await.len(), 0);
}

pub async fn deliveries_of_a_consumer_have_different_tags(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish(numbered("q", 10)).await;
    let consumer = bed.consumer(&["q"]).await;

    let mut taken = consumer.take(4).await;
    taken.extend(consumer.hold(6).await);

    let tags: BTreeSet<u64> = taken.iter().map(|delivery| delivery.tag.0).collect();
    assert_eq!(tags.len(), 10);
}

pub async fn a_fetched_message_is_held_by_one_consumer(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    let (one, two) = (first.consumer(&["q"]).await, second.consumer(&["q"]).await);
    first.publish(numbered("q", 4)).await;

    assert_eq!(ids(&one.take(1).await), ["0"]);
    assert_eq!(ids(&two.take(1).await), ["1"]);
    assert_eq!(ids(&one.take(9).await), ["2", "3"]);
    assert_eq!(ids(&two.take(9).await), [""; 0]);
    assert_eq!(first.counts("q").await, [0, 0, 4, 0]);
}

pub async fn a_consumer_takes_from_its_own_queues_only(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish([message("a", "1"), message("b", "2"), message("c", "3")])
        .await;

    let mut taken = ids(&bed.consumer(&["a", "c"]).await.take(10).await);

    taken.sort();
    assert_eq!(taken, ["1", "3"]);
    assert_eq!(bed.counts("b").await, [1, 0, 0, 0]);
}

pub async fn a_fetch_with_no_time_to_wait_answers_empty(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let consumer = bed.consumer(&["q"]).await;

    assert_eq!(within(consumer.take(10)).await, []);
}

pub async fn a_fetch_of_none_takes_none(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish([message("q", "a")]).await;

    assert_eq!(within(bed.consumer(&["q"]).await.take(0)).await, []);
    assert_eq!(bed.counts("q").await, [1, 0, 0, 0]);
}

/// Wherever a fetch is when it is dropped, what it had taken comes back with no lease running out
/// and no start counted.
pub async fn a_dropped_fetch_loses_nothing(harness: &impl Harness) {
    const MESSAGES: usize = 60;
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    let (one, two) = (first.consumer(&["q"]).await, second.consumer(&["q"]).await);
    first.publish(numbered("q", MESSAGES)).await;

    let mut got: Vec<Delivery> = Vec::new();
    for polls in 0..40 {
        let fetch = one.fetch(Fetch {
            max: 3,
            started: 3,
            wait: AN_HOUR,
        });
        if let Some(answer) = poll_times(fetch, polls % 10).await {
            got.extend(answer.expect("fetch"));
        }
    }
    while got.len() < MESSAGES {
        let fetch = two.fetch(Fetch {
            max: MESSAGES,
            started: MESSAGES,
            wait: AN_HOUR,
        });
        let rest = within(fetch).await.expect("fetch");
        assert!(
            !rest.is_empty(),
            "{} of {MESSAGES} messages came back",
            got.len()
        );
        got.extend(rest);
    }

    let numbers: BTreeSet<usize> = ids(&got)
        .iter()
        .map(|id| id.parse().expect("number"))
        .collect();
    assert_eq!(
        (numbers.len(), got.len()),
        (MESSAGES, MESSAGES),
        "each came once"
    );
    assert!(
        got.iter().all(|delivery| delivery.deliveries == 1),
        "a dropped fetch starts nothing"
    );
}
