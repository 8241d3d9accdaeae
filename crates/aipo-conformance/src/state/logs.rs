//! Logs: appended to, read on from where a reader was, forgotten entry by entry.

use std::time::Duration;

use aipo_core::store::Entry;

use crate::Harness;
use crate::support::{Fixture, within};

const A_MINUTE: Duration = Duration::from_secs(60);
const A_BIT: Duration = Duration::from_millis(10);

async fn append_for(bed: &Fixture, log: &str, values: &[&str], ttl: Duration) -> u64 {
    let values = values.iter().map(|value| (*value).into()).collect();
    bed.store
        .state
        .append(log, values, ttl)
        .await
        .expect("append")
}

async fn append(bed: &Fixture, log: &str, values: &[&str]) -> u64 {
    append_for(bed, log, values, A_MINUTE).await
}

async fn entries(bed: &Fixture, log: &str, after: u64) -> Vec<Entry> {
    bed.store
        .state
        .entries(log, after, 10_000)
        .await
        .expect("entries")
}

/// The values of all entries.
async fn values(bed: &Fixture, log: &str) -> Vec<String> {
    let entries = entries(bed, log, 0).await;
    entries.into_iter().map(value_of).collect()
}

fn value_of(entry: Entry) -> String {
    String::from_utf8(entry.value).expect("the value is text")
}

pub async fn entries_come_in_the_order_of_appending(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;

    append(&first, "log", &["b", "a"]).await;
    append(&second, "log", &["c"]).await;
    append(&first, "log", &["a", "d"]).await;

    for bed in [&first, &second] {
        assert_eq!(values(bed, "log").await, ["b", "a", "c", "a", "d"]);
    }
}

pub async fn numbers_grow_and_the_last_is_told(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;

    let told = [
        append(&first, "log", &["1", "2", "3"]).await,
        append(&second, "log", &["4"]).await,
        append(&first, "log", &["5", "6"]).await,
    ];

    let entries = entries(&second, "log", 0).await;
    let numbers: Vec<u64> = entries.iter().map(|entry| entry.number).collect();
    assert!(numbers[0] > 0, "zero comes before all numbers");
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    assert_eq!([numbers[2], numbers[3], numbers[5]], told);
}

pub async fn a_reader_goes_on_after_a_number(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    append(&bed, "log", &["1", "2", "3", "4"]).await;
    let all = entries(&bed, "log", 0).await;

    for read in 0..all.len() {
        assert_eq!(
            entries(&bed, "log", all[read].number).await,
            all[read + 1..]
        );
    }
    let last = append(&bed, "log", &["5"]).await;
    let after = entries(&bed, "log", all[3].number).await;
    let expected = Entry {
        number: last,
        value: b"5".to_vec(),
    };
    assert_eq!(after, [expected]);
    assert_eq!(entries(&bed, "log", last + 1_000).await, []);
    assert_eq!(entries(&bed, "log", u64::MAX).await, []);
}

pub async fn at_most_limit_entries_come(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    append(&bed, "log", &["1", "2", "3", "4", "5"]).await;

    for (limit, expected) in [(0, 0), (1, 1), (4, 4), (5, 5), (usize::MAX, 5)] {
        let some = bed
            .store
            .state
            .entries("log", 0, limit)
            .await
            .expect("entries");
        assert_eq!(some.len(), expected, "limit {limit}");
        let read = some.into_iter().map(value_of).collect::<Vec<_>>();
        assert_eq!(read, ["1", "2", "3", "4", "5"][..expected], "the oldest");
    }
}

pub async fn a_log_is_under_a_name_of_its_own(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let names = [
        "log", "LOG", "lo", "log:1", "", "a%", "a_", "a*", "[a]", "a'b\"c", "a\\", "é", "🌱", "{a}",
    ];

    for name in names {
        append(&bed, name, &[name]).await;
    }

    for name in names {
        assert_eq!(values(&bed, name).await, [name], "log {name:?}");
    }
    assert_eq!(values(&bed, "never there").await, [""; 0]);
}

pub async fn a_log_is_no_fact(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let state = &bed.store.state;
    append(&bed, "name", &["entry"]).await;

    assert_eq!(bed.fact("name").await, None);
    assert_eq!(state.scan("").await.expect("scan"), []);
    state
        .put("name", b"fact".to_vec(), None)
        .await
        .expect("put");
    assert_eq!(values(&bed, "name").await, ["entry"]);
    state.delete("name").await.expect("delete");
    assert_eq!(values(&bed, "name").await, ["entry"]);
}

