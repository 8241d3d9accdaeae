//! What waits can be taken by the name of its task, past the line.

use std::collections::BTreeSet;
use std::time::Duration;

use aipo_core::store::{DeadLetter, Delivery, Location, Publish, Settlement, Verdict};
use aipo_core::{ErrorKind, TaskId, TaskState};

use crate::Harness;
use crate::support::{
    Fixture, Holder, LEASE, dead, id_of, ids, message, numbered, result, settlement, within,
};

const A_MINUTE: Duration = Duration::from_secs(60);

async fn claim(consumer: &Holder, ids: &[&str]) -> Vec<Delivery> {
    let ids: Vec<TaskId> = ids.iter().map(|id| TaskId::from(*id)).collect();
    within(consumer.claim(&ids)).await.expect("claim")
}

async fn claim_one(consumer: &Holder, id: &str) -> Delivery {
    let mut claimed = claim(consumer, &[id]).await;
    assert_eq!(claimed.len(), 1, "{id} waits");
    claimed.remove(0)
}

fn sorted(deliveries: &[Delivery]) -> Vec<String> {
    let mut ids = ids(deliveries);
    ids.sort();
    ids
}

fn in_a_minute(bed: &Fixture, queue: &str, id: &str) -> Publish {
    Publish {
        due: Some(bed.clock.after(A_MINUTE)),
        ..message(queue, id)
    }
}

pub async fn what_waits_of_a_task_is_claimed_wherever_it_is(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    let soon = Some(first.clock.after(A_MINUTE / 2));
    first
        .publish([
            message("q", "ready"),
            Publish {
                priority: 5,
                ..message("q", "less urgent")
            },
            in_a_minute(&first, "q", "parked"),
            Publish {
                due: soon,
                ..message("q", "due")
            },
            message("q", "other"),
            message("elsewhere", "ready"),
        ])
        .await;
    first.clock.advance(A_MINUTE / 2);
    let claimant = second.consumer_named("claimant", &[]).await;

    let claimed = claim(&claimant, &["ready", "less urgent", "parked", "due"]).await;

    assert_eq!(
        sorted(&claimed),
        ["due", "less urgent", "parked", "ready", "ready"]
    );
    assert_eq!(first.counts("q").await, [1, 0, 4, 0]);
    assert_eq!(first.counts("elsewhere").await, [0, 0, 1, 0]);
    let held = Location::InFlight {
        queue: "q".into(),
        consumer: "claimant".to_owned(),
    };
    assert_eq!(first.locate("parked").await, Some(held));
    first.clock.advance(A_MINUTE / 2);
    assert_eq!(ids(&first.consumer(&["q"]).await.take(10).await), ["other"]);
}

pub async fn a_claimed_message_comes_as_it_was_sent(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let sent = [message("q", "ready"), in_a_minute(&bed, "q", "parked")];
    bed.publish(sent.clone()).await;
    let claimant = bed.consumer(&[]).await;
    for sent in sent {
        let claimed = claim_one(&claimant, sent.id.as_str()).await;
        assert_eq!(claimed.envelope, sent.envelope);
        assert_eq!(claimed.queue, sent.queue);
        assert_eq!((claimed.deliveries, claimed.started), (0, false));
    }
}

