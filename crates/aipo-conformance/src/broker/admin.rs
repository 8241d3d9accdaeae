//! What people ask of queues: what is there, where is it, throw it away.

use std::time::Duration;

use aipo_core::TaskId;
use aipo_core::store::{Location, Publish, QueueStats, Verdict};

use crate::Harness;
use crate::support::{Fixture, dead, ids, message, numbered};

const A_MINUTE: Duration = Duration::from_secs(60);

pub async fn queues_tell_what_they_hold(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    let due = Some(first.clock.after(A_MINUTE));
    first.publish(numbered("b", 7)).await;
    first
        .publish([
            Publish {
                due,
                ..message("b", "parked")
            },
            message("a", "ready"),
        ])
        .await;
    let consumer = first.consumer(&["b"]).await;
    let held = consumer.take(4).await;
    consumer.done(&held[0], dead("no")).await;
    consumer.done(&held[1], Verdict::Ack).await;

    let stats = |queue: &str, [ready, parked, in_flight, dead]: [u64; 4]| QueueStats {
        queue: queue.into(),
        ready,
        parked,
        in_flight,
        dead,
    };
    let expected = [stats("a", [1, 0, 0, 0]), stats("b", [3, 1, 2, 1])];
    assert_eq!(first.queues().await, expected);
    assert_eq!(second.queues().await, expected);
}

async fn names(bed: &Fixture) -> Vec<String> {
    let queues = bed.queues().await;
    queues.iter().map(|q| q.queue.to_string()).collect()
}

pub async fn queues_are_told_by_name(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    for name in ["celery", "b", "a10", "a2", "B", "a", "é"] {
        bed.publish([message(name, "x")]).await;
    }

    assert_eq!(
        names(&bed).await,
        ["B", "a", "a10", "a2", "b", "celery", "é"]
    );
}

/// Somebody who looks for the queue of a worker finds it, also before its first message.
pub async fn a_queue_exists_from_its_first_consumer_on(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;

    let _consumer = bed.consumer(&["b", "a"]).await;

    assert_eq!(names(&bed).await, ["a", "b"]);
}

pub async fn a_queue_exists_when_it_is_empty_again(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish([message("acked", "a"), message("purged", "b")])
        .await;
    let consumer = bed.consumer(&["acked"]).await;
    let delivery = consumer.take_one().await;

    consumer.done(&delivery, Verdict::Ack).await;
    bed.store
        .broker
        .purge(&"purged".into())
        .await
        .expect("purge");

    assert_eq!(names(&bed).await, ["acked", "purged"]);
}

pub async fn a_purge_deletes_what_is_ready_or_parked(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let due = Some(bed.clock.after(A_MINUTE));
    let soon = Some(bed.clock.after(A_MINUTE / 2));
    bed.publish(numbered("q", 3)).await;
    bed.publish([
        Publish {
            due,
            ..message("q", "parked")
        },
        Publish {
            due: soon,
            ..message("q", "due")
        },
        Publish {
            priority: 5,
            ..message("q", "less urgent")
        },
        message("other", "other"),
    ])
    .await;
    bed.clock.advance(A_MINUTE / 2);

    let purged = bed.store.broker.purge(&"q".into()).await.expect("purge");

    assert_eq!(purged, 6);
    assert_eq!(bed.counts("q").await, [0; 4]);
    assert_eq!(bed.locate("0").await, None);
    assert_eq!(bed.locate("parked").await, None);
    bed.clock.advance(A_MINUTE);
    assert_eq!(
        ids(&bed.consumer(&["q", "other"]).await.take(10).await),
        ["other"]
    );
}

pub async fn a_purge_leaves_what_is_in_flight_or_dead(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish(numbered("q", 3)).await;
    let consumer = bed.consumer(&["q"]).await;
    let held = consumer.take(2).await;
    consumer.done(&held[0], dead("no")).await;

    assert_eq!(bed.store.broker.purge(&"q".into()).await.expect("purge"), 1);

    assert_eq!(bed.counts("q").await, [0, 0, 1, 1]);
    consumer.done(&held[1], Verdict::Release).await;
    assert_eq!(bed.counts("q").await, [1, 0, 0, 1]);
}

pub async fn a_purge_of_what_is_not_there_deletes_none(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;

    assert_eq!(bed.store.broker.purge(&"q".into()).await.expect("purge"), 0);
}

pub async fn a_purged_queue_takes_new_messages(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish(numbered("q", 3)).await;
    bed.store.broker.purge(&"q".into()).await.expect("purge");

    bed.publish([message("q", "new")]).await;

    assert_eq!(ids(&bed.consumer(&["q"]).await.take(10).await), ["new"]);
}

pub async fn a_message_is_located_wherever_it_is(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    let due = first.clock.after(A_MINUTE);
    first
        .publish([Publish {
            due: Some(due),
            ..message("q", "parked")
        }])
        .await;
    first
        .publish(["dead", "acked", "held", "ready"].map(|id| message("q", id)))
        .await;
    let consumer = first.consumer_named("worker@host", &["q"]).await;
    let held = consumer.take(3).await;
    consumer.done(&held[0], dead("no")).await;
    consumer.done(&held[1], Verdict::Ack).await;

    let ids = [
        "ready", "unknown", "held", "parked", "acked", "dead", "ready",
    ]
    .map(TaskId::from);
    let found = second.store.broker.locate(&ids).await.expect("locate");

    let queue = || "q".into();
    let ready = Some(Location::Ready { queue: queue() });
    let in_flight = Location::InFlight {
        queue: queue(),
        consumer: "worker@host".to_owned(),
    };
    let parked = Location::Parked {
        queue: queue(),
        due,
    };
    let gone = Some(Location::Dead { queue: queue() });
    assert_eq!(
        found,
        [
            ready.clone(),
            None,
            Some(in_flight),
            Some(parked),
            None,
            gone,
            ready
        ]
    );
}

pub async fn locating_nothing_finds_nothing(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;

    assert_eq!(bed.store.broker.locate(&[]).await.expect("locate"), []);
}

/// Whoever asks wants to know whether the task can still run.
pub async fn a_living_message_is_told_before_a_dead_one(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish([message("q", "a"), message("q", "b")]).await;
    let consumer = bed.consumer(&["q"]).await;
    for delivery in consumer.take(2).await {
        consumer.done(&delivery, dead("no")).await;
    }

    bed.publish([message("again", "a")]).await;

    assert_eq!(
        bed.locate("a").await,
        Some(Location::Ready {
            queue: "again".into()
        })
    );
    assert_eq!(
        bed.locate("b").await,
        Some(Location::Dead { queue: "q".into() })
    );
}
