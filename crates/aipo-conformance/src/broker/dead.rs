//! Messages that were given up are kept for a person to look at.

use std::time::Duration;

use aipo_core::message::Envelope;
use aipo_core::store::{DeadLetter, Publish};

use crate::Harness;
use crate::support::{Fixture, Holder, dead, id_of, message, numbered, settlement};

/// Publishes messages to `queue` and gives them up, one after the other.
async fn give_up(bed: &Fixture, queue: &str, ids: &[&str]) {
    let consumer = bed.consumer(&[queue]).await;
    for id in ids {
        bed.publish([message(queue, id)]).await;
        let delivery = consumer.take_one().await;
        consumer
            .done(&delivery, dead(&format!("{id} is broken")))
            .await;
    }
    consumer.close().await.expect("close");
}

fn tasks(letters: &[DeadLetter]) -> Vec<&str> {
    letters
        .iter()
        .map(|letter| letter.task_id.as_str())
        .collect()
}

async fn fetch_all(consumer: &Holder) -> Vec<String> {
    let mut ids: Vec<String> = consumer.take(100).await.iter().map(id_of).collect();
    ids.sort();
    ids
}

pub async fn a_dead_letter_tells_all_about_its_message(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    let every_byte: Vec<u8> = (0..=255).collect();
    let envelope = Envelope {
        headers: every_byte.clone(),
        body: every_byte,
        ..Default::default()
    };
    let sent = Publish {
        priority: 4,
        envelope: envelope.clone(),
        ..message("q", "a")
    };
    first.publish([sent]).await;
    first.start_and_close("q").await;
    let consumer = first.consumer(&["q"]).await;
    let twice = consumer.take_one().await;
    first.clock.advance(Duration::from_secs(5));

    consumer.done(&twice, dead("can't decode: \"é\"")).await;
    let died = first.clock.now();
    first.clock.advance(Duration::from_secs(5));

    let letters = second.dead_letters().await;
    assert_eq!(letters.len(), 1);
    let expected = DeadLetter {
        id: letters[0].id,
        queue: "q".into(),
        task_id: "a".into(),
        reason: "can't decode: \"é\"".to_owned(),
        died,
        deliveries: 2,
        envelope,
    };
    assert_eq!(letters[0], expected);
}

pub async fn a_dead_letter_is_fetched_by_nobody(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    give_up(&bed, "q", &["a"]).await;

    assert_eq!(bed.outlive_leases().await, 0);

    assert_eq!(bed.consumer(&["q"]).await.take(10).await, []);
    assert_eq!(bed.counts("q").await, [0, 0, 0, 1]);
}

/// It was never started: the worker could not even decode it.
pub async fn an_uncounted_message_can_be_given_up(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish([message("q", "a")]).await;
    let consumer = bed.consumer(&["q"]).await;
    let delivery = consumer.hold_one().await;

    consumer.done(&delivery, dead("no")).await;

    assert_eq!(bed.dead_letters().await[0].deliveries, 0);
}

pub async fn the_newest_dead_letters_come_first(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish(["1", "2", "3", "4"].map(|id| message("q", id)))
        .await;
    let consumer = bed.consumer(&["q"]).await;
    let held = consumer.take(4).await;

    // Given up in another order than they were sent, and some at the same moment.
    for index in [2, 0] {
        bed.clock.advance(Duration::from_secs(1));
        consumer.done(&held[index], dead("no")).await;
    }
    let batch = [3, 1].map(|index: usize| settlement(&held[index], dead("no")));
    consumer.settle(batch.to_vec()).await.expect("settle");

    assert_eq!(tasks(&bed.dead_letters().await), ["2", "4", "1", "3"]);
}

pub async fn at_most_limit_dead_letters_come(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    give_up(&bed, "q", &["1", "2", "3"]).await;
    let broker = &bed.store.broker;

    assert_eq!(
        tasks(&broker.dead_letters(None, 2).await.expect("dead letters")),
        ["3", "2"]
    );
    assert_eq!(
        broker.dead_letters(None, 0).await.expect("dead letters"),
        []
    );
    assert_eq!(
        broker
            .dead_letters(None, usize::MAX)
            .await
            .expect("dead letters")
            .len(),
        3
    );
}

pub async fn dead_letters_of_one_queue_come_alone(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    give_up(&bed, "a", &["1", "2"]).await;
    give_up(&bed, "b", &["3", "4"]).await;
    give_up(&bed, "a", &["5"]).await;

    let of = async |queue: &str, limit| {
        let queue = queue.into();
        bed.store
            .broker
            .dead_letters(Some(&queue), limit)
            .await
            .expect("dead letters")
    };

    assert_eq!(tasks(&of("a", 10).await), ["5", "2", "1"]);
    assert_eq!(tasks(&of("a", 2).await), ["5", "2"]);
    assert_eq!(tasks(&of("b", 10).await), ["4", "3"]);
    assert_eq!(tasks(&of("unknown", 10).await), [""; 0]);
    assert_eq!(tasks(&bed.dead_letters().await), ["5", "4", "3", "2", "1"]);
}

