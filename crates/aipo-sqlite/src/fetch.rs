//! Taking messages: which ones, and in which order.
//!
//! Every queue has its ready messages in order, so a fetch reads the heads of its queues and merges
//! them: the most urgent first, and queues of equal standing in turn. It reads about as many entries
//! as it takes messages, whatever else is waiting. A claim takes by task instead, which is an index of its own.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, AtomicUsize, Ordering};

use aipo_core::store::Delivery;
use aipo_core::{QueueName, Result, TaskId};
use rusqlite::{CachedStatement, Connection, params};
use tokio::sync::oneshot;

use crate::batch::{Batch, News, Outcome, Place, QueueId, earliest_due};
use crate::consumer::has_lease;
use crate::error::lease_lost;
use crate::message::{Hold, StoredEnvelope, leave_line, of_task, promote};

/// Messages in one answer at most, so that a transaction stays short.
pub(crate) const MAX_FETCH: usize = 4_096;

/// Bytes in one answer, after which it is closed; it has at least one message.
const MAX_FETCH_BYTES: usize = 16 * 1024 * 1024;

/// Parked messages of a queue that one fetch makes ready at most.
const MAX_PROMOTE: usize = 1_024;

/// Who fetches, from where. A consumer that is given other queues gets another one; a fetch that waits
/// keeps the one it began with.
pub(crate) struct Source {
    pub(crate) consumer: i64,
    queues: Vec<(QueueId, QueueName)>,
    /// Which queue is the first in turn.
    turn: AtomicUsize,
    progress: Arc<Progress>,
}

/// What all sources of a consumer share.
#[derive(Default)]
struct Progress {
    /// How many fetches there were, see [`Hold`].
    epoch: AtomicU16,
    /// The number of the last revocation that a fetch learned of.
    last_revoked: AtomicU64,
}

impl Source {
    pub(crate) fn new(consumer: i64, queues: Vec<(QueueId, QueueName)>) -> Self {
        Self {
            consumer,
            queues,
            turn: AtomicUsize::new(0),
            progress: Arc::default(),
        }
    }

    /// The same consumer with other queues.
    pub(crate) fn with_queues(&self, queues: Vec<(QueueId, QueueName)>) -> Self {
        Self {
            progress: self.progress.clone(),
            ..Self::new(self.consumer, queues)
        }
    }

    pub(crate) fn last_revoked(&self) -> u64 {
        self.progress.last_revoked.load(Ordering::Acquire)
    }

    /// Notes what a fetch learned. Another may have learned of a later one already.
    pub(crate) fn learn_revoked(&self, last: u64) {
        self.progress.last_revoked.fetch_max(last, Ordering::AcqRel);
    }
}

/// The queues with these names, each once; they are created when they are missing.
pub(crate) fn queue_ids(
    batch: &mut Batch<'_>,
    names: &[QueueName],
) -> rusqlite::Result<Vec<(QueueId, QueueName)>> {
    let mut queues: Vec<(QueueId, QueueName)> = Vec::with_capacity(names.len());
    let mut seen = BTreeSet::new();
    for name in names {
        let id = batch.queue(name)?;
        if seen.insert(id) {
            queues.push((id, name.clone()));
        }
    }
    Ok(queues)
}

/// A fetch inside the writer.
pub(crate) struct FetchJob {
    pub(crate) source: Arc<Source>,
    pub(crate) max: usize,
    pub(crate) started: usize,
    /// Whether it stays when there is nothing.
    pub(crate) wait: bool,
    pub(crate) reply: oneshot::Sender<Result<Vec<Taken>>>,
}

/// A message that was taken, as stored.
pub(crate) struct Taken {
    pub(crate) hold: Hold,
    queue: QueueName,
    deliveries: u32,
    started: bool,
    envelope: StoredEnvelope,
}

impl Taken {
    pub(crate) fn decode(self) -> Result<Delivery> {
        Ok(Delivery {
            tag: self.hold.into(),
            queue: self.queue,
            deliveries: self.deliveries,
            started: self.started,
            envelope: self.envelope.decode()?,
        })
    }
}

impl FetchJob {
    /// Whether the caller is gone.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    /// The queues that it takes from.
    pub(crate) fn queues(&self) -> impl Iterator<Item = QueueId> {
        self.source.queues.iter().map(|&(id, _)| id)
    }

