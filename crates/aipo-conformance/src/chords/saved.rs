//! How the results of a group are nested is saved beside its chord, if it has one.

use std::time::Duration;

use aipo_core::store::{Chord, Part};

use super::{chord, ids, opens, part, parts};
use crate::Harness;
use crate::support::Fixture;

const A_DAY: Duration = Duration::from_secs(86_400);
const A_BIT: Duration = Duration::from_millis(10);

const META: &[u8] = br#"{"result": [["g", null], [["a", null], ["b", null]]]}"#;
const OTHER: &[u8] = br#"{"result": [["g", null], []]}"#;

impl Fixture {
    async fn save(&self, group: &str, meta: &[u8]) {
        self.save_for(group, meta, None).await;
    }

    async fn save_for(&self, group: &str, meta: &[u8], expires: Option<Duration>) {
        self.store
            .chords
            .save_group(&group.into(), meta.to_vec(), expires)
            .await
            .expect("save");
    }

    async fn saved(&self, group: &str) -> Option<Vec<u8>> {
        self.store
            .chords
            .saved_group(&group.into())
            .await
            .expect("read")
    }

    async fn delete(&self, group: &str) {
        self.store
            .chords
            .delete_group(&group.into())
            .await
            .expect("delete");
    }

    /// Opens a chord of that size with a structure.
    async fn opens_nested(&self, group: &str, size: u64) {
        let nested = Chord {
            structure: Some(META.to_vec()),
            ..chord(group, size)
        };
        self.step(opens([nested])).await;
    }
}

pub async fn a_saved_group_is_given(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let any_bytes: Vec<u8> = (0..=255).collect();
    for (group, meta) in [("g", META), ("other", OTHER), ("é:{x}\u{6}", &any_bytes)] {
        bed.save(group, meta).await;
    }

    assert_eq!(bed.saved("g").await.as_deref(), Some(META));
    assert_eq!(bed.saved("other").await.as_deref(), Some(OTHER));
    assert_eq!(bed.saved("é:{x}\u{6}").await, Some(any_bytes));
    assert_eq!(bed.complete().await, [], "a saved group is no chord");
}

pub async fn a_group_that_was_never_saved_is_none(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.save("g", META).await;
    bed.step(opens([chord("flat", 2)])).await;
    bed.step(parts([part("flat", 0, "a"), part("not opened", 0, "a")]))
        .await;

    for group in ["", "G", "g ", "flat", "not opened"] {
        assert_eq!(bed.saved(group).await, None, "{group:?}");
    }
}

pub async fn a_saved_group_outlives_the_handle_that_saved_it(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    first.save("g", META).await;

    assert_eq!(second.saved("g").await.as_deref(), Some(META));
    second.delete("g").await;
    assert_eq!(first.saved("g").await, None);
}

pub async fn a_group_saved_again_is_replaced(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.save("g", META).await;
    bed.save("g", OTHER).await;

    assert_eq!(bed.saved("g").await.as_deref(), Some(OTHER));
}

pub async fn a_deleted_group_is_gone(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.save("g", META).await;
    bed.save("kept", META).await;

    bed.delete("g").await;
    bed.delete("g").await;
    bed.delete("never was").await;

    assert_eq!(bed.saved("g").await, None);
    assert_eq!(bed.saved("kept").await.as_deref(), Some(META));
    bed.save("g", OTHER).await;
    assert_eq!(bed.saved("g").await.as_deref(), Some(OTHER));
}

pub async fn a_saved_group_is_forgotten_when_its_time_is_over(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    for (group, expires) in [
        ("a day", Some(A_DAY)),
        ("two days", Some(A_DAY * 2)),
        ("longest", Some(Duration::MAX)),
        ("for ever", None),
    ] {
        bed.save_for(group, META, expires).await;
    }

    for (over, left) in [
        (
            None,
            ["a day", "two days", "longest", "for ever"].as_slice(),
        ),
        (Some("a day"), &["two days", "longest", "for ever"]),
        (Some("two days"), &["longest", "for ever"]),
    ] {
        // Once as it is, and once swept.
        for _ in 0..2 {
            if let Some(group) = over {
                assert_eq!(bed.saved(group).await, None, "{group}");
            }
            for group in left {
                assert_eq!(bed.saved(group).await.as_deref(), Some(META), "{group}");
            }
            bed.store.state.sweep().await.expect("sweep");
        }
        bed.clock.advance(A_DAY);
    }
}

