//! The queues: sending, registering consumers, recovering, and the administration of what is there.

use std::collections::BTreeSet;
use std::sync::Arc;

use aipo_core::message::Envelope;
use aipo_core::store::{
    Broker, Consumer, ConsumerOptions, DeadLetter, Location, Parked, Publish, QueueStats,
};
use aipo_core::{QueueName, Result, TaskId};
use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::batch::Batch;
use crate::consumer::{SqliteConsumer, dismiss};
use crate::fetch::{Source, queue_ids};
use crate::handle::Handle;
use crate::message::{self, NewMessage, StoredEnvelope};
use crate::time::{after_ms, from_ms, now_ms};
use crate::writer::Weight;

/// Messages that one step of a purge deletes at most of each kind; other operations run in between.
const PURGE_STEP: usize = 1_000;

pub(crate) struct SqliteBroker(pub(crate) Arc<Handle>);

#[async_trait]
impl Broker for SqliteBroker {
    async fn publish(&self, messages: Vec<Publish>) -> Result<()> {
        if messages.is_empty() {
            return Ok(());
        }
        let messages = NewMessage::encode_all(messages)?;
        let weight = Weight {
            rows: messages.len(),
            bytes: messages.iter().map(NewMessage::size).sum(),
        };
        let run = move |batch: &mut Batch<'_>| Ok(Ok(message::insert(batch, &messages)?));
        self.0.writer.call(weight, run).await
    }

