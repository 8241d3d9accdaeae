//! Chords lie where Celery counts them, and are shared with Python workers by its rules.

use std::time::Duration;

use aipo_core::store::{Chord, Complete, Part, Step};
use aipo_core::{Store, TaskState};

use crate::server::{Database, fresh};

const K: &str = "celery-taskset-meta-g";
const CLAIM: Duration = Duration::from_secs(60);

fn chord(size: u64) -> Step {
    let chord = Chord {
        group: "g".into(),
        size,
        structure: None,
        expires: Some(Duration::from_secs(3600)),
    };
    Step {
        opens: vec![chord],
        ..Step::default()
    }
}

fn part(index: i64, id: &str) -> Step {
    let part = Part {
        group: "g".into(),
        index: Some(index),
        id: id.into(),
        state: TaskState::Success,
        value: index.to_string(),
        then: b"then".to_vec(),
        expires: Some(Duration::from_secs(3600)),
    };
    Step {
        parts: vec![part],
        ..Step::default()
    }
}

async fn step(store: &Store, step: Step) {
    let done = store.chords.advance(step, Vec::new()).await;
    done.expect("advance");
}

async fn take(store: &Store) -> Vec<Complete> {
    store.chords.take_complete(10, CLAIM).await.expect("take")
}

async fn finish(store: &Store) -> bool {
    let group = "g".into();
    let done = store.chords.finish(&group, Step::default(), Vec::new());
    done.await.expect("finish")
}