pub async fn an_entry_may_be_any_bytes(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let every_byte: Vec<u8> = (0..=255).collect();
    let values = vec![Vec::new(), every_byte.clone(), every_byte.repeat(1024)];

    bed.store
        .state
        .append("log", values.clone(), A_MINUTE)
        .await
        .expect("append");

    let found = entries(&bed, "log", 0).await;
    let found: Vec<Vec<u8>> = found.into_iter().map(|entry| entry.value).collect();
    assert!(found == values);
}

pub async fn a_log_outlives_the_handle_that_appended(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    append(&first, "log", &["1"]).await;

    drop(first);

    assert_eq!(values(&second, "log").await, ["1"]);
}

/// Each for its own time, in whichever order they were appended.
pub async fn an_entry_is_kept_for_its_time(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    append_for(&bed, "log", &["longest"], Duration::MAX).await;
    append_for(&bed, "log", &["long 1", "long 2"], A_MINUTE * 3).await;
    append_for(&bed, "log", &["short"], A_MINUTE).await;
    append_for(&bed, "log", &["never"], Duration::ZERO).await;
    append_for(&bed, "log", &["long 3"], A_MINUTE * 3).await;
    let long = ["longest", "long 1", "long 2", "long 3"];

    bed.clock.advance(A_MINUTE - A_BIT);
    bed.store.state.sweep().await.expect("sweep");
    let with_short = ["longest", "long 1", "long 2", "short", "long 3"];
    assert_eq!(values(&bed, "log").await, with_short);

    bed.clock.advance(A_BIT * 2);
    assert_eq!(values(&bed, "log").await, long);
    bed.store.state.sweep().await.expect("sweep");
    assert_eq!(values(&bed, "log").await, long);

    bed.clock.advance(A_MINUTE * 3);
    assert_eq!(values(&bed, "log").await, ["longest"]);
}

/// Also when nothing of the log is left: a reader may still know the number of its last entry.
pub async fn no_number_is_used_again(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    let before = append(&first, "log", &["1", "2"]).await;

    first.clock.advance(A_MINUTE * 2);
    first.store.state.sweep().await.expect("sweep");
    assert_eq!(values(&second, "log").await, [""; 0]);
    let after = append(&second, "log", &["3"]).await;

    assert!(after > before, "{after} after {before}");
    let news = entries(&first, "log", before).await;
    assert_eq!(news.len(), 1);
    assert_eq!(news[0].number, after);
}

pub async fn appending_nothing_changes_nothing(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;

    append(&bed, "log", &[]).await;
    assert_eq!(entries(&bed, "log", 0).await, []);

    let last = append(&bed, "log", &["1"]).await;
    assert_eq!(append(&bed, "log", &[]).await, last);
    assert_eq!(values(&bed, "log").await, ["1"]);
}

pub async fn appends_at_the_same_time_stand_each_together(harness: &impl Harness) {
    const CALLERS: usize = 8;
    const ROUNDS: usize = 10;
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;

    let callers = (0..CALLERS).map(|caller| {
        let state = [&first, &second][caller % 2].store.state.clone();
        tokio::spawn(async move {
            for round in 0..ROUNDS {
                let values = (0..3).map(|part| format!("{caller} {round} {part}").into_bytes());
                state
                    .append("log", values.collect(), A_MINUTE)
                    .await
                    .expect("append");
            }
        })
    });
    let callers: Vec<_> = callers.collect();
    // A reader that goes on and on misses none: what it has not read has higher numbers.
    let mut read = Vec::new();
    let mut last = 0;
    while read.len() < CALLERS * ROUNDS * 3 {
        let entries = within(first.store.state.entries("log", last, 7)).await;
        let entries = entries.expect("entries");
        last = entries.last().map_or(last, |entry| entry.number);
        read.extend(entries);
        tokio::task::yield_now().await;
    }
    for caller in callers {
        within(caller).await.expect("no caller panics");
    }

    assert_eq!(read, entries(&second, "log", 0).await);
    for call in read.chunks(3) {
        let whole = value_of(call[0].clone());
        let whole = whole.strip_suffix('0').expect("a call begins here");
        for (part, entry) in call.iter().enumerate() {
            assert_eq!(value_of(entry.clone()), format!("{whole}{part}"));
        }
    }
}

/// A store whose server deletes by itself has nothing to count.
pub async fn a_sweep_deletes_entries_that_have_expired(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    append_for(&first, "log", &["1", "2"], A_MINUTE).await;
    append_for(&first, "other", &["3"], A_MINUTE).await;
    append_for(&first, "log", &["longer"], A_MINUTE * 3).await;
    first.clock.advance(A_MINUTE * 2);

    let swept = second.store.state.sweep().await.expect("sweep");

    assert!(swept == 3 || swept == 0, "{swept} swept");
    assert_eq!(first.store.state.sweep().await.expect("sweep"), 0);
    assert_eq!(values(&first, "log").await, ["longer"]);
}
