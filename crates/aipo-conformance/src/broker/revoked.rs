//! A fetch learns on its way whether something was revoked. A broker that has no way to know says so, and
//! then there is nothing to check.

use std::time::Duration;

use aipo_core::store::Fetch;
use aipo_core::store::state::REVOKED;

use crate::Harness;
use crate::support::{AN_HOUR, Fixture, Holder, ids, message, still_waiting, within};

const TWO_HOURS: Duration = Duration::from_secs(2 * 3600);

async fn revoke(bed: &Fixture, tasks: &[&str]) -> u64 {
    let values = tasks.iter().map(|task| (*task).into()).collect();
    let appended = bed.store.state.append(REVOKED, values, TWO_HOURS);
    appended.await.expect("append")
}

fn assert_knows(consumer: &Holder, number: u64) {
    let known = consumer.last_revoked();
    assert!(
        known.is_none_or(|known| known == number),
        "{known:?}, not {number}"
    );
}

pub async fn it_is_zero_while_nothing_was_revoked(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish([message("q", "a")]).await;
    let consumer = bed.consumer(&["q"]).await;
    let other_log = bed
        .store
        .state
        .append("other", vec![b"a".to_vec()], TWO_HOURS);
    other_log.await.expect("append");

    for _ in 0..2 {
        consumer.take(10).await;
        assert_knows(&consumer, 0);
    }
}

pub async fn a_fetch_learns_the_last_number(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    let consumer = first.consumer(&["q"]).await;

    for bed in [&first, &second] {
        let last = revoke(bed, &["a", "b"]).await;
        // Whether or not there is something to fetch.
        consumer.take(10).await;
        assert_knows(&consumer, last);

        let last = revoke(bed, &["c"]).await;
        bed.publish([message("q", "d")]).await;
        consumer.take_one().await;
        assert_knows(&consumer, last);
    }
}

/// What was revoked before the message came is known when the message is here, although the fetch began
/// before either.
pub async fn a_fetch_that_waited_knows_what_was_revoked_meanwhile(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    let consumer = first.consumer(&["q"]).await;

    for (bed, id) in [(&first, "a"), (&second, "b")] {
        let mut wait = consumer.fetch(Fetch {
            max: 1,
            started: 1,
            wait: AN_HOUR,
        });
        still_waiting(&mut wait).await;

        let last = revoke(bed, &[id]).await;
        bed.publish([message("q", id)]).await;

        assert_eq!(ids(&within(wait).await.expect("fetch")), [id]);
        assert_knows(&consumer, last);
    }
}

/// The log forgets; what the consumer has learned of it stays true.
pub async fn it_does_not_go_down(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let consumer = bed.consumer(&["q"]).await;
    revoke(&bed, &["a"]).await;
    let short = vec![b"b".to_vec()];
    let appended = bed
        .store
        .state
        .append(REVOKED, short, Duration::from_secs(1));
    let last = appended.await.expect("append");
    consumer.take(1).await;
    bed.clock.advance(Duration::from_secs(2));
    bed.store.state.sweep().await.expect("sweep");
    consumer.take(1).await;

    assert_knows(&consumer, last);
}
