//! A message with a due time waits for it in the store, and in nobody's hands.

use std::time::Duration;

use aipo_core::store::{Location, Parked, Publish, Settlement, Verdict};
use jiff::Timestamp;

use crate::Harness;
use crate::support::{Fixture, ids, message, settlement};

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

async fn parked(bed: &Fixture, queues: &[&str], limit: usize) -> Vec<Parked> {
    let queues: Vec<_> = queues.iter().map(|queue| (*queue).into()).collect();
    let parked = bed.store.broker.parked(&queues, limit).await;
    parked.expect("parked")
}

/// The tasks of parked messages, in their order.
async fn parked_ids(bed: &Fixture, queues: &[&str], limit: usize) -> Vec<String> {
    let parked = parked(bed, queues, limit).await.into_iter();
    parked
        .map(|parked| String::from_utf8(parked.envelope.body).expect("the body is the id"))
        .collect()
}

pub async fn a_held_message_can_be_parked(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    let sent = message("q", "a");
    first.publish([sent.clone()]).await;
    let consumer = first.consumer(&["q"]).await;
    let held = consumer.take_one().await;
    let due = first.clock.after(A_MINUTE);

    consumer.done(&held, Verdict::Park { until: due }).await;

    assert_eq!(second.counts("q").await, [0, 1, 0, 0]);
    let queue = sent.queue.clone();
    let place = second.locate("a").await;
    assert_eq!(place, Some(Location::Parked { queue, due }));
    assert_eq!(consumer.take(10).await, []);
    first.clock.advance(A_MINUTE);
    assert_eq!(second.counts("q").await, [1, 0, 0, 0]);
    let again = second.consumer(&["q"]).await.take_one().await;
    assert_eq!(again.envelope, sent.envelope);
}

/// It was not run, or was interrupted: what was counted for it is taken back, and only that.
pub async fn parking_takes_the_counted_start_back(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish([message("q", "a")]).await;
    bed.consumer(&["q"]).await.take_one().await;
    assert_eq!(bed.outlive_leases().await, 1, "one run that counts");
    let park = async |counted: bool| {
        let consumer = bed.consumer(&["q"]).await;
        let held = match counted {
            true => consumer.take_one().await,
            false => consumer.hold_one().await,
        };
        let until = bed.clock.after(A_MINUTE);
        consumer.done(&held, Verdict::Park { until }).await;
        bed.clock.advance(A_MINUTE);
        held.deliveries
    };

    assert_eq!(park(true).await, 2);
    assert_eq!(park(false).await, 1);
    assert_eq!(park(true).await, 2);
    assert_eq!(bed.consumer(&["q"]).await.hold_one().await.deliveries, 1);
}

pub async fn a_message_parked_again_keeps_its_priority(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let with_priority = |id: &str, priority| Publish {
        priority,
        ..message("q", id)
    };
    bed.publish([with_priority("2", 2), with_priority("0", 0)])
        .await;
    let consumer = bed.consumer(&["q"]).await;
    for held in consumer.take(2).await {
        let until = bed.clock.after(A_MINUTE);
        consumer.done(&held, Verdict::Park { until }).await;
    }
    bed.publish([with_priority("1", 1), with_priority("3", 3)])
        .await;

    bed.clock.advance(A_MINUTE);

    let taken = bed.consumer(&["q"]).await.take(10).await;
    assert_eq!(ids(&taken), ["0", "1", "2", "3"]);
}

pub async fn parking_until_the_past_hands_back_at_once(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish([message("q", "a")]).await;
    let consumer = bed.consumer(&["q"]).await;

    for until in [bed.clock.now(), Timestamp::MIN] {
        let held = consumer.take_one().await;
        assert_eq!(held.deliveries, 1);
        consumer.done(&held, Verdict::Park { until }).await;
        assert_eq!(bed.counts("q").await, [1, 0, 0, 0]);
    }
    consumer.take_one().await;
}

/// It belongs to nobody, so it does not return when the one that parked it is gone.
pub async fn a_message_parked_again_outlives_its_consumer(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish([message("q", "a")]).await;
    let consumer = bed.consumer(&["q"]).await;
    let held = consumer.take_one().await;
    let until = bed.clock.after(A_MINUTE * 60);
    consumer.done(&held, Verdict::Park { until }).await;
    drop(consumer);

    assert_eq!(bed.outlive_leases().await, 0);

    assert_eq!(bed.counts("q").await, [0, 1, 0, 0]);
}