pub async fn redriven_messages_return_with_their_count_at_zero(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let sent = Publish {
        priority: 6,
        ..message("q", "a")
    };
    bed.publish([
        sent.clone(),
        Publish {
            priority: 7,
            ..message("q", "b")
        },
    ])
    .await;
    let consumer = bed.consumer(&["q"]).await;
    let delivery = consumer.take_one().await;
    consumer.done(&delivery, dead("no")).await;
    let letter = bed.dead_letters().await.remove(0);

    assert_eq!(
        bed.store
            .broker
            .redrive(&[letter.id])
            .await
            .expect("redrive"),
        1
    );

    assert_eq!(bed.counts("q").await, [2, 0, 0, 0]);
    assert_eq!(bed.dead_letters().await, []);
    let again = consumer.take_one().await;
    assert_eq!(
        (again.deliveries, again.envelope),
        (1, sent.envelope),
        "its priority is kept too"
    );
}

pub async fn redriven_messages_return_to_their_own_queues(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    give_up(&bed, "a", &["1", "2"]).await;
    give_up(&bed, "b", &["3"]).await;
    let letters = bed.dead_letters().await;
    let all: Vec<u64> = letters.iter().map(|letter| letter.id).collect();

    assert_eq!(bed.store.broker.redrive(&all).await.expect("redrive"), 3);

    assert_eq!(fetch_all(&bed.consumer(&["a"]).await).await, ["1", "2"]);
    assert_eq!(fetch_all(&bed.consumer(&["b"]).await).await, ["3"]);
}

pub async fn a_redriven_message_goes_to_the_end(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    give_up(&bed, "q", &["dead"]).await;
    bed.publish([message("q", "waiting")]).await;
    let letter = bed.dead_letters().await.remove(0);

    bed.store
        .broker
        .redrive(&[letter.id])
        .await
        .expect("redrive");

    let consumer = bed.consumer(&["q"]).await;
    assert_eq!(id_of(&consumer.take_one().await), "waiting");
    assert_eq!(id_of(&consumer.take_one().await), "dead");
}

pub async fn redriving_counts_only_what_was_there(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    give_up(&bed, "q", &["1", "2"]).await;
    let letters = bed.dead_letters().await;
    let broker = &bed.store.broker;
    let unknown = u64::MAX >> 1;

    assert_eq!(broker.redrive(&[]).await.expect("redrive"), 0);
    assert_eq!(
        broker
            .redrive(&[letters[0].id, unknown])
            .await
            .expect("redrive"),
        1
    );
    assert_eq!(
        broker.redrive(&[letters[0].id]).await.expect("redrive"),
        0,
        "it is there once"
    );

    assert_eq!(bed.counts("q").await, [1, 0, 0, 1]);
}

pub async fn discarded_letters_are_gone(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    give_up(&bed, "q", &["1", "2", "3"]).await;
    let letters = bed.dead_letters().await;
    let broker = &bed.store.broker;
    let unknown = u64::MAX >> 1;

    assert_eq!(broker.discard(&[]).await.expect("discard"), 0);
    let two_and_unknown = [letters[0].id, unknown, letters[2].id];
    assert_eq!(broker.discard(&two_and_unknown).await.expect("discard"), 2);
    assert_eq!(broker.discard(&two_and_unknown).await.expect("discard"), 0);

    assert_eq!(tasks(&bed.dead_letters().await), ["2"]);
    assert_eq!(bed.locate("1").await, None);
    assert_eq!(broker.redrive(&[letters[0].id]).await.expect("redrive"), 0);
    assert_eq!(bed.counts("q").await, [0, 0, 0, 1]);
}

/// An id names a dead letter, never a message that lives.
pub async fn living_messages_are_neither_redriven_nor_discarded(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish(numbered("q", 3)).await;
    let consumer = bed.consumer(&["q"]).await;
    let held = consumer.take(1).await;
    let any_id: Vec<u64> = (0..50).chain([held[0].tag.0]).collect();

    assert_eq!(bed.store.broker.discard(&any_id).await.expect("discard"), 0);
    assert_eq!(bed.store.broker.redrive(&any_id).await.expect("redrive"), 0);

    assert_eq!(bed.counts("q").await, [2, 0, 1, 0]);
}

/// A second death is a death like the first.
pub async fn a_redriven_message_can_be_given_up_again(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    give_up(&bed, "q", &["a"]).await;
    let first = bed.dead_letters().await.remove(0);
    bed.store
        .broker
        .redrive(&[first.id])
        .await
        .expect("redrive");
    let consumer = bed.consumer(&["q"]).await;
    let delivery = consumer.take_one().await;

    consumer.done(&delivery, dead("still broken")).await;

    let letters = bed.dead_letters().await;
    assert_eq!(letters.len(), 1);
    assert_eq!(
        (&*letters[0].reason, letters[0].deliveries),
        ("still broken", 1)
    );
}
