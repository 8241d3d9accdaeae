//! Merging the queues of one fetch: what the suite leaves to the store.

use std::time::Duration;

use aipo_core::Store;
use aipo_core::message::Envelope;
use aipo_core::store::{ConsumerOptions, Fetch, Publish};
use aipo_sqlite::SqliteOptions;

async fn take(store: &Store, queues: &[&str], max: usize) -> Vec<String> {
    let options = ConsumerOptions {
        name: "worker".to_owned(),
        queues: queues.iter().map(|queue| (*queue).into()).collect(),
        lease: Duration::from_secs(60),
    };
    let consumer = store.broker.consume(options).await.expect("consume");
    let fetch = Fetch {
        max,
        started: max,
        wait: Duration::ZERO,
    };
    let taken = consumer.fetch(fetch).await.expect("fetch");
    consumer.close().await.expect("close");
    taken
        .into_iter()
        .map(|delivery| format!("{}{}", delivery.queue, delivery.tag.0 & 0xffff))
        .collect()
}

fn messages(queue: &str, priorities: &[u8]) -> Vec<Publish> {
    let message = |&priority| Publish {
        queue: queue.into(),
        id: queue.into(),
        priority,
        due: None,
        envelope: Envelope::default(),
    };
    priorities.iter().map(message).collect()
}

/// A fetch reads each queue in parts; where one part does not do it reads on.
#[tokio::test]
async fn a_fetch_reads_on_where_one_queue_has_more_than_its_share() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let options = SqliteOptions::new(folder.path().join("test.db"));
    let store = aipo_sqlite::connect(options).await.expect("connect");
    // Numbered from 1 on: a1 to a8, b9 and b10, c11.
    for batch in [
        messages("a", &[3; 8]),
        messages("b", &[3, 7]),
        messages("c", &[0]),
    ] {
        store.broker.publish(batch).await.expect("publish");
    }

    let all = take(&store, &["a", "b", "c", "empty"], 100).await;
    let some = take(&store, &["a", "b", "c", "empty"], 6).await;

    let order = [
        "c11", "a1", "b9", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "b10",
    ];
    assert_eq!(all, order);
    assert_eq!(some, order[..6]);
}
