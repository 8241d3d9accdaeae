//! What ends the wait of a fetch, and what does not.

use std::time::Duration;

use aipo_core::Clock;
use aipo_core::store::{Delivery, Fetch, Publish, Settlement, Verdict};

use crate::Harness;
use crate::support::{
    A_MOMENT, AN_HOUR, Fixture, Holder, consumer, dead, ids, message, numbered, publish,
    settlement, still_waiting, within,
};

/// Fetches whatever comes, and waits for it.
async fn await_messages(consumer: &Holder) -> Vec<Delivery> {
    consumer
        .fetch(Fetch {
            max: 10,
            started: 10,
            wait: AN_HOUR,
        })
        .await
        .expect("fetch")
}

pub async fn the_wait_ends_empty_when_its_time_is_over(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let consumer = bed.consumer(&["q"]).await;

    let taken = within(consumer.fetch(Fetch {
        max: 1,
        started: 1,
        wait: A_MOMENT,
    }))
    .await;

    assert_eq!(taken.expect("fetch"), []);
}

pub async fn a_publish_ends_the_wait(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let consumer = bed.consumer(&["q"]).await;
    let mut wait = Box::pin(await_messages(&consumer));
    still_waiting(&mut wait).await;

    bed.publish([message("q", "a")]).await;

    assert_eq!(ids(&within(wait).await), ["a"]);
}

pub async fn a_publish_through_another_handle_ends_the_wait(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    let consumer = first.consumer(&["q"]).await;
    let mut wait = Box::pin(await_messages(&consumer));
    still_waiting(&mut wait).await;

    second.publish([message("q", "a")]).await;

    assert_eq!(ids(&within(wait).await), ["a"]);
}

/// A wait that ends for a message of another queue would be a fetch that lies about its time.
pub async fn a_publish_to_another_queue_does_not_end_the_wait(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let consumer = bed.consumer(&["q"]).await;
    let mut wait = Box::pin(await_messages(&consumer));
    still_waiting(&mut wait).await;

    bed.publish([message("other", "a")]).await;
    still_waiting(&mut wait).await;

    bed.publish([message("q", "b")]).await;
    assert_eq!(ids(&within(wait).await), ["b"]);
}

pub async fn a_publish_to_any_of_its_queues_ends_the_wait(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let consumer = bed.consumer(&["a", "b", "c"]).await;

    for queue in ["b", "c", "a"] {
        let mut wait = Box::pin(await_messages(&consumer));
        still_waiting(&mut wait).await;
        bed.publish([message(queue, queue)]).await;
        assert_eq!(ids(&within(wait).await), [queue]);
    }
}

/// The messages come in one call, so that a store that wakes one waiter a call is found out.
pub async fn every_waiting_consumer_is_served(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    let (one, two) = (first.consumer(&["q"]).await, second.consumer(&["q"]).await);
    let three = second.consumer(&["q"]).await;
    let fetch = Fetch {
        max: 1,
        started: 1,
        wait: AN_HOUR,
    };
    let (mut wait_1, mut wait_2) = (one.fetch(fetch), two.fetch(fetch));
    let mut wait_3 = three.fetch(fetch);
    still_waiting(&mut wait_1).await;
    still_waiting(&mut wait_2).await;
    still_waiting(&mut wait_3).await;

    first.publish(numbered("q", 3)).await;

    let answers = within(async { tokio::join!(wait_1, wait_2, wait_3) }).await;
    let mut served = Vec::new();
    for answer in [answers.0, answers.1, answers.2] {
        served.extend(ids(&answer.expect("fetch")));
    }
    served.sort();
    assert_eq!(served, ["0", "1", "2"]);
}

/// The wait that was dropped must not have swallowed the wake-up that another needs.
pub async fn a_dropped_wait_takes_no_message_with_it(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let (one, two) = (bed.consumer(&["q"]).await, bed.consumer(&["q"]).await);
    let mut dropped = Box::pin(await_messages(&one));
    let mut wait = Box::pin(await_messages(&two));
    still_waiting(&mut dropped).await;
    still_waiting(&mut wait).await;

    bed.publish([message("q", "a")]).await;
    drop(dropped);

    assert_eq!(ids(&within(wait).await), ["a"]);
}

pub async fn a_parked_message_that_becomes_due_ends_the_wait(harness: &impl Harness) {
    let store = harness.open(Clock::system()).await;
    let due = Clock::system().after(A_MOMENT * 4);
    publish(
        &store,
        [Publish {
            due: Some(due),
            ..message("q", "a")
        }],
    )
    .await;
    let consumer = consumer(&store, "worker", &["q"]).await;

    let taken = within(await_messages(&consumer)).await;

    assert_eq!(ids(&taken), ["a"]);
    assert!(Clock::system().now() >= due, "not before its time");
}

