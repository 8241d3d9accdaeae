//! What a publish promises.

use std::time::Duration;

use aipo_core::message::{Envelope, Properties};
use aipo_core::store::{Location, Publish};

use crate::Harness;
use crate::support::{Fixture, ids, message, numbered, poll_times};

pub async fn a_message_arrives_byte_for_byte(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let mut properties = Properties {
        content_type: "application/x-yaml".to_owned(),
        content_encoding: "binary".to_owned(),
        correlation_id: Some("other than the task's id".to_owned()),
        reply_to: Some("7b4e-é".to_owned()),
        delivery_mode: 1,
        priority: 7,
        expiration: Some("60000".to_owned()),
        other: Default::default(),
    };
    properties
        .other
        .insert("delivery_info".to_owned(), "any \"text\"".into());
    let every_byte: Vec<u8> = (0..=255).collect();
    let sent = Envelope {
        headers: every_byte.clone(),
        properties,
        body: every_byte.repeat(5),
    };

    bed.publish([Publish {
        envelope: sent.clone(),
        ..message("q", "a")
    }])
    .await;
    let delivery = bed.consumer(&["q"]).await.take_one().await;

    assert_eq!(delivery.envelope, sent);
    assert_eq!(delivery.queue.as_str(), "q");
}

pub async fn an_empty_message_arrives_empty(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;

    bed.publish([Publish {
        envelope: Envelope::default(),
        ..message("q", "a")
    }])
    .await;

    assert_eq!(
        bed.consumer(&["q"]).await.take_one().await.envelope,
        Envelope::default()
    );
}

pub async fn a_message_of_a_megabyte_arrives_whole(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let body: Vec<u8> = (0..1 << 20).map(|index: u32| (index % 251) as u8).collect();
    let envelope = Envelope {
        body: body.clone(),
        ..Envelope::default()
    };

    bed.publish([Publish {
        envelope,
        ..message("q", "a")
    }])
    .await;

    assert!(bed.consumer(&["q"]).await.take_one().await.envelope.body == body);
}

pub async fn queues_that_are_missing_are_created(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    assert_eq!(bed.queues().await, []);

    bed.publish([message("b", "1"), message("a", "2")]).await;

    let names: Vec<String> = bed
        .queues()
        .await
        .iter()
        .map(|q| q.queue.to_string())
        .collect();
    assert_eq!(names, ["a", "b"]);
}

pub async fn messages_of_one_call_keep_their_order(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;

    bed.publish(numbered("q", 5)).await;

    assert_eq!(
        ids(&bed.consumer(&["q"]).await.take(10).await),
        ["0", "1", "2", "3", "4"]
    );
}

pub async fn messages_of_one_call_go_to_their_own_queues(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;

    bed.publish([message("a", "1"), message("b", "2"), message("a", "3")])
        .await;

    assert_eq!(ids(&bed.consumer(&["a"]).await.take(10).await), ["1", "3"]);
    assert_eq!(ids(&bed.consumer(&["b"]).await.take(10).await), ["2"]);
}

pub async fn publishing_nothing_changes_nothing(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;

    bed.publish([]).await;

    assert_eq!(bed.queues().await, []);
}

/// A call that is dropped half way has either happened or not, whichever; a store that works on
/// in the background may finish it later.
pub async fn a_dropped_publish_puts_all_or_nothing(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;

    for polls in 0..20 {
        let queue = format!("q{polls}");
        poll_times(bed.store.broker.publish(numbered(&queue, 3)), polls).await;

        for _ in 0..5 {
            let [ready, ..] = bed.counts(&queue).await;
            assert!(
                ready == 0 || ready == 3,
                "{ready} of 3 messages were accepted"
            );
        }
    }
}

pub async fn a_message_outlives_the_handle_that_sent_it(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    first.publish([message("q", "a")]).await;

    drop(first);

    assert_eq!(ids(&second.consumer(&["q"]).await.take(10).await), ["a"]);
}

pub async fn handles_share_one_line(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;

    first.publish([message("q", "1")]).await;
    second.publish([message("q", "2")]).await;
    first.publish([message("q", "3")]).await;

    assert_eq!(
        ids(&second.consumer(&["q"]).await.take(2).await),
        ["1", "2"]
    );
    assert_eq!(ids(&first.consumer(&["q"]).await.take(2).await), ["3"]);
}

pub async fn a_task_may_have_several_messages(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;

    bed.publish([message("q", "a"), message("q", "a")]).await;
    bed.publish([message("q", "a")]).await;

    assert_eq!(
        ids(&bed.consumer(&["q"]).await.take(10).await),
        ["a", "a", "a"]
    );
}

/// Names reach keys, queries and patterns; in none of them is a part of a name special.
pub async fn any_text_names_a_queue_and_a_task(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let names = [
        "a", "A", "a b", "a:b", "a%", "a_", "a*", "a?", "[a]", "a'b\"c", "a\\", "é", "🌱", "{a}",
    ];

    bed.publish(names.map(|name| message(name, name))).await;

    for name in names {
        let location = bed.locate(name).await;
        assert_eq!(
            location,
            Some(Location::Ready { queue: name.into() }),
            "task {name}"
        );
        let taken = bed.consumer(&[name]).await.take(10).await;
        assert_eq!(ids(&taken), [name], "queue {name}");
    }
    bed.clock.advance(Duration::from_secs(3600));
    assert_eq!(bed.recover().await, names.len());
}
