//! A consumer: what it holds, and what becomes of that.
//!
//! Every operation first looks whether the consumer's row still has a lease that lies ahead, in the
//! transaction that it changes things in. `recover` deletes the row together with returning
//! the messages, so a consumer that was given up for dead finds nothing to do harm with.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aipo_core::store::{
    Consumer, Delivery, DeliveryTag, Fetch, ResultRecord, Settled, Settlement, Step, Verdict,
};
use aipo_core::{QueueName, Result, TaskId};
use async_trait::async_trait;
use rusqlite::{Connection, params};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::batch::{Batch, Outcome};
use crate::chords;
use crate::error::{closed, lease_lost};
use crate::fetch::{FetchJob, MAX_FETCH, Source, Taken, claim, queue_ids};
use crate::handle::Handle;
use crate::message::{self, Hold, NewMessage};
use crate::results;
use crate::time::{after_ms, ceil_ms};
use crate::writer::{Weight, Writer};

pub(crate) struct SqliteConsumer {
    handle: Arc<Handle>,
    /// Its row.
    id: i64,
    /// Where the next fetch takes from.
    source: Mutex<Arc<Source>>,
    lease: Duration,
}

impl SqliteConsumer {
    pub(crate) fn new(handle: Arc<Handle>, source: Source, lease: Duration) -> Self {
        Self {
            handle,
            id: source.consumer,
            source: Mutex::new(Arc::new(source)),
            lease,
        }
    }

    fn source(&self) -> MutexGuard<'_, Arc<Source>> {
        // A panic elsewhere leaves it sound: what is done under the lock is one assignment.
        self.source.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a fetch to the writer and waits for the answer: until `deadline`, or as long as it takes
    /// for a fetch that does not stay when there is nothing.
    async fn ask(
        &self,
        source: &Arc<Source>,
        request: Fetch,
        deadline: Option<Instant>,
    ) -> Result<Vec<Taken>> {
        let (reply, answer) = oneshot::channel();
        self.handle.writer.fetch(FetchJob {
            source: source.clone(),
            max: request.max.min(MAX_FETCH),
            started: request.started,
            wait: deadline.is_some(),
            reply,
        })?;
        let mut pending = Pending {
            answer,
            writer: &self.handle.writer,
            consumer: self.id,
        };
        let answered = match deadline {
            None => (&mut pending.answer).await,
            Some(deadline) => match timeout_at(deadline, &mut pending.answer).await {
                Ok(answered) => answered,
                Err(_) => {
                    // The answer may be arriving at this very moment. After the close none comes,
                    // and one that had come is here.
                    pending.answer.close();
                    match pending.answer.try_recv() {
                        Ok(answered) => Ok(answered),
                        Err(_) => return Ok(Vec::new()),
                    }
                }
            },
        };
        answered.map_err(|_| closed())?
    }
}

/// An answer on its way. Whatever has arrived when this is dropped goes back to the queues.
struct Pending<'w> {
    answer: oneshot::Receiver<Result<Vec<Taken>>>,
    writer: &'w Writer,
    consumer: i64,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        // From here on the writer sees that nobody listens and keeps what it would have sent.
        self.answer.close();
        if let Ok(Ok(taken)) = self.answer.try_recv() {
            self.writer.hand_back(
                self.consumer,
                taken.iter().map(|taken| taken.hold).collect(),
            );
        }
    }
}

#[async_trait]
impl Consumer for SqliteConsumer {
    async fn fetch(&self, request: Fetch) -> Result<Vec<Delivery>> {
        let deadline = Instant::now().checked_add(request.wait);
        let source = self.source().clone();
        // The first look never waits and is never cut short, so that a fetch with little time under
        // much load gets what is there.
        let mut taken = self.ask(&source, request, None).await?;
        if taken.is_empty() && request.max > 0 && !request.wait.is_zero() {
            let deadline = deadline.unwrap_or_else(|| Instant::now() + A_LONG_TIME);
            taken = self.ask(&source, request, Some(deadline)).await?;
        }
        taken.into_iter().map(Taken::decode).collect()
    }

    async fn claim(&self, ids: &[TaskId]) -> Result<Vec<Delivery>> {
        let source = self.source().clone();
        let ids = ids.to_vec();
        let weight = Weight {
            rows: ids.len(),
            ..Weight::SMALL
        };
        let run = move |batch: &mut Batch<'_>| claim(batch, &source, &ids);
        let taken = self.handle.writer.call(weight, run).await?;
        taken.into_iter().map(Taken::decode).collect()
    }

    async fn start(&self, tags: &[DeliveryTag]) -> Result<()> {
        if tags.is_empty() {
            return Ok(());
        }
        let consumer = self.id;
        let holds: Vec<Hold> = tags.iter().map(|&tag| tag.into()).collect();
        let weight = Weight {
            rows: holds.len(),
            ..Weight::SMALL
        };
        let run = move |batch: &mut Batch<'_>| start(batch, consumer, &holds);
        self.handle.writer.call(weight, run).await
    }

