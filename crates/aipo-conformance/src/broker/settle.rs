//! What a settlement promises.

use std::time::Duration;

use aipo_core::TaskState;
use aipo_core::store::{Delivery, DeliveryTag, Location, Publish, Settled, Settlement, Verdict};

use crate::Harness;
use crate::support::{
    Fixture, dead, id_of, ids, message, numbered, poll_times, result, settlement,
};

pub async fn an_acked_message_never_returns(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    first.publish([message("q", "a")]).await;
    let consumer = first.consumer(&["q"]).await;
    let delivery = consumer.take_one().await;

    consumer.done(&delivery, Verdict::Ack).await;

    assert_eq!(first.counts("q").await, [0; 4]);
    assert_eq!(first.locate("a").await, None);
    drop(consumer);
    assert_eq!(first.outlive_leases().await, 0);
    let second = first.second(harness).await;
    assert_eq!(second.consumer(&["q"]).await.take(10).await, []);
}

pub async fn a_released_message_goes_to_the_front(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish(numbered("q", 3)).await;
    let consumer = bed.consumer(&["q"]).await;
    let first = consumer.take_one().await;

    consumer.done(&first, Verdict::Release).await;

    assert_eq!(ids(&consumer.take(10).await), ["0", "1", "2"]);
}

/// As it was before the fetch: what was fetched in order and released in order stands in order.
pub async fn messages_released_together_keep_their_order(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish(numbered("q", 5)).await;
    let consumer = bed.consumer(&["q"]).await;
    let held = consumer.take(3).await;

    let batch = held
        .iter()
        .map(|delivery| settlement(delivery, Verdict::Release))
        .collect();
    assert_eq!(
        consumer.settle(batch).await.expect("settle"),
        [Settled::Done; 3]
    );

    assert_eq!(ids(&consumer.take(10).await), ["0", "1", "2", "3", "4"]);
}

pub async fn a_message_handed_back_comes_as_it_was_sent(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let sent = message("q", "a");
    bed.publish([sent.clone()]).await;
    let consumer = bed.consumer(&["q"]).await;

    let delivery = consumer.take_one().await;
    consumer.done(&delivery, Verdict::Release).await;
    bed.start_and_close("q").await;

    let delivery = consumer.take_one().await;
    assert_eq!(delivery.envelope, sent.envelope);
    assert_eq!(delivery.queue, sent.queue);
}

/// A tag that was used up does not name the next delivery of the same message.
pub async fn a_message_handed_back_comes_with_another_tag(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish([message("q", "a")]).await;
    let consumer = bed.consumer(&["q"]).await;
    let before = consumer.take_one().await;
    consumer.done(&before, Verdict::Release).await;
    let now = consumer.take_one().await;

    let late = consumer.settle_one(settlement(&before, Verdict::Ack)).await;

    assert_eq!(late, Settled::LeaseLost);
    consumer.done(&now, Verdict::Ack).await;
}

pub async fn the_result_is_stored_with_the_verdict(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let park = Verdict::Park {
        until: bed.clock.after(Duration::from_secs(60)),
    };
    let verdicts = [Verdict::Ack, Verdict::Release, park, dead("no")];
    let consumer = bed.consumer(&["q"]).await;

    for (number, verdict) in verdicts.into_iter().enumerate() {
        let id = number.to_string();
        bed.publish([message("q", &id)]).await;
        let delivery = consumer.take_one().await;
        let stored = Some(result(&id, TaskState::Failure, "{\"n\":1}"));
        let end = Settlement {
            result: stored,
            ..settlement(&delivery, verdict)
        };

        assert_eq!(consumer.settle_one(end).await, Settled::Done);

        let expected = bed.store.settles_results.then(|| b"{\"n\":1}".to_vec());
        assert_eq!(bed.result(&id).await, expected);
        bed.store.broker.purge(&"q".into()).await.expect("purge");
    }
}

