//! When a chord is complete, and what is told of it then.

use std::collections::BTreeSet;

use aipo_core::TaskState;
use aipo_core::store::{Chord, Complete, Done, Part, Step};

use super::{chord, completes, done, groups, grows, ids, opens, part, parts};
use crate::Harness;
use crate::support::{Fixture, within};

pub async fn a_chord_is_complete_when_all_its_parts_are_done(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.step(opens([chord("g", 3)])).await;

    for (index, id) in [(0, "a"), (1, "b")] {
        assert_eq!(bed.complete().await, []);
        bed.step(parts([part("g", index, id)])).await;
    }
    assert_eq!(bed.complete().await, []);
    bed.step(parts([part("g", 2, "c")])).await;

    let complete = Complete {
        group: "g".into(),
        parts: vec![done("a"), done("b"), done("c")],
        structure: None,
        then: b"then c".to_vec(),
    };
    assert_eq!(bed.complete().await, [complete]);
}

/// However often its task ran, and whatever came of it then: the first counts.
pub async fn a_part_counts_once(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    first.step(opens([chord("g", 3)])).await;

    let again = Part {
        state: TaskState::Failure,
        value: "2".to_owned(),
        ..part("g", 0, "a")
    };
    first.step(parts([part("g", 0, "a")])).await;
    second.step(parts([again.clone()])).await;
    first.step(parts([again, part("g", None, "b")])).await;
    second.step(parts([part("g", None, "b")])).await;
    assert_eq!(first.complete().await, []);

    first.step(parts([part("g", 2, "c")])).await;
    let complete = first.complete_one().await;
    assert_eq!(complete.parts, [done("a"), done("c"), done("b")]);
}

pub async fn a_part_that_counts_once_does_not_complete_twice(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.step(completes("g")).await;
    let complete = bed.complete_one().await;

    bed.step(parts([part("g", 0, "g")])).await;

    assert_eq!(bed.complete().await, []);
    assert!(bed.finish("g").await);
    assert_eq!(ids(&complete), ["g"]);
}

pub async fn parts_may_be_done_before_the_chord_is_opened(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.step(parts([part("all", 1, "b"), part("all", 0, "a")]))
        .await;
    bed.step(parts([part("some", 0, "c")])).await;
    assert_eq!(bed.complete().await, []);

    bed.step(opens([chord("some", 2)])).await;
    assert_eq!(bed.complete().await, []);
    bed.step(opens([chord("all", 2)])).await;

    let complete = bed.complete_one().await;
    assert_eq!(ids(&complete), ["a", "b"]);
    assert_eq!(complete.then, b"then a");
    bed.step(parts([part("some", 1, "d")])).await;
    assert_eq!(ids(&bed.complete_one().await), ["c", "d"]);
}

pub async fn parts_come_by_their_places(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.step(opens([chord("g", 13)])).await;

    bed.step(parts([part("g", None, "last")])).await;
    for index in [7, 0, 10, 3, 11, 1, 9, 2, 8] {
        bed.step(parts([part("g", index, &format!("{index}"))]))
            .await;
    }
    bed.step(parts(
        [5, 6, 4].map(|index| part("g", index, &format!("{index}"))),
    ))
    .await;

    let complete = bed.complete_one().await;
    let places = (0..=11).map(|index| index.to_string());
    let expected: Vec<String> = places.chain(["last".to_owned()]).collect();
    assert_eq!(ids(&complete), expected);
}

pub async fn what_to_do_is_told_by_the_last_part(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    let every_byte: Vec<u8> = (0..=255).collect();
    first.step(opens([chord("g", 3)])).await;

    first.step(parts([part("g", 2, "c")])).await;
    second.step(parts([part("g", 0, "a")])).await;
    let last = Part {
        then: every_byte.clone(),
        ..part("g", 1, "b")
    };
    second.step(parts([last])).await;

    assert!(first.complete_one().await.then == every_byte);
}

