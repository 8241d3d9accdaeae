//! The rows of a message, and its moves from one place to another.
//!
//! ```text
//!                 insert               fetch (fetch.rs)
//!        (new) ──────────────▶ ready ─────────────────▶ in flight ──▶ remove ──▶ (gone)
//!          │                   ▲ ▲ ▲                     │   │
//!          │ insert            │ │ └────── release ───────┘   │ bury
//!          ▼       promote     │ │                           ▼
//!        parked ───────────────┘ └──────── redrive ──────── dead ──▶ discard ──▶ (gone)
//!          ▲                                             (from in flight)
//!          └────────────────────── park ──────────────────────┘
//! ```
//! A claim (`fetch.rs`) takes from ready and parked alike. What is not due goes back to parked and not to ready.
//!
//! Each move changes the two tables of places and the counts together, in the transaction that it
//! is given; so after every commit a message is in exactly one place.

use aipo_core::message::{Envelope, Properties};
use aipo_core::store::{DeliveryTag, MAX_PRIORITY, Publish};
use aipo_core::{Error, ErrorKind, QueueName, Result, TaskId};
use rusqlite::{OptionalExtension, params};

use crate::batch::{Batch, Place, QueueId};
use crate::time::ceil_ms;

/// A message on its way into the tables, encoded before it comes to the writer.
pub(crate) struct NewMessage {
    queue: QueueName,
    task_id: TaskId,
    priority: u8,
    due_ms: Option<i64>,
    headers: Vec<u8>,
    properties: String,
    body: Vec<u8>,
}

impl NewMessage {
    pub(crate) fn encode(publish: Publish) -> Result<Self> {
        let Publish {
            queue,
            id: task_id,
            priority,
            due,
            envelope,
        } = publish;
        let properties = encode_properties(&envelope.properties)
            .map_err(|error| error.with("task", &task_id))?;
        Ok(Self {
            queue,
            task_id,
            priority: priority.min(MAX_PRIORITY),
            due_ms: due.map(ceil_ms),
            headers: envelope.headers,
            properties,
            body: envelope.body,
        })
    }

    pub(crate) fn encode_all(messages: Vec<Publish>) -> Result<Vec<Self>> {
        messages.into_iter().map(Self::encode).collect()
    }

    /// Bytes that it will take, more or less.
    pub(crate) fn size(&self) -> usize {
        self.headers.len() + self.properties.len() + self.body.len()
    }
}

/// Properties as JSON text.
///
/// # Errors
/// Also when the text could not be read again, as with a name in `other` that is also the name of a
/// field: once in a queue such a message would have every fetch fail.
pub(crate) fn encode_properties(properties: &Properties) -> Result<String> {
    let encode = || {
        let text = serde_json::to_string(properties)?;
        if !properties.other.is_empty() {
            serde_json::from_str::<Properties>(&text)?;
        }
        Ok(text)
    };
    encode().map_err(|error: serde_json::Error| {
        Error::new(
            ErrorKind::Codec,
            "the properties of a message can't be stored",
        )
        .caused_by(error)
    })
}

/// The stored form of an envelope.
pub(crate) struct StoredEnvelope {
    pub(crate) headers: Vec<u8>,
    pub(crate) properties: String,
    pub(crate) body: Vec<u8>,
}

impl StoredEnvelope {
    pub(crate) fn decode(self) -> Result<Envelope> {
        let properties: Properties = serde_json::from_str(&self.properties).map_err(|error| {
            Error::new(
                ErrorKind::Codec,
                "the properties of a stored message can't be decoded",
            )
            .caused_by(error)
        })?;
        Ok(Envelope {
            headers: self.headers,
            properties,
            body: self.body,
        })
    }
}

/// What a delivery tag stands for: a message and one delivery of it.
///
/// Shape of the tag: the lower 48 bits are the message's `seq`, the upper 16 the `epoch`, which its
/// consumer counts up with each fetch. So the tag of a message that was handed back and fetched
/// again by the same consumer is another one, and a late call with the old tag finds nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hold {
    pub(crate) seq: i64,
    pub(crate) epoch: u16,
}

