//! Work through failures: every call may fail before, during or after its effect, and the caller
//! tries again, knowing nothing.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use aipo_core::store::{Chord, ConsumerOptions, Fetch, Part, Settlement, Step, Verdict};
use aipo_core::{ErrorKind, Result, Store, TaskState};

use crate::Harness;
use crate::fault::{Faults, Rates};
use crate::support::{AN_HOUR, Fixture, LEASE, id_of, message, result, seed, settlement, within};

const MESSAGES: usize = 300;
const RATES: Rates = Rates {
    before: 8,
    cut: 8,
    after: 8,
};

/// What was sent and settled, by all together.
#[derive(Default)]
struct Ledger {
    all_sent: bool,
    ids: BTreeSet<String>,
    deliveries: u64,
}

/// Each delivery is settled once, however often its settlement was tried: that is, as many follow-ups
/// are there as deliveries ended, and nothing is left behind in anybody's hands.
pub async fn work_through_faults_loses_nothing_and_settles_once(harness: &impl Harness) {
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    let faults = Faults::new(seed());
    faults.set_rates(RATES);
    let ledger = Mutex::new(Ledger::default());

    let (one, two) = (faults.wrap(&first.store), faults.wrap(&second.store));
    within(async {
        tokio::join!(
            send(&one, &ledger),
            work(&one, &ledger),
            work(&two, &ledger)
        )
    })
    .await;

    assert!(faults.injected() > 0, "the faults were there");
    let ledger = ledger.into_inner().expect("no worker panicked");
    assert_eq!(ledger.ids.len(), MESSAGES, "every message was settled");
    assert_eq!(first.counts("q").await, [0; 4]);
    assert_eq!(first.counts("next").await, [ledger.deliveries, 0, 0, 0]);
    for id in &ledger.ids {
        let stored = first.store.settles_results.then(|| id.clone().into_bytes());
        assert_eq!(first.result(id).await, stored);
    }
}

/// Sends every message until it is accepted; one whose answer was lost is there twice.
async fn send(store: &Store, ledger: &Mutex<Ledger>) {
    for number in 0..MESSAGES {
        let message = message("q", &number.to_string());
        persist(|| store.broker.publish(vec![message.clone()])).await;
    }
    ledger.lock().expect("no worker panicked").all_sent = true;
}

/// Works until every message was settled and none is left.
async fn work(store: &Store, ledger: &Mutex<Ledger>) {
    let options = ConsumerOptions {
        name: "worker".to_owned(),
        queues: vec!["q".into()],
        lease: LEASE,
    };
    let consumer = persist(|| store.broker.consume(options.clone())).await;
    loop {
        let fetch = Fetch {
            max: 7,
            started: 4,
            wait: Duration::from_millis(5),
        };
        let taken = persist(|| consumer.fetch(fetch)).await;
        let uncounted = taken.iter().filter(|delivery| !delivery.started);
        let tags: Vec<_> = uncounted.map(|delivery| delivery.tag).collect();
        persist(|| consumer.start(&tags)).await;
        let batch: Vec<Settlement> = taken
            .iter()
            .map(|delivery| Settlement {
                result: Some(result(
                    &id_of(delivery),
                    TaskState::Failure,
                    &id_of(delivery),
                )),
                publish: vec![message("next", &id_of(delivery))],
                ..settlement(delivery, Verdict::Ack)
            })
            .collect();
        // Where the answer was lost the second says that the delivery is gone: it was settled.
        persist(|| consumer.settle(batch.clone())).await;

        let all_settled = {
            let mut ledger = ledger.lock().expect("no worker panicked");
            ledger.deliveries += taken.len() as u64;
            ledger.ids.extend(taken.iter().map(id_of));
            ledger.all_sent && ledger.ids.len() == MESSAGES
        };
        if all_settled && nothing_left(store).await {
            return;
        }
        // A store that never waits would leave the others no turn.
        tokio::task::yield_now().await;
    }
}

/// Whether nothing is ready or in flight. A store may finish what was cut a little later, so this is
/// asked again and again.
async fn nothing_left(store: &Store) -> bool {
    let queues = persist(|| store.broker.queues()).await;
    let of_q = queues.iter().find(|stats| stats.queue.as_str() == "q");
    of_q.is_some_and(|stats| stats.ready + stats.in_flight == 0)
}

/// Calls until the answer is not a temporary error.
async fn persist<T, F: Future<Output = Result<T>>>(call: impl Fn() -> F) -> T {
    loop {
        match call().await {
            Ok(answer) => return answer,
            Err(error) => assert!(error.is_temporary(), "{error:?}"),
        }
    }
}

