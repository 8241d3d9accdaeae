//! Many tasks, threads and handles at once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aipo_core::store::{Fetch, Settled, Settlement, Verdict};
use aipo_core::{TaskId, TaskState};

use crate::Harness;
use crate::support::{
    AN_HOUR, Fixture, Holder, consumer, id_of, message, result, settlement, within,
};

/// Half of the tasks use the one handle, half the other, as two worker processes would.
pub async fn each_of_many_messages_is_settled_once(harness: &impl Harness) {
    const TASKS: usize = 8;
    const MESSAGES: usize = 5_000;
    const BATCH: usize = 25;
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    let settled = Arc::new(Mutex::new(BTreeMap::<String, u32>::new()));
    let left = Arc::new(AtomicUsize::new(MESSAGES));

    let tasks = (0..TASKS).map(|task| {
        let store = [&first, &second][task % 2].store.clone();
        let (settled, left) = (settled.clone(), left.clone());
        tokio::spawn(async move {
            let consumer = consumer(&store, &format!("worker-{task}"), &["a", "b"]).await;
            let mut numbers = (task..MESSAGES).step_by(TASKS).peekable();
            while left.load(Ordering::SeqCst) > 0 {
                if numbers.peek().is_some() {
                    let batch = numbers
                        .by_ref()
                        .take(BATCH)
                        .map(|number| message(["a", "b"][number / TASKS % 2], &number.to_string()));
                    store
                        .broker
                        .publish(batch.collect())
                        .await
                        .expect("publish");
                }
                let done = work(&consumer, &settled).await;
                left.fetch_sub(done, Ordering::SeqCst);
            }
            consumer.close().await.expect("close");
        })
    });
    let tasks: Vec<_> = tasks.collect();
    for task in tasks {
        within(task).await.expect("no task panics");
    }

    let settled = settled.lock().expect("no task panicked").clone();
    assert_eq!(settled.len(), MESSAGES);
    assert!(
        settled.values().all(|times| *times == 1),
        "each message is settled once"
    );
    assert_eq!(
        (first.counts("a").await, first.counts("b").await),
        ([0; 4], [0; 4])
    );
}

/// Fetches once and settles what came: most with an ack, some by handing back. Says how many
/// messages are done for good.
async fn work(consumer: &Holder, settled: &Mutex<BTreeMap<String, u32>>) -> usize {
    let fetch = Fetch {
        max: 30,
        started: 30,
        wait: Duration::from_millis(20),
    };
    let taken = consumer.fetch(fetch).await.expect("fetch");
    let batch: Vec<_> = taken
        .iter()
        .enumerate()
        .map(|(index, delivery)| {
            let verdict = match index % 10 {
                1 => Verdict::Release,
                _ => Verdict::Ack,
            };
            settlement(delivery, verdict)
        })
        .collect();
    let verdicts: Vec<Verdict> = batch.iter().map(|end| end.verdict.clone()).collect();
    let answers = consumer.settle(batch).await.expect("settle");
    assert_eq!(
        answers,
        vec![Settled::Done; taken.len()],
        "nobody else holds these"
    );

    let mut settled = settled.lock().expect("no task panicked");
    let acked = taken
        .iter()
        .zip(verdicts)
        .filter(|(_, verdict)| *verdict == Verdict::Ack);
    acked
        .map(|(delivery, _)| *settled.entry(id_of(delivery)).or_default() += 1)
        .count()
}

/// Several workers recover at the same moment, as they do after a crash.
pub async fn recoveries_at_the_same_time_return_each_message_once(harness: &impl Harness) {
    const MESSAGES: usize = 200;
    let first = Fixture::open(harness).await;
    let second = first.second(harness).await;
    let messages = (0..MESSAGES).map(|number| message("q", &number.to_string()));
    first.publish(messages.collect::<Vec<_>>()).await;
    for _ in 0..4 {
        assert_eq!(
            first.consumer(&["q"]).await.take(MESSAGES / 4).await.len(),
            MESSAGES / 4
        );
    }
    first.clock.advance(Duration::from_secs(3600));

    let recoveries = (0..8).map(|task| {
        let store = [&first, &second][task % 2].store.clone();
        tokio::spawn(async move { store.broker.recover().await.expect("recover") })
    });
    let recoveries: Vec<_> = recoveries.collect();
    let mut recovered = 0;
    for recovery in recoveries {
        recovered += within(recovery).await.expect("no task panics");
    }

    assert_eq!(recovered, MESSAGES);
    assert_eq!(first.counts("q").await, [MESSAGES as u64, 0, 0, 0]);
    assert_eq!(
        second.consumer(&["q"]).await.take(MESSAGES + 1).await.len(),
        MESSAGES
    );
}

/// Each round the publish meets the worker somewhere between its last look and its sleep, and the
/// result meets the sender there; whoever misses it sleeps for an hour.
pub async fn no_wake_up_is_lost_between_the_look_and_the_wait(harness: &impl Harness) {
    const ROUNDS: usize = 500;
    let sender = Fixture::open(harness).await;
    let worker = sender.second(harness).await.store;
    let working = tokio::spawn(async move {
        let consumer = consumer(&worker, "worker", &["q"]).await;
        for _ in 0..ROUNDS {
            let fetch = Fetch {
                max: 1,
                started: 1,
                wait: AN_HOUR,
            };
            let taken = consumer.fetch(fetch).await.expect("fetch");
            let record = result(&id_of(&taken[0]), TaskState::Failure, "done");
            if !worker.settles_results {
                worker
                    .results
                    .store(vec![record.clone()])
                    .await
                    .expect("store");
            }
            let end = Settlement {
                result: Some(record),
                ..settlement(&taken[0], Verdict::Ack)
            };
            assert_eq!(consumer.settle_one(end).await, Settled::Done);
        }
    });

    for round in 0..ROUNDS {
        let id = round.to_string();
        sender.publish([message("q", &id)]).await;
        let id = TaskId::from(id);
        let wait = sender.store.results.wait(&id, AN_HOUR);
        assert_eq!(
            within(wait).await.expect("wait").as_deref(),
            Some(&b"done"[..])
        );
    }
    within(working).await.expect("the worker does not panic");
}
