//! Results are kept for their time, and not seen after it.

use std::time::Duration;

use aipo_core::TaskState;
use aipo_core::store::{ResultRecord, Settlement, Verdict};

use crate::Harness;
use crate::support::{Fixture, message, result, settlement};

const A_DAY: Duration = Duration::from_secs(86_400);
const A_BIT: Duration = Duration::from_millis(10);

fn kept(id: &str, state: TaskState, meta: &str, expires: Duration) -> ResultRecord {
    ResultRecord {
        expires: Some(expires),
        ..result(id, state, meta)
    }
}

pub async fn a_result_is_kept_for_its_time(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.store_result(kept("a", TaskState::Success, "4", A_DAY))
        .await;

    bed.clock.advance(A_DAY - A_BIT);
    bed.store.results.sweep().await.expect("sweep");

    assert_eq!(bed.result("a").await.as_deref(), Some(&b"4"[..]));
    assert_eq!(bed.ready_result("a").await.as_deref(), Some(&b"4"[..]));
}

pub async fn an_expired_result_is_not_given(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.store_result(kept("a", TaskState::Success, "4", A_DAY))
        .await;

    bed.clock.advance(A_DAY + A_BIT);

    assert_eq!(bed.result("a").await, None);
    assert_eq!(bed.ready_result("a").await, None);
}

pub async fn a_result_without_expiry_is_kept_for_ever(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.store_result(result("none", TaskState::Success, "4"))
        .await;
    bed.store_result(kept("longest", TaskState::Success, "4", Duration::MAX))
        .await;

    bed.clock.advance(A_DAY * 365 * 100);
    bed.store.results.sweep().await.expect("sweep");

    assert_eq!(bed.result("none").await.as_deref(), Some(&b"4"[..]));
    assert_eq!(bed.result("longest").await.as_deref(), Some(&b"4"[..]));
}

pub async fn a_later_result_brings_its_own_expiry(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.store_result(kept("longer", TaskState::Started, "1", A_DAY))
        .await;
    bed.store_result(kept("shorter", TaskState::Started, "1", A_DAY * 3))
        .await;
    bed.store_result(kept("for ever", TaskState::Started, "1", A_DAY))
        .await;

    bed.store_result(kept("longer", TaskState::Failure, "2", A_DAY * 3))
        .await;
    bed.store_result(kept("shorter", TaskState::Failure, "2", A_DAY))
        .await;
    bed.store_result(result("for ever", TaskState::Failure, "2"))
        .await;
    bed.clock.advance(A_DAY * 2);
    bed.store.results.sweep().await.expect("sweep");

    assert_eq!(bed.result("longer").await.as_deref(), Some(&b"2"[..]));
    assert_eq!(bed.result("shorter").await, None);
    assert_eq!(bed.result("for ever").await.as_deref(), Some(&b"2"[..]));
}

pub async fn a_success_keeps_its_expiry(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.store_result(kept("a", TaskState::Success, "1", A_DAY))
        .await;

    bed.store_result(kept("a", TaskState::Failure, "2", A_DAY * 3))
        .await;
    bed.clock.advance(A_DAY * 2);

    assert_eq!(bed.result("a").await, None);
}

/// It is gone, whether or not somebody has swept.
pub async fn an_expired_success_can_be_replaced(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.store_result(kept("a", TaskState::Success, "1", A_DAY))
        .await;
    bed.clock.advance(A_DAY + A_BIT);

    bed.store_result(kept("a", TaskState::Failure, "2", A_DAY))
        .await;

    assert_eq!(bed.result("a").await.as_deref(), Some(&b"2"[..]));
}

pub async fn a_settled_result_expires_like_any_other(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish([message("q", "a")]).await;
    let consumer = bed.consumer(&["q"]).await;
    let delivery = consumer.take_one().await;

    let record = Some(kept("a", TaskState::Success, "4", A_DAY));
    let end = Settlement {
        result: record,
        ..settlement(&delivery, Verdict::Ack)
    };
    consumer.settle_one(end).await;

    bed.clock.advance(A_DAY - A_BIT);
    assert_eq!(bed.result("a").await.is_some(), bed.store.settles_results);
    bed.clock.advance(A_BIT * 2);
    assert_eq!(bed.result("a").await, None);
}

/// A store whose server deletes by itself has nothing to count.
pub async fn a_sweep_deletes_what_has_expired(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    for id in ["1", "2", "3"] {
        first
            .store_result(kept(id, TaskState::Success, "4", A_DAY))
            .await;
    }
    first
        .store_result(kept("kept", TaskState::Success, "4", A_DAY * 3))
        .await;
    first
        .store_result(kept("replaced", TaskState::Started, "1", A_DAY))
        .await;
    first
        .store_result(kept("replaced", TaskState::Success, "4", A_DAY * 3))
        .await;
    first.clock.advance(A_DAY * 2);

    let swept = second.store.results.sweep().await.expect("sweep");

    assert!(swept == 3 || swept == 0, "{swept} swept");
    assert_eq!(first.store.results.sweep().await.expect("sweep"), 0);
    assert_eq!(first.result("1").await, None);
    assert_eq!(first.result("kept").await.as_deref(), Some(&b"4"[..]));
    assert_eq!(first.result("replaced").await.as_deref(), Some(&b"4"[..]));
}