const SEQ_BITS: u32 = 48;

impl From<Hold> for DeliveryTag {
    fn from(hold: Hold) -> Self {
        // A store that gives out a million numbers a second has enough for 8 years.
        debug_assert!(hold.seq >> SEQ_BITS == 0);
        Self(u64::from(hold.epoch) << SEQ_BITS | hold.seq as u64)
    }
}

impl From<DeliveryTag> for Hold {
    fn from(DeliveryTag(tag): DeliveryTag) -> Self {
        Self {
            seq: (tag & ((1 << SEQ_BITS) - 1)) as i64,
            epoch: (tag >> SEQ_BITS) as u16,
        }
    }
}

/// A row of `in_flight`.
pub(crate) struct Held {
    pub(crate) seq: i64,
    pub(crate) queue: QueueId,
    /// Starts, with the present one if it was counted.
    pub(crate) deliveries: u32,
    pub(crate) started: bool,
}

impl Held {
    /// Starts before this delivery.
    fn deliveries_before(&self) -> u32 {
        self.deliveries - u32::from(self.started && self.deliveries > 0)
    }
}

/// Puts new messages where they belong: ready, or parked when their time lies ahead.
pub(crate) fn insert(batch: &mut Batch<'_>, messages: &[NewMessage]) -> rusqlite::Result<()> {
    if messages.is_empty() {
        return Ok(());
    }
    let mut insert = batch.prepared(
        "INSERT INTO message (seq, queue, priority, deliveries, due_ms, task_id, headers, properties, body)
         VALUES (?1, ?2, ?3, 0, ?4, ?5, ?6, ?7, ?8)",
    )?;
    let mut insert_ready = batch.prepared(INSERT_READY)?;
    let mut insert_parked = batch.prepared(INSERT_PARKED)?;
    for message in messages {
        let queue = batch.queue(&message.queue)?;
        let seq = batch.next_seq()?;
        let due_ms = message.due_ms.filter(|&due_ms| due_ms > batch.now_ms);
        insert.execute(params![
            seq,
            queue,
            message.priority,
            due_ms,
            message.task_id.as_str(),
            message.headers,
            message.properties,
            message.body,
        ])?;
        match due_ms {
            None => {
                insert_ready.execute(params![queue, message.priority, seq])?;
                batch.count(queue, None, Some(Place::Ready), 1);
            }
            Some(due_ms) => {
                batch.note_parking(queue, due_ms)?;
                insert_parked.execute(params![queue, due_ms, seq, message.priority])?;
                batch.count(queue, None, Some(Place::Parked), 1);
            }
        }
    }
    Ok(())
}

const INSERT_READY: &str = "INSERT INTO ready (queue, priority, seq) VALUES (?1, ?2, ?3)";
const INSERT_PARKED: &str =
    "INSERT INTO parked (queue, due_ms, seq, priority) VALUES (?1, ?2, ?3, ?4)";

