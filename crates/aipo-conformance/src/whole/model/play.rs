//! Runs operations on the store and on the model, and compares.

use std::time::Duration;

use aipo_core::store::{
    Consumer, ConsumerOptions, DeadLetter, Fetch, Settled, Settlement, Verdict,
};
use aipo_core::{ErrorKind, QueueName, Result, Store, TaskId};
use fastrand::Rng;
use jiff::Timestamp;

use super::chance::LOGS;
use super::facts::Facts;
use super::logs::Logs;
use super::operation::Operation;
use super::queues::Queues;
use super::results::Results;
use crate::Harness;
use crate::support::{ManualClock, within};

pub(super) const QUEUES: [&str; 3] = ["celery", "reports", "mail"];

/// So few that a task often has several messages.
pub(super) const TASKS: usize = 40;

pub(super) struct Play {
    pub(super) rng: Rng,
    pub(super) clock: ManualClock,
    /// Two handles on one store.
    pub(super) handles: [Store; 2],
    /// The store's side of the model's consumers; `None` for those that crashed or were closed.
    pub(super) consumers: Vec<Option<Box<dyn Consumer>>>,
    pub(super) queues: Queues,
    results: Results,
    pub(super) facts: Facts,
    pub(super) logs: Logs,
    /// Ids of dead letters that were told at some time.
    pub(super) letters: Vec<u64>,
    pub(super) messages_made: u64,
}

impl Play {
    pub(super) async fn begin(harness: &impl Harness, seed: u64) -> Self {
        let clock = ManualClock::new();
        let first = harness.open(clock.clock()).await;
        let second = harness.second(&first, clock.clock()).await;
        Self {
            rng: Rng::with_seed(seed),
            clock,
            handles: [first, second],
            consumers: Vec::new(),
            queues: Queues::default(),
            results: Results::default(),
            facts: Facts::default(),
            logs: Logs::default(),
            letters: Vec::new(),
            messages_made: 0,
        }
    }

