//! Who listens to what in this process, and what waits for them.
//!
//! All listeners of a process share one place in the table of notices. A wake-up reads what is new since
//! then, once for all of them, and hands it to those whose topics match; a process in which nobody listens
//! reads nothing. All reading is done on the reader's thread, so the place moves in order.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aipo_core::store::bus::BACKLOG;
use aipo_core::store::{Address, Notice, Topic};
use rusqlite::{Connection, Row};
use tokio::sync::Notify;

use crate::message::StoredEnvelope;
use crate::reader::Reader;

#[derive(Default)]
pub(crate) struct Listeners {
    inner: Mutex<Inner>,
    /// Whether reading on is on its way to the reader.
    reading_on: AtomicBool,
}

#[derive(Default)]
struct Inner {
    boxes: Vec<Arc<Inbox>>,
    /// The number of the last notice that was handed out.
    read_to: i64,
}

/// What waits for one listener.
struct Inbox {
    topics: Vec<Topic>,
    waiting: Mutex<Waiting>,
    told: Notify,
}

#[derive(Default)]
struct Waiting {
    notices: VecDeque<Notice>,
    /// How many went because there were too many.
    missed: usize,
}

/// A place among the listeners, until it is dropped.
pub(crate) struct Ear {
    listeners: Arc<Listeners>,
    inbox: Arc<Inbox>,
}

impl Listeners {
    /// Makes a place for somebody who hears what is told from now on. To be called on the reader's thread, in
    /// a read transaction.
    pub(crate) fn open(
        self: &Arc<Self>,
        conn: &Connection,
        topics: Vec<Topic>,
    ) -> rusqlite::Result<Ear> {
        // For those who listen already: the new one is not to hear what this transaction sees.
        self.read_on(conn)?;
        let newest: i64 = conn
            .prepare_cached("SELECT next - 1 FROM sequence WHERE only = 1")?
            .query_row([], |row| row.get(0))?;
        let inbox = Arc::new(Inbox {
            topics,
            waiting: Mutex::default(),
            told: Notify::new(),
        });
        let mut inner = lock(&self.inner);
        inner.read_to = newest;
        inner.boxes.push(inbox.clone());
        Ok(Ear {
            listeners: self.clone(),
            inbox,
        })
    }

    /// Has the reader look for news, if anybody listens.
    pub(crate) fn catch_up(self: &Arc<Self>, reader: &Reader) {
        if lock(&self.inner).boxes.is_empty() || self.reading_on.swap(true, Ordering::SeqCst) {
            return;
        }
        let this = self.clone();
        reader.blocking(move |conn| {
            // First this, then the look: a wake-up during the look asks for another.
            this.reading_on.store(false, Ordering::SeqCst);
            if let Err(error) = this.read_on(conn) {
                // The listeners look themselves after `wake::RECHECK`, and get the error then.
                tracing::warn!(%error, "can't read what other processes tell");
            }
        });
    }

    /// Hands out what was told since the last time. To be called on the reader's thread.
    pub(crate) fn read_on(&self, conn: &Connection) -> rusqlite::Result<()> {
        // Copied, so that nobody who comes or leaves waits for SQL.
        let (boxes, read_to) = {
            let inner = lock(&self.inner);
            (inner.boxes.clone(), inner.read_to)
        };
        if boxes.is_empty() {
            return Ok(());
        }
        let mut news = conn.prepare_cached(
            "SELECT seq, mailbox, exchange, routing_key, headers, properties, body
             FROM notice WHERE seq > ?1 ORDER BY seq",
        )?;
        let mut rows = news.query([read_to])?;
        while let Some(row) = rows.next()? {
            hand_out(row, &boxes)?;
            lock(&self.inner).read_to = row.get(0)?;
        }
        Ok(())
    }
}

#[cfg(test)]
impl Listeners {
    pub(crate) fn count(&self) -> usize {
        lock(&self.inner).boxes.len()
    }
}

/// Gives a notice to those who listen to it.
fn hand_out(row: &Row<'_>, boxes: &[Arc<Inbox>]) -> rusqlite::Result<()> {
    let (exchange, routing_key) = (row.get(2)?, row.get(3)?);
    let to = match row.get(1)? {
        false => Address::Everybody {
            exchange,
            routing_key,
        },
        true => Address::Mailbox {
            exchange,
            routing_key,
        },
    };
    let listening: Vec<_> = boxes.iter().filter(|inbox| inbox.listens_to(&to)).collect();
    if listening.is_empty() {
        return Ok(());
    }
    let stored = StoredEnvelope {
        headers: row.get(4)?,
        properties: row.get(5)?,
        body: row.get(6)?,
    };
    let envelope = match stored.decode() {
        Ok(envelope) => envelope,
        Err(error) => {
            tracing::warn!(%error, ?to, "a notice can't be read");
            return Ok(());
        }
    };
    let notice = Notice { to, envelope };
    for inbox in listening {
        inbox.put(notice.clone());
    }
    Ok(())
}

impl Inbox {
    fn listens_to(&self, address: &Address) -> bool {
        self.topics.iter().any(|topic| topic.matches(address))
    }

    fn put(&self, notice: Notice) {
        let mut waiting = lock(&self.waiting);
        if waiting.notices.len() == BACKLOG {
            waiting.notices.pop_front();
            waiting.missed += 1;
        }
        waiting.notices.push_back(notice);
        drop(waiting);
        self.told.notify_one();
    }
}

impl Ear {
    /// The oldest notice that waits.
    pub(crate) fn take(&self) -> Option<Notice> {
        let mut waiting = lock(&self.inbox.waiting);
        let missed = std::mem::take(&mut waiting.missed);
        if missed > 0 {
            tracing::warn!(missed, "a listener did not keep up and missed notices");
        }
        waiting.notices.pop_front()
    }

    /// Comes back when something was put in since the last time.
    pub(crate) async fn told(&self) {
        self.inbox.told.notified().await;
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        let mut inner = lock(&self.listeners.inner);
        inner.boxes.retain(|inbox| !Arc::ptr_eq(inbox, &self.inbox));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere leaves what is locked sound: each change is one call.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
