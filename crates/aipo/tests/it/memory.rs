//! What only the memory store promises: with paused time, waiting passes at once.

use std::time::Duration;

use aipo_core::message::Envelope;
use aipo_core::store::{Consumer, ConsumerOptions, Fetch, Publish};
use aipo_core::{Clock, Store, TaskId};
use jiff::Timestamp;

const A_DAY: Duration = Duration::from_secs(86_400);

fn store() -> (Store, Clock) {
    let clock = Clock::tokio(Timestamp::UNIX_EPOCH);
    (aipo::memory::store(clock.clone()), clock)
}

async fn consumer(store: &Store, lease: Duration) -> Box<dyn Consumer> {
    let options = ConsumerOptions {
        name: "worker".to_owned(),
        queues: vec!["q".into()],
        lease,
    };
    store.broker.consume(options).await.expect("consume")
}

fn parked(id: &str, due: Timestamp) -> Publish {
    Publish {
        queue: "q".into(),
        id: id.into(),
        priority: 0,
        due: Some(due),
        envelope: Envelope {
            body: id.as_bytes().to_vec(),
            ..Envelope::default()
        },
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_a_parked_message_passes_at_once() {
    let (store, clock) = store();
    let due = [3, 1, 2].map(|days| clock.after(A_DAY * days));
    let messages = due.map(|due| parked(&due.to_string(), due));
    store
        .broker
        .publish(messages.to_vec())
        .await
        .expect("publish");
    let consumer = consumer(&store, Duration::MAX).await;

    for due in [due[1], due[2], due[0]] {
        let fetch = Fetch {
            max: 10,
            started: 10,
            wait: A_DAY * 10,
        };
        let taken = consumer.fetch(fetch).await.expect("fetch");
        assert_eq!(taken.len(), 1);
        assert_eq!(taken[0].envelope.body, due.to_string().into_bytes());
        assert!(clock.until(due).is_zero() && clock.now() < due + Duration::from_secs(1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_lasts_as_long_as_it_was_given() {
    let (store, clock) = store();
    let consumer = consumer(&store, Duration::MAX).await;
    let until = clock.after(A_DAY);

    let fetch = consumer.fetch(Fetch {
        max: 1,
        started: 1,
        wait: A_DAY,
    });
    let id = TaskId::from("a");
    let wait = store.results.wait(&id, A_DAY);
    let (taken, meta) = tokio::join!(fetch, wait);

    assert_eq!(
        (taken.expect("fetch").len(), meta.expect("wait")),
        (0, None)
    );
    assert!(clock.until(until).is_zero());
}

#[tokio::test(start_paused = true)]
async fn a_lease_runs_out_as_time_passes() {
    let (store, clock) = store();
    store
        .broker
        .publish(vec![parked("a", clock.now())])
        .await
        .expect("publish");
    let consumer = consumer(&store, Duration::from_secs(10)).await;
    let fetch = Fetch {
        max: 1,
        started: 1,
        wait: Duration::ZERO,
    };
    assert_eq!(consumer.fetch(fetch).await.expect("fetch").len(), 1);

    tokio::time::sleep(Duration::from_secs(9)).await;
    assert_eq!(store.broker.recover().await.expect("recover"), 0);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(store.broker.recover().await.expect("recover"), 1);
}