    pub(super) async fn run(&mut self, operation: Operation) {
        let now = self.clock.now();
        match operation {
            Operation::Advance(by) => self.clock.advance(by),
            Operation::Publish { handle, messages } => {
                self.handles[handle]
                    .broker
                    .publish(messages.clone())
                    .await
                    .expect("publish");
                messages
                    .into_iter()
                    .for_each(|message| self.queues.publish(message, now));
            }
            Operation::Consume {
                handle,
                queues,
                lease,
            } => {
                let name = format!("worker-{}", self.consumers.len());
                let options = ConsumerOptions {
                    name,
                    queues,
                    lease,
                };
                let consumer = self.handles[handle].broker.consume(options.clone()).await;
                self.consumers.push(Some(consumer.expect("consume")));
                self.queues.consume(options, now);
            }
            Operation::Recover { handle } => {
                let recovered = self.handles[handle]
                    .broker
                    .recover()
                    .await
                    .expect("recover");
                assert_eq!(recovered, self.queues.recover(now));
            }
            Operation::Purge { handle, queue } => {
                let purged = self.handles[handle]
                    .broker
                    .purge(&queue)
                    .await
                    .expect("purge");
                assert_eq!(purged, self.queues.purge(&queue));
            }
            Operation::Locate { handle, ids } => self.compare_locations(handle, &ids).await,
            Operation::Parked {
                handle,
                queues,
                limit,
            } => self.compare_parked(handle, &queues, limit).await,
            Operation::DeadLetters {
                handle,
                queue,
                limit,
            } => {
                self.compare_dead_letters(handle, queue.as_ref(), limit)
                    .await;
            }
            Operation::Redrive { handle, letters } => {
                let told = self.compare_dead_letters(handle, None, usize::MAX).await;
                let named = named_letters(&told, &letters);
                let count = self.handles[handle]
                    .broker
                    .redrive(&letters)
                    .await
                    .expect("redrive");
                assert_eq!(count, named.len());
                self.queues.redrive(&named);
            }
            Operation::Discard { handle, letters } => {
                let told = self.compare_dead_letters(handle, None, usize::MAX).await;
                let named = named_letters(&told, &letters);
                let count = self.handles[handle]
                    .broker
                    .discard(&letters)
                    .await
                    .expect("discard");
                assert_eq!(count, named.len());
                self.queues.discard(&named);
            }
            Operation::Fetch {
                consumer,
                max,
                started,
            } => {
                let fetch = Fetch {
                    max,
                    started,
                    wait: Duration::ZERO,
                };
                let answer = within(self.store_side(consumer).fetch(fetch)).await;
                let has_lease = self.queues.has_lease(consumer, now);
                if let Some(taken) = accepted(answer, has_lease) {
                    self.queues.fetch(consumer, [max, started], &taken, now);
                }
            }
            Operation::ClaimMessages { consumer, ids } => {
                let answer = self.store_side(consumer).claim(&ids).await;
                let has_lease = self.queues.has_lease(consumer, now);
                if let Some(claimed) = accepted(answer, has_lease) {
                    self.queues.claim(consumer, &ids, &claimed, now);
                }
            }
            Operation::Start { consumer, tags } => {
                let answer = self.store_side(consumer).start(&tags).await;
                accepted(answer, self.queues.start(consumer, &tags, now));
            }
            Operation::Settle { consumer, batch } => {
                let answers = self.store_side(consumer).settle(batch.clone()).await;
                let expected: Vec<_> = batch
                    .into_iter()
                    .map(|end| self.settle(consumer, end, now))
                    .collect();
                assert_eq!(answers.expect("settle"), expected);
            }
            Operation::Renew { consumer } => {
                let answer = self.store_side(consumer).renew().await;
                accepted(answer, self.queues.renew(consumer, now));
            }
            Operation::SetQueues { consumer, queues } => {
                let answer = self.store_side(consumer).set_queues(queues.clone()).await;
                accepted(answer, self.queues.set_queues(consumer, queues, now));
            }
            Operation::Close { consumer } => {
                let answer = self.store_side(consumer).close().await;
                accepted(answer, self.queues.close(consumer, now));
                self.consumers[consumer] = None;
            }
            Operation::Crash { consumer } => self.consumers[consumer] = None,
            other => self.run_on_results(other, now).await,
        }
    }

    async fn run_on_results(&mut self, operation: Operation, now: Timestamp) {
        match operation {
            Operation::StoreResults { handle, batch } => {
                self.handles[handle]
                    .results
                    .store(batch.clone())
                    .await
                    .expect("store");
                batch
                    .into_iter()
                    .for_each(|record| self.results.store(record, now));
            }
            Operation::GetResults { handle, ids } => self.compare_results(handle, &ids).await,
            Operation::WaitForResult { handle, id } => {
                let wait = self.handles[handle].results.wait(&id, Duration::ZERO);
                assert_eq!(
                    within(wait).await.expect("wait"),
                    self.results.ready(&id, now)
                );
            }
            Operation::ForgetResults { handle, ids } => {
                self.handles[handle]
                    .results
                    .forget(&ids)
                    .await
                    .expect("forget");
                ids.iter().for_each(|id| self.results.forget(id));
            }
            Operation::SweepResults { handle } => {
                let swept = self.handles[handle].results.sweep().await.expect("sweep");
                let expired = self.results.sweep(now);
                assert!(swept <= expired, "{swept} swept of {expired} that expired");
            }
            other => self.run_on_state(other, now).await,
        }
    }