pub async fn a_part_that_does_not_know_leaves_what_to_do_to_others(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let ignorant = |group: &str, index| Part {
        then: Vec::new(),
        ..part(group, index, "ignorant")
    };
    bed.step(opens([chord("late", 2)])).await;
    bed.step(parts([part("late", 0, "a")])).await;
    bed.step(parts([ignorant("late", 1)])).await;
    assert_eq!(bed.complete_one().await.then, b"then a");

    bed.step(opens([chord("early", 2)])).await;
    bed.step(parts([ignorant("early", 0)])).await;
    bed.step(parts([part("early", 1, "b")])).await;
    assert_eq!(bed.complete_one().await.then, b"then b");

    bed.step(opens([chord("alone", 1)])).await;
    bed.step(parts([ignorant("alone", 0)])).await;
    assert_eq!(bed.complete_one().await.then, b"");
}

pub async fn a_chord_that_grows_has_one_part_more(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.step(opens([chord("g", 1)])).await;
    bed.step(grows("g")).await;
    bed.step(Step {
        grows: vec!["g".into(), "g".into()],
        ..Step::default()
    })
    .await;

    bed.step(parts(["a", "b", "c"].map(|id| part("g", None, id))))
        .await;
    assert_eq!(bed.complete().await, []);
    bed.step(parts([part("g", None, "d")])).await;

    let complete = bed.complete_one().await;
    let ids: BTreeSet<&str> = ids(&complete).into_iter().collect();
    assert_eq!(ids, BTreeSet::from(["a", "b", "c", "d"]));
}

pub async fn a_chord_may_grow_before_it_is_opened(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.step(grows("g")).await;
    bed.step(opens([chord("g", 1)])).await;

    bed.step(parts([part("g", 0, "a")])).await;
    assert_eq!(bed.complete().await, []);
    bed.step(parts([part("g", 1, "b")])).await;

    assert_eq!(ids(&bed.complete_one().await), ["a", "b"]);
}

/// Before it was finished; whoever had taken it can't finish it then.
pub async fn a_complete_chord_that_grows_is_not_complete(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.step(completes("waits")).await;
    bed.step(grows("waits")).await;
    assert_eq!(bed.complete().await, []);

    bed.step(completes("taken")).await;
    assert_eq!(groups(&bed.complete().await), ["taken"]);
    bed.step(grows("taken")).await;
    assert!(!bed.finish("taken").await);

    bed.clock.advance(super::CLAIM);
    for group in ["waits", "taken"] {
        bed.step(parts([part(group, 1, "more")])).await;
        let complete = bed.complete_one().await;
        assert_eq!(ids(&complete), [group, "more"]);
        assert_eq!(complete.then, b"then more");
        assert!(bed.finish(group).await);
    }
}

pub async fn chords_are_counted_apart(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.step(opens([chord("one", 2), chord("two", 2)])).await;

    bed.step(parts([part("one", 0, "a"), part("two", 0, "a")]))
        .await;
    assert_eq!(bed.complete().await, []);
    bed.step(grows("one")).await;
    bed.step(parts([part("one", 1, "b"), part("two", 1, "b")]))
        .await;

    assert_eq!(groups(&bed.complete().await), ["two"]);
    bed.step(parts([part("one", 2, "c")])).await;
    assert_eq!(groups(&bed.complete().await), ["one"]);
}

pub async fn handles_count_together(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    let third = second.second(harness).await;
    first.step(opens([chord("g", 2)])).await;
    second.step(parts([part("g", 1, "b")])).await;

    drop((first, second));
    third.step(parts([part("g", 0, "a")])).await;

    assert_eq!(ids(&third.complete_one().await), ["a", "b"]);
}

pub async fn values_come_byte_for_byte(harness: &impl Harness) {
    let values = [
        "3.14159265358979323846264338327950288",
        "123456789012345678901234567890",
        "-0.0",
        "1e400",
        r#"{"b": 1,  "a":2, "a": 3}"#,
        r#""\u0000\ud83c\udf31 \ud800 é 🌱""#,
        "[ ]",
        "null",
    ];
    let megabyte = format!("\"{}\"", "x".repeat(1024 * 1024));
    let values: Vec<String> = values
        .map(str::to_owned)
        .into_iter()
        .chain([megabyte])
        .collect();
    let bed = Fixture::open(harness).await;
    bed.step(opens([chord("g", values.len() as u64)])).await;

    for (index, value) in (0..).zip(&values) {
        let valued = Part {
            value: value.clone(),
            ..part("g", index, &format!("{index}"))
        };
        bed.step(parts([valued])).await;
    }

    let complete = bed.complete_one().await;
    let told: Vec<&String> = complete.parts.iter().map(|part| &part.value).collect();
    assert!(told == values.iter().collect::<Vec<_>>(), "{told:.300?}");
}