pub async fn a_message_parked_again_can_be_purged(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let broker = &bed.store.broker;
    bed.publish([message("q", "a")]).await;
    let consumer = bed.consumer(&["q"]).await;
    let held = consumer.take_one().await;
    let until = bed.clock.after(A_MINUTE);
    consumer.done(&held, Verdict::Park { until }).await;

    assert_eq!(broker.purge(&"q".into()).await.expect("purge"), 1);

    assert_eq!(bed.counts("q").await, [0; 4]);
    bed.clock.advance(A_MINUTE);
    assert_eq!(bed.consumer(&["q"]).await.take(10).await, []);
}

pub async fn follow_ups_are_published_when_a_message_is_parked(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish([message("q", "a")]).await;
    let consumer = bed.consumer(&["q"]).await;
    let held = consumer.take_one().await;
    let until = bed.clock.after(A_MINUTE);

    consumer
        .settle_one(Settlement {
            publish: vec![message("next", "b")],
            ..settlement(&held, Verdict::Park { until })
        })
        .await;

    assert_eq!(bed.counts("q").await, [0, 1, 0, 0]);
    assert_eq!(bed.counts("next").await, [1, 0, 0, 0]);
}

pub async fn the_next_parked_message_is_told_first(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    let after = |minutes: u32| Some(first.clock.after(A_MINUTE * minutes));
    let third = Publish {
        due: after(3),
        priority: 0,
        ..message("a", "3")
    };
    let later = |queue: &str, id: &str, minutes| Publish {
        due: after(minutes),
        priority: 9,
        ..message(queue, id)
    };
    first
        .publish([
            third.clone(),
            later("b", "2", 2),
            message("a", "ready"),
            later("a", "1", 1),
            later("other", "0", 1),
        ])
        .await;
    let consumer = first.consumer(&["a"]).await;
    let held = consumer.take_one().await;
    let until = first.clock.after(A_MINUTE * 4);
    consumer.done(&held, Verdict::Park { until }).await;

    let told = parked(&second, &["a", "b", "never there"], 10).await;

    let places: Vec<_> = told
        .iter()
        .map(|parked| (parked.queue.as_str(), parked.due))
        .collect();
    let due = |minutes: u32| first.clock.after(A_MINUTE * minutes);
    let expected = [("a", due(1)), ("b", due(2)), ("a", due(3)), ("a", due(4))];
    assert_eq!(places, expected);
    assert_eq!(told[2].envelope, third.envelope);
    assert_eq!(
        parked_ids(&first, &["a", "b"], 10).await,
        ["1", "2", "3", "ready"]
    );
}

pub async fn at_most_limit_parked_messages_come(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let sent = (1..=6).map(|minutes: u32| Publish {
        due: Some(bed.clock.after(A_MINUTE * minutes)),
        ..message(["a", "b"][minutes as usize % 2], &minutes.to_string())
    });
    bed.publish(sent.collect::<Vec<_>>()).await;

    assert_eq!(parked_ids(&bed, &["a", "b"], 0).await, [""; 0]);
    assert_eq!(parked_ids(&bed, &["a", "b"], 3).await, ["1", "2", "3"]);
    assert_eq!(parked_ids(&bed, &["a"], 2).await, ["2", "4"]);
    assert_eq!(parked_ids(&bed, &["a"], usize::MAX).await, ["2", "4", "6"]);
    assert_eq!(parked_ids(&bed, &["a", "a"], 9).await, ["2", "4", "6"]);
    assert_eq!(parked_ids(&bed, &[], 9).await, [""; 0]);
}

/// It can be fetched, also where nobody has done so yet.
pub async fn a_message_that_is_due_is_not_told_as_parked(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let sent = [1, 2].map(|minutes: u32| Publish {
        due: Some(bed.clock.after(A_MINUTE * minutes)),
        ..message("q", &minutes.to_string())
    });
    bed.publish(sent).await;

    bed.clock.advance(A_MINUTE);

    assert_eq!(parked_ids(&bed, &["q"], 10).await, ["2"]);
    assert_eq!(parked_ids(&bed, &["q"], 1).await, ["2"]);
}