/// Moves parked messages of a queue whose time has come to the ready ones, the earliest first and
/// at most `limit`. They keep their place in line, which is that of their publication.
pub(crate) fn promote(batch: &mut Batch<'_>, queue: QueueId, limit: usize) -> rusqlite::Result<()> {
    let mut due = batch.prepared(
        "SELECT due_ms, seq, priority FROM parked
         WHERE queue = ?1 AND due_ms <= ?2 ORDER BY due_ms, seq LIMIT ?3",
    )?;
    let due: Vec<(i64, i64, u8)> = due
        .query_map(params![queue, batch.now_ms, limit], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    let Some(&(last_due_ms, last_seq, _)) = due.last() else {
        return Ok(());
    };
    let mut insert_ready = batch.prepared(INSERT_READY)?;
    for &(_, seq, priority) in &due {
        insert_ready.execute(params![queue, priority, seq])?;
    }
    batch
        .prepared("DELETE FROM parked WHERE queue = ?1 AND (due_ms, seq) <= (?2, ?3)")?
        .execute(params![queue, last_due_ms, last_seq])?;
    batch.count(queue, Some(Place::Parked), Some(Place::Ready), due.len());
    Ok(())
}

/// Takes a message out of flight, if this consumer holds it. Its next place comes next.
pub(crate) fn take_back(
    batch: &mut Batch<'_>,
    consumer: i64,
    Hold { seq, epoch }: Hold,
) -> rusqlite::Result<Option<Held>> {
    batch
        .prepared(
            "DELETE FROM in_flight WHERE consumer = ?1 AND seq = ?2 AND epoch = ?3
             RETURNING queue, deliveries, started",
        )?
        .query_row(params![consumer, seq, epoch], |row| {
            Ok(Held {
                seq,
                queue: row.get(0)?,
                deliveries: row.get(1)?,
                started: row.get(2)?,
            })
        })
        .optional()
}

/// In flight → gone.
pub(crate) fn remove(batch: &mut Batch<'_>, held: &Held) -> rusqlite::Result<()> {
    delete(batch, held.seq)?;
    batch.count(held.queue, Some(Place::InFlight), None, 1);
    Ok(())
}

/// In flight → ready, at its old place in line, with a start that was counted taken back.
pub(crate) fn release(batch: &mut Batch<'_>, held: &Held) -> rusqlite::Result<()> {
    batch
        .prepared("UPDATE message SET deliveries = ?2 WHERE seq = ?1 AND deliveries <> ?2")?
        .execute(params![held.seq, held.deliveries_before()])?;
    line_up(batch, held.seq, Place::InFlight)
}

/// In flight → parked until then, with a start that was counted taken back; → ready when that is past.
pub(crate) fn park(batch: &mut Batch<'_>, held: &Held, until_ms: i64) -> rusqlite::Result<()> {
    if until_ms <= batch.now_ms {
        return release(batch, held);
    }
    batch
        .prepared("UPDATE message SET deliveries = ?2, due_ms = ?3 WHERE seq = ?1")?
        .execute(params![held.seq, held.deliveries_before(), until_ms])?;
    line_up(batch, held.seq, Place::InFlight)
}

/// In flight → dead.
pub(crate) fn bury(batch: &mut Batch<'_>, held: &Held, reason: &str) -> rusqlite::Result<()> {
    let seq = renumber(batch, held.seq, held.deliveries)?;
    batch
        .prepared("INSERT INTO dead (seq, queue, died_ms, reason) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![seq, held.queue, batch.now_ms, reason])?;
    batch.count(held.queue, Some(Place::InFlight), Some(Place::Dead), 1);
    Ok(())
}

/// All that a consumer has in flight → ready, at the old places in line and with the counts as
/// they are. Says how many they were.
pub(crate) fn return_all(batch: &mut Batch<'_>, consumer: i64) -> rusqlite::Result<usize> {
    let mut groups = batch.prepared(
        "SELECT in_flight.queue, coalesce(message.due_ms > ?2, 0) AS is_early, count(*), min(message.due_ms)
         FROM in_flight CROSS JOIN message ON message.seq = in_flight.seq
         WHERE in_flight.consumer = ?1 GROUP BY in_flight.queue, is_early",
    )?;
    let groups: Vec<(QueueId, bool, usize, Option<i64>)> = groups
        .query_map(params![consumer, batch.now_ms], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    if groups.is_empty() {
        return Ok(0);
    }
    batch
        .prepared(
            "UPDATE message SET deliveries = held.deliveries
             FROM (SELECT seq, deliveries FROM in_flight WHERE consumer = ?1) AS held
             WHERE message.seq = held.seq AND message.deliveries <> held.deliveries",
        )?
        .execute([consumer])?;
    for &(queue, is_early, messages, first_due_ms) in &groups {
        let place = match first_due_ms.filter(|_| is_early) {
            Some(due_ms) => {
                batch.note_parking(queue, due_ms)?;
                Place::Parked
            }
            None => Place::Ready,
        };
        batch.count(queue, Some(Place::InFlight), Some(place), messages);
    }
    batch
        .prepared(
            "INSERT INTO ready (queue, priority, seq)
             SELECT message.queue, message.priority, message.seq
             FROM in_flight CROSS JOIN message ON message.seq = in_flight.seq
             WHERE in_flight.consumer = ?1 AND (message.due_ms IS NULL OR message.due_ms <= ?2)",
        )?
        .execute(params![consumer, batch.now_ms])?;
    batch
        .prepared(
            "INSERT INTO parked (queue, due_ms, seq, priority)
             SELECT message.queue, message.due_ms, message.seq, message.priority
             FROM in_flight CROSS JOIN message ON message.seq = in_flight.seq
             WHERE in_flight.consumer = ?1 AND message.due_ms > ?2",
        )?
        .execute(params![consumer, batch.now_ms])?;
    batch
        .prepared("DELETE FROM in_flight WHERE consumer = ?1")?
        .execute([consumer])
}

/// Dead → ready, at the end of the line and with its count at zero; `false` when it is not dead.
pub(crate) fn redrive(batch: &mut Batch<'_>, seq: i64) -> rusqlite::Result<bool> {
    if exhume(batch, seq)?.is_none() {
        return Ok(false);
    }
    let seq = renumber(batch, seq, 0)?;
    line_up(batch, seq, Place::Dead)?;
    Ok(true)
}

/// Dead → gone; `false` when it is not dead.
pub(crate) fn discard(batch: &mut Batch<'_>, seq: i64) -> rusqlite::Result<bool> {
    let Some(queue) = exhume(batch, seq)? else {
        return Ok(false);
    };
    delete(batch, seq)?;
    batch.count(queue, Some(Place::Dead), None, 1);
    Ok(true)
}

/// Ready and parked → gone: those of a queue with a seq below `before`, at most `limit` of each
/// kind. Says how many they were.
pub(crate) fn purge(
    batch: &mut Batch<'_>,
    queue: QueueId,
    before: i64,
    limit: usize,
) -> rusqlite::Result<usize> {
    let mut purged = 0;
    for (place, choose, delete_place) in [
        (
            Place::Ready,
            "SELECT priority, seq FROM ready WHERE queue = ?1 AND seq < ?2 LIMIT ?3",
            "DELETE FROM ready WHERE queue = ?1 AND priority = ?2 AND seq = ?3",
        ),
        (
            Place::Parked,
            "SELECT due_ms, seq FROM parked WHERE queue = ?1 AND seq < ?2 LIMIT ?3",
            "DELETE FROM parked WHERE queue = ?1 AND due_ms = ?2 AND seq = ?3",
        ),
    ] {
        let chosen: Vec<(i64, i64)> = batch
            .prepared(choose)?
            .query_map(params![queue, before, limit], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?
            .collect::<rusqlite::Result<_>>()?;
        let mut delete_place = batch.prepared(delete_place)?;
        for &(order, seq) in &chosen {
            delete_place.execute(params![queue, order, seq])?;
            delete(batch, seq)?;
        }
        batch.count(queue, Some(place), None, chosen.len());
        purged += chosen.len();
    }
    Ok(purged)
}

/// A message of a task, wherever it is.
pub(crate) struct OfTask {
    pub(crate) seq: i64,
    pub(crate) queue: QueueId,
    pub(crate) queue_name: QueueName,
    priority: u8,
    due_ms: Option<i64>,
}

pub(crate) fn of_task(batch: &Batch<'_>, id: &TaskId) -> rusqlite::Result<Vec<OfTask>> {
    batch
        .prepared(
            "SELECT seq, queue, name, priority, due_ms
             FROM message CROSS JOIN queue ON queue.id = message.queue
             WHERE task_id = ?1 ORDER BY seq",
        )?
        .query_map([id.as_str()], |row| {
            Ok(OfTask {
                seq: row.get(0)?,
                queue: row.get(1)?,
                queue_name: row.get_ref(2)?.as_str()?.into(),
                priority: row.get(3)?,
                due_ms: row.get(4)?,
            })
        })?
        .collect()
}

/// Ready and parked → in flight, of which the row comes next. Says whether it was there.
pub(crate) fn leave_line(batch: &mut Batch<'_>, message: &OfTask) -> rusqlite::Result<bool> {
    let OfTask {
        seq,
        queue,
        priority,
        due_ms,
        ..
    } = message;
    let ready = batch
        .prepared("DELETE FROM ready WHERE queue = ?1 AND priority = ?2 AND seq = ?3")?
        .execute(params![queue, priority, seq])?;
    let parked = batch
        .prepared("DELETE FROM parked WHERE queue = ?1 AND due_ms = ?2 AND seq = ?3")?
        .execute(params![queue, due_ms, seq])?;
    let place = match (ready, parked) {
        (1, _) => Place::Ready,
        (_, 1) => Place::Parked,
        _ => return Ok(false),
    };
    batch.count(*queue, Some(place), Some(Place::InFlight), 1);
    Ok(true)
}

fn exhume(batch: &mut Batch<'_>, seq: i64) -> rusqlite::Result<Option<QueueId>> {
    batch
        .prepared("DELETE FROM dead WHERE seq = ?1 RETURNING queue")?
        .query_row([seq], |row| row.get(0))
        .optional()
}

/// → ready, at the place in line that its number says, or → parked when its time lies ahead.
fn line_up(batch: &mut Batch<'_>, seq: i64, from: Place) -> rusqlite::Result<()> {
    let (queue, priority, due_ms): (QueueId, u8, Option<i64>) = batch
        .prepared("SELECT queue, priority, due_ms FROM message WHERE seq = ?1")?
        .query_row([seq], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let place = match due_ms.filter(|&due_ms| due_ms > batch.now_ms) {
        None => {
            batch
                .prepared(INSERT_READY)?
                .execute(params![queue, priority, seq])?;
            Place::Ready
        }
        Some(due_ms) => {
            batch.note_parking(queue, due_ms)?;
            batch
                .prepared(INSERT_PARKED)?
                .execute(params![queue, due_ms, seq, priority])?;
            Place::Parked
        }
    };
    batch.count(queue, Some(from), Some(place), 1);
    Ok(())
}

/// Gives a message a new number, which is a place at the end of the line and makes old delivery
/// tags mean nothing.
fn renumber(batch: &mut Batch<'_>, seq: i64, deliveries: u32) -> rusqlite::Result<i64> {
    let new = batch.next_seq()?;
    batch
        .prepared("UPDATE message SET seq = ?2, deliveries = ?3 WHERE seq = ?1")?
        .execute(params![seq, new, deliveries])?;
    Ok(new)
}

fn delete(batch: &mut Batch<'_>, seq: i64) -> rusqlite::Result<()> {
    batch
        .prepared("DELETE FROM message WHERE seq = ?1")?
        .execute([seq])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_stands_for_one_delivery_of_one_message() {
        for (seq, epoch) in [(1, 0), (1, 1), (2, 1), ((1 << SEQ_BITS) - 1, u16::MAX)] {
            let hold = Hold { seq, epoch };
            assert_eq!(Hold::from(DeliveryTag::from(hold)), hold);
        }
        assert_eq!(Hold::from(DeliveryTag(u64::MAX)).seq, (1 << SEQ_BITS) - 1);
    }

    #[test]
    fn properties_that_could_not_be_read_again_are_refused() {
        let mut publish = crate::testing::message("q", "a");
        publish
            .envelope
            .properties
            .other
            .insert("delivery_tag".to_owned(), "7".into());
        assert!(NewMessage::encode(publish.clone()).is_ok());

        publish
            .envelope
            .properties
            .other
            .insert("priority".to_owned(), 3.into());
        let error = NewMessage::encode(publish)
            .err()
            .expect("two values for one name");

        assert_eq!(error.kind(), ErrorKind::Codec);
    }
}
