//! Who waits for which result.
//!
//! Results that this process stores are told to their waiters by name. For those of other
//! processes there is `result.seq`: it grows with every store, so a wake-up reads what is
//! new since the last look and nothing else, however many wait and however many results there are.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aipo_core::{TaskId, TaskState};
use rusqlite::{Connection, params};
use tokio::sync::Notify;

use crate::reader::Reader;

/// Results read at a time when catching up.
const CATCH_UP: i64 = 1_000;

#[derive(Default)]
pub(crate) struct Awaited {
    inner: Mutex<Inner>,
    /// Whether a catch-up is on its way to the reader.
    catching_up: AtomicBool,
}

#[derive(Default)]
struct Inner {
    waiters: HashMap<TaskId, Vec<Arc<Notify>>>,
    /// Up to which `result.seq` the waiters have been told; `None` while nobody has looked yet.
    seen: Option<i64>,
}

/// A place among the waiters for one result, until it is dropped.
pub(crate) struct Waiter {
    awaited: Arc<Awaited>,
    id: TaskId,
    told: Arc<Notify>,
}

impl Awaited {
    /// Registers a waiter, who must look for the result *after* this: a result stored before is then
    /// seen by that look, and one stored later is told.
    pub(crate) fn register(self: &Arc<Self>, id: &TaskId) -> Waiter {
        let told = Arc::new(Notify::new());
        self.lock()
            .waiters
            .entry(id.clone())
            .or_default()
            .push(told.clone());
        Waiter {
            awaited: self.clone(),
            id: id.clone(),
            told,
        }
    }

    /// To be called on the reader's thread, in the read transaction of a waiter's look: from what
    /// that look sees on, catching up begins.
    pub(crate) fn begin(&self, conn: &Connection) -> rusqlite::Result<()> {
        // The mutex is not held while SQL runs: the writer needs it after every commit. Nobody else
        // sets `seen` meanwhile, that happens on this thread only.
        if self.lock().seen.is_none() {
            let newest = conn
                .prepare_cached("SELECT coalesce(max(seq), 0) FROM result")?
                .query_row([], |row| row.get(0))?;
            let mut inner = self.lock();
            if !inner.waiters.is_empty() {
                inner.seen = Some(newest);
            }
        }
        Ok(())
    }

    /// Tells those who wait for one of these tasks.
    pub(crate) fn tell(&self, ids: &[TaskId]) {
        if ids.is_empty() {
            return;
        }
        let inner = self.lock();
        if !inner.waiters.is_empty() {
            ids.iter().for_each(|id| inner.tell(id));
        }
    }

    /// Has the reader look for results that other processes stored, if anybody waits for one.
    pub(crate) fn catch_up(self: &Arc<Self>, reader: &Reader) {
        // `seen` is `None` until the first waiter's look, which is yet to come and sees it all.
        if self.lock().seen.is_some() && !self.catching_up.swap(true, Ordering::SeqCst) {
            let this = self.clone();
            reader.blocking(move |conn| {
                // First this, then the look: a wake-up during the look asks for another.
                this.catching_up.store(false, Ordering::SeqCst);
                if let Err(error) = this.tell_news(conn) {
                    // The waiters look themselves after `wake::RECHECK`, and get the error then.
                    tracing::warn!(%error, "can't read the results of other processes");
                }
            });
        }
    }

    fn tell_news(&self, conn: &Connection) -> rusqlite::Result<()> {
        let mut news = conn.prepare_cached(
            "SELECT seq, task_id, status FROM result WHERE seq > ?1 ORDER BY seq LIMIT ?2",
        )?;
        loop {
            let Some(seen) = self.lock().seen else {
                return Ok(());
            };
            let mut rows = news.query(params![seen, CATCH_UP])?;
            let mut last = seen;
            let mut count = 0;
            let mut ready = Vec::new();
            while let Some(row) = rows.next()? {
                count += 1;
                last = row.get(0)?;
                if TaskState::from(row.get_ref(2)?.as_str()?).is_ready() {
                    ready.push(TaskId::from(row.get_ref(1)?.as_str()?));
                }
            }
            self.tell(&ready);
            let mut inner = self.lock();
            if inner.seen.is_some() {
                inner.seen = Some(last);
            }
            if count < CATCH_UP {
                return Ok(());
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic elsewhere leaves the map sound: each change to it is one call.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn tell(&self, id: &TaskId) {
        for waiter in self.waiters.get(id).into_iter().flatten() {
            waiter.notify_one();
        }
    }
}

impl Waiter {
    /// Comes back when the result was stored since the last time.
    pub(crate) async fn told(&self) {
        self.told.notified().await;
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut inner = self.awaited.lock();
        if let Some(waiters) = inner.waiters.get_mut(&self.id) {
            waiters.retain(|waiter| !Arc::ptr_eq(waiter, &self.told));
            if waiters.is_empty() {
                inner.waiters.remove(&self.id);
            }
        }
        if inner.waiters.is_empty() {
            inner.seen = None;
        }
    }
}