    async fn consume(&self, options: ConsumerOptions) -> Result<Box<dyn Consumer>> {
        let ConsumerOptions {
            name,
            queues,
            lease,
        } = options;
        let run = move |batch: &mut Batch<'_>| {
            let id = batch.next_seq()?;
            batch
                .prepared("INSERT INTO consumer (id, name, lease_until_ms) VALUES (?1, ?2, ?3)")?
                .execute(params![id, name, after_ms(batch.now_ms, lease)])?;
            Ok(Ok(Source::new(id, queue_ids(batch, &queues)?)))
        };
        let source = self.0.writer.call(Weight::SMALL, run).await?;
        Ok(Box::new(SqliteConsumer::new(self.0.clone(), source, lease)))
    }

    async fn recover(&self) -> Result<usize> {
        // Mostly nobody has died, and then this costs no transaction.
        let now = now_ms(&self.0.clock);
        if self
            .0
            .reader
            .read(move |conn| lapsed(conn, now))
            .await?
            .is_empty()
        {
            return Ok(0);
        }
        let run = |batch: &mut Batch<'_>| {
            let mut returned = 0;
            for consumer in lapsed(batch.conn(), batch.now_ms)? {
                returned += dismiss(batch, consumer)?;
            }
            Ok(Ok(returned))
        };
        self.0.writer.call(Weight::SMALL, run).await
    }

    async fn queues(&self) -> Result<Vec<QueueStats>> {
        let now_ms = now_ms(&self.0.clock);
        self.0.reader.read(move |conn| queues(conn, now_ms)).await
    }

    async fn purge(&self, queue: &QueueName) -> Result<u64> {
        let name = queue.clone();
        let found = self
            .0
            .reader
            .read(move |conn| {
                conn.prepare_cached(
                    "SELECT queue.id, sequence.next FROM queue, sequence WHERE queue.name = ?1",
                )?
                .query_row([name.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()
            })
            .await?;
        let Some((queue, before)) = found else {
            return Ok(0);
        };
        // Only what was there at the start, so that this ends while others publish.
        let mut purged = 0;
        loop {
            let weight = Weight {
                rows: PURGE_STEP,
                bytes: 0,
            };
            let run = move |batch: &mut Batch<'_>| {
                Ok(Ok(message::purge(batch, queue, before, PURGE_STEP)?))
            };
            match self.0.writer.call(weight, run).await? {
                0 => return Ok(purged),
                step => purged += step as u64,
            }
        }
    }

    async fn locate(&self, ids: &[TaskId]) -> Result<Vec<Option<Location>>> {
        let ids = ids.to_vec();
        let now_ms = now_ms(&self.0.clock);
        let locate =
            move |conn: &Connection| ids.iter().map(|id| locate(conn, id, now_ms)).collect();
        self.0.reader.read(locate).await
    }

    async fn parked(&self, queues: &[QueueName], limit: usize) -> Result<Vec<Parked>> {
        let queues = queues.to_vec();
        let now_ms = now_ms(&self.0.clock);
        let parked = self
            .0
            .reader
            .read(move |conn| parked(conn, &queues, limit, now_ms))
            .await?;
        parked
            .into_iter()
            .map(|(parked, envelope)| {
                Ok(Parked {
                    envelope: envelope.decode()?,
                    ..parked
                })
            })
            .collect()
    }

    async fn dead_letters(
        &self,
        queue: Option<&QueueName>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>> {
        let queue = queue.cloned();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let letters = self
            .0
            .reader
            .read(move |conn| dead_letters(conn, queue.as_ref(), limit))
            .await?;
        letters
            .into_iter()
            .map(|(letter, envelope)| {
                Ok(DeadLetter {
                    envelope: envelope.decode()?,
                    ..letter
                })
            })
            .collect()
    }

    async fn redrive(&self, ids: &[u64]) -> Result<usize> {
        self.for_each_dead(ids, message::redrive).await
    }

    async fn discard(&self, ids: &[u64]) -> Result<usize> {
        self.for_each_dead(ids, message::discard).await
    }
}

impl SqliteBroker {
    /// Does something to dead letters, and says to how many.
    async fn for_each_dead(
        &self,
        ids: &[u64],
        act: fn(&mut Batch<'_>, i64) -> rusqlite::Result<bool>,
    ) -> Result<usize> {
        let seqs: Vec<i64> = ids
            .iter()
            .filter_map(|&id| i64::try_from(id).ok())
            .collect();
        let weight = Weight {
            rows: seqs.len(),
            ..Weight::SMALL
        };
        let run = move |batch: &mut Batch<'_>| {
            let mut done = 0;
            for &seq in &seqs {
                done += usize::from(act(batch, seq)?);
            }
            Ok(Ok(done))
        };
        self.0.writer.call(weight, run).await
    }
}

/// Consumers whose lease is over.
fn lapsed(conn: &Connection, now_ms: i64) -> rusqlite::Result<Vec<i64>> {
    conn.prepare_cached("SELECT id FROM consumer WHERE lease_until_ms <= ?1 ORDER BY id")?
        .query_map([now_ms], |row| row.get(0))?
        .collect()
}

fn queues(conn: &Connection, now_ms: i64) -> rusqlite::Result<Vec<QueueStats>> {
    // A parked message becomes ready when its queue is next fetched from. Until then it is counted
    // here as what it is to a consumer.
    let mut select = conn.prepare_cached(
        "SELECT name, ready, parked, in_flight, dead,
                (SELECT count(*) FROM parked WHERE queue = queue.id AND due_ms <= ?1) AS due
         FROM queue ORDER BY name",
    )?;
    let stats = select.query_map([now_ms], |row| {
        let due: u64 = row.get(5)?;
        Ok(QueueStats {
            queue: text(row, 0)?.into(),
            ready: row.get::<_, u64>(1)? + due,
            parked: row.get::<_, u64>(2)?.saturating_sub(due),
            in_flight: row.get(3)?,
            dead: row.get(4)?,
        })
    })?;
    stats.collect()
}

fn locate(conn: &Connection, id: &TaskId, now_ms: i64) -> rusqlite::Result<Option<Location>> {
    conn.prepare_cached(include_str!("queries/locate.sql"))?
        .query_row(params![id.as_str()], |row| {
            let queue: QueueName = text(row, 0)?.into();
            let due_ms: Option<i64> = row.get(1)?;
            let holder: Option<String> = row.get(2)?;
            let dead: bool = row.get(3)?;
            Ok(match (due_ms, holder) {
                (_, Some(consumer)) => Location::InFlight { queue, consumer },
                (Some(due_ms), None) if due_ms > now_ms => Location::Parked {
                    queue,
                    due: from_ms(due_ms),
                },
                _ if dead => Location::Dead { queue },
                _ => Location::Ready { queue },
            })
        })
        .optional()
}

/// The messages of these queues whose time has not come, the next one first.
fn parked(
    conn: &Connection,
    queues: &[QueueName],
    limit: usize,
    now_ms: i64,
) -> rusqlite::Result<Vec<(Parked, StoredEnvelope)>> {
    // The first of each queue, in the order of its index; then the first of all.
    let mut of_queue = conn.prepare_cached(
        "SELECT due_ms, seq FROM parked
         WHERE queue = (SELECT id FROM queue WHERE name = ?1) AND due_ms > ?2
         ORDER BY due_ms, seq LIMIT ?3",
    )?;
    let rows = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut next = BTreeSet::<(i64, i64, &QueueName)>::new();
    for queue in queues {
        let of_queue = of_queue.query_map(params![queue.as_str(), now_ms, rows], |row| {
            Ok((row.get(0)?, row.get(1)?, queue))
        })?;
        for row in of_queue {
            next.insert(row?);
        }
        while next.len() > limit {
            next.pop_last();
        }
    }
    let mut select =
        conn.prepare_cached("SELECT headers, properties, body FROM message WHERE seq = ?1")?;
    let read = |(due_ms, seq, queue): (i64, i64, &QueueName)| {
        select.query_row([seq], |row| {
            let parked = Parked {
                queue: queue.clone(),
                due: from_ms(due_ms),
                envelope: Envelope::default(),
            };
            let envelope = StoredEnvelope {
                headers: row.get(0)?,
                properties: row.get(1)?,
                body: row.get(2)?,
            };
            Ok((parked, envelope))
        })
    };
    next.into_iter().map(read).collect()
}

fn dead_letters(
    conn: &Connection,
    queue: Option<&QueueName>,
    limit: i64,
) -> rusqlite::Result<Vec<(DeadLetter, StoredEnvelope)>> {
    // Two statements, so that each has its index.
    let (of, name) = match queue {
        None => ("", None),
        Some(name) => (
            "WHERE dead.queue = (SELECT id FROM queue WHERE name = ?2)",
            Some(name),
        ),
    };
    let mut select = conn.prepare_cached(&format!(
        "SELECT dead.seq, queue.name, message.task_id, dead.reason, dead.died_ms,
                message.deliveries, message.headers, message.properties, message.body
         FROM dead
         CROSS JOIN message ON message.seq = dead.seq
         CROSS JOIN queue ON queue.id = dead.queue
         {of}
         ORDER BY dead.seq DESC LIMIT ?1"
    ))?;
    let read = |row: &Row<'_>| {
        let letter = DeadLetter {
            id: row.get(0)?,
            queue: text(row, 1)?.into(),
            task_id: text(row, 2)?.into(),
            reason: row.get(3)?,
            died: from_ms(row.get(4)?),
            deliveries: row.get(5)?,
            envelope: Envelope::default(),
        };
        let envelope = StoredEnvelope {
            headers: row.get(6)?,
            properties: row.get(7)?,
            body: row.get(8)?,
        };
        Ok((letter, envelope))
    };
    match name {
        None => select.query_map(params![limit], read)?.collect(),
        Some(name) => select
            .query_map(params![limit, name.as_str()], read)?
            .collect(),
    }
}

/// Text in a row, where it is.
fn text<'r>(row: &'r Row<'_>, column: usize) -> rusqlite::Result<&'r str> {
    Ok(row.get_ref(column)?.as_str()?)
}
