//! A step happens as a whole.

use aipo_core::TaskState;
use aipo_core::store::{Fact, Step};

use super::{chord, completes, fact, groups, grows, keeps, opens, part};
use crate::Harness;
use crate::support::{Fixture, message, poll_times, result};

pub async fn all_of_a_step_happens(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let step = Step {
        results: vec![
            result("a", TaskState::Failure, "1"),
            result("b", TaskState::Revoked, "2"),
        ],
        opens: vec![chord("one", 1), chord("two", 0), chord("three", 1)],
        grows: vec!["two".into(), "one".into(), "two".into()],
        parts: vec![
            part("one", 0, "1"),
            part("two", 0, "2"),
            part("one", 1, "3"),
            part("two", 1, "4"),
        ],
        keeps: vec![fact("kept", "1"), fact("dropped", "1")],
        drops: vec!["dropped".to_owned(), "unknown".to_owned()],
    };

    let messages = vec![message("q", "c"), message("other", "d"), message("q", "e")];
    bed.store
        .chords
        .advance(step, messages)
        .await
        .expect("advance");

    assert_eq!(bed.result("a").await.as_deref(), Some(&b"1"[..]));
    assert_eq!(bed.result("b").await.as_deref(), Some(&b"2"[..]));
    assert_eq!(bed.fact("kept").await.as_deref(), Some(&b"1"[..]));
    assert_eq!(bed.fact("dropped").await, None);
    let mut complete = bed.complete().await;
    complete.sort_by(|a, b| a.group.cmp(&b.group));
    assert_eq!(groups(&complete), ["one", "two"]);
    assert_eq!(bed.counts("q").await, [2, 0, 0, 0]);
    assert_eq!(bed.counts("other").await, [1, 0, 0, 0]);
}

pub async fn what_is_published_is_parked_until_it_is_due(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let mut later = message("q", "a");
    later.due = Some(bed.clock.after(super::CLAIM));

    let messages = vec![later, message("q", "b")];
    bed.store
        .chords
        .advance(opens([chord("g", 1)]), messages)
        .await
        .expect("advance");

    assert_eq!(bed.counts("q").await, [1, 1, 0, 0]);
}

pub async fn a_fact_is_kept_until_its_time_is_over(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let short = Fact {
        ttl: Some(super::CLAIM),
        ..fact("short", "2")
    };
    bed.step(keeps([fact("short", "1"), fact("long", "1")]))
        .await;

    bed.step(keeps([short])).await;

    assert_eq!(bed.fact("short").await.as_deref(), Some(&b"2"[..]));
    bed.clock.advance(super::CLAIM);
    assert_eq!(bed.fact("short").await, None);
    assert_eq!(bed.fact("long").await.as_deref(), Some(&b"1"[..]));
}

pub async fn a_step_does_not_replace_a_success(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.store_result(result("a", TaskState::Success, "1")).await;
    bed.store_result(result("b", TaskState::Started, "1")).await;

    bed.step(Step {
        results: vec![
            result("a", TaskState::Failure, "2"),
            result("b", TaskState::Failure, "2"),
        ],
        ..Step::default()
    })
    .await;

    assert_eq!(bed.result("a").await.as_deref(), Some(&b"1"[..]));
    assert_eq!(bed.result("b").await.as_deref(), Some(&b"2"[..]));
}

pub async fn a_step_of_nothing_changes_nothing(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;

    bed.step(Step::default()).await;

    assert_eq!(bed.complete().await, []);
    assert_eq!(bed.queues().await, []);
}

/// A step that was dropped happens at once or a little later, or never; but all of it. Whether it did is told by each
/// of its effects alike.
pub async fn a_dropped_step_happens_whole_or_not_at_all(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;

    for polls in 0..20 {
        let name = format!("dropped-{polls}");
        let step = Step {
            results: vec![result(&name, TaskState::Failure, "1")],
            keeps: vec![fact(&name, "1")],
            ..completes(&name)
        };
        let dropped = bed.store.chords.advance(step, vec![message(&name, "a")]);
        poll_times(dropped, polls).await;
        // Calls on one handle that come later are carried out later.
        bed.step(grows("another")).await;

        let happened = bed.counts(&name).await == [1, 0, 0, 0];
        assert_eq!(bed.result(&name).await.is_some(), happened);
        assert_eq!(bed.fact(&name).await.is_some(), happened);
        let complete = bed.complete().await;
        assert_eq!(groups(&complete) == [&*name], happened);
    }
}
