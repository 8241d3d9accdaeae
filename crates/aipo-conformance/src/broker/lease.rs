//! What a consumer holds it holds while its lease lasts, and not a call longer.

use std::time::Duration;

use aipo_core::store::{Fetch, Location, Settled, Settlement, Verdict};
use aipo_core::{ErrorKind, TaskState};

use crate::Harness;
use crate::support::{
    AN_HOUR, Fixture, Holder, LEASE, consumer_with, dead, ids, message, numbered, result,
    settlement, still_waiting, within,
};

const A_BIT: Duration = Duration::from_millis(10);

/// Asserts that a consumer can do nothing any more.
async fn assert_fenced(consumer: &Holder) {
    let fetch = Fetch {
        max: 1,
        started: 1,
        wait: Duration::ZERO,
    };
    let answers = [
        ("fetch", consumer.fetch(fetch).await.map(drop)),
        (
            "start",
            consumer.start(&[aipo_core::store::DeliveryTag(1)]).await,
        ),
        ("claim", consumer.claim(&["a".into()]).await.map(drop)),
        ("renew", consumer.renew().await),
        ("set_queues", consumer.set_queues(vec!["q".into()]).await),
        ("close", consumer.close().await),
    ];
    for (call, answer) in answers {
        let refused = answer.expect_err(call);
        assert_eq!(refused.kind(), ErrorKind::LeaseLost, "{call}");
    }
}

pub async fn a_message_stays_with_its_consumer_during_the_lease(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish([message("q", "a")]).await;
    let consumer = bed.consumer(&["q"]).await;
    let delivery = consumer.take_one().await;

    bed.clock.advance(LEASE - A_BIT);

    assert_eq!(bed.recover().await, 0);
    assert_eq!(bed.consumer(&["q"]).await.take(10).await, []);
    consumer.done(&delivery, Verdict::Ack).await;
}

pub async fn messages_of_a_crashed_consumer_return_after_the_lease(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    first.publish(numbered("q", 4)).await;
    let crashing = first.consumer(&["q"]).await;
    crashing.take(2).await;
    crashing.hold(1).await;
    drop(crashing);
    assert_eq!(second.recover().await, 0, "not before the lease is over");

    second.clock.advance(LEASE + A_BIT);

    assert_eq!(second.recover().await, 3);
    assert_eq!(first.counts("q").await, [4, 0, 0, 0]);
    assert_eq!(
        ids(&second.consumer(&["q"]).await.take(10).await),
        ["0", "1", "2", "3"]
    );
}

pub async fn messages_return_once(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    first.publish(numbered("q", 2)).await;
    first.consumer(&["q"]).await.take(2).await;
    first.clock.advance(LEASE + A_BIT);

    assert_eq!(first.recover().await, 2);
    assert_eq!(second.recover().await, 0);

    assert_eq!(second.consumer(&["q"]).await.take(10).await.len(), 2);
}

pub async fn messages_return_to_their_own_queues_at_the_front(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish([message("a", "1"), message("b", "2")]).await;
    bed.consumer(&["a", "b"]).await.take(2).await;
    bed.publish([message("a", "3"), message("b", "4")]).await;

    assert_eq!(bed.outlive_leases().await, 2);

    assert_eq!(ids(&bed.consumer(&["a"]).await.take(10).await), ["1", "3"]);
    assert_eq!(ids(&bed.consumer(&["b"]).await.take(10).await), ["2", "4"]);
}

pub async fn recovering_with_nothing_to_recover_answers_none(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    assert_eq!(bed.recover().await, 0);

    bed.publish([message("q", "a")]).await;
    let idle = bed.consumer(&["other"]).await;

    assert_eq!(bed.outlive_leases().await, 0);
    drop(idle);
    assert_eq!(bed.counts("q").await, [1, 0, 0, 0]);
}

pub async fn consumers_that_renew_are_left_alone(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish(numbered("q", 2)).await;
    let (alive, crashed) = (bed.consumer(&["q"]).await, bed.consumer(&["q"]).await);
    let kept = alive.take_one().await;
    crashed.take_one().await;

    for _ in 0..5 {
        bed.clock.advance(LEASE - A_BIT);
        alive.renew().await.expect("renew");
        bed.recover().await;
    }

    assert_eq!(bed.counts("q").await, [1, 0, 1, 0]);
    alive.done(&kept, Verdict::Ack).await;
    assert_eq!(ids(&alive.take(10).await), ["1"]);
}

pub async fn one_renewal_covers_everything_in_flight(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish(numbered("q", 200)).await;
    let consumer = bed.consumer(&["q"]).await;
    let mut held = consumer.take(100).await;
    bed.clock.advance(LEASE / 2);
    held.extend(consumer.hold(100).await);

    consumer.renew().await.expect("renew");
    bed.clock.advance(LEASE - A_BIT);

    assert_eq!(bed.recover().await, 0);
    let batch = held
        .iter()
        .map(|delivery| settlement(delivery, Verdict::Ack))
        .collect();
    assert_eq!(
        consumer.settle(batch).await.expect("settle"),
        vec![Settled::Done; 200]
    );
}

/// What is fetched late in a lease period has what is left of it, not a period of its own.
pub async fn a_lease_belongs_to_the_consumer_not_to_the_message(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish([message("q", "a")]).await;
    let consumer = bed.consumer(&["q"]).await;
    bed.clock.advance(LEASE - A_BIT);
    consumer.take_one().await;

    bed.clock.advance(A_BIT * 2);

    assert_eq!(bed.recover().await, 1);
}

