//! One transaction, as the operations in it see it.
//!
//! Besides the connection it keeps what is shared by the whole transaction and written once at its
//! end: the sequence of numbers, the counts of the queues, and what there is to tell others.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aipo_core::{QueueName, Result, TaskId};
use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

/// What an operation comes to: the outer error fails the transaction and has everything in it undone;
/// the inner one is the operation's own answer, given before it changed anything.
pub(crate) type Outcome<T> = rusqlite::Result<Result<T>>;

/// The row of a queue.
pub(crate) type QueueId = i64;

/// Ids of the queues that were seen. A queue is never deleted, so what is known stays true.
pub(crate) type QueueIds = HashMap<QueueName, QueueId>;

/// Where a message can be; each is a table and a count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Ready,
    Parked,
    InFlight,
    Dead,
}

/// What a transaction has to tell to those who wait, once it is committed.
#[derive(Debug, Default)]
pub(crate) struct News {
    /// Queues that got ready messages: fetches of this process that wait for them must look.
    pub(crate) look_in: BTreeSet<QueueId>,
    /// Consumers that were ended; a fetch of theirs that waits in this process must learn it.
    pub(crate) ended: Vec<i64>,
    /// Tasks that got a ready result.
    pub(crate) results: Vec<TaskId>,
    /// Whether other processes must hear of it.
    pub(crate) ring: bool,
}

pub(crate) struct Batch<'c> {
    /// The present moment for everything in this transaction.
    pub(crate) now_ms: i64,
    pub(crate) news: News,
    conn: &'c Connection,
    queues: &'c mut QueueIds,
    next_seq: Option<i64>,
    moves: BTreeMap<QueueId, [i64; 4]>,
    /// The earliest due time of a queue's parked messages, once somebody asked.
    earliest_due: BTreeMap<QueueId, Option<i64>>,
}

impl<'c> Batch<'c> {
    pub(crate) fn new(conn: &'c Connection, queues: &'c mut QueueIds, now_ms: i64) -> Self {
        Self {
            now_ms,
            news: News::default(),
            conn,
            queues,
            next_seq: None,
            moves: BTreeMap::new(),
            earliest_due: BTreeMap::new(),
        }
    }

    /// The connection, for what is also read outside of transactions.
    pub(crate) fn conn(&self) -> &'c Connection {
        self.conn
    }

    /// A prepared statement, kept for the next time.
    pub(crate) fn prepared(&self, sql: &str) -> rusqlite::Result<CachedStatement<'c>> {
        self.conn.prepare_cached(sql)
    }

    /// A number that was never given before and is higher than all that were.
    pub(crate) fn next_seq(&mut self) -> rusqlite::Result<i64> {
        let seq = match self.next_seq {
            Some(next) => next,
            None => self
                .prepared("SELECT next FROM sequence WHERE only = 1")?
                .query_row([], |row| row.get(0))?,
        };
        self.next_seq = Some(seq + 1);
        Ok(seq)
    }

    /// The id of a queue, which is created when it is missing.
    pub(crate) fn queue(&mut self, name: &QueueName) -> rusqlite::Result<QueueId> {
        if let Some(&id) = self.queues.get(name) {
            return Ok(id);
        }
        let found = self
            .prepared("SELECT id FROM queue WHERE name = ?1")?
            .query_row([name.as_str()], |row| row.get(0))
            .optional()?;
        let id = match found {
            Some(id) => id,
            None => self
                .prepared("INSERT INTO queue (name) VALUES (?1)")?
                .insert([name.as_str()])?,
        };
        self.queues.insert(name.clone(), id);
        Ok(id)
    }

    /// Counts messages of a queue that came from one place (`None`: a sender) to another (`None`:
    /// they are gone).
    pub(crate) fn count(
        &mut self,
        queue: QueueId,
        from: Option<Place>,
        to: Option<Place>,
        messages: usize,
    ) {
        let messages = messages as i64;
        let moves = self.moves.entry(queue).or_default();
        if let Some(from) = from {
            moves[from as usize] -= messages;
        }
        if let Some(to) = to {
            moves[to as usize] += messages;
        }
        if to == Some(Place::Ready) && messages > 0 {
            self.news.look_in.insert(queue);
        }
    }

    /// Notes a message that is about to be parked. Who sleeps until the queue's earliest due time
    /// must hear when there is an earlier one.
    pub(crate) fn note_parking(&mut self, queue: QueueId, due_ms: i64) -> rusqlite::Result<()> {
        let earliest = match self.earliest_due.get(&queue) {
            Some(&earliest) => earliest,
            None => earliest_due(self.conn, queue)?,
        };
        if earliest.is_none_or(|earliest| due_ms < earliest) {
            self.news.ring = true;
            self.earliest_due.insert(queue, Some(due_ms));
        } else {
            self.earliest_due.insert(queue, earliest);
        }
        Ok(())
    }

    /// Writes what was gathered; the commit comes next.
    pub(crate) fn finish(mut self) -> rusqlite::Result<News> {
        if let Some(next) = self.next_seq {
            self.prepared("UPDATE sequence SET next = ?1 WHERE only = 1")?
                .execute([next])?;
        }
        for (queue, [ready, parked, in_flight, dead]) in self.moves {
            if [ready, parked, in_flight, dead] == [0; 4] {
                continue;
            }
            let ready_now: i64 = self
                .conn
                .prepare_cached(
                    "UPDATE queue
                     SET ready = ready + ?2, parked = parked + ?3,
                         in_flight = in_flight + ?4, dead = dead + ?5
                     WHERE id = ?1
                     RETURNING ready",
                )?
                .query_row(params![queue, ready, parked, in_flight, dead], |row| {
                    row.get(0)
                })?;
            // Who waits for a queue has seen it empty. So only the first message matters to others;
            // while some are left, they were told before and are on their way. A process that
            // dies between its commit and its ring is why they also look from time to time.
            let ready_before = ready_now - ready;
            if ready_before == 0 && ready_now > 0 {
                self.news.ring = true;
            }
        }
        if !self.news.results.is_empty() {
            self.news.ring = true;
        }
        Ok(self.news)
    }
}

/// When the first of a queue's parked messages is due.
pub(crate) fn earliest_due(conn: &Connection, queue: QueueId) -> rusqlite::Result<Option<i64>> {
    conn.prepare_cached("SELECT due_ms FROM parked WHERE queue = ?1 ORDER BY due_ms LIMIT 1")?
        .query_row([queue], |row| row.get(0))
        .optional()
}
