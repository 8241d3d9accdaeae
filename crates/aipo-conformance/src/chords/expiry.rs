//! What is kept of a chord is forgotten some time after its last change.

use std::time::Duration;

use aipo_core::store::{Chord, Part};

use super::{CLAIM, chord, completes, groups, ids, opens, part, parts};
use crate::Harness;
use crate::support::Fixture;

const A_DAY: Duration = Duration::from_secs(86_400);
const A_BIT: Duration = Duration::from_millis(10);

fn kept_chord(group: &str, size: u64, expires: Duration) -> Chord {
    Chord {
        expires: Some(expires),
        ..chord(group, size)
    }
}

fn kept_part(group: &str, index: i64, id: &str, expires: Duration) -> Part {
    Part {
        expires: Some(expires),
        ..part(group, index, id)
    }
}

/// Sweeps, as workers do now and then; nothing that is alive goes away by it.
async fn sweep(bed: &Fixture) {
    bed.store.state.sweep().await.expect("sweep");
    bed.store.results.sweep().await.expect("sweep");
}

pub async fn a_chord_is_forgotten_when_its_time_is_over(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    for (group, size) in [("complete", 1), ("open", 2), ("taken", 1)] {
        bed.step(opens([kept_chord(group, size, A_DAY)])).await;
        bed.step(parts([kept_part(group, 0, "a", A_DAY)])).await;
        if group == "taken" {
            bed.complete().await;
        }
    }
    bed.step(parts([kept_part("not opened", 0, "a", A_DAY)]))
        .await;

    bed.clock.advance(A_DAY + A_BIT);

    assert_eq!(bed.complete().await, []);
    for group in ["complete", "open", "taken", "not opened"] {
        assert!(!bed.finish(group).await);
        bed.step(opens([chord(group, 2)])).await;
        bed.step(parts([part(group, 1, "b")])).await;
        assert_eq!(bed.complete().await, [], "{group}: nothing was left");
    }
}

pub async fn each_change_keeps_a_chord_for_its_time(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.step(opens([kept_chord("g", 4, A_DAY)])).await;

    for (index, id) in [(0, "a"), (1, "b"), (2, "c"), (3, "d")] {
        bed.clock.advance(A_DAY - A_BIT);
        sweep(&bed).await;
        bed.step(parts([kept_part("g", index, id, A_DAY)])).await;
    }
    bed.clock.advance(A_DAY - A_BIT);

    assert_eq!(ids(&bed.complete_one().await), ["a", "b", "c", "d"]);
    bed.clock.advance(A_BIT * 2);
    assert!(!bed.finish("g").await);
}

pub async fn the_last_change_brings_its_own_expiry(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    for (group, second) in [
        ("shorter", Some(A_DAY / 2)),
        ("longer", Some(A_DAY * 3)),
        ("for ever", None),
    ] {
        bed.step(opens([kept_chord(group, 2, A_DAY)])).await;
        bed.step(parts([kept_part(group, 0, "a", A_DAY)])).await;
        bed.step(parts([Part {
            expires: second,
            ..part(group, 1, "b")
        }]))
        .await;
    }

    bed.clock.advance(A_DAY);
    sweep(&bed).await;
    let mut complete = bed.complete().await;
    complete.sort_by(|a, b| a.group.cmp(&b.group));
    assert_eq!(groups(&complete), ["for ever", "longer"]);

    bed.clock.advance(A_DAY * 3);
    sweep(&bed).await;
    assert_eq!(groups(&bed.complete().await), ["for ever"]);
}

pub async fn a_chord_without_expiry_is_kept_for_ever(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.step(completes("none")).await;
    bed.step(opens([kept_chord("longest", 1, Duration::MAX)]))
        .await;
    bed.step(parts([kept_part("longest", 0, "a", Duration::MAX)]))
        .await;

    bed.clock.advance(A_DAY * 365 * 100);
    sweep(&bed).await;

    assert_eq!(bed.complete().await.len(), 2);
    bed.clock.advance(CLAIM);
    assert!(bed.finish("none").await);
    assert!(bed.finish("longest").await);
}

/// Others are not held up by it.
pub async fn what_was_forgotten_leaves_the_others(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    for number in 0..20 {
        let group = format!("short {number}");
        bed.step(opens([kept_chord(&group, 1, A_DAY)])).await;
        bed.step(parts([kept_part(&group, 0, "a", A_DAY)])).await;
    }
    bed.clock.advance(A_BIT);
    bed.step(completes("kept")).await;
    bed.clock.advance(A_DAY);

    let taken = bed.store.chords.take_complete(1, CLAIM).await;

    assert_eq!(groups(&taken.expect("take")), ["kept"]);
}