pub async fn each_consumer_has_the_lease_that_it_asked_for(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish(numbered("q", 2)).await;
    let short = consumer_with(&bed.store, "short", &["q"], LEASE).await;
    let long = consumer_with(&bed.store, "long", &["q"], LEASE * 3).await;
    short.take_one().await;
    let kept = long.take_one().await;

    bed.clock.advance(LEASE * 2);
    assert_eq!(bed.recover().await, 1);
    long.renew().await.expect("renew");
    bed.clock.advance(LEASE * 3 - A_BIT);

    assert_eq!(bed.recover().await, 0);
    long.done(&kept, Verdict::Ack).await;
}

pub async fn a_lease_may_last_for_ever(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish([message("q", "a")]).await;
    let consumer = consumer_with(&bed.store, "worker", &["q"], Duration::MAX).await;
    let delivery = consumer.take_one().await;

    bed.clock.advance(Duration::from_secs(3600 * 24 * 365));

    assert_eq!(bed.recover().await, 0);
    consumer.renew().await.expect("renew");
    consumer.done(&delivery, Verdict::Ack).await;
}

pub async fn a_consumer_whose_lease_ran_out_can_do_nothing(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let consumer = bed.consumer(&["q"]).await;
    bed.clock.advance(LEASE + A_BIT);

    // Not even before somebody noticed: a renewal that came late would be luck.
    assert_fenced(&consumer).await;

    bed.recover().await;
    assert_fenced(&consumer).await;
}

/// The message that would have ended its wait stays where it is.
pub async fn a_consumer_whose_lease_runs_out_while_it_waits_takes_nothing(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let consumer = bed.consumer(&["q"]).await;
    let mut wait = consumer.fetch(Fetch {
        max: 1,
        started: 1,
        wait: AN_HOUR,
    });
    still_waiting(&mut wait).await;

    bed.clock.advance(LEASE + A_BIT);
    bed.publish([message("q", "a")]).await;

    let refused = within(wait).await.expect_err("the lease ran out");
    assert_eq!(refused.kind(), ErrorKind::LeaseLost);
    assert_eq!(bed.counts("q").await, [1, 0, 0, 0]);
}

/// It holds messages that nobody took from it yet, and still may not touch them.
pub async fn a_late_settlement_before_recovery_has_no_effect(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish(numbered("q", 3)).await;
    let late = bed.consumer(&["q"]).await;
    let held = late.take(3).await;
    bed.clock.advance(LEASE + A_BIT);

    let verdicts = [Verdict::Ack, Verdict::Release, dead("no")];
    let batch = held
        .iter()
        .zip(verdicts)
        .map(|(delivery, verdict)| Settlement {
            result: Some(result("0", TaskState::Success, "late")),
            publish: vec![message("next", "b")],
            ..settlement(delivery, verdict)
        });
    let answers = late.settle(batch.collect()).await.expect("settle");

    assert_eq!(answers, [Settled::LeaseLost; 3]);
    assert_eq!(bed.result("0").await, None);
    assert_eq!(bed.counts("next").await, [0; 4]);
    assert_eq!(bed.recover().await, 3);
    assert_eq!(bed.counts("q").await, [3, 0, 0, 0]);
}

pub async fn a_late_settlement_does_not_touch_the_new_holder(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    first.publish([message("q", "a")]).await;
    let late = first.consumer(&["q"]).await;
    let old = late.take_one().await;
    first.outlive_leases().await;
    let holder = second.consumer_named("holder", &["q"]).await;
    let new = holder.take_one().await;

    let end = Settlement {
        result: Some(result("a", TaskState::Success, "late")),
        publish: vec![message("next", "b")],
        ..settlement(&old, Verdict::Ack)
    };
    assert_eq!(late.settle_one(end).await, Settled::LeaseLost);

    let in_flight = Location::InFlight {
        queue: "q".into(),
        consumer: "holder".to_owned(),
    };
    assert_eq!(first.locate("a").await, Some(in_flight));
    assert_eq!(first.result("a").await, None);
    assert_eq!(first.counts("next").await, [0; 4]);
    holder.done(&new, Verdict::Ack).await;
}

pub async fn a_close_hands_everything_back_at_once(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish([message("a", "1"), message("b", "2"), message("a", "3")])
        .await;
    let closing = bed.consumer(&["a", "b"]).await;
    closing.take(2).await;
    closing.hold(1).await;
    bed.publish([message("a", "4")]).await;

    closing.close().await.expect("close");

    assert_eq!(bed.counts("a").await, [3, 0, 0, 0]);
    assert_eq!(bed.counts("b").await, [1, 0, 0, 0]);
    assert_eq!(
        ids(&bed.consumer(&["a"]).await.take(10).await),
        ["1", "3", "4"]
    );
    assert_eq!(
        bed.outlive_leases().await,
        3,
        "only what the new consumer held"
    );
}

pub async fn a_close_leaves_other_consumers_alone(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish(numbered("q", 2)).await;
    let (one, two) = (bed.consumer(&["q"]).await, bed.consumer(&["q"]).await);
    one.take_one().await;
    let kept = two.take_one().await;

    one.close().await.expect("close");

    assert_eq!(bed.counts("q").await, [1, 0, 1, 0]);
    two.done(&kept, Verdict::Ack).await;
}

pub async fn a_closed_consumer_can_do_nothing(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish([message("q", "a")]).await;
    let consumer = bed.consumer(&["q"]).await;
    let delivery = consumer.take_one().await;

    consumer.close().await.expect("close");

    assert_fenced(&consumer).await;
    let late = consumer
        .settle_one(settlement(&delivery, Verdict::Ack))
        .await;
    assert_eq!(late, Settled::LeaseLost);
    assert_eq!(bed.counts("q").await, [1, 0, 0, 0]);
}