    /// Whether what a transaction did is something for it to look at.
    pub(crate) fn is_concerned(&self, news: &News) -> bool {
        news.ended.contains(&self.source.consumer)
            || (!news.look_in.is_empty() && self.queues().any(|id| news.look_in.contains(&id)))
    }

    /// Whether it would take something or fail, by a look without a transaction. So that a process that
    /// was woken for nothing does not stand in line to write.
    pub(crate) fn would_act(&self, conn: &Connection, now_ms: i64) -> rusqlite::Result<bool> {
        if !has_lease(conn, self.source.consumer, now_ms)? {
            return Ok(true);
        }
        let mut any_ready =
            conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM ready WHERE queue = ?1)")?;
        for &(queue, _) in &self.source.queues {
            if any_ready.query_row([queue], |row| row.get(0))?
                || earliest_due(conn, queue)?.is_some_and(|due_ms| due_ms <= now_ms)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Moves messages from ready to in flight, at most `room` of them: as one step with everything
    /// else in the transaction, so that each is in exactly one place.
    pub(crate) fn take(&self, batch: &mut Batch<'_>, room: usize) -> Outcome<Vec<Taken>> {
        let source = &*self.source;
        if !has_lease(batch.conn(), source.consumer, batch.now_ms)? {
            return Ok(Err(lease_lost(source.consumer)));
        }
        for &(queue, _) in &source.queues {
            promote(batch, queue, MAX_PROMOTE)?;
        }
        let mut merge = Merge::new(source, self.max.min(room));
        let mut taking = Taking::new(batch, source)?;
        while !taking.is_full()
            && let Some((head, seq)) = merge.next(batch)?
        {
            let (queue, ref name) = source.queues[head];
            let starts = taking.taken.len() < self.started;
            taking.take(seq, queue, name, starts)?;
        }
        merge.finish(batch)?;
        Ok(Ok(taking.taken))
    }
}

/// Moves what waits of these tasks to in flight, ready or parked, as one step with everything else in the transaction.
pub(crate) fn claim(batch: &mut Batch<'_>, source: &Source, ids: &[TaskId]) -> Outcome<Vec<Taken>> {
    if !has_lease(batch.conn(), source.consumer, batch.now_ms)? {
        return Ok(Err(lease_lost(source.consumer)));
    }
    let mut taking = Taking::new(batch, source)?;
    for id in ids {
        for message in of_task(batch, id)? {
            if taking.is_full() {
                return Ok(Ok(taking.taken));
            }
            if leave_line(batch, &message)? {
                taking.take(message.seq, message.queue, &message.queue_name, false)?;
            }
        }
    }
    Ok(Ok(taking.taken))
}

/// Puts messages that have left their places in flight, and reads them.
struct Taking<'b> {
    read: CachedStatement<'b>,
    insert: CachedStatement<'b>,
    consumer: i64,
    epoch: u16,
    taken: Vec<Taken>,
    bytes: usize,
}

impl<'b> Taking<'b> {
    fn new(batch: &Batch<'b>, source: &Source) -> rusqlite::Result<Self> {
        Ok(Self {
            read: batch.prepared(
                "SELECT deliveries, headers, properties, body FROM message WHERE seq = ?1",
            )?,
            insert: batch.prepared(
                "INSERT INTO in_flight (consumer, seq, epoch, queue, deliveries, started)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?,
            consumer: source.consumer,
            epoch: source.progress.epoch.fetch_add(1, Ordering::Relaxed),
            taken: Vec::new(),
            bytes: 0,
        })
    }

    fn is_full(&self) -> bool {
        self.bytes >= MAX_FETCH_BYTES || self.taken.len() >= MAX_FETCH
    }

    /// `starts` counts it as started, unless it was started before.
    fn take(
        &mut self,
        seq: i64,
        queue: QueueId,
        name: &QueueName,
        starts: bool,
    ) -> rusqlite::Result<()> {
        let (mut deliveries, envelope) = self.read.query_row([seq], |row| {
            let envelope = StoredEnvelope {
                headers: row.get(1)?,
                properties: row.get(2)?,
                body: row.get(3)?,
            };
            Ok((row.get::<_, u32>(0)?, envelope))
        })?;
        let started = starts && deliveries == 0;
        deliveries = deliveries.saturating_add(u32::from(started));
        let Self {
            consumer, epoch, ..
        } = *self;
        self.insert
            .execute(params![consumer, seq, epoch, queue, deliveries, started])?;
        self.bytes += envelope.headers.len() + envelope.body.len();
        self.taken.push(Taken {
            hold: Hold { seq, epoch },
            queue: name.clone(),
            deliveries,
            started,
            envelope,
        });
        Ok(())
    }
}

/// Reads the heads of several queues in one order.
struct Merge<'s> {
    source: &'s Source,
    heads: Vec<Head>,
    /// How many may still be taken.
    room: usize,
    /// Whose turn it is among queues of equal standing.
    turn: usize,
}

