//! What processes tell each other: rows that live shortly, and that those who listen read as they come.
//!
//! Telling is one insert in the transaction that all share, and a ring of the wake file; see `listeners.rs`
//! for the other side. Each tell also deletes what is too old or too much, at the old end.

use std::sync::Arc;
use std::time::Duration;

use aipo_core::Result;
use aipo_core::store::{Address, Bus, Listener, Notice, Topic};
use async_trait::async_trait;
use rusqlite::{OptionalExtension, params};
use tokio::time::timeout;

use crate::batch::Batch;
use crate::handle::Handle;
use crate::listeners::Ear;
use crate::message::encode_properties;
use crate::time::after_ms;
use crate::wake::RECHECK;
use crate::writer::Weight;

/// How long a notice is kept for listeners of other processes to read it: far longer than it takes them.
const KEPT_FOR: Duration = Duration::from_secs(60);

/// Notices that are kept at most.
const KEPT: i64 = 16_384;

/// Bytes of notices that are kept at most; the oldest of them may reach beyond. So the newest is always kept.
const KEPT_BYTES: i64 = 64 * 1024 * 1024;

/// Rows that are deleted at one time, beyond as many as are told.
const PRUNE_STEP: usize = 1_000;

pub(crate) struct SqliteBus(pub(crate) Arc<Handle>);

#[async_trait]
impl Bus for SqliteBus {
    async fn tell(&self, notices: Vec<Notice>) -> Result<()> {
        if notices.is_empty() {
            return Ok(());
        }
        let notices = notices
            .into_iter()
            .map(NewNotice::encode)
            .collect::<Result<Vec<_>>>()?;
        let weight = Weight {
            rows: notices.len(),
            bytes: notices.iter().map(NewNotice::size).sum(),
        };
        let run = move |batch: &mut Batch<'_>| Ok(Ok(insert(batch, &notices)?));
        self.0.writer.call(weight, run).await
    }

    async fn listen(&self, topics: Vec<Topic>) -> Result<Box<dyn Listener>> {
        let listeners = self.0.listeners.clone();
        let ear = self
            .0
            .reader
            .read(move |conn| listeners.open(conn, topics))
            .await?;
        Ok(Box::new(SqliteListener {
            ear,
            handle: self.0.clone(),
        }))
    }
}

struct SqliteListener {
    ear: Ear,
    handle: Arc<Handle>,
}

#[async_trait]
impl Listener for SqliteListener {
    async fn next(&mut self) -> Result<Notice> {
        loop {
            if let Some(notice) = self.ear.take() {
                return Ok(notice);
            }
            if timeout(RECHECK, self.ear.told()).await.is_err() {
                let listeners = self.handle.listeners.clone();
                let look = self.handle.reader.read(move |conn| listeners.read_on(conn));
                look.await?;
            }
        }
    }
}

/// A notice on its way into the table, encoded before it comes to the writer.
struct NewNotice {
    to: Address,
    headers: Vec<u8>,
    properties: String,
    body: Vec<u8>,
}

impl NewNotice {
    fn encode(Notice { to, envelope }: Notice) -> Result<Self> {
        Ok(Self {
            properties: encode_properties(&envelope.properties)
                .map_err(|error| error.with("to", format!("{to:?}")))?,
            to,
            headers: envelope.headers,
            body: envelope.body,
        })
    }

    /// Bytes that it will take, more or less; not zero.
    fn size(&self) -> usize {
        self.headers.len() + self.properties.len() + self.body.len()
    }
}

