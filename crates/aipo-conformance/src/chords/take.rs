//! Complete chords are given to one taker at a time.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{CLAIM, chord, completes, groups, opens, part, parts};
use crate::Harness;
use crate::support::{Fixture, poll_times, within};

const A_BIT: Duration = Duration::from_millis(10);

pub async fn what_was_taken_is_given_to_nobody_else(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    first.step(completes("g")).await;

    assert_eq!(groups(&second.complete().await), ["g"]);

    assert_eq!(first.complete().await, []);
    first.clock.advance(CLAIM - A_BIT);
    assert_eq!(first.complete().await, []);
    assert_eq!(second.complete().await, []);
}

pub async fn a_chord_whose_claim_is_over_goes_to_the_next(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    first.step(completes("g")).await;
    let taken = first.complete().await;

    for taker in [&second, &first, &second] {
        first.clock.advance(CLAIM + A_BIT);
        assert_eq!(taker.complete().await, taken);
        assert_eq!(taker.complete().await, []);
    }
}

pub async fn each_taker_has_the_claim_that_it_asked_for(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let take = async |claim| {
        let taken = bed.store.chords.take_complete(1, claim).await;
        taken.expect("take").len()
    };
    bed.step(completes("g")).await;

    assert_eq!(take(Duration::from_secs(1)).await, 1);
    bed.clock.advance(Duration::from_secs(2));
    assert_eq!(take(Duration::from_secs(10)).await, 1);
    bed.clock.advance(Duration::from_secs(2));
    assert_eq!(take(Duration::ZERO).await, 0);
    bed.clock.advance(Duration::from_secs(10));
    assert_eq!(take(Duration::ZERO).await, 1);
    bed.clock.advance(A_BIT);
    assert_eq!(take(Duration::MAX).await, 1);
    bed.clock.advance(Duration::from_secs(86_400 * 365));
    assert_eq!(take(CLAIM).await, 0);
    assert!(bed.finish("g").await, "for ever");
}

pub async fn a_finished_chord_is_not_taken_again(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.step(completes("g")).await;
    assert_eq!(groups(&bed.complete().await), ["g"]);
    assert!(bed.finish("g").await);

    bed.clock.advance(CLAIM * 2);

    assert_eq!(bed.complete().await, []);
}

pub async fn at_most_limit_chords_are_taken(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let names = ["a", "b", "c", "d", "e"];
    for name in names {
        bed.step(completes(name)).await;
    }
    bed.step(opens([chord("open", 2)])).await;
    bed.step(parts([part("open", 0, "a")])).await;

    let mut taken = BTreeSet::new();
    for (limit, expected) in [(0, 0), (1, 1), (3, 3), (3, 1), (3, 0)] {
        let some = bed.store.chords.take_complete(limit, CLAIM).await;
        let some = some.expect("take");
        assert_eq!(some.len(), expected, "limit {limit}");
        taken.extend(some.into_iter().map(|chord| chord.group));
    }

    assert_eq!(taken, names.map(Into::into).into());
    bed.clock.advance(CLAIM * 2);
    let all = bed.store.chords.take_complete(usize::MAX, CLAIM).await;
    assert_eq!(all.expect("take").len(), names.len());
}

pub async fn of_many_takers_one_gets_a_chord(harness: &impl Harness) {
    const CHORDS: usize = 50;
    const TAKERS: usize = 6;
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    for number in 0..CHORDS {
        first.step(completes(&number.to_string())).await;
    }

    let takers = (0..TAKERS).map(|taker| {
        let chords = [&first, &second][taker % 2].store.chords.clone();
        tokio::spawn(async move {
            let mut taken = Vec::new();
            loop {
                let some = chords.take_complete(3, CLAIM).await.expect("take");
                if some.is_empty() {
                    return taken;
                }
                taken.extend(some.into_iter().map(|chord| chord.group));
            }
        })
    });
    let takers: Vec<_> = takers.collect();
    let mut all = Vec::new();
    for taker in takers {
        all.extend(within(taker).await.expect("no taker panics"));
    }

    assert_eq!(all.len(), CHORDS);
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), CHORDS);
}

/// It may have been taken, by nobody then; so it is there for the next when the claim is over.
pub async fn a_dropped_take_loses_no_chord(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;

    for polls in 0..20 {
        let name = format!("g-{polls}");
        bed.step(completes(&name)).await;
        poll_times(bed.store.chords.take_complete(10, CLAIM), polls).await;
        bed.clock.advance(CLAIM + A_BIT);

        // What was cut may be carried out before this, or after it and then on a claim of its own.
        let mut taken = bed.complete().await;
        bed.clock.advance(CLAIM + A_BIT);
        taken.extend(bed.complete().await);
        assert!(groups(&taken).contains(&&*name), "after {polls} polls");
        assert!(bed.finish(&name).await);
    }
}
