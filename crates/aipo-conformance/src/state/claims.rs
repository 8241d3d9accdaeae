//! Claims: one holder at a time, told apart from those before by a token that grows.

use std::time::Duration;

use aipo_core::store::Fence;

use crate::Harness;
use crate::support::{Fixture, within};

const A_MINUTE: Duration = Duration::from_secs(60);
const A_BIT: Duration = Duration::from_millis(10);

async fn claim(bed: &Fixture, key: &str, value: &str) -> Option<Fence> {
    bed.store
        .state
        .claim(key, value.into(), A_MINUTE)
        .await
        .expect("claim")
}

async fn must_claim(bed: &Fixture, key: &str, value: &str) -> Fence {
    claim(bed, key, value).await.expect("the key is free")
}

async fn renew(bed: &Fixture, key: &str, fence: Fence, value: &str) -> bool {
    bed.store
        .state
        .renew(key, fence, value.into(), A_MINUTE)
        .await
        .expect("renew")
}

async fn release(bed: &Fixture, key: &str, fence: Fence) -> bool {
    bed.store.state.release(key, fence).await.expect("release")
}

pub async fn a_claimed_key_is_taken(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;

    must_claim(&first, "key", "one").await;

    assert_eq!(claim(&second, "key", "two").await, None);
    assert_eq!(
        claim(&first, "key", "three").await,
        None,
        "nor by the same process"
    );
    assert_eq!(second.fact("key").await.as_deref(), Some(&b"one"[..]));
    must_claim(&second, "other key", "two").await;
}

pub async fn a_claim_is_a_fact(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;

    must_claim(&bed, "key", "value").await;

    assert_eq!(bed.fact("key").await.as_deref(), Some(&b"value"[..]));
    let facts = bed.store.state.scan("k").await.expect("scan");
    assert_eq!(facts, [("key".to_owned(), b"value".to_vec())]);
}

pub async fn of_many_claims_at_once_one_wins(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    let mut last = Fence(0);

    for round in 0..20 {
        let claims = (0..8).map(|task| {
            let state = [&first, &second][task % 2].store.state.clone();
            tokio::spawn(async move {
                state
                    .claim("key", task.to_string().into(), A_MINUTE)
                    .await
                    .expect("claim")
            })
        });
        let claims: Vec<_> = claims.collect();
        let mut winners = Vec::new();
        for (task, claim) in claims.into_iter().enumerate() {
            let fence = within(claim).await.expect("no task panics");
            winners.extend(fence.map(|fence| (task, fence)));
        }

        assert_eq!(winners.len(), 1, "round {round}");
        let (task, fence) = winners[0];
        assert_eq!(first.fact("key").await, Some(task.to_string().into_bytes()));
        assert!(fence > last, "round {round}: {fence:?} after {last:?}");
        last = fence;
        assert!(release(&second, "key", fence).await);
    }
}

pub async fn a_claim_lasts_for_its_time(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let fence = must_claim(&bed, "key", "one").await;

    bed.clock.advance(A_MINUTE - A_BIT);

    assert_eq!(claim(&bed, "key", "two").await, None);
    assert!(renew(&bed, "key", fence, "one").await);
}

pub async fn a_claim_whose_time_is_over_can_be_won_again(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    let before = must_claim(&first, "key", "one").await;

    first.clock.advance(A_MINUTE + A_BIT);
    assert_eq!(first.fact("key").await, None);
    let after = must_claim(&second, "key", "two").await;

    assert!(after > before, "{after:?} after {before:?}");
    assert_eq!(first.fact("key").await.as_deref(), Some(&b"two"[..]));
}

pub async fn a_claim_may_last_for_ever(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let won = bed
        .store
        .state
        .claim("key", Vec::new(), Duration::MAX)
        .await
        .expect("claim");
    let fence = won.expect("the key is free");

    bed.clock
        .advance(Duration::from_secs(3600 * 24 * 365 * 100));

    assert_eq!(claim(&bed, "key", "two").await, None);
    assert!(release(&bed, "key", fence).await);
}

/// Whatever ended the claim before, also where nothing of it is left.
pub async fn each_claim_has_a_higher_token(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let mut last = must_claim(&bed, "key", "").await;
    let mut claim_again = async |how: &str| {
        let fence = must_claim(&bed, "key", "").await;
        assert!(fence > last, "after {how}: {fence:?} after {last:?}");
        last = fence;
        fence
    };

    bed.clock.advance(A_MINUTE + A_BIT);
    bed.store.state.sweep().await.expect("sweep");
    let fence = claim_again("an expiry and a sweep").await;
    assert!(release(&bed, "key", fence).await);
    claim_again("a release").await;
    bed.store.state.delete("key").await.expect("delete");
    claim_again("a delete").await;
    bed.store
        .state
        .put("key", Vec::new(), Some(Duration::ZERO))
        .await
        .expect("put");
    claim_again("a put that expired").await;
}