/// Neither what only mentions the task nor what has a name that is part of its own.
pub async fn a_claim_takes_nothing_else(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let mentions = |id: &str| {
        let mut publish = message("q", id);
        let headers = format!(r#"{{"id":"{id}","root_id":"a","parent_id":"a","group":"a"}}"#);
        publish.envelope.headers = headers.into_bytes();
        publish
    };
    let odd = [r#"a""#, r#""a"#, "a\\", "\u{e9}"];
    bed.publish([message("q", "aa"), mentions("b"), message("q", "a")])
        .await;
    bed.publish(odd.map(|id| Publish {
        id: id.into(),
        ..message("q", "odd")
    }))
    .await;
    let claimant = bed.consumer(&[]).await;

    assert_eq!(ids(&claim(&claimant, &["a"]).await), ["a"]);

    assert_eq!(claim(&claimant, &["unknown"]).await, []);
    assert_eq!(claim(&claimant, &[]).await, []);
    assert_eq!(bed.counts("q").await, [6, 0, 1, 0]);
    for id in odd {
        claim_one(&claimant, id).await;
    }
    let left = ids(&bed.consumer(&["q"]).await.take(10).await);
    assert_eq!(left, ["aa", "b"]);
}

pub async fn what_is_in_flight_or_dead_is_not_claimed(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish([
        message("q", "dead"),
        message("q", "held"),
        message("q", "both"),
    ])
    .await;
    let consumer = bed.consumer(&["q"]).await;
    let held = consumer.take(3).await;
    consumer.done(&held[0], dead("no")).await;
    bed.publish([message("q", "both")]).await;
    let claimant = bed.consumer(&[]).await;

    let claimed = claim(&claimant, &["dead", "held", "both"]).await;

    assert_eq!(ids(&claimed), ["both"]);
    assert_eq!(bed.counts("q").await, [0, 0, 3, 1]);
    assert_eq!(
        claim(&claimant, &["both"]).await,
        [],
        "its own are in flight as well"
    );
    consumer.done(&held[1], Verdict::Ack).await;
    consumer.done(&held[2], Verdict::Ack).await;
}

pub async fn an_acked_claim_never_returns(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish([message("q", "a"), in_a_minute(&bed, "q", "b")])
        .await;
    let claimant = bed.consumer(&[]).await;
    for claimed in claim(&claimant, &["a", "b"]).await {
        claimant.done(&claimed, Verdict::Ack).await;
    }
    claimant.close().await.expect("close");

    assert_eq!(bed.outlive_leases().await, 0);
    bed.clock.advance(A_MINUTE);

    assert_eq!(bed.counts("q").await, [0; 4]);
    assert_eq!(bed.locate("b").await, None);
}

pub async fn a_claim_is_settled_whole(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish([message("q", "a"), in_a_minute(&bed, "q", "b")])
        .await;
    let claimant = bed.consumer(&[]).await;
    let given_up = claim_one(&claimant, "a").await;
    let ended = claim_one(&claimant, "b").await;

    claimant.done(&given_up, dead("claimed")).await;
    let settlement = Settlement {
        result: bed
            .store
            .settles_results
            .then(|| result("b", TaskState::Revoked, "revoked")),
        publish: vec![message("next", "c")],
        ..settlement(&ended, Verdict::Ack)
    };
    claimant.settle_one(settlement).await;

    let letters = bed.dead_letters().await;
    let reasons: Vec<&str> = letters.iter().map(|l: &DeadLetter| &*l.reason).collect();
    assert_eq!(reasons, ["claimed"]);
    assert_eq!(bed.counts("next").await, [1, 0, 0, 0]);
    let stored = bed.result("b").await;
    assert_eq!(stored.is_some(), bed.store.settles_results);
}

pub async fn a_claim_keeps_the_count(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish([message("q", "a")]).await;
    bed.start_and_close("q").await;
    let claimant = bed.consumer(&[]).await;

    let claimed = claim_one(&claimant, "a").await;
    assert_eq!((claimed.deliveries, claimed.started), (1, false));
    claimant.close().await.expect("close");

    let consumer = bed.consumer(&["q"]).await;
    assert_eq!(consumer.take_one().await.deliveries, 2);
}

pub async fn a_claimed_message_can_be_started(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish([in_a_minute(&bed, "q", "a")]).await;
    let claimant = bed.consumer(&[]).await;
    let claimed = claim_one(&claimant, "a").await;

    claimant.start(&[claimed.tag]).await.expect("start");
    drop(claimant);
    assert_eq!(bed.outlive_leases().await, 1);

    bed.clock.advance(A_MINUTE);
    let again = bed.consumer(&["q"]).await.take_one().await;
    assert_eq!(again.deliveries, 2);
    assert_eq!(again.envelope, claimed.envelope);
}

/// Asserts that the message `a` in `q` waits until a minute after the beginning, and comes then.
async fn assert_parked_again(bed: &Fixture, until: jiff::Timestamp) {
    assert_eq!(bed.counts("q").await, [0, 1, 0, 0]);
    let parked = Location::Parked {
        queue: "q".into(),
        due: until,
    };
    assert_eq!(bed.locate("a").await, Some(parked));
    let consumer = bed.consumer(&["q"]).await;
    assert_eq!(consumer.take(10).await, []);
    let left = until.duration_since(bed.clock.now());
    bed.clock
        .advance(left.try_into().expect("it is not due yet"));
    consumer.renew().await.expect_err("its lease is over");
    let again = bed.consumer(&["q"]).await.take_one().await;
    assert_eq!(id_of(&again), "a");
}

pub async fn a_message_claimed_before_it_is_due_is_parked_when_it_goes_back(
    harness: &impl Harness,
) {
    for verdict in [Some(Verdict::Release), None] {
        let bed = Fixture::open(harness).await;
        let until = bed.clock.after(A_MINUTE);
        bed.publish([in_a_minute(&bed, "q", "a")]).await;
        let claimant = bed.consumer(&["q"]).await;
        let claimed = claim_one(&claimant, "a").await;
        assert_eq!(claimant.take(10).await, []);

        match verdict {
            Some(verdict) => claimant.done(&claimed, verdict).await,
            None => claimant.close().await.expect("close"),
        }

        assert_parked_again(&bed, until).await;
    }
}

pub async fn a_message_claimed_before_it_is_due_outlives_its_consumer(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let until = bed.clock.after(A_MINUTE);
    bed.publish([in_a_minute(&bed, "q", "a"), message("q", "b")])
        .await;
    let claimant = bed.consumer(&[]).await;
    claim(&claimant, &["a", "b"]).await;
    drop(claimant);

    assert_eq!(bed.outlive_leases().await, 2);

    assert_eq!(bed.counts("q").await, [1, 1, 0, 0]);
    let consumer = bed.consumer(&["q"]).await;
    let back = consumer.take_one().await;
    consumer.done(&back, Verdict::Ack).await;
    assert_parked_again(&bed, until).await;
}

pub async fn a_message_that_became_due_meanwhile_is_ready_when_it_goes_back(
    harness: &impl Harness,
) {
    for verdict in [Some(Verdict::Release), None] {
        let bed = Fixture::open(harness).await;
        bed.publish([Publish {
            due: Some(bed.clock.after(LEASE / 2)),
            ..message("q", "a")
        }])
        .await;
        let claimant = bed.consumer(&["q"]).await;
        let claimed = claim_one(&claimant, "a").await;
        bed.clock.advance(LEASE / 2);

        match verdict {
            Some(verdict) => claimant.done(&claimed, verdict).await,
            None => claimant.close().await.expect("close"),
        }

        assert_eq!(bed.counts("q").await, [1, 0, 0, 0]);
        assert_eq!(ids(&bed.consumer(&["q"]).await.take(10).await), ["a"]);
    }
}

pub async fn a_message_parked_again_can_be_claimed(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish([message("q", "a")]).await;
    let consumer = bed.consumer(&["q"]).await;
    let held = consumer.take_one().await;
    let until = bed.clock.after(A_MINUTE);
    consumer.done(&held, Verdict::Park { until }).await;

    let claimed = claim_one(&consumer, "a").await;
    consumer.done(&claimed, Verdict::Release).await;

    assert_parked_again(&bed, until).await;
}

pub async fn a_message_handed_back_can_be_claimed(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish([message("q", "a")]).await;
    let consumer = bed.consumer(&["q"]).await;
    let held = consumer.take_one().await;
    consumer.done(&held, Verdict::Release).await;
    let claimant = bed.consumer(&[]).await;

    let claimed = claim_one(&claimant, "a").await;
    claimant.done(&claimed, Verdict::Release).await;
    let again = claim_one(&claimant, "a").await;

    assert_ne!(again.tag, claimed.tag);
    claimant.done(&again, Verdict::Ack).await;
    assert_eq!(bed.counts("q").await, [0; 4]);
}

pub async fn claimed_by_two_at_once_it_goes_to_one(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    first.publish(numbered("q", 50)).await;
    first
        .publish(
            (50..100)
                .map(|n| in_a_minute(&first, "q", &n.to_string()))
                .collect::<Vec<_>>(),
        )
        .await;
    let wanted: Vec<TaskId> = (0..100).map(|n| n.to_string().into()).collect();
    let [one, other] = [first.consumer(&[]).await, second.consumer(&[]).await];

    let (one, other) =
        within(async { tokio::join!(one.claim(&wanted), other.claim(&wanted)) }).await;

    let [one, other] = [one.expect("claim"), other.expect("claim")].map(|claimed| ids(&claimed));
    assert_eq!(one.len() + other.len(), 100);
    let all: BTreeSet<String> = one.into_iter().chain(other).collect();
    assert_eq!(all.len(), 100, "none came to both");
    assert_eq!(first.counts("q").await, [0, 0, 100, 0]);
}

pub async fn a_consumer_whose_lease_ran_out_claims_nothing(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.publish([message("q", "a"), in_a_minute(&bed, "q", "b")])
        .await;
    let claimant = bed.consumer(&["q"]).await;
    bed.clock.advance(LEASE);

    for recovered in [false, true] {
        if recovered {
            bed.recover().await;
        }
        let refused = claimant.claim(&["a".into(), "b".into()]).await;
        assert_eq!(refused.expect_err("fenced").kind(), ErrorKind::LeaseLost);
        assert_eq!(bed.counts("q").await, [1, 1, 0, 0]);
    }
}

/// Asked until nothing comes, all of them come, each once; what is not meant stays in its order.
pub async fn many_messages_are_claimed_in_steps(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let count = 3_000;
    bed.publish(numbered("q", count)).await;
    let parked = (0..count)
        .step_by(3)
        .map(|n| in_a_minute(&bed, "q", &n.to_string()));
    bed.publish(parked.collect::<Vec<_>>()).await;
    let is_meant = |number: &usize| number % 3 < 2;
    let wanted: Vec<TaskId> = (0..count)
        .filter(is_meant)
        .map(|n| n.to_string().into())
        .collect();
    let claimant = bed.consumer(&[]).await;

    let mut claimed = 0;
    loop {
        let step = within(claimant.claim(&wanted)).await.expect("claim");
        if step.is_empty() {
            break;
        }
        claimed += step.len();
        let settlements = step.iter().map(|held| settlement(held, Verdict::Ack));
        claimant
            .settle(settlements.collect())
            .await
            .expect("settle");
    }

    assert_eq!(claimed, count);
    assert_eq!(bed.counts("q").await, [count as u64 / 3, 0, 0, 0]);
    let left = bed.consumer(&["q"]).await.take(count).await;
    let mut expected = (0..count).filter(|number| !is_meant(number));
    assert!(
        ids(&left)
            .iter()
            .all(|id| *id == expected.next().expect("not more").to_string())
    );
}
