//! Short words for what the tests do.

use std::time::Duration;

use aipo_core::message::{Envelope, Properties};
use aipo_core::store::{Consumer, ConsumerOptions, Delivery, Fetch, Publish, Settlement, Verdict};
use aipo_core::{Store, TaskId};

/// Longer than any right answer takes, on any machine.
pub(crate) const GUARD: Duration = Duration::from_secs(60);

/// Longer than any test.
pub(crate) const AN_HOUR: Duration = Duration::from_secs(3600);

/// A message for the task `id`; its body is the id.
pub(crate) fn message(queue: &str, id: &str) -> Publish {
    let headers = format!(r#"{{"task":"app.tasks.add","id":"{id}","eta":null}}"#);
    Publish {
        queue: queue.into(),
        id: TaskId::from(id),
        priority: 0,
        due: None,
        envelope: Envelope {
            headers: headers.into_bytes(),
            properties: Properties {
                correlation_id: Some(id.to_owned()),
                ..Properties::default()
            },
            body: id.as_bytes().to_vec(),
        },
    }
}

pub(crate) async fn publish(store: &Store, messages: impl Into<Vec<Publish>>) {
    store
        .broker
        .publish(messages.into())
        .await
        .expect("publish");
}

/// A consumer whose lease outlasts every test.
pub(crate) async fn consumer(store: &Store, queues: &[&str]) -> Box<dyn Consumer> {
    let options = ConsumerOptions {
        name: "worker@host".to_owned(),
        queues: queues.iter().map(|queue| (*queue).into()).collect(),
        lease: AN_HOUR,
    };
    store.broker.consume(options).await.expect("consume")
}

/// What is ready now, all of it counted as started: by the fetch, or afterwards what was started
/// before.
pub(crate) async fn take(consumer: &dyn Consumer) -> Vec<Delivery> {
    fetch(consumer, Duration::ZERO).await
}

/// Waits for messages, all of them counted as started.
pub(crate) async fn wait(consumer: &dyn Consumer) -> Vec<Delivery> {
    within(fetch(consumer, GUARD)).await
}

async fn fetch(consumer: &dyn Consumer, wait: Duration) -> Vec<Delivery> {
    let fetch = Fetch {
        max: 100,
        started: 100,
        wait,
    };
    let mut taken = consumer.fetch(fetch).await.expect("fetch");
    for delivery in taken.iter_mut().filter(|delivery| !delivery.started) {
        consumer.start(&[delivery.tag]).await.expect("start");
        delivery.started = true;
        delivery.deliveries += 1;
    }
    taken
}

pub(crate) async fn settle(consumer: &dyn Consumer, delivery: &Delivery, verdict: Verdict) {
    let settlement = Settlement {
        tag: delivery.tag,
        verdict,
        result: None,
        publish: Vec::new(),
        step: Default::default(),
    };
    let answers = consumer.settle(vec![settlement]).await.expect("settle");
    assert_eq!(answers, [aipo_core::store::Settled::Done]);
}

/// Whose messages these are, in their order. Only for messages made by [`message`].
pub(crate) fn ids(deliveries: &[Delivery]) -> Vec<String> {
    let id =
        |delivery: &Delivery| String::from_utf8(delivery.envelope.body.clone()).expect("an id");
    deliveries.iter().map(id).collect()
}

/// What a queue holds: ready, parked, in flight, dead.
pub(crate) async fn counts(store: &Store, queue: &str) -> [u64; 4] {
    let queues = store.broker.queues().await.expect("queues");
    let found = queues.iter().find(|stats| stats.queue.as_str() == queue);
    found.map_or([0; 4], |stats| {
        [stats.ready, stats.parked, stats.in_flight, stats.dead]
    })
}

/// Fails instead of hanging.
pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(GUARD, future)
        .await
        .expect("ends long before the guard")
}
