//! Facts: a key, bytes, a time to live, and a fence while the key is claimed. Logs: entries in the order of
//! their numbers, which are from the sequence.

use std::sync::Arc;
use std::time::Duration;

use aipo_core::Result;
use aipo_core::store::{Entry, Fact, Fence, StateStore};
use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};

use crate::batch::Batch;
use crate::bus;
use crate::chords;
use crate::handle::Handle;
use crate::time::{after_ms, now_ms};
use crate::writer::Weight;

pub(crate) struct SqliteState(pub(crate) Arc<Handle>);

/// Sets a fact: ?1 key, ?2 fence or null, ?3 expiry or null, ?4 value.
const SET: &str = "INSERT INTO fact (key, fence, expires_ms, value) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (key) DO UPDATE
    SET fence = excluded.fence, expires_ms = excluded.expires_ms, value = excluded.value";

#[async_trait]
impl StateStore for SqliteState {
    async fn put(&self, key: &str, value: Vec<u8>, ttl: Option<Duration>) -> Result<()> {
        let weight = Weight {
            rows: 1,
            bytes: value.len(),
        };
        let key = key.to_owned();
        let fact = Fact { key, value, ttl };
        let run = move |batch: &mut Batch<'_>| Ok(Ok(put(batch, &fact)?));
        self.0.writer.call(weight, run).await
    }