    async fn run_on_state(&mut self, operation: Operation, now: Timestamp) {
        match operation {
            Operation::PutFact {
                handle,
                key,
                value,
                ttl,
            } => {
                self.handles[handle]
                    .state
                    .put(key, value.clone(), ttl)
                    .await
                    .expect("put");
                self.facts.put(key, value, ttl, None, now);
            }
            Operation::Claim {
                handle,
                key,
                value,
                ttl,
            } => {
                let claim = self.handles[handle]
                    .state
                    .claim(key, value.clone(), ttl)
                    .await;
                self.facts
                    .claim(key, value, ttl, claim.expect("claim"), now);
            }
            Operation::RenewClaim {
                handle,
                key,
                fence,
                value,
                ttl,
            } => {
                let state = &self.handles[handle].state;
                let renewed = state
                    .renew(key, fence, value.clone(), ttl)
                    .await
                    .expect("renew");
                assert_eq!(renewed, self.facts.holds(key, fence, now));
                if renewed {
                    self.facts.put(key, value, Some(ttl), Some(fence), now);
                }
            }
            Operation::ReleaseClaim { handle, key, fence } => {
                let released = self.handles[handle].state.release(key, fence).await;
                let holds = self.facts.holds(key, fence, now);
                assert_eq!(released.expect("release"), holds);
                if holds {
                    self.facts.delete(key);
                }
            }
            Operation::GetFacts { handle, keys } => {
                let found = self.handles[handle].state.get(&keys).await.expect("get");
                let expected: Vec<_> = keys.iter().map(|key| self.facts.get(key, now)).collect();
                assert_eq!(found, expected);
            }
            Operation::DeleteFact { handle, key } => {
                self.handles[handle]
                    .state
                    .delete(key)
                    .await
                    .expect("delete");
                self.facts.delete(key);
            }
            Operation::ScanFacts { handle, prefix } => self.compare_facts(handle, prefix).await,
            Operation::Append {
                handle,
                log,
                values,
                ttl,
            } => {
                let state = &self.handles[handle].state;
                let last = state.append(log, values.clone(), ttl).await;
                self.logs
                    .append(log, values, ttl, last.expect("append"), now);
            }
            Operation::Entries {
                handle,
                log,
                after,
                limit,
            } => self.compare_entries(handle, log, after, limit).await,
            Operation::SweepState { handle } => {
                let swept = self.handles[handle].state.sweep().await.expect("sweep");
                let expired = self.facts.sweep(now) + self.logs.sweep(now);
                assert!(swept <= expired, "{swept} swept of {expired} that expired");
            }
            other => unreachable!("{other:?} is no operation on the state"),
        }
    }

    /// Compares everything that is stored, through both handles.
    pub(super) async fn inspect(&mut self) {
        let all: Vec<TaskId> = (0..TASKS).map(task).collect();
        for handle in 0..self.handles.len() {
            let stats = self.handles[handle].broker.queues().await.expect("queues");
            assert_eq!(stats, self.queues.stats(self.clock.now()));
            self.compare_locations(handle, &all).await;
            self.compare_parked(handle, &QUEUES.map(QueueName::from), usize::MAX)
                .await;
            self.compare_dead_letters(handle, None, usize::MAX).await;
            self.compare_results(handle, &all).await;
            self.compare_facts(handle, "").await;
            for log in LOGS {
                self.compare_entries(handle, log, 0, usize::MAX).await;
            }
        }
    }

    /// Ends everything that holds or waits: at last each message that was accepted and not settled
    /// is fetched once or lies among the dead.
    pub(super) async fn end(mut self) {
        self.inspect().await;
        self.run(Operation::Advance(Duration::from_secs(3600)))
            .await;
        self.run(Operation::Recover { handle: 0 }).await;
        self.inspect().await;

        let queues = QUEUES.map(QueueName::from).to_vec();
        let lease = Duration::from_secs(10);
        self.run(Operation::Consume {
            handle: 1,
            queues,
            lease,
        })
        .await;
        let consumer = self.consumers.len() - 1;
        let max = self.queues.len() + 1;
        self.run(Operation::Fetch {
            consumer,
            max,
            started: max,
        })
        .await;
        let tags = self.queues.consumers[consumer].tags.clone();
        let ack = |tag| Settlement {
            tag,
            verdict: Verdict::Ack,
            result: None,
            publish: vec![],
            step: Default::default(),
        };
        self.run(Operation::Settle {
            consumer,
            batch: tags.into_iter().map(ack).collect(),
        })
        .await;
        let told = self.compare_dead_letters(0, None, usize::MAX).await;
        assert_eq!(
            self.queues.len(),
            told.len(),
            "all that is left are the dead"
        );
        self.inspect().await;
    }

