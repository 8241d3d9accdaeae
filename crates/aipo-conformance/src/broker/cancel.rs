//! A task that nobody has begun can be taken out of its queue.

use std::time::Duration;

use aipo_core::TaskId;
use aipo_core::store::{Publish, Verdict};

use crate::Harness;
use crate::support::{Fixture, dead, ids, message};

const A_MINUTE: Duration = Duration::from_secs(60);

async fn cancel(bed: &Fixture, ids: &[&str]) -> Vec<bool> {
    let ids: Vec<TaskId> = ids.iter().map(|id| TaskId::from(*id)).collect();
    bed.store.broker.cancel(&ids).await.expect("cancel")
}

pub async fn a_cancelled_message_is_gone(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    let due = Some(first.clock.after(A_MINUTE));
    let soon = Some(first.clock.after(A_MINUTE / 2));
    first
        .publish([
            message("q", "ready"),
            Publish {
                priority: 5,
                ..message("q", "less urgent")
            },
            Publish {
                due,
                ..message("q", "parked")
            },
            Publish {
                due: soon,
                ..message("q", "due")
            },
            message("q", "other"),
        ])
        .await;
    first.clock.advance(A_MINUTE / 2);

    let answers = cancel(&second, &["ready", "less urgent", "parked", "due"]).await;

    assert_eq!(answers, [true; 4]);
    assert_eq!(first.counts("q").await, [1, 0, 0, 0]);
    assert_eq!(first.locate("ready").await, None);
    assert_eq!(first.locate("parked").await, None);
    first.clock.advance(A_MINUTE);
    assert_eq!(ids(&first.consumer(&["q"]).await.take(10).await), ["other"]);
}

pub async fn all_messages_of_a_task_are_cancelled(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let due = Some(bed.clock.after(A_MINUTE));
    bed.publish([
        message("a", "x"),
        message("b", "x"),
        Publish {
            due,
            ..message("a", "x")
        },
    ])
    .await;

    assert_eq!(cancel(&bed, &["x"]).await, [true]);

    assert_eq!(
        (bed.counts("a").await, bed.counts("b").await),
        ([0; 4], [0; 4])
    );
}

pub async fn what_is_in_flight_or_dead_is_not_cancelled(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish([
        message("q", "dead"),
        message("q", "held"),
        message("q", "both"),
    ])
    .await;
    let consumer = bed.consumer(&["q"]).await;
    let held = consumer.take(3).await;
    consumer.done(&held[0], dead("no")).await;
    bed.publish([message("q", "both")]).await;

    assert_eq!(
        cancel(&bed, &["dead", "held", "both"]).await,
        [false, false, true]
    );

    assert_eq!(bed.counts("q").await, [0, 0, 2, 1]);
    consumer.done(&held[1], Verdict::Requeue).await;
    consumer.done(&held[2], Verdict::Ack).await;
    assert_eq!(ids(&consumer.take(10).await), ["held"]);
}

pub async fn each_id_has_its_answer(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish([message("q", "a"), message("q", "b")]).await;

    assert_eq!(
        cancel(&bed, &["unknown", "b", "a"]).await,
        [false, true, true]
    );
    assert_eq!(
        cancel(&bed, &["a", "b"]).await,
        [false, false],
        "they were there once"
    );
    assert_eq!(cancel(&bed, &[]).await, [false; 0]);
}

/// Handed back, it waits again and can be cancelled again.
pub async fn a_message_handed_back_can_be_cancelled(harness: &impl Harness) {
    for verdict in [Verdict::Release, Verdict::Requeue] {
        let bed = Fixture::open(harness).await;
        bed.publish([message("q", "a")]).await;
        let consumer = bed.consumer(&["q"]).await;
        let held = consumer.take_one().await;
        consumer.done(&held, verdict).await;

        assert_eq!(cancel(&bed, &["a"]).await, [true]);

        assert_eq!(bed.counts("q").await, [0; 4]);
    }
}