pub async fn each_save_brings_its_own_expiry(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    for (group, second) in [
        ("shorter", Some(A_DAY / 2)),
        ("longer", Some(A_DAY * 3)),
        ("for ever", None),
    ] {
        bed.save_for(group, META, Some(A_DAY)).await;
        bed.save_for(group, OTHER, second).await;
    }

    bed.clock.advance(A_DAY + A_BIT);
    assert_eq!(bed.saved("shorter").await, None);
    assert_eq!(bed.saved("longer").await.as_deref(), Some(OTHER));
    bed.clock.advance(A_DAY * 3);
    assert_eq!(bed.saved("longer").await, None);
    assert_eq!(bed.saved("for ever").await.as_deref(), Some(OTHER));
}

pub async fn the_structure_of_a_chord_is_found(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.opens_nested("g", 1).await;
    assert_eq!(bed.saved("g").await.as_deref(), Some(META));

    bed.step(parts([part("g", 0, "a")])).await;
    assert_eq!(bed.saved("g").await.as_deref(), Some(META));
    assert!(bed.finish("g").await);
    assert_eq!(bed.saved("g").await.as_deref(), Some(META), "finished");
}

pub async fn each_change_of_a_chord_keeps_what_is_saved_of_it(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let for_a_day = Some(A_DAY);
    bed.step(opens([Chord {
        expires: for_a_day,
        ..chord("g", 2)
    }]))
    .await;
    bed.save_for("g", META, for_a_day).await;
    bed.clock.advance(A_DAY - A_BIT);
    bed.step(parts([Part {
        expires: for_a_day,
        ..part("g", 0, "a")
    }]))
    .await;

    bed.clock.advance(A_DAY - A_BIT);
    bed.store.state.sweep().await.expect("sweep");
    assert_eq!(bed.saved("g").await.as_deref(), Some(META));
    bed.clock.advance(A_BIT * 2);
    assert_eq!(bed.saved("g").await, None);
}

pub async fn saving_a_group_leaves_its_chord_as_it_is(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.step(opens([chord("g", 2)])).await;
    bed.save("g", META).await;
    bed.step(parts([part("g", 1, "b")])).await;
    bed.save("g", OTHER).await;
    assert_eq!(bed.complete().await, []);
    bed.step(parts([part("g", 1, "b"), part("g", 0, "a")]))
        .await;
    bed.save("g", META).await;

    let complete = bed.complete_one().await;
    assert_eq!(ids(&complete), ["a", "b"]);
    assert_eq!(complete.structure.as_deref(), Some(META));
    bed.save("g", META).await;
    assert!(bed.finish("g").await);
    bed.save("g", OTHER).await;

    bed.step(parts([part("g", 0, "a")])).await;
    assert_eq!(bed.complete().await, [], "it stays finished");
    assert!(!bed.finish("g").await);
    assert_eq!(bed.saved("g").await.as_deref(), Some(OTHER));
}

pub async fn a_chord_that_begins_leaves_what_was_saved(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.save("g", META).await;
    for round in 0..2 {
        bed.step(opens([chord("g", 1)])).await;
        bed.step(parts([part("g", 0, "a")])).await;
        assert_eq!(bed.complete().await.len(), 1, "{round}");
        assert!(bed.finish("g").await);
        assert_eq!(bed.saved("g").await.as_deref(), Some(META), "{round}");
    }

    bed.save("g", OTHER).await;
    bed.opens_nested("g", 1).await;
    assert_eq!(bed.saved("g").await.as_deref(), Some(META));
}

pub async fn deleting_a_group_leaves_its_chord(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.opens_nested("g", 2).await;
    bed.step(parts([part("g", 0, "a")])).await;
    bed.delete("g").await;
    bed.step(parts([part("g", 1, "b")])).await;

    let complete = bed.complete_one().await;
    assert_eq!(ids(&complete), ["a", "b"]);
    assert_eq!(complete.structure, None);
    assert!(bed.finish("g").await);
    bed.delete("g").await;
    bed.step(parts([part("g", 1, "b")])).await;
    assert!(!bed.finish("g").await, "it stays finished");
}
