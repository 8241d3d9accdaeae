//! Facts: set, read, listed, gone after their time.

use std::time::Duration;

use crate::Harness;
use crate::support::Fixture;

const A_MINUTE: Duration = Duration::from_secs(60);
const A_BIT: Duration = Duration::from_millis(10);

async fn put(bed: &Fixture, key: &str, value: &str, ttl: Option<Duration>) {
    bed.store
        .state
        .put(key, value.into(), ttl)
        .await
        .expect("put");
}

async fn keys(bed: &Fixture, prefix: &str) -> Vec<String> {
    let facts = bed.store.state.scan(prefix).await.expect("scan");
    facts.into_iter().map(|(key, _)| key).collect()
}

pub async fn a_fact_is_told_to_everybody(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;

    put(&first, "key", "value", None).await;

    assert_eq!(first.fact("key").await.as_deref(), Some(&b"value"[..]));
    assert_eq!(second.fact("key").await.as_deref(), Some(&b"value"[..]));
    assert_eq!(first.fact("other").await, None);
}

pub async fn a_fact_outlives_the_handle_that_set_it(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    put(&first, "key", "value", None).await;

    drop(first);

    assert_eq!(second.fact("key").await.as_deref(), Some(&b"value"[..]));
}

pub async fn a_put_replaces_whatever_was_there(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    put(&bed, "key", "1", Some(A_MINUTE)).await;

    put(&bed, "key", "2", None).await;
    bed.clock.advance(A_MINUTE * 2);
    assert_eq!(bed.fact("key").await.as_deref(), Some(&b"2"[..]));

    put(&bed, "key", "3", Some(A_MINUTE)).await;
    assert_eq!(bed.fact("key").await.as_deref(), Some(&b"3"[..]));
    bed.clock.advance(A_MINUTE * 2);
    assert_eq!(bed.fact("key").await, None);
}

pub async fn a_value_may_be_any_bytes(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let every_byte: Vec<u8> = (0..=255).collect();

    for value in [Vec::new(), every_byte.clone(), every_byte.repeat(1024)] {
        bed.store
            .state
            .put("key", value.clone(), None)
            .await
            .expect("put");
        assert!(bed.fact("key").await == Some(value));
    }
}

pub async fn values_come_in_the_order_of_the_keys(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    put(&bed, "a", "1", None).await;
    put(&bed, "b", "2", None).await;

    let keys = ["b", "none", "a", "b"].map(str::to_owned);
    let found = bed.store.state.get(&keys).await.expect("get");

    let expected = [
        Some(b"2".to_vec()),
        None,
        Some(b"1".to_vec()),
        Some(b"2".to_vec()),
    ];
    assert_eq!(found, expected);
    assert_eq!(bed.store.state.get(&[]).await.expect("get").len(), 0);
}

pub async fn a_fact_is_kept_for_its_time(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    put(&bed, "minute", "1", Some(A_MINUTE)).await;
    put(&bed, "for ever", "2", None).await;
    put(&bed, "longest", "3", Some(Duration::MAX)).await;

    bed.clock.advance(A_MINUTE - A_BIT);
    bed.store.state.sweep().await.expect("sweep");
    assert_eq!(keys(&bed, "").await, ["for ever", "longest", "minute"]);

    bed.clock.advance(A_BIT * 2);
    assert_eq!(bed.fact("minute").await, None);
    assert_eq!(keys(&bed, "").await, ["for ever", "longest"]);
}

pub async fn a_fact_with_no_time_to_live_is_not_seen(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    put(&bed, "key", "1", None).await;

    put(&bed, "key", "2", Some(Duration::ZERO)).await;

    assert_eq!(bed.fact("key").await, None);
    assert_eq!(keys(&bed, "").await, [""; 0]);
}

pub async fn a_deleted_fact_is_gone(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    put(&bed, "key", "1", None).await;
    put(&bed, "other", "2", None).await;

    bed.store.state.delete("key").await.expect("delete");
    bed.store.state.delete("never there").await.expect("delete");

    assert_eq!(bed.fact("key").await, None);
    assert_eq!(keys(&bed, "").await, ["other"]);
}

pub async fn a_scan_tells_keys_and_values_by_key(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    for key in ["w:b", "w:", "w:a:1", "x", "w", "W:a", "w:a", "v:z"] {
        put(&bed, key, key, None).await;
    }

    let facts = bed.store.state.scan("w:").await.expect("scan");

    let expected = ["w:", "w:a", "w:a:1", "w:b"].map(|key| (key.to_owned(), key.into()));
    assert_eq!(facts, expected);
    assert_eq!(
        keys(&bed, "").await,
        ["W:a", "v:z", "w", "w:", "w:a", "w:a:1", "w:b", "x"]
    );
    assert_eq!(keys(&bed, "nothing").await, [""; 0]);
}

/// A prefix is text, not a pattern in the store's own language, and ends where text can end.
pub async fn a_prefix_means_nothing_but_itself(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let prefixes = [
        "%",
        "_",
        "*",
        "?",
        "[a]",
        "\\",
        "'",
        "\"",
        "é",
        "🌱",
        "\u{10ffff}",
        "a\u{10ffff}",
    ];
    for prefix in prefixes {
        put(&bed, &format!("{prefix}1"), "", None).await;
    }
    put(&bed, "a1", "", None).await;
    put(&bed, "x%1", "", None).await;

    for prefix in prefixes {
        assert_eq!(
            keys(&bed, prefix).await,
            [format!("{prefix}1")],
            "prefix {prefix}"
        );
    }
    assert_eq!(keys(&bed, "a").await, ["a1", "a\u{10ffff}1"]);
}

/// A store whose server deletes by itself has nothing to count.
pub async fn a_sweep_deletes_what_has_expired(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    put(&first, "1", "", Some(A_MINUTE)).await;
    put(&first, "2", "", Some(A_MINUTE)).await;
    put(&first, "longer", "", Some(A_MINUTE * 3)).await;
    put(&first, "renewed", "", Some(A_MINUTE)).await;
    put(&first, "renewed", "", Some(A_MINUTE * 3)).await;
    put(&first, "for ever", "", None).await;
    first.clock.advance(A_MINUTE * 2);

    let swept = second.store.state.sweep().await.expect("sweep");

    assert!(swept == 2 || swept == 0, "{swept} swept");
    assert_eq!(first.store.state.sweep().await.expect("sweep"), 0);
    assert_eq!(keys(&first, "").await, ["for ever", "longer", "renewed"]);
}