/// The wait was set for a later message when the earlier one came.
pub async fn a_message_parked_meanwhile_ends_the_wait_when_due(harness: &impl Harness) {
    let store = harness.open(Clock::system()).await;
    let other = harness.second(&store, Clock::system()).await;
    let far = Clock::system().after(Duration::from_secs(3600));
    publish(
        &store,
        [Publish {
            due: Some(far),
            ..message("q", "far")
        }],
    )
    .await;
    let consumer = consumer(&store, "worker", &["q"]).await;
    let mut wait = Box::pin(await_messages(&consumer));
    still_waiting(&mut wait).await;

    let near = Clock::system().after(A_MOMENT * 4);
    publish(
        &other,
        [Publish {
            due: Some(near),
            ..message("q", "near")
        }],
    )
    .await;

    assert_eq!(ids(&within(wait).await), ["near"]);
    assert!(Clock::system().now() >= near, "not before its time");
}

/// The same for one that was fetched and is parked again.
pub async fn a_message_parked_again_ends_the_wait_when_due(harness: &impl Harness) {
    let store = harness.open(Clock::system()).await;
    let other = harness.second(&store, Clock::system()).await;
    publish(&store, [message("q", "a")]).await;
    let holder = consumer(&other, "other", &["q"]).await;
    let held = holder.take_one().await;
    let consumer = consumer(&store, "worker", &["q"]).await;
    let mut wait = Box::pin(await_messages(&consumer));
    still_waiting(&mut wait).await;

    let until = Clock::system().after(A_MOMENT * 4);
    holder.done(&held, Verdict::Park { until }).await;

    assert_eq!(ids(&within(wait).await), ["a"]);
    assert!(Clock::system().now() >= until, "not before its time");
}

pub async fn a_recovery_ends_the_wait(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish([message("q", "a")]).await;
    let crashed = bed.consumer(&["q"]).await;
    crashed.take_one().await;
    drop(crashed);
    bed.clock.advance(Duration::from_secs(3600));
    let consumer = bed.consumer(&["q"]).await;
    let mut wait = Box::pin(await_messages(&consumer));
    still_waiting(&mut wait).await;

    assert_eq!(bed.recover().await, 1);

    assert_eq!(ids(&within(wait).await), ["a"]);
}

pub async fn a_message_handed_back_ends_the_wait(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish([message("q", "a")]).await;
    let (one, two) = (bed.consumer(&["q"]).await, bed.consumer(&["q"]).await);
    let held = one.take_one().await;
    let mut wait = Box::pin(await_messages(&two));
    still_waiting(&mut wait).await;

    one.done(&held, Verdict::Release).await;

    assert_eq!(ids(&within(wait).await), ["a"]);
}

pub async fn a_close_that_hands_back_ends_the_wait(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish([message("q", "a")]).await;
    let (one, two) = (bed.consumer(&["q"]).await, bed.consumer(&["q"]).await);
    one.take_one().await;
    let mut wait = Box::pin(await_messages(&two));
    still_waiting(&mut wait).await;

    one.close().await.expect("close");

    assert_eq!(ids(&within(wait).await), ["a"]);
}

pub async fn a_follow_up_ends_the_wait(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish([message("first", "a")]).await;
    let (one, two) = (
        bed.consumer(&["first"]).await,
        bed.consumer(&["next"]).await,
    );
    let held = one.take_one().await;
    let mut wait = Box::pin(await_messages(&two));
    still_waiting(&mut wait).await;

    let follow_up = vec![message("next", "b")];
    let end = Settlement {
        publish: follow_up,
        ..settlement(&held, Verdict::Ack)
    };
    one.settle_one(end).await;

    assert_eq!(ids(&within(wait).await), ["b"]);
}

pub async fn a_redriven_message_ends_the_wait(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish([message("q", "a")]).await;
    let consumer = bed.consumer(&["q"]).await;
    let held = consumer.take_one().await;
    consumer.done(&held, dead("no")).await;
    let letter = bed.dead_letters().await.remove(0);
    let mut wait = Box::pin(await_messages(&consumer));
    still_waiting(&mut wait).await;

    bed.store
        .broker
        .redrive(&[letter.id])
        .await
        .expect("redrive");

    assert_eq!(ids(&within(wait).await), ["a"]);
}

/// A worker renews and settles beside its waiting fetch.
pub async fn a_wait_keeps_no_other_call_waiting(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish([message("q", "a")]).await;
    let consumer = bed.consumer(&["q"]).await;
    let held = consumer.take_one().await;
    let mut wait = Box::pin(await_messages(&consumer));
    still_waiting(&mut wait).await;

    within(consumer.renew()).await.expect("renew");
    within(consumer.done(&held, Verdict::Ack)).await;
    within(bed.publish([message("q", "b")])).await;

    assert_eq!(ids(&within(wait).await), ["b"]);
}