/// Counts a part as a worker of Celery 5.7 does, which has no share in what follows.
fn python_counts(database: &Database, index: i64, id: &str) {
    let member = format!(r#"[1, "{id}", "SUCCESS", {index}.0]"#);
    let _: i64 = database.ask(&["ZADD", &format!("{K}.j"), &index.to_string(), &member]);
    let _: i64 = database.ask(&["SADD", &format!("{K}.d"), &format!("{id}:{index}")]);
}

/// Claims the chord as such a worker does, and says whether it got it.
fn python_claims(database: &Database) -> bool {
    let claim = format!("{K}.c");
    let told: Option<String> = database.ask(&["SET", &claim, "a token", "NX", "EX", "6"]);
    told.is_some()
}

fn keys(database: &Database, pattern: &str) -> Vec<String> {
    let mut keys: Vec<String> = database.ask(&["KEYS", pattern]);
    keys.sort();
    keys
}

fn values(complete: &[Complete]) -> Vec<&str> {
    let parts = complete.iter().flat_map(|chord| &chord.parts);
    parts.map(|part| &*part.value).collect()
}

#[tokio::test]
async fn a_chord_lies_where_celery_counts_it() {
    let database = fresh();
    let store = database.store().await;
    let structure = br#"{"result": [["a", null]]}"#;
    let mut opened = chord(2);
    opened.opens[0].structure = Some(structure.to_vec());
    step(&store, opened).await;
    step(&store, part(1, "b")).await;
    let placeless = Part {
        index: None,
        state: TaskState::Failure,
        value: r#"{"exc_type": "E"}"#.to_owned(),
        ..part(0, "a").parts.remove(0)
    };
    let grown = Step {
        grows: vec!["g".into()],
        parts: vec![placeless],
        ..Step::default()
    };
    step(&store, grown).await;

    let told: String = database.ask(&["GET", &format!("{K}.s")]);
    assert_eq!(told, "2");
    let told: String = database.ask(&["GET", &format!("{K}.t")]);
    assert_eq!(told, "1");
    let told: Vec<u8> = database.ask(&["GET", K]);
    assert_eq!(told, structure);
    let told: Vec<String> = database.ask(&["ZRANGE", &format!("{K}.j"), "0", "-1", "WITHSCORES"]);
    let placeless = r#"[1, "a", "FAILURE", {"exc_type": "E"}]"#;
    assert_eq!(told, [r#"[1, "b", "SUCCESS", 1]"#, "1", placeless, "inf"]);
    let mut told: Vec<String> = database.ask(&["SMEMBERS", &format!("{K}.d")]);
    told.sort();
    assert_eq!(told, ["a:+inf", "b:1"]);
    let chord = keys(&database, "*");
    let expected = [".d", ".j", ".s", ".t"].map(|end| format!("{K}{end}"));
    assert_eq!(chord[0], "aipo:chord:g");
    assert_eq!(chord[1], K);
    assert_eq!(chord[2..], expected);
    for key in chord {
        let left: i64 = database.ask(&["PTTL", &key]);
        assert!((3_500_000..=3_600_000).contains(&left), "{key}: {left}");
    }
}

#[tokio::test]
async fn a_finished_chord_leaves_what_keeps_late_copies_away() {
    let database = fresh();
    let store = database.store().await;
    step(&store, chord(1)).await;
    step(&store, part(0, "a")).await;
    assert_eq!(values(&take(&store).await), ["0"]);
    let left: i64 = database.ask(&["PTTL", &format!("{K}.c")]);
    assert!(
        left > 3_500_000,
        "claimed for as long as it is kept: {left}"
    );
    assert!(finish(&store).await);

    let claim = format!("{K}.c");
    assert_eq!(keys(&database, "*"), [&*claim]);
    let told: String = database.ask(&["GET", &claim]);
    assert_eq!(told, "done");
    let left: i64 = database.ask(&["TTL", &claim]);
    assert!((290..=300).contains(&left), "{left}");
    // It may be the first part of the same chord, sent once more by a Python program that has not opened it yet.
    step(&store, part(0, "a")).await;
    assert_eq!(values(&take(&store).await), [""; 0]);
    for key in keys(&database, "*") {
        let left: i64 = database.ask(&["TTL", &key]);
        assert!((290..=300).contains(&left), "{key}: {left}");
    }
}

#[tokio::test]
async fn a_chord_of_pythons_is_finished_here_when_its_last_part_is_counted_here() {
    let database = fresh();
    let store = database.store().await;
    python_counts(&database, 1, "b");
    let _: String = database.ask(&["SET", &format!("{K}.s"), "2", "EX", "86400"]);

    step(&store, part(0, "a")).await;

    assert!(!python_claims(&database));
    assert_eq!(values(&take(&store).await), ["0", "1.0"]);
    assert!(finish(&store).await);
}

#[tokio::test]
async fn a_chord_that_python_goes_on_with_is_left_to_it() {
    let database = fresh();
    let store = database.store().await;
    step(&store, chord(2)).await;
    step(&store, part(0, "a")).await;
    python_counts(&database, 1, "b");
    assert!(python_claims(&database));

    // A late copy.
    step(&store, part(0, "a")).await;

    assert_eq!(take(&store).await, []);
    assert!(!finish(&store).await);
    let left: i64 = database.ask(&["TTL", &format!("{K}.c")]);
    assert!((0..=6).contains(&left), "Python's claim runs out: {left}");
}

/// Its claim runs out; then a copy of any of its parts has the chord go on here.
#[tokio::test]
async fn a_copy_of_a_part_mends_what_a_python_worker_left_behind() {
    let database = fresh();
    let store = database.store().await;
    step(&store, chord(1)).await;
    python_counts(&database, 0, "a");
    assert!(python_claims(&database));
    let _: i64 = database.ask(&["DEL", &format!("{K}.c")]);

    step(&store, part(0, "a")).await;

    let taken = take(&store).await;
    assert_eq!(values(&taken), ["0.0"]);
    assert_eq!(taken[0].then, b"then");
}

#[tokio::test]
async fn a_complete_chord_that_python_lets_grow_waits_for_one_part_more() {
    let database = fresh();
    let store = database.store().await;
    step(&store, chord(1)).await;
    step(&store, part(0, "a")).await;
    let _: i64 = database.ask(&["INCR", &format!("{K}.t")]);

    assert_eq!(take(&store).await, []);
    assert_eq!(keys(&database, "aipo:chords"), [""; 0]);
    step(&store, part(1, "b")).await;

    assert_eq!(values(&take(&store).await), ["0", "1"]);
}

#[tokio::test]
async fn a_chord_that_python_opens_again_begins_anew() {
    let database = fresh();
    let store = database.store().await;
    step(&store, chord(1)).await;
    step(&store, part(0, "a")).await;
    assert!(finish(&store).await);
    let _: i64 = database.ask(&["DEL", &format!("{K}.c")]);
    let _: String = database.ask(&["SET", &format!("{K}.s"), "1"]);

    step(&store, part(0, "a")).await;

    assert_eq!(values(&take(&store).await), ["0"]);
}

/// Celery's option `result_chord_ordered` turned off.
#[tokio::test]
async fn parts_that_python_keeps_in_a_list_are_counted_there() {
    let database = fresh();
    let store = database.store().await;
    let parts = format!("{K}.j");
    let _: i64 = database.ask(&["RPUSH", &parts, r#"[1, "b", "SUCCESS", 1.0]"#]);
    let _: i64 = database.ask(&["SADD", &format!("{K}.d"), "b:1"]);
    step(&store, chord(2)).await;

    step(&store, part(0, "a")).await;
    step(&store, part(0, "a")).await;

    assert_eq!(values(&take(&store).await), ["1.0", "0"]);
    assert!(finish(&store).await);
}

#[tokio::test]
async fn a_part_that_is_no_json_fails_its_chord_and_no_other() {
    let database = fresh();
    let store = database.store().await;
    let _: i64 = database.ask(&["ZADD", &format!("{K}.j"), "1", "no JSON"]);
    step(&store, chord(2)).await;
    step(&store, part(0, "a")).await;

    let taken = take(&store).await;

    let states = taken[0].parts.iter().map(|part| part.state.as_str());
    assert_eq!(states.collect::<Vec<_>>(), ["SUCCESS", "FAILURE"]);
}

#[tokio::test]
async fn a_saved_group_lies_where_celery_saves_it() {
    let database = fresh();
    let store = database.store().await;
    let group = "g".into();
    let save = async |expires| {
        let saved = store.chords.save_group(&group, b"meta".to_vec(), expires);
        saved.await.expect("save");
    };
    save(Some(Duration::from_secs(3600))).await;

    assert_eq!(keys(&database, "*"), [K]);
    let told: String = database.ask(&["GET", K]);
    assert_eq!(told, "meta");
    let left: i64 = database.ask(&["PTTL", K]);
    assert!((3_500_000..=3_600_000).contains(&left), "{left}");
    save(None).await;
    let left: i64 = database.ask(&["PTTL", K]);
    assert_eq!(left, -1, "for ever");

    let _: String = database.ask(&["SET", K, "of Python", "EX", "100"]);
    let told = store.chords.saved_group(&group).await.expect("read");
    assert_eq!(told.as_deref(), Some(&b"of Python"[..]));
    store.chords.delete_group(&group).await.expect("delete");
    assert_eq!(keys(&database, "*"), [""; 0]);
}

#[tokio::test]
async fn chords_of_results_with_a_prefix_lie_under_it() {
    let database = fresh();
    let url = format!("{}?global_keyprefix=app:", database.url());
    let options = aipo_redis::RedisOptions::from_url(&url).expect("a valid URL");
    let store = aipo_redis::connect(options).await.expect("connect");

    step(&store, chord(1)).await;
    step(&store, part(0, "a")).await;

    let ends = [".c", ".d", ".j", ".s"].map(|end| format!("app:{K}{end}"));
    assert_eq!(keys(&database, "*celery*"), ends);
    let own = ["app:aipo:chord:g", "app:aipo:chords"];
    assert_eq!(keys(&database, "*aipo*"), own);
    assert_eq!(values(&take(&store).await), ["0"]);

    let group = "saved".into();
    let saved = store.chords.save_group(&group, b"meta".to_vec(), None);
    saved.await.expect("save");
    let key = "app:celery-taskset-meta-saved";
    assert_eq!(keys(&database, "*saved*"), [key]);
    store.chords.delete_group(&group).await.expect("delete");
    assert_eq!(keys(&database, "*saved*"), [""; 0]);
}
