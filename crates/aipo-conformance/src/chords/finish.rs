//! A chord is finished once, together with what follows.

use aipo_core::TaskState;
use aipo_core::store::Step;

use super::{CLAIM, chord, completes, fact, groups, grows, ids, keeps, opens, part, parts};
use crate::Harness;
use crate::support::{Fixture, message, poll_times, result, within};

pub async fn what_follows_happens_with_the_end(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.step(completes("g")).await;
    bed.step(opens([chord("grown", 1)])).await;
    bed.complete().await;
    let step = Step {
        results: vec![result("body", TaskState::Failure, "1")],
        opens: vec![chord("next", 2)],
        grows: vec!["grown".into()],
        parts: vec![part("next", 0, "a"), part("grown", 0, "b")],
        keeps: vec![fact("kept", "1")],
        drops: vec!["dropped".to_owned()],
    };
    bed.step(keeps([fact("dropped", "1")])).await;

    let messages = [message("q", "c"), message("other", "d")];
    assert!(bed.finish_with("g", step, messages).await);

    assert_eq!(bed.result("body").await.as_deref(), Some(&b"1"[..]));
    assert_eq!(bed.fact("kept").await.as_deref(), Some(&b"1"[..]));
    assert_eq!(bed.fact("dropped").await, None);
    assert_eq!(bed.counts("q").await, [1, 0, 0, 0]);
    assert_eq!(bed.counts("other").await, [1, 0, 0, 0]);
    assert_eq!(bed.complete().await, []);
    bed.step(parts([part("next", 1, "e"), part("grown", 1, "f")]))
        .await;
    assert_eq!(bed.complete().await.len(), 2);
}

pub async fn a_chord_is_finished_once(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    first.step(completes("g")).await;
    assert_eq!(groups(&first.complete().await), ["g"]);
    first.clock.advance(CLAIM * 2);
    assert_eq!(groups(&second.complete().await), ["g"]);

    let follow = |state: &str| Step {
        results: vec![result(state, TaskState::Failure, "1")],
        ..completes(state)
    };
    let by_first = first.finish_with("g", follow("first"), [message("q", "a")]);
    assert!(by_first.await, "its claim is over, and nobody was faster");
    let by_second = second.finish_with("g", follow("second"), [message("late", "b")]);
    assert!(!by_second.await);

    assert_eq!(groups(&first.complete().await), ["first"]);
    assert_eq!(first.result("second").await, None);
    let queues = first.queues().await;
    let names: Vec<&str> = queues.iter().map(|stats| stats.queue.as_str()).collect();
    assert_eq!(names, ["q"]);
}

pub async fn of_many_who_finish_one_does(harness: &impl Harness) {
    const ROUNDS: usize = 10;
    const CALLERS: usize = 6;
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;

    for round in 0..ROUNDS {
        first.step(completes(&round.to_string())).await;
        let callers = (0..CALLERS).map(|caller| {
            let chords = [&first, &second][caller % 2].store.chords.clone();
            tokio::spawn(async move {
                let group = round.to_string().into();
                let messages = vec![message("q", "a")];
                chords.finish(&group, Step::default(), messages).await
            })
        });
        let callers: Vec<_> = callers.collect();
        let mut finished = 0;
        for caller in callers {
            let answer = within(caller).await.expect("no caller panics");
            finished += u64::from(answer.expect("finish"));
        }
        assert_eq!(finished, 1);
        assert_eq!(first.counts("q").await, [round as u64 + 1, 0, 0, 0]);
    }
}

pub async fn what_is_not_complete_is_not_finished(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.step(opens([chord("open", 2)])).await;
    bed.step(parts([part("open", 0, "a")])).await;
    bed.step(parts([part("not opened", 0, "a")])).await;
    bed.step(grows("only grown")).await;

    for group in ["open", "not opened", "only grown", "never was"] {
        let follow = Step {
            results: vec![result("r", TaskState::Failure, "1")],
            ..completes("next")
        };
        assert!(!bed.finish_with(group, follow, [message("q", "a")]).await);
    }

    assert_eq!(bed.complete().await, []);
    assert_eq!(bed.result("r").await, None);
    assert_eq!(bed.queues().await, []);
    bed.step(parts([part("open", 1, "b")])).await;
    assert_eq!(ids(&bed.complete_one().await), ["a", "b"]);
}

pub async fn later_parts_of_a_finished_chord_change_nothing(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.step(completes("g")).await;
    bed.complete().await;
    assert!(bed.finish("g").await);

    bed.step(parts([part("g", 0, "g"), part("g", 1, "b")]))
        .await;

    bed.clock.advance(CLAIM * 2);
    assert_eq!(bed.complete().await, []);
    assert!(!bed.finish("g").await);
}

pub async fn a_finished_chord_that_is_opened_begins_anew(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.step(opens([chord("g", 2)])).await;
    bed.step(grows("g")).await;
    bed.step(parts(["a", "b", "c"].map(|id| part("g", None, id))))
        .await;
    bed.complete().await;
    assert!(bed.finish("g").await);

    bed.step(opens([chord("g", 2)])).await;
    bed.step(parts([part("g", 1, "b")])).await;
    assert_eq!(bed.complete().await, []);
    bed.step(parts([part("g", 0, "a")])).await;

    assert_eq!(ids(&bed.complete_one().await), ["a", "b"]);
    assert!(bed.finish("g").await);
}

pub async fn a_chord_may_begin_anew_with_its_own_end(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    bed.step(completes("g")).await;
    bed.complete().await;

    assert!(bed.finish_with("g", completes("g"), []).await);

    assert_eq!(groups(&bed.complete().await), ["g"]);
    assert!(bed.finish("g").await);
}

pub async fn a_dropped_finish_happens_whole_or_not_at_all(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;

    for polls in 0..20 {
        let name = format!("g-{polls}");
        bed.step(completes(&name)).await;
        let follow = |run: &str| Step {
            results: vec![result(&name, TaskState::Failure, run)],
            ..Step::default()
        };
        let queue = |run: &str| format!("{run}-{polls}");
        let group = name.as_str().into();

        let messages = vec![message(&queue("first"), "a")];
        let dropped = bed.store.chords.finish(&group, follow("first"), messages);
        poll_times(dropped, polls).await;
        let messages = [message(&queue("second"), "a")];
        let (happened, not) = match bed.finish_with(&name, follow("second"), messages).await {
            true => ("second", "first"),
            false => ("first", "second"),
        };

        let stored = bed.result(&name).await;
        assert_eq!(stored.as_deref(), Some(happened.as_bytes()));
        assert_eq!(bed.counts(&queue(happened)).await, [1, 0, 0, 0]);
        assert_eq!(bed.counts(&queue(not)).await, [0; 4]);
    }
}