/// A late second run does not undo the success that was told.
pub async fn a_settlement_does_not_replace_a_success(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.store_result(result("a", TaskState::Success, "first"))
        .await;
    bed.publish([message("q", "a")]).await;
    let consumer = bed.consumer(&["q"]).await;
    let delivery = consumer.take_one().await;

    let late = Some(result("a", TaskState::Failure, "late"));
    let end = Settlement {
        result: late,
        ..settlement(&delivery, Verdict::Ack)
    };

    assert_eq!(consumer.settle_one(end).await, Settled::Done);
    assert_eq!(bed.result("a").await.as_deref(), Some(&b"first"[..]));
    assert_eq!(bed.counts("q").await, [0; 4]);
}

pub async fn follow_ups_are_published_with_the_verdict(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish([message("q", "a")]).await;
    let consumer = bed.consumer(&["q"]).await;
    let delivery = consumer.take_one().await;

    let due = Some(bed.clock.after(Duration::from_secs(60)));
    let publish = vec![
        message("next", "b"),
        Publish {
            due,
            ..message("next", "c")
        },
        message("q", "d"),
        message("next", "e"),
    ];
    let end = Settlement {
        publish,
        ..settlement(&delivery, Verdict::Ack)
    };

    assert_eq!(consumer.settle_one(end).await, Settled::Done);
    assert_eq!(bed.counts("next").await, [2, 1, 0, 0]);
    assert_eq!(ids(&consumer.take(10).await), ["d"]);
    assert_eq!(
        ids(&bed.consumer(&["next"]).await.take(10).await),
        ["b", "e"]
    );
}

/// A retry: the same task, in the same queue, later.
pub async fn a_retry_takes_the_place_of_its_message(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish([message("q", "a")]).await;
    let consumer = bed.consumer(&["q"]).await;
    let delivery = consumer.take_one().await;
    let due = bed.clock.after(Duration::from_secs(60));

    let retry = vec![Publish {
        due: Some(due),
        ..message("q", "a")
    }];
    consumer
        .settle_one(Settlement {
            publish: retry,
            ..settlement(&delivery, Verdict::Ack)
        })
        .await;

    assert_eq!(
        bed.locate("a").await,
        Some(Location::Parked {
            queue: "q".into(),
            due
        })
    );
    bed.clock.advance(Duration::from_secs(60));
    let again = bed.consumer(&["q"]).await.take_one().await;
    assert_eq!(again.deliveries, 1, "a retry is a message of its own");
}

pub async fn each_settlement_of_a_batch_has_its_answer(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish(numbered("q", 4)).await;
    let consumer = bed.consumer(&["q"]).await;
    let held = consumer.take(4).await;
    let gone = held[1].clone();
    consumer.done(&gone, Verdict::Ack).await;

    let batch = vec![
        settlement(&held[0], Verdict::Ack),
        settlement(&gone, Verdict::Ack),
        settlement(&held[2], Verdict::Release),
        settlement(&held[3], dead("no")),
    ];
    let answers = consumer.settle(batch).await.expect("settle");

    assert_eq!(
        answers,
        [
            Settled::Done,
            Settled::LeaseLost,
            Settled::Done,
            Settled::Done
        ]
    );
    assert_eq!(bed.counts("q").await, [1, 0, 0, 1]);
}

/// Ends a delivery and sends its message anew.
fn again(delivery: &Delivery) -> Settlement {
    Settlement {
        publish: vec![Publish {
            envelope: delivery.envelope.clone(),
            ..message("q", &id_of(delivery))
        }],
        ..settlement(delivery, Verdict::Ack)
    }
}

/// As a task asks for that gives its message back.
pub async fn a_message_sent_anew_goes_to_the_end_and_was_never_started(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish(numbered("q", 3)).await;
    let consumer = bed.consumer(&["q"]).await;
    let first = consumer.take_one().await;

    assert_eq!(consumer.settle_one(again(&first)).await, Settled::Done);

    let taken = consumer.hold(3).await;
    assert_eq!(ids(&taken), ["1", "2", "0"]);
    assert_eq!((taken[2].deliveries, taken[2].started), (0, false));
    assert_eq!(taken[2].envelope, first.envelope);
}

