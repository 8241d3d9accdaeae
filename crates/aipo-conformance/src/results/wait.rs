//! Waiting for a task to end.

use aipo_core::store::{Settlement, Verdict};
use aipo_core::{TaskId, TaskState};

use crate::Harness;
use crate::support::{
    A_MOMENT, AN_HOUR, Fixture, message, result, settlement, still_waiting, within,
};

pub async fn a_result_that_is_there_is_given_at_once(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;

    for state in [TaskState::Success, TaskState::Failure, TaskState::Revoked] {
        let id = state.to_string();
        bed.store_result(result(&id, state, "4")).await;
        assert_eq!(
            within(bed.ready_result(&id)).await.as_deref(),
            Some(&b"4"[..])
        );
    }
}

pub async fn the_wait_ends_empty_when_its_time_is_over(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;

    let meta = within(bed.store.results.wait(&"a".into(), A_MOMENT))
        .await
        .expect("wait");

    assert_eq!(meta, None);
}

pub async fn a_ready_state_ends_the_wait(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;

    for state in [TaskState::Success, TaskState::Failure, TaskState::Revoked] {
        let id = TaskId::from(state.as_str());
        let mut wait = bed.store.results.wait(&id, AN_HOUR);
        still_waiting(&mut wait).await;

        bed.store_result(result(id.as_str(), state, "4")).await;

        assert_eq!(
            within(wait).await.expect("wait").as_deref(),
            Some(&b"4"[..])
        );
    }
}

pub async fn a_result_stored_through_another_handle_ends_the_wait(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    let id = TaskId::from("a");
    let mut wait = first.store.results.wait(&id, AN_HOUR);
    still_waiting(&mut wait).await;

    second
        .store_result(result("a", TaskState::Success, "4"))
        .await;

    assert_eq!(
        within(wait).await.expect("wait").as_deref(),
        Some(&b"4"[..])
    );
}

/// Through another handle, as it mostly is: the worker settles, the sender waits.
pub async fn a_settlement_ends_the_wait(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    first.publish([message("q", "a")]).await;
    let consumer = second.consumer(&["q"]).await;
    let delivery = consumer.take_one().await;
    let id = TaskId::from("a");
    let mut wait = first.store.results.wait(&id, AN_HOUR);
    still_waiting(&mut wait).await;

    let record = result("a", TaskState::Success, "4");
    if !second.store.settles_results {
        second.store_result(record.clone()).await;
    }
    let end = Settlement {
        result: Some(record),
        ..settlement(&delivery, Verdict::Ack)
    };
    consumer.settle_one(end).await;

    assert_eq!(
        within(wait).await.expect("wait").as_deref(),
        Some(&b"4"[..])
    );
}

pub async fn a_state_that_is_not_ready_does_not_end_the_wait(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let id = TaskId::from("a");
    let mut wait = bed.store.results.wait(&id, AN_HOUR);

    for state in [
        TaskState::Started,
        TaskState::Retry,
        TaskState::Custom("PROGRESS".to_owned()),
    ] {
        bed.store_result(result("a", state, "not yet")).await;
        still_waiting(&mut wait).await;
        assert_eq!(bed.ready_result("a").await, None);
    }

    bed.store_result(result("a", TaskState::Failure, "now"))
        .await;
    assert_eq!(
        within(wait).await.expect("wait").as_deref(),
        Some(&b"now"[..])
    );
}

pub async fn another_tasks_result_does_not_end_the_wait(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let id = TaskId::from("a");
    let mut wait = bed.store.results.wait(&id, AN_HOUR);
    still_waiting(&mut wait).await;

    bed.store_result(result("b", TaskState::Success, "other"))
        .await;
    still_waiting(&mut wait).await;

    bed.store_result(result("a", TaskState::Success, "own"))
        .await;
    assert_eq!(
        within(wait).await.expect("wait").as_deref(),
        Some(&b"own"[..])
    );
}

/// The results come in one call and each wait must find its own among them.
pub async fn every_wait_gets_its_own_result(harness: &impl Harness) {
    const TASKS: usize = 50;
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    let waits = (0..TASKS * 2).map(|number| {
        let results = [&first, &second][number % 2].store.results.clone();
        // Each task is waited for twice, once through each handle.
        let id = TaskId::from((number / 2).to_string());
        tokio::spawn(async move {
            (
                id.to_string(),
                results.wait(&id, AN_HOUR).await.expect("wait"),
            )
        })
    });
    let waits: Vec<_> = waits.collect();
    tokio::time::sleep(A_MOMENT).await;

    let batch = (0..TASKS).map(|n| result(&n.to_string(), TaskState::Success, &n.to_string()));
    first
        .store
        .results
        .store(batch.collect())
        .await
        .expect("store");

    for wait in waits {
        let (id, meta) = within(wait).await.expect("no task panics");
        assert_eq!(meta, Some(id.into_bytes()));
    }
}

pub async fn a_dropped_wait_leaves_the_others_waiting(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let id = TaskId::from("a");
    let mut dropped = bed.store.results.wait(&id, AN_HOUR);
    let mut wait = bed.store.results.wait(&id, AN_HOUR);
    still_waiting(&mut dropped).await;
    still_waiting(&mut wait).await;

    drop(dropped);
    still_waiting(&mut wait).await;
    bed.store_result(result("a", TaskState::Success, "4")).await;

    assert_eq!(
        within(wait).await.expect("wait").as_deref(),
        Some(&b"4"[..])
    );
}

/// A wait is no claim on the result: it can be asked for again.
pub async fn a_result_can_be_waited_for_again(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.store_result(result("a", TaskState::Success, "4")).await;

    for _ in 0..3 {
        assert_eq!(bed.ready_result("a").await.as_deref(), Some(&b"4"[..]));
    }
}