    fn settle(&mut self, consumer: usize, end: Settlement, now: Timestamp) -> Settled {
        let settled = self.queues.settle(consumer, end.tag, &end.verdict, now);
        if settled == Settled::Done {
            if let Some(record) = end.result.filter(|_| self.handles[0].settles_results) {
                self.results.store(record, now);
            }
            end.publish
                .into_iter()
                .for_each(|message| self.queues.publish(message, now));
        }
        settled
    }

    async fn compare_locations(&self, handle: usize, ids: &[TaskId]) {
        let found = self.handles[handle]
            .broker
            .locate(ids)
            .await
            .expect("locate");
        assert_eq!(found.len(), ids.len());
        for (id, location) in ids.iter().zip(found) {
            let possible = self.queues.locations(id, self.clock.now());
            assert!(
                possible.contains(&location),
                "task {id}: {location:?} not in {possible:?}"
            );
        }
    }

    async fn compare_parked(&self, handle: usize, queues: &[QueueName], limit: usize) {
        let told = self.handles[handle].broker.parked(queues, limit).await;
        self.queues
            .check_parked(queues, limit, &told.expect("parked"), self.clock.now());
    }

    /// Compares the dead letters and gives them as the store told them.
    async fn compare_dead_letters(
        &mut self,
        handle: usize,
        queue: Option<&QueueName>,
        limit: usize,
    ) -> Vec<DeadLetter> {
        let broker = &self.handles[handle].broker;
        let told = broker
            .dead_letters(queue, limit)
            .await
            .expect("dead letters");
        let mut expected = self.queues.dead_letters(queue);
        expected.truncate(limit);
        let without_ids: Vec<_> = told
            .iter()
            .map(|letter| DeadLetter {
                id: 0,
                ..letter.clone()
            })
            .collect();
        assert_eq!(without_ids, expected);
        self.letters.extend(told.iter().map(|letter| letter.id));
        self.letters.sort_unstable();
        self.letters.dedup();
        told
    }

    async fn compare_results(&self, handle: usize, ids: &[TaskId]) {
        let found = self.handles[handle].results.get(ids).await.expect("get");
        let now = self.clock.now();
        let expected: Vec<_> = ids.iter().map(|id| self.results.get(id, now)).collect();
        assert_eq!(found, expected);
    }

    async fn compare_facts(&self, handle: usize, prefix: &str) {
        let facts = self.handles[handle].state.scan(prefix).await.expect("scan");
        assert_eq!(facts, self.facts.scan(prefix, self.clock.now()));
    }

    async fn compare_entries(&self, handle: usize, log: &str, after: u64, limit: usize) {
        let told = self.handles[handle].state.entries(log, after, limit).await;
        self.logs
            .check(log, after, limit, &told.expect("entries"), self.clock.now());
    }

    fn store_side(&self, consumer: usize) -> &dyn Consumer {
        self.consumers[consumer]
            .as_deref()
            .expect("only consumers that are there are chosen")
    }
}

pub(super) fn task(number: usize) -> TaskId {
    TaskId::from(format!("task-{number}"))
}

/// What a call answered, if it was to be accepted; otherwise it must tell that the lease is lost.
fn accepted<T: std::fmt::Debug>(answer: Result<T>, expected: bool) -> Option<T> {
    if expected {
        return Some(answer.expect("the consumer has its lease"));
    }
    assert_eq!(
        answer.expect_err("nothing to accept").kind(),
        ErrorKind::LeaseLost
    );
    None
}

/// The dead letters that were told and are among these ids.
fn named_letters<'a>(told: &'a [DeadLetter], ids: &[u64]) -> Vec<&'a DeadLetter> {
    told.iter()
        .filter(|letter| ids.contains(&letter.id))
        .collect()
}