/// The front of one queue.
#[derive(Default)]
struct Head {
    /// Entries that were read and not taken: priority and seq.
    ahead: VecDeque<(u8, i64)>,
    /// The last entry that was read.
    read_to: Option<(u8, i64)>,
    /// The last entry that was taken, and how many were.
    taken_to: Option<(u8, i64)>,
    taken: usize,
    /// Whether nothing follows what was read.
    dry: bool,
}

impl<'s> Merge<'s> {
    fn new(source: &'s Source, room: usize) -> Self {
        let heads = source.queues.iter().map(|_| Head::default()).collect();
        Self {
            source,
            heads,
            room,
            turn: source.turn.load(Ordering::Relaxed),
        }
    }

    /// The next message: which of the queues it is in, and its seq.
    fn next(&mut self, batch: &mut Batch<'_>) -> rusqlite::Result<Option<(usize, i64)>> {
        if self.room == 0 {
            return Ok(None);
        }
        let queues = self.heads.len();
        let chunk = self.room.div_ceil(queues.max(1));
        for (head, (queue, _)) in self.heads.iter_mut().zip(&self.source.queues) {
            if head.ahead.is_empty() && !head.dry {
                head.read_on(batch, *queue, chunk)?;
            }
        }
        // `min_by_key` keeps the first of equals, which is the one whose turn comes first.
        let next = (0..queues)
            .map(|step| (self.turn + step) % queues)
            .filter_map(|index| Some((index, self.heads[index].ahead.front()?.0)))
            .min_by_key(|&(_, priority)| priority);
        let Some((index, _)) = next else {
            return Ok(None);
        };
        let head = &mut self.heads[index];
        head.taken_to = head.ahead.pop_front();
        head.taken += 1;
        self.turn = (index + 1) % queues;
        self.room -= 1;
        Ok(head.taken_to.map(|(_, seq)| (index, seq)))
    }

    /// Removes what was taken from the ready ones: always the front of a queue, hence one range.
    fn finish(self, batch: &mut Batch<'_>) -> rusqlite::Result<()> {
        let mut delete =
            batch.prepared("DELETE FROM ready WHERE queue = ?1 AND (priority, seq) <= (?2, ?3)")?;
        for (head, &(queue, _)) in self.heads.iter().zip(&self.source.queues) {
            if let Some((priority, seq)) = head.taken_to {
                delete.execute(params![queue, priority, seq])?;
                batch.count(queue, Some(Place::Ready), Some(Place::InFlight), head.taken);
            }
        }
        self.source.turn.store(self.turn, Ordering::Relaxed);
        Ok(())
    }
}

impl Head {
    fn read_on(
        &mut self,
        batch: &mut Batch<'_>,
        queue: QueueId,
        chunk: usize,
    ) -> rusqlite::Result<()> {
        let mut read = batch.prepared(
            "SELECT priority, seq FROM ready WHERE queue = ?1 AND (priority, seq) > (?2, ?3)
             ORDER BY priority, seq LIMIT ?4",
        )?;
        // Before the first: a seq is at least 1.
        let (priority, seq) = self.read_to.unwrap_or((0, 0));
        let rows = read.query_map(params![queue, priority, seq, chunk], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
        for row in rows {
            self.ahead.push_back(row?);
        }
        self.dry = self.ahead.len() < chunk;
        self.read_to = self.ahead.back().copied().or(self.read_to);
        Ok(())
    }
}
