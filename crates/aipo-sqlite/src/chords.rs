//! Chords: a row for each with what it counts, and a row for each part that is done. A group that was saved has the row
//! of a chord that was not opened.

use std::sync::Arc;
use std::time::Duration;

use aipo_core::store::{Chord, Chords, Complete, Done, Part, Publish, Step};
use aipo_core::{GroupId, Result};
use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};

use crate::batch::Batch;
use crate::handle::Handle;
use crate::message::{self, NewMessage};
use crate::results;
use crate::state;
use crate::time::{after_ms, now_ms};
use crate::writer::Weight;

/// Rows that one step of a sweep deletes, more or less; other operations run in between.
const SWEEP_STEP: i64 = 1_000;

/// Where a part without a place stands.
const LAST: i64 = i64::MAX;

pub(crate) struct SqliteChords(pub(crate) Arc<Handle>);

#[async_trait]
impl Chords for SqliteChords {
    async fn advance(&self, step: Step, publish: Vec<Publish>) -> Result<()> {
        let messages = NewMessage::encode_all(publish)?;
        let weight = weight(&step, &messages);
        let run = move |batch: &mut Batch<'_>| {
            advance(batch, &step)?;
            Ok(Ok(message::insert(batch, &messages)?))
        };
        self.0.writer.call(weight, run).await
    }

    async fn take_complete(&self, limit: usize, claim: Duration) -> Result<Vec<Complete>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let now = now_ms(&self.0.clock);
        // Mostly there is none, and then this costs no transaction.
        let free = self
            .0
            .reader
            .read(move |conn| free(conn, now, limit))
            .await?;
        if free.is_empty() {
            return Ok(Vec::new());
        }
        let weight = Weight {
            rows: free.len(),
            ..Weight::SMALL
        };
        let run = move |batch: &mut Batch<'_>| {
            let taken = free_now(batch, limit)?
                .into_iter()
                .map(|(id, group)| take(batch, id, group, claim));
            Ok(Ok(taken.collect::<rusqlite::Result<_>>()?))
        };
        self.0.writer.call(weight, run).await
    }

    async fn finish(&self, group: &GroupId, step: Step, publish: Vec<Publish>) -> Result<bool> {
        let group = group.clone();
        let messages = NewMessage::encode_all(publish)?;
        let weight = weight(&step, &messages);
        let run = move |batch: &mut Batch<'_>| {
            let ended = end(batch, &group)?;
            if ended {
                advance(batch, &step)?;
                message::insert(batch, &messages)?;
            }
            Ok(Ok(ended))
        };
        self.0.writer.call(weight, run).await
    }

    async fn save_group(
        &self,
        group: &GroupId,
        meta: Vec<u8>,
        expires: Option<Duration>,
    ) -> Result<()> {
        let group = group.clone();
        let weight = Weight {
            bytes: meta.len(),
            ..Weight::SMALL
        };
        let run = move |batch: &mut Batch<'_>| Ok(Ok(save(batch, &group, &meta, expires)?));
        self.0.writer.call(weight, run).await
    }

    async fn saved_group(&self, group: &GroupId) -> Result<Option<Vec<u8>>> {
        let group = group.clone();
        let now_ms = now_ms(&self.0.clock);
        let get = move |conn: &Connection| {
            let mut select = conn.prepare_cached(
                "SELECT structure FROM chord JOIN chord_body ON chord = id
                 WHERE name = ?1 AND (expires_ms IS NULL OR expires_ms > ?2)",
            )?;
            let found = select.query_row(params![group.as_str(), now_ms], |row| row.get(0));
            Ok(found.optional()?.flatten())
        };
        self.0.reader.read(get).await
    }

    async fn delete_group(&self, group: &GroupId) -> Result<()> {
        let group = group.clone();
        let run = move |batch: &mut Batch<'_>| Ok(Ok(delete_saved(batch, &group)?));
        self.0.writer.call(Weight::SMALL, run).await
    }
}

fn weight(step: &Step, messages: &[NewMessage]) -> Weight {
    Weight {
        rows: rows(step) + messages.len(),
        bytes: size(step) + messages.iter().map(NewMessage::size).sum::<usize>(),
    }
}

