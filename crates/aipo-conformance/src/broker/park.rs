//! A message with a due time waits for it in the store, and in nobody's hands.

use std::time::Duration;

use aipo_core::store::{Location, Publish};
use jiff::Timestamp;

use crate::Harness;
use crate::support::{Fixture, ids, message};

const A_MINUTE: Duration = Duration::from_secs(60);
const A_BIT: Duration = Duration::from_millis(10);

pub async fn a_parked_message_is_fetched_by_nobody(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let due = Some(bed.clock.after(A_MINUTE));
    bed.publish([
        Publish {
            due,
            ..message("q", "later")
        },
        message("q", "now"),
    ])
    .await;
    let consumer = bed.consumer(&["q"]).await;

    assert_eq!(ids(&consumer.take(10).await), ["now"]);

    bed.clock.advance(A_MINUTE - A_BIT);
    let consumer = bed.consumer(&["q"]).await;
    assert_eq!(consumer.take(10).await, []);
}

pub async fn a_parked_message_is_fetched_when_it_is_due(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    let sent = Publish {
        due: Some(first.clock.after(A_MINUTE)),
        ..message("q", "a")
    };
    first.publish([sent.clone()]).await;

    first.clock.advance(A_MINUTE);

    let delivery = second.consumer(&["q"]).await.take_one().await;
    assert_eq!((delivery.envelope, delivery.deliveries), (sent.envelope, 1));
}

pub async fn a_message_whose_time_has_come_is_ready_at_once(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let past = bed.clock.now();
    bed.clock.advance(A_MINUTE);
    let now = bed.clock.now();

    bed.publish([
        Publish {
            due: Some(past),
            ..message("q", "past")
        },
        Publish {
            due: Some(now),
            ..message("q", "now")
        },
        Publish {
            due: Some(Timestamp::MIN),
            ..message("q", "the first of all times")
        },
    ])
    .await;

    assert_eq!(bed.counts("q").await, [3, 0, 0, 0]);
    assert_eq!(bed.consumer(&["q"]).await.take(10).await.len(), 3);
}

pub async fn a_message_may_be_parked_for_ever(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish([Publish {
        due: Some(Timestamp::MAX),
        ..message("q", "a")
    }])
    .await;

    bed.clock
        .advance(Duration::from_secs(3600 * 24 * 365 * 100));

    assert_eq!(bed.consumer(&["q"]).await.take(10).await, []);
    assert_eq!(bed.counts("q").await, [0, 1, 0, 0]);
}

pub async fn parked_messages_come_each_at_its_own_time(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let parked = [3, 1, 2].map(|minutes: u32| Publish {
        due: Some(bed.clock.after(A_MINUTE * minutes)),
        ..message("q", &minutes.to_string())
    });
    bed.publish(parked).await;

    for minutes in ["1", "2", "3"] {
        bed.clock.advance(A_MINUTE);
        assert_eq!(ids(&bed.consumer(&["q"]).await.take(10).await), [minutes]);
    }
}

pub async fn parked_messages_come_to_their_own_queues(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let due = Some(bed.clock.after(A_MINUTE));
    bed.publish([
        Publish {
            due,
            ..message("a", "1")
        },
        Publish {
            due,
            ..message("b", "2")
        },
        Publish {
            due,
            ..message("a", "3")
        },
    ])
    .await;

    bed.clock.advance(A_MINUTE);

    let mut of_a = ids(&bed.consumer(&["a"]).await.take(10).await);
    of_a.sort();
    assert_eq!(of_a, ["1", "3"]);
    assert_eq!(ids(&bed.consumer(&["b"]).await.take(10).await), ["2"]);
}

/// The worker that fetches works through a backlog of due messages as through any other.
pub async fn many_messages_due_at_once_all_come(harness: &impl Harness) {
    const MESSAGES: usize = 3_000;
    let bed = Fixture::open(harness).await;
    let due = Some(bed.clock.after(A_MINUTE));
    let parked = (0..MESSAGES).map(|n| Publish {
        due,
        ..message("q", &n.to_string())
    });
    bed.publish(parked.collect::<Vec<_>>()).await;
    bed.clock.advance(A_MINUTE);
    let consumer = bed.consumer(&["q"]).await;

    let mut taken = Vec::new();
    loop {
        let batch = consumer.take(500).await;
        if batch.is_empty() {
            break;
        }
        taken.extend(ids(&batch));
    }

    taken.sort_unstable();
    taken.dedup();
    assert_eq!(taken.len(), MESSAGES);
}

pub async fn a_parked_message_keeps_its_priority(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let due = Some(bed.clock.after(A_MINUTE));
    bed.publish([
        Publish {
            due,
            priority: 2,
            ..message("q", "parked 2")
        },
        Publish {
            due,
            priority: 0,
            ..message("q", "parked 0")
        },
        Publish {
            priority: 1,
            ..message("q", "ready 1")
        },
        Publish {
            priority: 3,
            ..message("q", "ready 3")
        },
    ])
    .await;

    bed.clock.advance(A_MINUTE);

    let taken = ids(&bed.consumer(&["q"]).await.take(10).await);
    assert_eq!(taken, ["parked 0", "ready 1", "parked 2", "ready 3"]);
}

pub async fn a_parked_message_is_told_as_parked_until_it_is_due(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let due = bed.clock.after(A_MINUTE);
    bed.publish([Publish {
        due: Some(due),
        ..message("q", "a")
    }])
    .await;

    assert_eq!(bed.counts("q").await, [0, 1, 0, 0]);
    assert_eq!(
        bed.locate("a").await,
        Some(Location::Parked {
            queue: "q".into(),
            due
        })
    );

    // Before anybody fetches: it can be fetched, so that is what it is.
    bed.clock.advance(A_MINUTE);
    assert_eq!(
        bed.locate("a").await,
        Some(Location::Ready { queue: "q".into() })
    );
    assert_eq!(bed.counts("q").await, [1, 0, 0, 0]);
}

/// Once due it is a message like any other: handing it back does not park it again.
pub async fn a_message_that_was_parked_can_be_handed_back(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish([Publish {
        due: Some(bed.clock.after(A_MINUTE)),
        ..message("q", "a")
    }])
    .await;
    bed.clock.advance(A_MINUTE);
    bed.consumer(&["q"]).await.take_one().await;

    assert_eq!(bed.outlive_leases().await, 1);

    assert_eq!(bed.counts("q").await, [1, 0, 0, 0]);
    assert_eq!(bed.consumer(&["q"]).await.take_one().await.deliveries, 2);
}