pub async fn a_renewal_sets_the_value_and_the_time(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    let fence = must_claim(&first, "key", "1").await;

    for run in ["2", "3", "4"] {
        first.clock.advance(A_MINUTE - A_BIT);
        assert!(renew(&second, "key", fence, run).await);
        assert_eq!(first.fact("key").await, Some(run.into()));
        assert_eq!(claim(&first, "key", "stolen").await, None);
    }
}

pub async fn a_claim_that_was_lost_cannot_be_renewed(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let before = must_claim(&bed, "key", "one").await;
    bed.clock.advance(A_MINUTE + A_BIT);

    assert!(
        !renew(&bed, "key", before, "late").await,
        "its time is over"
    );
    assert_eq!(bed.fact("key").await, None);

    let now = must_claim(&bed, "key", "two").await;
    assert!(!renew(&bed, "key", before, "late").await, "it is another's");
    assert_eq!(bed.fact("key").await.as_deref(), Some(&b"two"[..]));
    assert!(renew(&bed, "key", now, "still two").await);
}

pub async fn a_claim_that_was_lost_cannot_be_released(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let before = must_claim(&bed, "key", "one").await;
    bed.clock.advance(A_MINUTE + A_BIT);

    assert!(!release(&bed, "key", before).await, "its time is over");
    must_claim(&bed, "key", "two").await;
    assert!(!release(&bed, "key", before).await, "it is another's");

    assert_eq!(bed.fact("key").await.as_deref(), Some(&b"two"[..]));
}

pub async fn a_released_claim_is_gone(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let fence = must_claim(&bed, "key", "one").await;

    assert!(release(&bed, "key", fence).await);

    assert_eq!(bed.fact("key").await, None);
    assert!(!release(&bed, "key", fence).await);
    assert!(!renew(&bed, "key", fence, "late").await);
    must_claim(&bed, "key", "two").await;
}

pub async fn a_fence_of_another_key_opens_nothing(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let one = must_claim(&bed, "one", "1").await;
    must_claim(&bed, "spare", "").await;
    let two = must_claim(&bed, "two", "2").await;
    let never = Fence(u64::MAX >> 1);

    // Where tokens are counted by key the two may be equal, and then there is nothing to tell.
    for fence in [one, never].into_iter().filter(|fence| *fence != two) {
        assert!(!renew(&bed, "two", fence, "late").await);
        assert!(!release(&bed, "two", fence).await);
    }
    assert!(!renew(&bed, "never claimed", one, "late").await);
    assert!(!release(&bed, "never claimed", one).await);

    assert_eq!(bed.fact("two").await.as_deref(), Some(&b"2"[..]));
    assert_eq!(bed.fact("never claimed").await, None);
}

/// A put says what is so from now on; a claim from before does not outlast it.
pub async fn a_put_ends_a_claim(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let fence = must_claim(&bed, "key", "claimed").await;

    bed.store
        .state
        .put("key", b"put".to_vec(), None)
        .await
        .expect("put");

    assert!(!renew(&bed, "key", fence, "late").await);
    assert!(!release(&bed, "key", fence).await);
    assert_eq!(bed.fact("key").await.as_deref(), Some(&b"put"[..]));
}

pub async fn a_delete_ends_a_claim(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let before = must_claim(&bed, "key", "one").await;

    bed.store.state.delete("key").await.expect("delete");

    assert!(!renew(&bed, "key", before, "late").await);
    must_claim(&bed, "key", "two").await;
    assert!(!release(&bed, "key", before).await);
    assert_eq!(bed.fact("key").await.as_deref(), Some(&b"two"[..]));
}

/// A claim is a put if absent.
pub async fn a_key_that_was_put_is_taken(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.store
        .state
        .put("key", b"put".to_vec(), Some(A_MINUTE))
        .await
        .expect("put");

    assert_eq!(claim(&bed, "key", "one").await, None);
    assert_eq!(bed.fact("key").await.as_deref(), Some(&b"put"[..]));

    bed.clock.advance(A_MINUTE + A_BIT);
    must_claim(&bed, "key", "one").await;
}