    async fn settle(&self, batch: Vec<Settlement>) -> Result<Vec<Settled>> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let consumer = self.id;
        let endings = batch
            .into_iter()
            .map(Ending::encode)
            .collect::<Result<Vec<_>>>()?;
        let weight = Weight {
            rows: endings.iter().map(Ending::rows).sum(),
            bytes: endings.iter().map(Ending::size).sum(),
        };
        let run = move |batch: &mut Batch<'_>| settle(batch, consumer, &endings);
        self.handle.writer.call(weight, run).await
    }

    async fn set_queues(&self, queues: Vec<QueueName>) -> Result<()> {
        let consumer = self.id;
        let weight = Weight {
            rows: queues.len(),
            ..Weight::SMALL
        };
        let run = move |batch: &mut Batch<'_>| {
            if !has_lease(batch.conn(), consumer, batch.now_ms)? {
                return Ok(Err(lease_lost(consumer)));
            }
            Ok(Ok(queue_ids(batch, &queues)?))
        };
        let queues = self.handle.writer.call(weight, run).await?;
        let mut source = self.source();
        *source = Arc::new(source.with_queues(queues));
        Ok(())
    }

    fn last_revoked(&self) -> Option<u64> {
        Some(self.source().last_revoked())
    }

    async fn renew(&self) -> Result<()> {
        let (consumer, lease) = (self.id, self.lease);
        let run = move |batch: &mut Batch<'_>| {
            if !has_lease(batch.conn(), consumer, batch.now_ms)? {
                return Ok(Err(lease_lost(consumer)));
            }
            batch
                .prepared("UPDATE consumer SET lease_until_ms = ?2 WHERE id = ?1")?
                .execute(params![consumer, after_ms(batch.now_ms, lease)])?;
            Ok(Ok(()))
        };
        self.handle.writer.call(Weight::SMALL, run).await
    }

    async fn close(&self) -> Result<()> {
        let consumer = self.id;
        let run = move |batch: &mut Batch<'_>| {
            if !has_lease(batch.conn(), consumer, batch.now_ms)? {
                return Ok(Err(lease_lost(consumer)));
            }
            dismiss(batch, consumer)?;
            Ok(Ok(()))
        };
        self.handle.writer.call(Weight::SMALL, run).await
    }
}

/// Stands for a wait that is longer than the clock can tell.
const A_LONG_TIME: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A settlement, encoded before it comes to the writer.
struct Ending {
    hold: Hold,
    verdict: Verdict,
    result: Option<ResultRecord>,
    publish: Vec<NewMessage>,
    step: Step,
}

impl Ending {
    fn encode(settlement: Settlement) -> Result<Self> {
        Ok(Self {
            hold: settlement.tag.into(),
            verdict: settlement.verdict,
            result: settlement.result,
            publish: NewMessage::encode_all(settlement.publish)?,
            step: settlement.step,
        })
    }

    fn rows(&self) -> usize {
        1 + self.publish.len() + chords::rows(&self.step)
    }

    fn size(&self) -> usize {
        let meta = self.result.as_ref().map_or(0, |record| record.meta.len());
        let messages: usize = self.publish.iter().map(NewMessage::size).sum();
        meta + messages + chords::size(&self.step)
    }
}

/// Whether a consumer is there and its lease has not run out.
pub(crate) fn has_lease(conn: &Connection, consumer: i64, now_ms: i64) -> rusqlite::Result<bool> {
    conn.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM consumer WHERE id = ?1 AND lease_until_ms > ?2)",
    )?
    .query_row(params![consumer, now_ms], |row| row.get(0))
}

/// Returns all that a consumer holds, and deletes it. Says how many messages they were.
pub(crate) fn dismiss(batch: &mut Batch<'_>, consumer: i64) -> rusqlite::Result<usize> {
    let returned = message::return_all(batch, consumer)?;
    batch
        .prepared("DELETE FROM consumer WHERE id = ?1")?
        .execute([consumer])?;
    // Its own fetch may be waiting, and would wait on for nothing.
    batch.news.ended.push(consumer);
    Ok(returned)
}

fn start(batch: &mut Batch<'_>, consumer: i64, holds: &[Hold]) -> Outcome<()> {
    if !has_lease(batch.conn(), consumer, batch.now_ms)? {
        return Ok(Err(lease_lost(consumer)));
    }
    let mut is_held = batch.prepared(
        "SELECT EXISTS (SELECT 1 FROM in_flight WHERE consumer = ?1 AND seq = ?2 AND epoch = ?3)",
    )?;
    // All first, for an operation that answers with an error has changed nothing.
    for Hold { seq, epoch } in holds {
        if !is_held.query_row(params![consumer, seq, epoch], |row| row.get(0))? {
            return Ok(Err(lease_lost(consumer)));
        }
    }
    let mut count = batch.prepared(
        "UPDATE in_flight SET deliveries = deliveries + 1, started = 1
         WHERE consumer = ?1 AND seq = ?2 AND started = 0",
    )?;
    for Hold { seq, .. } in holds {
        count.execute(params![consumer, seq])?;
    }
    Ok(Ok(()))
}

fn settle(batch: &mut Batch<'_>, consumer: i64, endings: &[Ending]) -> Outcome<Vec<Settled>> {
    if !has_lease(batch.conn(), consumer, batch.now_ms)? {
        return Ok(Ok(vec![Settled::LeaseLost; endings.len()]));
    }
    let mut answers = Vec::with_capacity(endings.len());
    for ending in endings {
        answers.push(settle_one(batch, consumer, ending)?);
    }
    Ok(Ok(answers))
}

fn settle_one(batch: &mut Batch<'_>, consumer: i64, ending: &Ending) -> rusqlite::Result<Settled> {
    let Some(held) = message::take_back(batch, consumer, ending.hold)? else {
        return Ok(Settled::LeaseLost);
    };
    match &ending.verdict {
        Verdict::Ack => message::remove(batch, &held)?,
        Verdict::Release => message::release(batch, &held)?,
        Verdict::Park { until } => message::park(batch, &held, ceil_ms(*until))?,
        Verdict::DeadLetter { reason } => message::bury(batch, &held, reason)?,
    }
    if let Some(result) = &ending.result {
        results::store(batch, result)?;
    }
    chords::advance(batch, &ending.step)?;
    message::insert(batch, &ending.publish)?;
    Ok(Settled::Done)
}
