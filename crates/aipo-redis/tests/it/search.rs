//! Looking for a message among many: lists have no index.

use aipo_core::store::{Delivery, Verdict};
use aipo_core::{ErrorKind, TaskId};

use crate::server::fresh;
use crate::support::{consumer, counts, ids, message, publish, settle, within};

/// Puts messages of nobody's into the list of a queue, behind all others.
const FILL: &str = "for _ = 1, ARGV[1] do redis.call('LPUSH', KEYS[1], '{}') end";

#[tokio::test]
async fn beyond_what_is_searched_the_answer_is_an_error() {
    let database = fresh();
    let store = database.store().await;
    publish(&store, [message("q", "old")]).await;
    database.ask::<()>(&["EVAL", FILL, "1", "q", "100000"]);
    publish(&store, [message("q", "new")]).await;
    let wanted: [TaskId; 2] = ["old".into(), "new".into()];
    let claimant = consumer(&store, &[]).await;

    let located = within(store.broker.locate(&wanted)).await;
    assert_eq!(located.expect_err("too many").kind(), ErrorKind::TooLarge);

    let found: Vec<Delivery> = within(claimant.claim(&wanted)).await.expect("claim");
    assert_eq!(ids(&found), ["new"], "what is found on the way is taken");
    settle(&*claimant, &found[0], Verdict::Ack).await;
    let more = within(claimant.claim(&wanted)).await;
    assert_eq!(more.expect_err("too many").kind(), ErrorKind::TooLarge);
    assert_eq!(counts(&store, "q").await, [100_001, 0, 0, 0]);

    database.ask::<()>(&["RPOPLPUSH", "q", "q"]);
    assert_eq!(
        ids(&within(claimant.claim(&wanted)).await.expect("claim")),
        ["old"]
    );
}

/// What a page finds is bounded, whatever messages weigh.
#[tokio::test]
async fn large_messages_are_all_found() {
    let database = fresh();
    let store = database.store().await;
    let names: Vec<String> = (0..30).map(|number| number.to_string()).collect();
    for name in &names {
        let mut large = message("q", name);
        large.envelope.headers =
            format!(r#"{{"id":"{name}","ballast":"{}"}}"#, "x".repeat(500_000)).into_bytes();
        publish(&store, [large]).await;
    }
    let wanted: Vec<TaskId> = names.iter().map(|name| (&**name).into()).collect();
    let claimant = consumer(&store, &[]).await;

    let located = within(store.broker.locate(&wanted)).await.expect("locate");
    assert!(located.iter().all(Option::is_some));
    let mut found = within(claimant.claim(&wanted)).await.expect("claim");
    found.extend(within(claimant.claim(&wanted)).await.expect("claim"));

    let mut found = ids(&found);
    found.sort_by_key(|id| id.parse::<u32>().expect("a number"));
    assert_eq!(found, names);
}