pub async fn a_store_that_is_down_comes_back(harness: &impl Harness) {
    let bed = Fixture::open(harness).await;
    let faults = Faults::new(0);
    let store = faults.wrap(&bed.store);
    let consumer = bed.consumer(&["q"]).await;

    faults.set_down(true);
    let refused = store
        .broker
        .publish(vec![message("q", "a")])
        .await
        .expect_err("it is down");
    assert_eq!(
        (refused.kind(), refused.is_temporary()),
        (ErrorKind::Unavailable, true)
    );
    assert_eq!(consumer.take(1).await, []);

    faults.set_down(false);
    store
        .broker
        .publish(vec![message("q", "a")])
        .await
        .expect("publish");
    assert_eq!(consumer.take(2).await.len(), 1);
    assert_eq!(faults.injected(), 1);
}

/// Each part is counted once and each chord finished once, whatever is lost on the way.
pub async fn chords_through_faults_are_finished_once(harness: &impl Harness) {
    const CHORDS: usize = 20;
    const PARTS: usize = 8;
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    if !first.store.settles_results {
        return;
    }
    let faults = Faults::new(seed());
    faults.set_rates(RATES);
    let (one, two) = (faults.wrap(&first.store), faults.wrap(&second.store));

    within(async {
        for number in 0..CHORDS {
            let group = format!("g{number}");
            let step = Step {
                opens: vec![Chord {
                    group: group.as_str().into(),
                    size: PARTS as u64,
                    structure: None,
                    expires: None,
                }],
                ..Step::default()
            };
            // What is sent twice, since the answer was lost, runs twice.
            let ids = (0..PARTS).map(|part| format!("{group}:{part}"));
            let tasks: Vec<_> = ids.map(|id| message("q", &id)).collect();
            persist(|| one.chords.advance(step.clone(), tasks.clone())).await;
        }
        tokio::join!(
            work_on_chords(&one, &first, CHORDS as u64),
            work_on_chords(&two, &first, CHORDS as u64)
        )
    })
    .await;

    assert!(faults.injected() > 0, "the faults were there");
    assert_eq!(first.counts("q").await, [0; 4]);
    assert_eq!(first.counts("bodies").await, [CHORDS as u64, 0, 0, 0]);
    let consumer = first.consumer(&["bodies"]).await;
    let bodies = consumer.take(CHORDS).await;
    let groups: BTreeSet<String> = bodies.iter().map(id_of).collect();
    assert_eq!(groups.len(), CHORDS);
}

/// Counts parts and finishes chords until all of them are finished and no task is left.
async fn work_on_chords(store: &Store, bed: &Fixture, chords: u64) {
    const CLAIM: Duration = Duration::from_millis(1);
    let options = ConsumerOptions {
        name: "worker".to_owned(),
        queues: vec!["q".into()],
        lease: AN_HOUR,
    };
    let consumer = persist(|| store.broker.consume(options.clone())).await;
    loop {
        let fetch = Fetch {
            max: 7,
            started: 7,
            wait: Duration::from_millis(5),
        };
        let taken = persist(|| consumer.fetch(fetch)).await;
        let batch: Vec<Settlement> = taken
            .iter()
            .map(|delivery| Settlement {
                step: Step {
                    parts: vec![part_of(&id_of(delivery))],
                    ..Step::default()
                },
                ..settlement(delivery, Verdict::Ack)
            })
            .collect();
        persist(|| consumer.settle(batch.clone())).await;

        // A chord whose taker never learnt of it goes to the next.
        bed.clock.advance(CLAIM);
        for chord in persist(|| store.chords.take_complete(3, CLAIM)).await {
            let body = vec![message("bodies", chord.group.as_str())];
            persist(|| {
                let (step, body) = (Step::default(), body.clone());
                store.chords.finish(&chord.group, step, body)
            })
            .await;
        }
        let [bodies, ..] = bed.counts("bodies").await;
        if bodies >= chords && nothing_left(store).await {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// The part of the task with this id, `{group}:{place}`.
fn part_of(id: &str) -> Part {
    let (group, place) = id.split_once(':').expect("a group and a place");
    Part {
        group: group.into(),
        index: Some(place.parse().expect("a number")),
        id: id.into(),
        state: TaskState::Success,
        value: "1".to_owned(),
        then: Vec::new(),
        expires: None,
    }
}