    async fn claim(&self, key: &str, value: Vec<u8>, ttl: Duration) -> Result<Option<Fence>> {
        let key = key.to_owned();
        let weight = Weight {
            rows: 1,
            bytes: value.len(),
        };
        let run = move |batch: &mut Batch<'_>| {
            let taken: bool = batch
                .prepared(
                    "SELECT EXISTS (SELECT 1 FROM fact
                     WHERE key = ?1 AND (expires_ms IS NULL OR expires_ms > ?2))",
                )?
                .query_row(params![key, batch.now_ms], |row| row.get(0))?;
            if taken {
                return Ok(Ok(None));
            }
            // From the sequence, so it is higher than all before, whatever became of their rows.
            let fence = batch.next_seq()?;
            let expires_ms = after_ms(batch.now_ms, ttl);
            batch
                .prepared(SET)?
                .execute(params![key, fence, expires_ms, value])?;
            Ok(Ok(Some(Fence(fence as u64))))
        };
        self.0.writer.call(weight, run).await
    }

    async fn renew(&self, key: &str, fence: Fence, value: Vec<u8>, ttl: Duration) -> Result<bool> {
        let key = key.to_owned();
        let weight = Weight {
            rows: 1,
            bytes: value.len(),
        };
        let run = move |batch: &mut Batch<'_>| {
            let renewed = batch
                .prepared(
                    "UPDATE fact SET value = ?4, expires_ms = ?5
                     WHERE key = ?1 AND fence = ?2 AND expires_ms > ?3",
                )?
                .execute(params![
                    key,
                    number(fence),
                    batch.now_ms,
                    value,
                    after_ms(batch.now_ms, ttl),
                ])?;
            Ok(Ok(renewed == 1))
        };
        self.0.writer.call(weight, run).await
    }

    async fn release(&self, key: &str, fence: Fence) -> Result<bool> {
        let key = key.to_owned();
        let run = move |batch: &mut Batch<'_>| {
            let released = batch
                .prepared("DELETE FROM fact WHERE key = ?1 AND fence = ?2 AND expires_ms > ?3")?
                .execute(params![key, number(fence), batch.now_ms])?;
            Ok(Ok(released == 1))
        };
        self.0.writer.call(Weight::SMALL, run).await
    }

    async fn get(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>> {
        let keys = keys.to_vec();
        let now_ms = now_ms(&self.0.clock);
        let get = move |conn: &Connection| {
            let mut select = conn.prepare_cached(
                "SELECT value FROM fact
                 WHERE key = ?1 AND (expires_ms IS NULL OR expires_ms > ?2)",
            )?;
            let values = keys.iter().map(|key| {
                select
                    .query_row(params![key, now_ms], |row| row.get(0))
                    .optional()
            });
            values.collect()
        };
        self.0.reader.read(get).await
    }

    async fn delete(&self, key: &str) -> Result<()> {
        let key = key.to_owned();
        let run = move |batch: &mut Batch<'_>| Ok(Ok(delete(batch, &key)?));
        self.0.writer.call(Weight::SMALL, run).await
    }

    async fn scan(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>> {
        let prefix = prefix.to_owned();
        let now_ms = now_ms(&self.0.clock);
        self.0
            .reader
            .read(move |conn| scan(conn, &prefix, now_ms))
            .await
    }

    async fn append(&self, log: &str, values: Vec<Vec<u8>>, ttl: Duration) -> Result<u64> {
        let log = log.to_owned();
        let weight = Weight {
            rows: values.len(),
            bytes: values.iter().map(Vec::len).sum(),
        };
        let run = move |batch: &mut Batch<'_>| Ok(Ok(append(batch, &log, &values, ttl)?));
        self.0.writer.call(weight, run).await
    }

    async fn entries(&self, log: &str, after: u64, limit: usize) -> Result<Vec<Entry>> {
        let log = log.to_owned();
        let now_ms = now_ms(&self.0.clock);
        let entries = move |conn: &Connection| {
            let mut select = conn.prepare_cached(
                "SELECT number, value FROM entry
                 WHERE log = (SELECT id FROM log WHERE name = ?1) AND number > ?2 AND expires_ms > ?3
                 ORDER BY number LIMIT ?4",
            )?;
            let after = i64::try_from(after).unwrap_or(i64::MAX);
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let entries = select.query_map(params![log, after, now_ms, limit], |row| {
                Ok(Entry {
                    number: row.get(0)?,
                    value: row.get(1)?,
                })
            })?;
            entries.collect()
        };
        self.0.reader.read(entries).await
    }

    async fn sweep(&self) -> Result<u64> {
        let facts = self
            .0
            .sweep(
                "DELETE FROM fact WHERE key IN
                 (SELECT key FROM fact WHERE expires_ms <= ?1 LIMIT ?2)",
            )
            .await?;
        let entries = self
            .0
            .sweep(
                "DELETE FROM entry WHERE (log, number) IN
                 (SELECT log, number FROM entry WHERE expires_ms <= ?1 LIMIT ?2)",
            )
            .await?;
        // Not counted: notices are no part of the state.
        bus::sweep(&self.0).await?;
        Ok(facts + entries + chords::sweep(&self.0).await?)
    }
}

/// Sets a fact, whatever was there.
pub(crate) fn put(batch: &Batch<'_>, fact: &Fact) -> rusqlite::Result<()> {
    let expires_ms = fact.ttl.map(|ttl| after_ms(batch.now_ms, ttl));
    // No fence: a claim from before ends here.
    batch
        .prepared(SET)?
        .execute(params![fact.key, None::<i64>, expires_ms, fact.value])?;
    Ok(())
}

/// Deletes a fact if it is there.
pub(crate) fn delete(batch: &Batch<'_>, key: &str) -> rusqlite::Result<()> {
    batch
        .prepared("DELETE FROM fact WHERE key = ?1")?
        .execute([key])?;
    Ok(())
}

/// Appends to a log, which is created when it is missing, and gives the number of its last entry.
fn append(
    batch: &mut Batch<'_>,
    log: &str,
    values: &[Vec<u8>],
    ttl: Duration,
) -> rusqlite::Result<u64> {
    if values.is_empty() {
        return last_number(batch.conn(), log);
    }
    let id: i64 = batch
        .prepared(
            "INSERT INTO log (name, last) VALUES (?1, 0)
             ON CONFLICT (name) DO UPDATE SET last = last RETURNING id",
        )?
        .query_row([log], |row| row.get(0))?;
    let expires_ms = after_ms(batch.now_ms, ttl);
    let mut insert = batch
        .prepared("INSERT INTO entry (log, number, expires_ms, value) VALUES (?1, ?2, ?3, ?4)")?;
    let mut last = 0;
    for value in values {
        last = batch.next_seq()?;
        insert.execute(params![id, last, expires_ms, value])?;
    }
    batch
        .prepared("UPDATE log SET last = ?2 WHERE id = ?1")?
        .execute([id, last])?;
    Ok(last as u64)
}

/// The number of the last entry that a log ever had; zero when there was none.
pub(crate) fn last_number(conn: &Connection, log: &str) -> rusqlite::Result<u64> {
    let last = conn
        .prepare_cached("SELECT last FROM log WHERE name = ?1")?
        .query_row([log], |row| row.get(0))
        .optional()?;
    Ok(last.unwrap_or(0))
}

fn scan(conn: &Connection, prefix: &str, now_ms: i64) -> rusqlite::Result<Vec<(String, Vec<u8>)>> {
    // From the first key that could match on, in order, until one does not: text has no simple
    // "next prefix" to end a range with, and a pattern would need escaping.
    let mut select = conn.prepare_cached(
        "SELECT key, value FROM fact
         WHERE key >= ?1 AND (expires_ms IS NULL OR expires_ms > ?2) ORDER BY key",
    )?;
    let mut rows = select.query(params![prefix, now_ms])?;
    let mut facts = Vec::new();
    while let Some(row) = rows.next()? {
        let key = row.get_ref(0)?.as_str()?;
        if !key.starts_with(prefix) {
            break;
        }
        facts.push((key.to_owned(), row.get(1)?));
    }
    Ok(facts)
}

/// A fence as stored; one that nobody has when it is none of ours.
fn number(fence: Fence) -> i64 {
    i64::try_from(fence.0).unwrap_or(0)
}
