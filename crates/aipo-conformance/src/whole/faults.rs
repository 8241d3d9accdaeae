//! Work through failures: every call may fail before, during or after its effect, and the caller
//! tries again, knowing nothing.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use aipo_core::store::{ConsumerOptions, Fetch, Settlement, Verdict};
use aipo_core::{ErrorKind, Result, Store, TaskState};

use crate::Harness;
use crate::fault::{Faults, Rates};
use crate::support::{Fixture, LEASE, id_of, message, result, seed, settlement, within};

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
