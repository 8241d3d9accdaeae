//! What storing, getting and forgetting promise.

use aipo_core::{TaskId, TaskState};

use crate::Harness;
use crate::support::{Fixture, result};

pub async fn a_stored_result_is_given(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    let meta = r#"{"status":"SUCCESS","result":"é \u0000 \"4\""}"#;

    first
        .store_result(result("a", TaskState::Success, meta))
        .await;

    assert_eq!(first.result("a").await.as_deref(), Some(meta.as_bytes()));
    assert_eq!(second.result("a").await.as_deref(), Some(meta.as_bytes()));
}

pub async fn a_result_outlives_the_handle_that_stored_it(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    first
        .store_result(result("a", TaskState::Success, "4"))
        .await;

    drop(first);

    assert_eq!(second.result("a").await.as_deref(), Some(&b"4"[..]));
}

pub async fn a_result_that_was_never_stored_is_none(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;

    assert_eq!(bed.result("a").await, None);
}

pub async fn metas_come_in_the_order_of_the_ids(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let batch = ["a", "b", "c"].map(|id| result(id, TaskState::Failure, id));
    bed.store
        .results
        .store(batch.to_vec())
        .await
        .expect("store");

    let ids = ["c", "none", "a", "c", "b"].map(TaskId::from);
    let found = bed.store.results.get(&ids).await.expect("get");

    let expected = ["c", "", "a", "c", "b"].map(|id| (!id.is_empty()).then(|| id.into()));
    assert_eq!(found, expected);
    assert!(bed.store.results.get(&[]).await.expect("get").is_empty());
}

pub async fn storing_nothing_changes_nothing(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;

    bed.store.results.store(Vec::new()).await.expect("store");
}

pub async fn a_later_result_replaces_an_earlier(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let states = [
        TaskState::Started,
        TaskState::Custom("PROGRESS".to_owned()),
        TaskState::Failure,
        TaskState::Revoked,
        TaskState::Retry,
        TaskState::Success,
    ];

    for state in states {
        let meta = state.to_string();
        bed.store_result(result("a", state, &meta)).await;
        assert_eq!(bed.result("a").await, Some(meta.into_bytes()));
    }
}

pub async fn nothing_replaces_a_success(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.store_result(result("a", TaskState::Success, "first"))
        .await;

    let late = [
        TaskState::Started,
        TaskState::Retry,
        TaskState::Failure,
        TaskState::Revoked,
        TaskState::Success,
    ];
    for state in late {
        bed.store_result(result("a", state, "late")).await;
        assert_eq!(bed.result("a").await.as_deref(), Some(&b"first"[..]));
    }
    assert_eq!(bed.ready_result("a").await.as_deref(), Some(&b"first"[..]));
}

/// The others of a call are stored although one of them came too late.
pub async fn a_success_in_a_batch_holds_nothing_up(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.store_result(result("b", TaskState::Success, "first"))
        .await;

    let batch = ["a", "b", "c"].map(|id| result(id, TaskState::Failure, "new"));
    bed.store
        .results
        .store(batch.to_vec())
        .await
        .expect("store");

    assert_eq!(bed.result("a").await.as_deref(), Some(&b"new"[..]));
    assert_eq!(bed.result("b").await.as_deref(), Some(&b"first"[..]));
    assert_eq!(bed.result("c").await.as_deref(), Some(&b"new"[..]));
}

pub async fn a_batch_is_stored_in_order(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let batch = vec![
        result("a", TaskState::Started, "1"),
        result("b", TaskState::Success, "2"),
        result("a", TaskState::Failure, "3"),
        result("b", TaskState::Failure, "4"),
    ];

    bed.store.results.store(batch).await.expect("store");

    assert_eq!(bed.result("a").await.as_deref(), Some(&b"3"[..]));
    assert_eq!(bed.result("b").await.as_deref(), Some(&b"2"[..]));
}

pub async fn a_meta_may_be_any_bytes(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let every_byte: Vec<u8> = (0..=255).collect();
    let metas = [Vec::new(), every_byte.clone(), every_byte.repeat(4096)];

    for (number, meta) in metas.into_iter().enumerate() {
        let id = number.to_string();
        let record = aipo_core::store::ResultRecord {
            meta: meta.clone(),
            ..result(&id, TaskState::Success, "")
        };
        bed.store_result(record).await;
        assert!(bed.result(&id).await == Some(meta), "meta {number}");
    }
}

pub async fn a_forgotten_result_is_gone(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let batch = ["a", "b", "c"].map(|id| result(id, TaskState::Success, id));
    bed.store
        .results
        .store(batch.to_vec())
        .await
        .expect("store");

    bed.store
        .results
        .forget(&["a", "none", "c"].map(TaskId::from))
        .await
        .expect("forget");
    bed.store.results.forget(&[]).await.expect("forget");

    assert_eq!(bed.result("a").await, None);
    assert_eq!(bed.result("b").await.as_deref(), Some(&b"b"[..]));
    assert_eq!(bed.result("c").await, None);
    assert_eq!(bed.ready_result("a").await, None);
}

pub async fn a_forgotten_success_can_be_stored_anew(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.store_result(result("a", TaskState::Success, "first"))
        .await;
    bed.store
        .results
        .forget(&["a".into()])
        .await
        .expect("forget");

    bed.store_result(result("a", TaskState::Failure, "second"))
        .await;

    assert_eq!(bed.result("a").await.as_deref(), Some(&b"second"[..]));
}