pub async fn a_part_tells_how_it_ended(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let states = [
        TaskState::Failure,
        TaskState::Success,
        TaskState::Revoked,
        TaskState::from("CUSTOM \"STATE\""),
    ];
    bed.step(opens([chord("g", states.len() as u64)])).await;

    let ended = (0..).zip(&states).map(|(index, state)| Part {
        state: state.clone(),
        ..part("g", index, &format!("{index}"))
    });
    bed.step(parts(ended.collect::<Vec<_>>())).await;

    let complete = bed.complete_one().await;
    let told = complete.parts.into_iter().map(|part| part.state);
    assert_eq!(told.collect::<Vec<_>>(), states);
}

pub async fn any_text_names_a_group_and_a_task(harness: &impl Harness) {
    let names = [
        "g", "G", "g:1", "", " ", "a%", "a*", "[a]", "a'b\"c", "a\\", "é", "🌱", "{a}", "\n",
        "\u{0}",
    ];
    let bed = Fixture::open(harness).await;
    bed.step(opens(names.map(|name| chord(name, 1)))).await;

    for name in names {
        let named = Part {
            value: "1".to_owned(),
            ..part(name, None, name)
        };
        bed.step(parts([named])).await;
        let complete = bed.complete_one().await;
        assert_eq!(complete.group.as_str(), name);
        assert_eq!(ids(&complete), [name]);
        assert!(bed.finish(name).await, "group {name:?}");
        assert!(!bed.finish(name).await, "group {name:?}");
    }
}

pub async fn a_structure_comes_as_it_was_opened_with(harness: &impl Harness) {
    let structure = br#"{"result": [["a", null], [[["b", null], null]]]}"#.to_vec();
    let bed = Fixture::open(harness).await;
    bed.step(opens([Chord {
        structure: Some(structure.clone()),
        ..chord("g", 1)
    }]))
    .await;

    bed.step(parts([part("g", 0, "a")])).await;

    assert_eq!(bed.complete_one().await.structure, Some(structure));
}

pub async fn a_chord_may_have_ten_thousand_parts(harness: &impl Harness) {
    const PARTS: i64 = 10_000;
    let bed = Fixture::open(harness).await;
    bed.step(opens([chord("g", PARTS as u64)])).await;

    let all: Vec<Part> = (0..PARTS)
        .rev()
        .map(|index| part("g", index, &format!("{index}")))
        .collect();
    let (last, first) = all.split_last().expect("there are parts");
    for batch in first.chunks(1_000) {
        bed.step(parts(batch)).await;
    }
    assert_eq!(bed.complete().await, []);
    bed.step(parts([last.clone()])).await;

    let complete = bed.complete_one().await;
    let expected: Vec<Done> = (0..PARTS).map(|index| done(&index.to_string())).collect();
    assert!(complete.parts == expected);
    assert!(bed.finish("g").await);
}

pub async fn parts_counted_at_the_same_time_complete_a_chord_once(harness: &impl Harness) {
    const CHORDS: usize = 20;
    const PARTS: i64 = 8;
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    let group = |number: usize| format!("chord {number}");
    let all = (0..CHORDS).map(|number| chord(&group(number), PARTS as u64));
    first.step(opens(all.collect::<Vec<_>>())).await;

    let callers = (0..PARTS).map(|index| {
        let chords = [&first, &second][index as usize % 2].store.chords.clone();
        tokio::spawn(async move {
            for number in 0..CHORDS {
                let step = parts([part(&group(number), index, &format!("{index}"))]);
                chords.advance(step, Vec::new()).await.expect("advance");
            }
        })
    });
    let callers: Vec<_> = callers.collect();
    let mut taken = Vec::new();
    while taken.len() < CHORDS {
        taken.extend(within(first.complete()).await);
        tokio::task::yield_now().await;
    }
    for caller in callers {
        within(caller).await.expect("no caller panics");
    }

    assert_eq!(first.complete().await, []);
    let different: BTreeSet<&str> = groups(&taken).into_iter().collect();
    assert_eq!(different.len(), CHORDS);
    assert!(
        taken
            .iter()
            .all(|chord| chord.parts.len() == PARTS as usize)
    );
}
