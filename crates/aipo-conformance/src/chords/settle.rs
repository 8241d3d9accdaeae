//! What a workflow changes happens with a settlement, where broker and results are one server.

use aipo_core::TaskState;
use aipo_core::store::{Settled, Settlement, Step, Verdict};

use super::{chord, completes, fact, groups, ids, keeps, opens, part, parts};
use crate::Harness;
use crate::support::{Fixture, id_of, message, numbered, poll_times, result, settlement};

pub async fn a_step_happens_with_the_settlement(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    if !bed.store.settles_results {
        return;
    }
    bed.step(opens([chord("g", 1)])).await;
    bed.publish([message("q", "a")]).await;
    let consumer = bed.consumer(&["q"]).await;
    let delivery = consumer.take_one().await;
    bed.step(keeps([fact("dropped", "1")])).await;

    let end = Settlement {
        result: Some(result("a", TaskState::Success, "1")),
        publish: vec![message("next", "c")],
        step: Step {
            results: vec![result("b", TaskState::Failure, "2")],
            opens: vec![chord("new", 1)],
            grows: vec!["g".into()],
            parts: vec![part("g", 0, "a"), part("new", 0, "b")],
            keeps: vec![fact("kept", "1")],
            drops: vec!["dropped".to_owned()],
        },
        ..settlement(&delivery, Verdict::Ack)
    };
    assert_eq!(consumer.settle_one(end).await, Settled::Done);

    assert_eq!(bed.result("a").await.as_deref(), Some(&b"1"[..]));
    assert_eq!(bed.result("b").await.as_deref(), Some(&b"2"[..]));
    assert_eq!(bed.counts("next").await, [1, 0, 0, 0]);
    assert_eq!(bed.fact("kept").await.as_deref(), Some(&b"1"[..]));
    assert_eq!(bed.fact("dropped").await, None);
    assert_eq!(groups(&bed.complete().await), ["new"]);
    bed.step(parts([part("g", 1, "b")])).await;
    assert_eq!(ids(&bed.complete_one().await), ["a", "b"]);
}

/// Whatever becomes of the message.
pub async fn a_step_happens_with_every_verdict(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    if !bed.store.settles_results {
        return;
    }
    let until = bed.clock.after(super::CLAIM);
    let verdicts = [
        Verdict::Ack,
        Verdict::Release,
        Verdict::Park { until },
        crate::support::dead("bad"),
    ];
    bed.publish(numbered("q", verdicts.len())).await;
    let consumer = bed.consumer(&["q"]).await;
    let deliveries = consumer.take(verdicts.len()).await;

    let batch = deliveries.iter().zip(verdicts).map(|(delivery, verdict)| {
        let step = completes(&id_of(delivery));
        Settlement {
            step,
            ..settlement(delivery, verdict)
        }
    });
    let answers = consumer.settle(batch.collect()).await.expect("settle");

    assert_eq!(answers, [Settled::Done; 4]);
    let mut complete = bed.complete().await;
    complete.sort_by(|a, b| a.group.cmp(&b.group));
    assert_eq!(groups(&complete), ["0", "1", "2", "3"]);
}

pub async fn the_parts_of_a_batch_all_count(harness: &impl Harness) {
    const PARTS: usize = 200;
    let bed = Fixture::open(harness).await;
    if !bed.store.settles_results {
        return;
    }
    bed.step(opens([chord("g", PARTS as u64)])).await;
    bed.publish(numbered("q", PARTS * 2)).await;
    let consumer = bed.consumer(&["q"]).await;
    let deliveries = consumer.take(PARTS * 2).await;
    assert_eq!(deliveries.len(), PARTS * 2);

    // Every second has no part in the chord.
    let batch = deliveries.iter().enumerate().map(|(number, delivery)| {
        let place = number as i64 / 2;
        let step = match number % 2 {
            0 => Step::default(),
            _ => parts([part("g", place, &place.to_string())]),
        };
        Settlement {
            step,
            ..settlement(delivery, Verdict::Ack)
        }
    });
    consumer.settle(batch.collect()).await.expect("settle");

    let complete = bed.complete_one().await;
    let places = (0..PARTS).map(|place| place.to_string());
    assert_eq!(ids(&complete), places.collect::<Vec<_>>());
}

pub async fn a_settlement_whose_lease_was_lost_counts_nothing(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    if !bed.store.settles_results {
        return;
    }
    bed.step(opens([chord("g", 1)])).await;
    bed.publish([message("q", "a")]).await;
    let late = bed.consumer(&["q"]).await;
    let delivery = late.take_one().await;
    bed.step(keeps([fact("dropped", "1")])).await;
    bed.outlive_leases().await;

    let end = |delivery| Settlement {
        step: Step {
            results: vec![result("r", TaskState::Failure, "1")],
            opens: vec![chord("late", 0)],
            grows: vec!["late".into()],
            parts: vec![part("g", 0, "a"), part("late", 0, "b")],
            keeps: vec![fact("late", "1")],
            drops: vec!["dropped".to_owned()],
        },
        ..settlement(delivery, Verdict::Ack)
    };
    // A store may refuse the whole call, or answer for each.
    if let Ok(answers) = late.settle(vec![end(&delivery)]).await {
        assert_eq!(answers, [Settled::LeaseLost]);
    }

    assert_eq!(bed.complete().await, []);
    assert_eq!(bed.result("r").await, None);
    assert_eq!(bed.fact("late").await, None);
    assert!(bed.fact("dropped").await.is_some());
    let next = bed.consumer(&["q"]).await;
    let delivery = next.take_one().await;
    assert_eq!(next.settle_one(end(&delivery)).await, Settled::Done);
    assert_eq!(bed.complete().await.len(), 2);
}

/// What was settled before counts nothing; the others in the batch do.
pub async fn a_delivery_that_is_gone_counts_nothing(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    if !bed.store.settles_results {
        return;
    }
    bed.publish(numbered("q", 3)).await;
    let consumer = bed.consumer(&["q"]).await;
    let deliveries = consumer.take(3).await;
    consumer.done(&deliveries[1], Verdict::Ack).await;

    let batch = deliveries.iter().map(|delivery| Settlement {
        step: completes(&id_of(delivery)),
        ..settlement(delivery, Verdict::Ack)
    });
    let answers = consumer.settle(batch.collect()).await.expect("settle");

    assert_eq!(answers, [Settled::Done, Settled::LeaseLost, Settled::Done]);
    let mut complete = bed.complete().await;
    complete.sort_by(|a, b| a.group.cmp(&b.group));
    assert_eq!(groups(&complete), ["0", "2"]);
}

/// If the first had happened the second does nothing, and if it had not it never will.
pub async fn a_dropped_settlement_counts_with_its_verdict_or_not_at_all(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    if !bed.store.settles_results {
        return;
    }
    let consumer = bed.consumer(&["q"]).await;

    for polls in 0..20 {
        bed.publish([message("q", "a")]).await;
        let delivery = consumer.take_one().await;
        let group = |run: &str| format!("{run}-{polls}");
        let end = |run: &str| Settlement {
            step: completes(&group(run)),
            ..settlement(&delivery, Verdict::Ack)
        };

        poll_times(consumer.settle(vec![end("first")]), polls).await;
        let happened = match consumer.settle_one(end("second")).await {
            Settled::Done => group("second"),
            Settled::LeaseLost => group("first"),
        };

        assert_eq!(groups(&bed.complete().await), [happened]);
    }
}
