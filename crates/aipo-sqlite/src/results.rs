//! Results: one row per task, the latest state that was stored.

use std::sync::Arc;
use std::time::Duration;

use aipo_core::store::{ResultBackend, ResultRecord};
use aipo_core::{Result, TaskId, TaskState};
use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};
use tokio::time::{Instant, timeout};

use crate::batch::Batch;
use crate::handle::Handle;
use crate::time::{after_ms, now_ms};
use crate::wake::RECHECK;
use crate::writer::Weight;

pub(crate) struct SqliteResults(pub(crate) Arc<Handle>);

#[async_trait]
impl ResultBackend for SqliteResults {
    async fn store(&self, batch: Vec<ResultRecord>) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let records = batch;
        let weight = Weight {
            rows: records.len(),
            bytes: records.iter().map(|record| record.meta.len()).sum(),
        };
        let run = move |batch: &mut Batch<'_>| {
            for record in &records {
                store(batch, record)?;
            }
            Ok(Ok(()))
        };
        self.0.writer.call(weight, run).await
    }

    async fn get(&self, ids: &[TaskId]) -> Result<Vec<Option<Vec<u8>>>> {
        let ids = ids.to_vec();
        let now_ms = now_ms(&self.0.clock);
        let get = move |conn: &Connection| {
            let mut select = conn.prepare_cached(
                "SELECT meta FROM result
                 WHERE task_id = ?1 AND (expires_ms IS NULL OR expires_ms > ?2)",
            )?;
            let metas = ids.iter().map(|id| {
                select
                    .query_row(params![id.as_str(), now_ms], |row| row.get(0))
                    .optional()
            });
            metas.collect()
        };
        self.0.reader.read(get).await
    }

    async fn wait(&self, id: &TaskId, time: Duration) -> Result<Option<Vec<u8>>> {
        let started = Instant::now();
        // First a place among the waiters, then the look: a result stored in between is told.
        let waiter = self.0.awaited.register(id);
        loop {
            let meta = self.look(id).await?;
            let left = time.saturating_sub(started.elapsed());
            if meta.is_some() || left.is_zero() {
                return Ok(meta);
            }
            // Told, or time for a look of its own, or time over: it looks again in every case.
            let _ = timeout(left.min(RECHECK), waiter.told()).await;
        }
    }

    async fn forget(&self, ids: &[TaskId]) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let ids = ids.to_vec();
        let weight = Weight {
            rows: ids.len(),
            ..Weight::SMALL
        };
        let run = move |batch: &mut Batch<'_>| {
            let mut delete = batch.prepared("DELETE FROM result WHERE task_id = ?1")?;
            for id in &ids {
                delete.execute([id.as_str()])?;
            }
            Ok(Ok(()))
        };
        self.0.writer.call(weight, run).await
    }

    async fn sweep(&self) -> Result<u64> {
        self.0
            .sweep(
                "DELETE FROM result WHERE seq IN
                 (SELECT seq FROM result WHERE expires_ms <= ?1 LIMIT ?2)",
            )
            .await
    }
}

impl SqliteResults {
    /// The meta of a task that has ended.
    async fn look(&self, id: &TaskId) -> Result<Option<Vec<u8>>> {
        let (id, awaited) = (id.clone(), self.0.awaited.clone());
        let now_ms = now_ms(&self.0.clock);
        let look = move |conn: &Connection| {
            // The look and where catching up begins see the table at the same moment.
            awaited.begin(conn)?;
            let mut select = conn.prepare_cached(
                "SELECT status, meta FROM result
                 WHERE task_id = ?1 AND (expires_ms IS NULL OR expires_ms > ?2)",
            )?;
            let mut rows = select.query(params![id.as_str(), now_ms])?;
            match rows.next()? {
                Some(row) if TaskState::from(row.get_ref(0)?.as_str()?).is_ready() => {
                    Ok(Some(row.get(1)?))
                }
                _ => Ok(None),
            }
        };
        self.0.reader.read(look).await
    }
}

/// Stores a result, unless the task has a success that has not expired.
pub(crate) fn store(batch: &mut Batch<'_>, record: &ResultRecord) -> rusqlite::Result<()> {
    let seq = batch.next_seq()?;
    let expires_ms = record
        .expires
        .map(|expires| after_ms(batch.now_ms, expires));
    let stored = batch
        .prepared(include_str!("queries/store_result.sql"))?
        .execute(params![
            seq,
            record.id.as_str(),
            record.state.as_str(),
            expires_ms,
            record.meta,
            batch.now_ms,
        ])?;
    if stored > 0 && record.state.is_ready() {
        batch.news.results.push(record.id.clone());
    }
    Ok(())
}