/// Rows that a step touches, more or less.
pub(crate) fn rows(step: &Step) -> usize {
    let chords = step.opens.len() + step.grows.len() + step.parts.len();
    let facts = step.keeps.len() + step.drops.len();
    step.results.len() + chords + facts
}

/// Content that a step carries.
pub(crate) fn size(step: &Step) -> usize {
    let results = step.results.iter().map(|result| result.meta.len());
    let opens = step.opens.iter();
    let opens = opens.map(|chord| chord.structure.as_ref().map_or(0, Vec::len));
    let parts = step.parts.iter();
    let parts = parts.map(|part| part.value.len() + part.then.len());
    let keeps = step.keeps.iter().map(|fact| fact.value.len());
    results.chain(opens).chain(parts).chain(keeps).sum()
}

/// Does all of a step.
pub(crate) fn advance(batch: &mut Batch<'_>, step: &Step) -> rusqlite::Result<()> {
    for result in &step.results {
        results::store(batch, result)?;
    }
    for chord in &step.opens {
        open(batch, chord)?;
    }
    for group in &step.grows {
        let mut count = living(batch, group)?;
        count.grown += 1;
        write(batch, count)?;
    }
    for part in &step.parts {
        add(batch, part)?;
    }
    for fact in &step.keeps {
        state::put(batch, fact)?;
    }
    for key in &step.drops {
        state::delete(batch, key)?;
    }
    Ok(())
}

/// The row of a chord.
#[derive(Default)]
struct Count {
    id: i64,
    /// Once it was opened.
    size: Option<i64>,
    grown: i64,
    done: i64,
    finished: bool,
    free_ms: Option<i64>,
    expires_ms: Option<i64>,
}

impl Count {
    fn is_complete(&self) -> bool {
        let is_all = |size: i64| size.saturating_add(self.grown) == self.done;
        !self.finished && self.size.is_some_and(is_all)
    }

    /// Whether there is more than a saved group.
    fn is_chord(&self) -> bool {
        self.size.is_some() || self.grown > 0 || self.done > 0 || self.finished
    }

    fn keep(&mut self, batch: &Batch<'_>, expires: Option<Duration>) {
        self.expires_ms = expires.map(|expires| after_ms(batch.now_ms, expires));
    }
}

/// A chord that is there; what has expired is deleted.
fn find(batch: &Batch<'_>, group: &GroupId) -> rusqlite::Result<Option<Count>> {
    let found = batch
        .prepared(
            "SELECT id, size, grown, done, finished, free_ms, expires_ms FROM chord WHERE name = ?1",
        )?
        .query_row([group.as_str()], |row| {
            Ok(Count {
                id: row.get(0)?,
                size: row.get(1)?,
                grown: row.get(2)?,
                done: row.get(3)?,
                finished: row.get(4)?,
                free_ms: row.get(5)?,
                expires_ms: row.get(6)?,
            })
        })
        .optional()?;
    match found {
        Some(count)
            if count
                .expires_ms
                .is_some_and(|expires| expires <= batch.now_ms) =>
        {
            delete(batch, count.id)?;
            Ok(None)
        }
        found => Ok(found),
    }
}

/// A chord, which is created when it is missing.
fn living(batch: &Batch<'_>, group: &GroupId) -> rusqlite::Result<Count> {
    if let Some(count) = find(batch, group)? {
        return Ok(count);
    }
    let id = batch
        .prepared("INSERT INTO chord (name) VALUES (?1)")?
        .insert([group.as_str()])?;
    Ok(Count {
        id,
        ..Count::default()
    })
}

/// Writes what has changed.
fn write(batch: &Batch<'_>, count: Count) -> rusqlite::Result<()> {
    let since = || count.free_ms.unwrap_or(batch.now_ms);
    let free_ms = count.is_complete().then(since);
    batch
        .prepared(
            "UPDATE chord
             SET size = ?2, grown = ?3, done = ?4, finished = ?5, free_ms = ?6, expires_ms = ?7
             WHERE id = ?1",
        )?
        .execute(params![
            count.id,
            count.size,
            count.grown,
            count.done,
            count.finished,
            free_ms,
            count.expires_ms,
        ])?;
    Ok(())
}

