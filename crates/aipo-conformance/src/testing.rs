//! Short words for the calls that tests of a store make: the cases of the suite, and a store's own tests beside it.
//!
//! Nothing here asserts on durations: [`A_MOMENT`] only gives a call the time to reach its wait, and [`GUARD`] only
//! ends a test that would hang. Everything here panics where a store answers with an error.

use std::fmt::Debug;
use std::time::Duration;

use aipo_core::message::{Envelope, Properties};
use aipo_core::store::{Consumer, ConsumerOptions, Delivery, Publish, Settlement, Verdict};
use aipo_core::{QueueName, Store};

/// Longer than any right answer takes, on any machine.
pub const GUARD: Duration = Duration::from_secs(60);

/// For waits that something must end, and for what must not happen during a test: so much longer than the guard that
/// no test passes because its wait was over and the store looked once more.
pub const AN_HOUR: Duration = Duration::from_secs(3600);

/// Long enough for a call to reach its wait; a slower machine makes a test weaker, never wrong.
pub const A_MOMENT: Duration = Duration::from_millis(50);

/// A message of the task `id`, as urgent as can be, ready at once. Its body is the id.
pub fn message(queue: &str, id: &str) -> Publish {
    Publish {
        queue: queue.into(),
        id: id.into(),
        priority: 0,
        due: None,
        envelope: Envelope {
            headers: format!(r#"{{"task":"app.tasks.add","id":"{id}","eta":null}}"#).into_bytes(),
            properties: Properties {
                correlation_id: Some(id.to_owned()),
                ..Properties::default()
            },
            body: id.as_bytes().to_vec(),
        },
    }
}

/// Sends messages in one call.
pub async fn publish(store: &Store, messages: impl Into<Vec<Publish>>) {
    let messages = messages.into();
    store.broker.publish(messages).await.expect("publish");
}

/// A consumer whose lease outlasts every test.
pub async fn consumer(store: &Store, queues: &[&str]) -> Box<dyn Consumer> {
    consumer_with(store, "worker", queues, AN_HOUR).await
}

/// A consumer with a name and a lease.
pub async fn consumer_with(
    store: &Store,
    name: &str,
    queues: &[&str],
    lease: Duration,
) -> Box<dyn Consumer> {
    let options = ConsumerOptions {
        name: name.to_owned(),
        queues: queues.iter().map(|queue| QueueName::from(*queue)).collect(),
        lease,
    };
    store.broker.consume(options).await.expect("consume")
}

/// A settlement with nothing but a verdict.
pub fn settlement(delivery: &Delivery, verdict: Verdict) -> Settlement {
    Settlement {
        tag: delivery.tag,
        verdict,
        result: None,
        publish: Vec::new(),
        step: Default::default(),
    }
}

/// Whose message this is. Only for one made by [`message`].
pub fn id_of(delivery: &Delivery) -> String {
    String::from_utf8(delivery.envelope.body.clone()).expect("the body is the id, which is text")
}

/// Whose messages these are, in their order. Only for messages made by [`message`].
pub fn ids(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(id_of).collect()
}

/// What a queue holds: ready, parked, in flight, dead; zeros for one that does not exist.
pub async fn counts(store: &Store, queue: &str) -> [u64; 4] {
    let queues = store.broker.queues().await.expect("queues");
    let found = queues.iter().find(|stats| stats.queue.as_str() == queue);
    found.map_or([0; 4], |stats| {
        [stats.ready, stats.parked, stats.in_flight, stats.dead]
    })
}

/// Waits for what must come, and fails instead of hanging.
pub async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(GUARD, future)
        .await
        .expect("ends long before the guard")
}

/// Polls a wait for a moment, so that what the test does next happens while it waits.
pub async fn still_waiting<F>(wait: &mut F)
where
    F: Future + Unpin,
    F::Output: Debug,
{
    if let Ok(answer) = tokio::time::timeout(A_MOMENT, wait).await {
        panic!("the wait ended with nothing to end it: {answer:?}");
    }
}