fn insert(batch: &mut Batch<'_>, notices: &[NewNotice]) -> rusqlite::Result<()> {
    let mut insert = batch.prepared(
        "INSERT INTO notice
             (seq, expires_ms, nth, bytes, mailbox, exchange, routing_key, headers, properties, body)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?;
    let expires_ms = after_ms(batch.now_ms, KEPT_FOR);
    let (mut nth, mut bytes) = told_so_far(batch)?;
    for notice in notices {
        nth += 1;
        bytes += notice.size() as i64;
        let (mailbox, exchange, routing_key) = match &notice.to {
            Address::Everybody {
                exchange,
                routing_key,
            } => (false, exchange, routing_key),
            Address::Mailbox {
                exchange,
                routing_key,
            } => (true, exchange, routing_key),
        };
        let seq = batch.next_seq()?;
        insert.execute(params![
            seq,
            expires_ms,
            nth,
            bytes,
            mailbox,
            exchange,
            routing_key,
            notice.headers,
            notice.properties,
            notice.body,
        ])?;
    }
    prune(batch, (nth, bytes), notices.len() + PRUNE_STEP)?;
    batch.news.ring = true;
    Ok(())
}

/// How many notices were told, and how many bytes, when the newest was; zero when none is left.
fn told_so_far(batch: &Batch<'_>) -> rusqlite::Result<(i64, i64)> {
    let newest = batch
        .prepared("SELECT nth, bytes FROM notice ORDER BY seq DESC LIMIT 1")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(newest.unwrap_or((0, 0)))
}

/// Deletes notices from the oldest on that have expired or are too much, at most `limit`. Reads as many as
/// it deletes, and one more.
fn prune(batch: &Batch<'_>, (nth, bytes): (i64, i64), limit: usize) -> rusqlite::Result<usize> {
    let mut last = None::<i64>;
    let mut oldest =
        batch.prepared("SELECT seq, nth, bytes, expires_ms FROM notice ORDER BY seq LIMIT ?1")?;
    let mut rows = oldest.query([limit])?;
    while let Some(row) = rows.next()? {
        let too_many = row.get::<_, i64>(1)? <= nth - KEPT;
        let too_much = row.get::<_, i64>(2)? <= bytes - KEPT_BYTES;
        let expired = row.get::<_, i64>(3)? <= batch.now_ms;
        if !(too_many || too_much || expired) {
            break;
        }
        last = Some(row.get(0)?);
    }
    match last {
        None => Ok(0),
        Some(last) => batch
            .prepared("DELETE FROM notice WHERE seq <= ?1")?
            .execute([last]),
    }
}

/// Deletes what has expired, for there may be nobody who tells anything more.
pub(crate) async fn sweep(handle: &Handle) -> Result<()> {
    loop {
        let weight = Weight {
            rows: PRUNE_STEP,
            ..Weight::SMALL
        };
        let run = |batch: &mut Batch<'_>| {
            let so_far = told_so_far(batch)?;
            Ok(Ok(prune(batch, so_far, PRUNE_STEP)?))
        };
        if handle.writer.call(weight, run).await? < PRUNE_STEP {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use aipo_core::message::Envelope;
    use aipo_core::{Clock, Store};
    use jiff::Timestamp;
    use rusqlite::Connection;

    use super::*;
    use crate::testing::{Bed, GUARD, within};

    fn news(body: Vec<u8>) -> Notice {
        let to = Address::Everybody {
            exchange: "events".to_owned(),
            routing_key: "a".to_owned(),
        };
        let envelope = Envelope {
            body,
            ..Envelope::default()
        };
        Notice { to, envelope }
    }

    fn to_events() -> Vec<Topic> {
        vec![Topic::Everybody {
            exchange: "events".to_owned(),
            pattern: "#".to_owned(),
        }]
    }

    async fn tell(store: &Store, notices: Vec<Notice>) {
        store.bus.tell(notices).await.expect("tell");
    }

    /// How many notices are kept, and their bytes.
    fn kept(bed: &Bed) -> (i64, i64) {
        Connection::open(&bed.options.path)
            .expect("open")
            .query_row(
                "SELECT count(*), coalesce(sum(length(body)), 0) FROM notice",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .expect("count")
    }

    #[tokio::test]
    async fn the_newest_are_kept_up_to_a_number() {
        let bed = Bed::new();
        let store = bed.connect().await;

        for _ in 0..3 {
            tell(&store, vec![news(Vec::new()); 7_000]).await;
        }

        assert_eq!(kept(&bed).0, KEPT);
    }

    #[tokio::test]
    async fn the_newest_are_kept_up_to_a_size() {
        const MIB: usize = 1 << 20;
        let bed = Bed::new();
        let store = bed.connect().await;

        for _ in 0..80 {
            tell(&store, vec![news(vec![0; MIB])]).await;
        }

        // Of the oldest the properties of all others are beyond.
        assert_eq!(kept(&bed), (64, 64 << 20));
    }

    #[tokio::test]
    async fn what_is_told_is_kept_for_a_while() {
        let ms = Arc::new(std::sync::atomic::AtomicI64::new(1_000_000));
        let now = ms.clone();
        let bed = Bed::with_clock(Clock::from_fn(move || {
            let now = now.load(std::sync::atomic::Ordering::SeqCst);
            Timestamp::from_millisecond(now).expect("a small number")
        }));
        let store = bed.connect().await;
        let pass = |time: Duration| {
            ms.fetch_add(time.as_millis() as i64, std::sync::atomic::Ordering::SeqCst)
        };

        tell(&store, vec![news(Vec::new()); 3]).await;
        pass(KEPT_FOR / 2);
        tell(&store, vec![news(Vec::new()); 2_500]).await;
        assert_eq!(kept(&bed).0, 2_503);
        pass(KEPT_FOR / 2);
        tell(&store, vec![news(Vec::new())]).await;
        assert_eq!(kept(&bed).0, 2_501, "who tells deletes what is old");

        pass(KEPT_FOR / 2);
        assert_eq!(store.state.sweep().await.expect("sweep"), 0);
        assert_eq!(kept(&bed).0, 1, "and so does a sweep");
        pass(KEPT_FOR / 2);
        store.state.sweep().await.expect("sweep");
        assert_eq!(kept(&bed).0, 0);
    }

    /// A process that was killed between its commit and its ring woke nobody. Here time passes at once
    /// whenever nothing else is to be done, so a guard of the same time would pass too; hence the thread.
    #[test]
    fn what_nobody_was_woken_for_is_found_after_a_while() {
        let (done, heard) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build();
            let found = runtime
                .expect("a runtime")
                .block_on(find_what_nobody_rang_for());
            done.send(found).expect("the test waits");
        });

        let found = heard.recv_timeout(GUARD).expect("it looks by itself");
        assert_eq!(found.envelope.body, b"a");
    }

    async fn find_what_nobody_rang_for() -> Notice {
        let bed = Bed::new();
        let store = bed.connect().await;
        let mut listener = store.bus.listen(to_events()).await.expect("listen");
        let foreign = Connection::open(&bed.options.path).expect("open");
        foreign
            .execute_batch(
                "BEGIN IMMEDIATE;
                 INSERT INTO notice
                 SELECT next, 9e15, 1, 1, 0, 'events', 'a', x'7b7d', '{}', x'61' FROM sequence;
                 UPDATE sequence SET next = next + 1;
                 COMMIT",
            )
            .expect("insert");
        listener.next().await.expect("next")
    }

    /// The place among the listeners is made on another thread, after the caller may have left.
    #[tokio::test]
    async fn a_listen_that_was_dropped_leaves_no_listener() {
        let bed = Bed::new();
        let handle = crate::connect_handle(bed.options.clone())
            .await
            .expect("connect");
        let bus = SqliteBus(handle.clone());

        for polls in 0..4 {
            let mut listen = bus.listen(to_events());
            for _ in 0..polls {
                // Whether it is ready yet depends on the other thread.
                let polled = std::future::poll_fn(|cx| {
                    std::task::Poll::Ready(listen.as_mut().poll(cx).map(drop))
                });
                if polled.await.is_ready() {
                    break;
                }
            }
        }

        // The thread has come to all of them when it comes to this.
        let all_done = handle.reader.read(|_| Ok(()));
        within(all_done).await.expect("read");
        assert_eq!(handle.listeners.count(), 0);
    }
}
