//! Which message comes first.

use aipo_core::store::{Publish, Verdict};

use crate::Harness;
use crate::support::{Fixture, ids, message};

fn urgent(queue: &str, id: &str, priority: u8) -> Publish {
    Publish {
        priority,
        ..message(queue, id)
    }
}

pub async fn the_most_urgent_message_comes_first(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let priorities = [5, 9, 0, 3, 7, 1, 8, 2, 6, 4];
    bed.publish(priorities.map(|priority| urgent("q", &priority.to_string(), priority)))
        .await;
    let consumer = bed.consumer(&["q"]).await;

    assert_eq!(ids(&consumer.take(3).await), ["0", "1", "2"]);
    assert_eq!(
        ids(&consumer.take(10).await),
        ["3", "4", "5", "6", "7", "8", "9"]
    );
}

pub async fn an_urgent_message_passes_those_that_wait(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let consumer = bed.consumer(&["q"]).await;
    bed.publish([urgent("q", "1", 6), urgent("q", "2", 6)])
        .await;
    assert_eq!(ids(&consumer.take(1).await), ["1"]);

    bed.publish([urgent("q", "3", 5)]).await;

    assert_eq!(ids(&consumer.take(2).await), ["3", "2"]);
}

pub async fn within_a_priority_the_oldest_comes_first(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    for (id, priority) in [("1", 3), ("2", 0), ("3", 3), ("4", 0), ("5", 3)] {
        bed.publish([urgent("q", id, priority)]).await;
    }

    assert_eq!(
        ids(&bed.consumer(&["q"]).await.take(10).await),
        ["2", "4", "1", "3", "5"]
    );
}

/// kombu does the same with a priority that is out of range.
pub async fn a_priority_beyond_nine_counts_as_nine(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;

    bed.publish([
        urgent("q", "1", 255),
        urgent("q", "2", 9),
        urgent("q", "3", 8),
    ])
    .await;

    assert_eq!(
        ids(&bed.consumer(&["q"]).await.take(10).await),
        ["3", "1", "2"]
    );
}

pub async fn priority_comes_before_the_order_of_queues(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish([
        urgent("a", "1", 3),
        urgent("b", "2", 0),
        urgent("a", "3", 9),
    ])
    .await;
    bed.publish([urgent("b", "4", 5)]).await;

    assert_eq!(
        ids(&bed.consumer(&["a", "b"]).await.take(10).await),
        ["2", "1", "4", "3"]
    );
}

pub async fn queues_of_equal_standing_take_turns(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let consumer = bed.consumer(&["a", "b", "c"]).await;
    for _ in 0..6 {
        bed.publish(["a", "b", "c"].map(|queue| message(queue, queue)))
            .await;
    }

    let mut taken = Vec::new();
    for _ in 0..6 {
        taken.extend(ids(&consumer.take(1).await));
    }

    taken.sort();
    assert_eq!(taken, ["a", "a", "b", "b", "c", "c"]);
}

/// An empty queue does not cost its neighbour a turn.
pub async fn a_busy_queue_does_not_starve_a_later_one(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let consumer = bed.consumer(&["busy", "empty", "quiet"]).await;
    bed.publish(["1", "2", "3", "4"].map(|id| message("busy", id)))
        .await;
    bed.publish([message("quiet", "quiet")]).await;

    let mut taken = Vec::new();
    for _ in 0..3 {
        taken.extend(ids(&consumer.take(1).await));
    }

    assert!(taken.contains(&"quiet".to_owned()), "{taken:?}");
}

pub async fn a_message_handed_back_keeps_its_priority(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish([urgent("q", "1", 4), urgent("q", "2", 4)])
        .await;
    let consumer = bed.consumer(&["q"]).await;
    let held = consumer.take(2).await;
    bed.publish([urgent("q", "more", 3), urgent("q", "less", 5)])
        .await;

    for delivery in &held {
        consumer.done(delivery, Verdict::Release).await;
    }

    let mut taken = ids(&consumer.take(10).await);
    taken[1..3].sort();
    assert_eq!(taken, ["more", "1", "2", "less"]);
}

pub async fn a_recovered_message_keeps_its_priority(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish([urgent("q", "1", 4)]).await;
    bed.consumer(&["q"]).await.take_one().await;
    bed.publish([
        urgent("q", "more", 3),
        urgent("q", "same", 4),
        urgent("q", "less", 5),
    ])
    .await;

    assert_eq!(bed.outlive_leases().await, 1);

    assert_eq!(
        ids(&bed.consumer(&["q"]).await.take(10).await),
        ["more", "1", "same", "less"]
    );
}