fn delete(batch: &Batch<'_>, id: i64) -> rusqlite::Result<()> {
    for delete in [
        "DELETE FROM chord WHERE id = ?1",
        "DELETE FROM chord_body WHERE chord = ?1",
        "DELETE FROM part WHERE chord = ?1",
    ] {
        batch.prepared(delete)?.execute([id])?;
    }
    Ok(())
}

/// Leaves how its results are nested, for those who ask for the group later.
fn delete_content(batch: &Batch<'_>, id: i64) -> rusqlite::Result<()> {
    for delete in [
        "DELETE FROM part WHERE chord = ?1",
        "DELETE FROM chord_body WHERE chord = ?1 AND structure IS NULL",
        "UPDATE chord_body SET body = NULL WHERE chord = ?1",
    ] {
        batch.prepared(delete)?.execute([id])?;
    }
    Ok(())
}

fn open(batch: &Batch<'_>, chord: &Chord) -> rusqlite::Result<()> {
    let mut count = living(batch, &chord.group)?;
    if count.finished {
        count = Count {
            id: count.id,
            ..Count::default()
        };
    }
    // More parts than there are numbers will never be done.
    count.size = Some(i64::try_from(chord.size).unwrap_or(i64::MAX));
    count.keep(batch, chord.expires);
    batch
        .prepared(
            "INSERT INTO chord_body (chord, structure) VALUES (?1, ?2)
             ON CONFLICT (chord) DO UPDATE SET structure = coalesce(excluded.structure, structure)",
        )?
        .execute(params![count.id, chord.structure])?;
    write(batch, count)
}

fn save(
    batch: &Batch<'_>,
    group: &GroupId,
    meta: &[u8],
    expires: Option<Duration>,
) -> rusqlite::Result<()> {
    let mut count = living(batch, group)?;
    batch
        .prepared(
            "INSERT INTO chord_body (chord, structure) VALUES (?1, ?2)
             ON CONFLICT (chord) DO UPDATE SET structure = excluded.structure",
        )?
        .execute(params![count.id, meta])?;
    count.keep(batch, expires);
    write(batch, count)
}

fn delete_saved(batch: &Batch<'_>, group: &GroupId) -> rusqlite::Result<()> {
    match find(batch, group)? {
        None => Ok(()),
        Some(count) if !count.is_chord() => delete(batch, count.id),
        Some(count) => {
            batch
                .prepared("UPDATE chord_body SET structure = NULL WHERE chord = ?1")?
                .execute([count.id])?;
            Ok(())
        }
    }
}

fn add(batch: &Batch<'_>, part: &Part) -> rusqlite::Result<()> {
    let mut count = living(batch, &part.group)?;
    if count.finished {
        return Ok(());
    }
    let added = batch
        .prepared(
            "INSERT INTO part (chord, place, task_id, state, value) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            count.id,
            part.index.unwrap_or(LAST),
            part.id.as_str(),
            part.state.as_str(),
            part.value,
        ])?;
    if added == 0 {
        return Ok(());
    }
    // Mostly all parts bring the same, and then nothing is written.
    batch
        .prepared(
            "INSERT INTO chord_body (chord, body) VALUES (?1, ?2)
             ON CONFLICT (chord) DO UPDATE SET body = excluded.body
             WHERE body IS NOT excluded.body AND (body IS NULL OR excluded.body != x'')",
        )?
        .execute(params![count.id, part.then])?;
    count.done += 1;
    count.keep(batch, part.expires);
    write(batch, count)
}

/// Chords that can be taken: row and group, those first that are complete for the longest time.
fn free(conn: &Connection, now_ms: i64, limit: i64) -> rusqlite::Result<Vec<(i64, GroupId)>> {
    conn.prepare_cached(
        "SELECT id, name FROM chord
         WHERE free_ms <= ?1 AND (expires_ms IS NULL OR expires_ms > ?1)
         ORDER BY free_ms LIMIT ?2",
    )?
    .query_map([now_ms, limit], |row| {
        Ok((row.get(0)?, row.get_ref(1)?.as_str()?.into()))
    })?
    .collect()
}

fn free_now(batch: &Batch<'_>, limit: i64) -> rusqlite::Result<Vec<(i64, GroupId)>> {
    free(batch.conn(), batch.now_ms, limit)
}