pub async fn a_batch_is_settled_in_order(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish(numbered("q", 3)).await;
    let consumer = bed.consumer(&["q"]).await;
    let held = consumer.take(3).await;

    let batch = vec![
        again(&held[2]),
        Settlement {
            publish: vec![message("q", "new")],
            ..settlement(&held[1], Verdict::Ack)
        },
        again(&held[0]),
    ];
    consumer.settle(batch).await.expect("settle");

    assert_eq!(ids(&consumer.take(10).await), ["2", "new", "0"]);
}

pub async fn settling_nothing_answers_nothing(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let consumer = bed.consumer(&["q"]).await;

    assert_eq!(consumer.settle(Vec::new()).await.expect("settle"), []);
}

/// Neither later nor in the same batch, and with nothing that would come with it.
pub async fn a_delivery_is_settled_once(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish([message("q", "a")]).await;
    let consumer = bed.consumer(&["q"]).await;
    let delivery = consumer.take_one().await;
    let again = Settlement {
        result: Some(result("a", TaskState::Failure, "second")),
        publish: vec![message("next", "b")],
        ..settlement(&delivery, Verdict::Release)
    };

    let batch = vec![settlement(&delivery, Verdict::Ack), again.clone()];
    let answers = consumer.settle(batch).await.expect("settle");
    let later = consumer.settle_one(again).await;

    assert_eq!(answers, [Settled::Done, Settled::LeaseLost]);
    assert_eq!(later, Settled::LeaseLost);
    assert_eq!(bed.result("a").await, None);
    assert_eq!(bed.counts("next").await, [0; 4]);
    assert_eq!(bed.counts("q").await, [0; 4]);
}

pub async fn a_tag_means_nothing_to_another_consumer(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    first.publish([message("q", "a")]).await;
    let (holder, other) = (first.consumer(&["q"]).await, second.consumer(&["q"]).await);
    let delivery = holder.take_one().await;

    let answer = other
        .settle_one(Settlement {
            result: Some(result("a", TaskState::Success, "stolen")),
            publish: vec![message("next", "b")],
            ..settlement(&delivery, Verdict::Ack)
        })
        .await;

    assert_eq!(answer, Settled::LeaseLost);
    assert_eq!(first.result("a").await, None);
    assert_eq!(first.counts("next").await, [0; 4]);
    assert_eq!(first.counts("q").await, [0, 0, 1, 0]);
    holder.done(&delivery, Verdict::Ack).await;
}

pub async fn a_tag_that_never_was_has_no_effect(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let consumer = bed.consumer(&["q"]).await;

    let settlement = Settlement {
        tag: DeliveryTag(u64::MAX >> 1),
        verdict: Verdict::Release,
        result: None,
        publish: vec![message("next", "b")],
        step: Default::default(),
    };

    assert_eq!(consumer.settle_one(settlement).await, Settled::LeaseLost);
    assert_eq!(bed.counts("next").await, [0; 4]);
}

/// A settlement that was dropped is tried again: if the first had happened the second does
/// nothing, and if it had not it never will.
pub async fn a_dropped_settlement_happens_whole_or_not_at_all(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let consumer = bed.consumer(&["q"]).await;

    for polls in 0..20 {
        let id = format!("task-{polls}");
        bed.publish([message("q", &id)]).await;
        let delivery = consumer.take_one().await;
        let end = |run: &str| Settlement {
            result: Some(result(&id, TaskState::Failure, run)),
            publish: vec![message(&format!("{run}-{polls}"), "b")],
            ..settlement(&delivery, Verdict::Ack)
        };

        poll_times(consumer.settle(vec![end("first")]), polls).await;
        let second = consumer.settle_one(end("second")).await;

        let (happened, not) = match second {
            Settled::Done => ("second", "first"),
            Settled::LeaseLost => ("first", "second"),
        };
        assert_eq!(bed.counts("q").await, [0; 4]);
        assert_eq!(
            bed.counts(&format!("{happened}-{polls}")).await,
            [1, 0, 0, 0]
        );
        assert_eq!(bed.counts(&format!("{not}-{polls}")).await, [0; 4]);
        let stored = bed
            .store
            .settles_results
            .then(|| happened.as_bytes().to_vec());
        assert_eq!(bed.result(&id).await, stored);
    }
}
