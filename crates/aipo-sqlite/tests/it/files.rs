//! The file and those beside it.

use std::path::Path;
use std::time::Duration;

use aipo_core::store::{ConsumerOptions, Fetch, Publish};
use aipo_core::{ErrorKind, Store};
use aipo_sqlite::SqliteOptions;

async fn connect(path: &Path) -> Store {
    aipo_sqlite::connect(SqliteOptions::new(path))
        .await
        .expect("connect")
}

async fn ready(store: &Store) -> u64 {
    store
        .broker
        .queues()
        .await
        .expect("queues")
        .iter()
        .map(|stats| stats.ready)
        .sum()
}

fn message() -> Publish {
    Publish {
        queue: "q".into(),
        id: "a".into(),
        priority: 0,
        due: None,
        envelope: aipo_core::message::Envelope::default(),
    }
}

#[tokio::test]
async fn everything_survives_the_end_of_all_handles() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let path = folder.path().join("test.db");
    let store = connect(&path).await;
    store
        .broker
        .publish(vec![message()])
        .await
        .expect("publish");
    store
        .state
        .put("key", b"value".to_vec(), None)
        .await
        .expect("put");
    drop(store);

    let store = connect(&path).await;

    assert_eq!(ready(&store).await, 1);
    let fact = store
        .state
        .get(&["key".to_owned()])
        .await
        .expect("get")
        .remove(0);
    assert_eq!(fact.as_deref(), Some(&b"value"[..]));
}

/// A consumer keeps what it works with, also when the store that made it is dropped.
#[tokio::test]
async fn a_consumer_outlives_its_store() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let store = connect(&folder.path().join("test.db")).await;
    store
        .broker
        .publish(vec![message()])
        .await
        .expect("publish");
    let options = ConsumerOptions {
        name: "worker".to_owned(),
        queues: vec!["q".into()],
        lease: Duration::from_secs(60),
    };
    let consumer = store.broker.consume(options).await.expect("consume");

    drop(store);

    let fetch = Fetch {
        max: 1,
        started: 1,
        wait: Duration::ZERO,
    };
    assert_eq!(consumer.fetch(fetch).await.expect("fetch").len(), 1);
}

#[tokio::test]
async fn two_spellings_of_a_path_are_one_store() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    std::fs::create_dir(folder.path().join("sub")).expect("create");
    let one = connect(&folder.path().join("test.db")).await;
    let two = connect(&folder.path().join("sub/../test.db")).await;

    one.broker.publish(vec![message()]).await.expect("publish");

    assert_eq!(ready(&two).await, 1);
    assert_eq!(one.url, two.url);
    let mut files: Vec<String> = std::fs::read_dir(folder.path())
        .expect("the folder")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("plain names")
        })
        .collect();
    files.sort();
    let expected = [
        "sub",
        "test.db",
        "test.db-lock",
        "test.db-shm",
        "test.db-wake",
        "test.db-wal",
    ];
    assert_eq!(files, expected);
}

#[tokio::test]
async fn a_path_that_cannot_be_is_named() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    for (path, kind) in [
        (folder.path().join("missing/test.db"), ErrorKind::Config),
        (folder.path().to_owned(), ErrorKind::Config),
        ("".into(), ErrorKind::Config),
        ("..".into(), ErrorKind::Config),
    ] {
        let options = SqliteOptions::new(&path);
        let error = aipo_sqlite::connect(options)
            .await
            .expect_err("no file can be there");
        assert_eq!(error.kind(), kind, "{path:?}: {error:?}");
        assert!(error.to_string().contains("path"), "{path:?}: {error:?}");
    }
}