fn take(batch: &Batch<'_>, id: i64, group: GroupId, claim: Duration) -> rusqlite::Result<Complete> {
    batch
        .prepared("UPDATE chord SET free_ms = ?2 WHERE id = ?1")?
        .execute(params![id, after_ms(batch.now_ms, claim)])?;
    let (structure, body) = batch
        .prepared("SELECT structure, body FROM chord_body WHERE chord = ?1")?
        .query_row([id], |row| Ok((row.get(0)?, row.get::<_, Option<_>>(1)?)))?;
    let mut select = batch.prepared(
        "SELECT task_id, state, value FROM part WHERE chord = ?1 ORDER BY place, task_id",
    )?;
    let parts = select.query_map([id], |row| {
        Ok(Done {
            id: row.get_ref(0)?.as_str()?.into(),
            state: row.get_ref(1)?.as_str()?.into(),
            value: row.get(2)?,
        })
    })?;
    Ok(Complete {
        group,
        parts: parts.collect::<rusqlite::Result<_>>()?,
        structure,
        then: body.unwrap_or_default(),
    })
}

/// Complete → finished; false when there is no such chord.
fn end(batch: &Batch<'_>, group: &GroupId) -> rusqlite::Result<bool> {
    let Some(count) = find(batch, group)?.filter(Count::is_complete) else {
        return Ok(false);
    };
    delete_content(batch, count.id)?;
    let ended = Count {
        id: count.id,
        finished: true,
        expires_ms: count.expires_ms,
        ..Count::default()
    };
    write(batch, ended)?;
    Ok(true)
}

/// Deletes chords that have expired, and says how many.
pub(crate) async fn sweep(handle: &Handle) -> Result<u64> {
    let mut swept = 0;
    loop {
        let run = |batch: &mut Batch<'_>| {
            let expired: Vec<(i64, i64)> = batch
                .prepared("SELECT id, done FROM chord WHERE expires_ms <= ?1 LIMIT ?2")?
                .query_map([batch.now_ms, SWEEP_STEP], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })?
                .collect::<rusqlite::Result<_>>()?;
            let (mut deleted, mut rows) = (0, 0);
            for (id, done) in expired {
                delete(batch, id)?;
                deleted += 1;
                rows += 1 + done;
                if rows >= SWEEP_STEP {
                    break;
                }
            }
            Ok(Ok(deleted))
        };
        let weight = Weight {
            rows: SWEEP_STEP as usize,
            ..Weight::SMALL
        };
        match handle.writer.call(weight, run).await? {
            0 => return Ok(swept),
            deleted => swept += deleted,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use aipo_core::Clock;
    use jiff::Timestamp;

    use super::*;
    use crate::testing::{AN_HOUR, Bed};

    /// How many rows there are for chords and what belongs to them.
    fn rows(bed: &Bed) -> i64 {
        Connection::open(&bed.options.path)
            .expect("open")
            .query_row(
                "SELECT (SELECT count(*) FROM chord) + (SELECT count(*) FROM chord_body)
                      + (SELECT count(*) FROM part)",
                [],
                |row| row.get(0),
            )
            .expect("count")
    }

    #[tokio::test]
    async fn saved_groups_leave_no_rows_behind() {
        let seconds = Arc::new(AtomicI64::new(0));
        let told = seconds.clone();
        let clock = Clock::from_fn(move || {
            Timestamp::from_second(told.load(Ordering::SeqCst)).expect("a small number")
        });
        let bed = Bed::with_clock(clock);
        let store = bed.connect().await;
        let save = async |group: &str, expires| {
            let group = group.into();
            let saved = store.chords.save_group(&group, b"meta".to_vec(), expires);
            saved.await.expect("save");
        };
        save("expires", Some(AN_HOUR)).await;
        save("deleted", None).await;
        assert_eq!(rows(&bed), 4);

        for group in ["deleted", "unknown"] {
            let group = group.into();
            store.chords.delete_group(&group).await.expect("delete");
        }
        assert_eq!(rows(&bed), 2);
        assert_eq!(store.state.sweep().await.expect("sweep"), 0);
        seconds.store(3601, Ordering::SeqCst);
        assert_eq!(store.state.sweep().await.expect("sweep"), 1);
        assert_eq!(rows(&bed), 0);
    }
}
