//! The writing thread: takes in, runs, answers, sleeps.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use aipo_core::store::state::REVOKED;
use aipo_core::{Clock, Error, Result};
use rusqlite::{Connection, ErrorCode};

use super::{Companions, Message, Shared, Work, hand_back};
use crate::batch::{Batch, News, QueueIds, earliest_due};
use crate::config::SqliteOptions;
use crate::error::Fault;
use crate::fetch::{FetchJob, MAX_FETCH, Taken};
use crate::lock::{Turn, WriteLock};
use crate::schema;
use crate::state::last_number;
use crate::time::{from_ms, now_ms};
use crate::wake::{Bell, RECHECK};

/// Rows after which a transaction takes no further operation.
const MAX_BATCH_ROWS: usize = 4_096;

/// Pages in the WAL after which it is written back into the database: 16 MiB. Fewer would have the
/// disk wait more often, more would make reads look through more and keep less safe from a power cut.
pub(super) const CHECKPOINT_PAGES: u64 = 2_048;

/// How often "busy" is tried again before callers hear of it; each try takes SQLite's own busy
/// timeout of 5 s.
const BUSY_TRIES: usize = 12;

/// A fetch that is in the thread.
struct Waiting {
    job: FetchJob,
    /// Whether it must be looked at whatever changed: nobody did yet.
    fresh: bool,
    outcome: Option<Result<Vec<Taken>>>,
}

/// The state of the thread.
pub(super) struct Thread {
    conn: Connection,
    lock: WriteLock,
    bell: Bell,
    clock: Clock,
    max_batch: usize,
    shared: Shared,
    receiver: mpsc::Receiver<Message>,
    queues: QueueIds,
    waiting: Vec<Waiting>,
    /// Whether all who wait must be looked at: something may have become ready elsewhere or by time.
    look: bool,
    /// What goes before all that is in the channel: takings of fetches that nobody received.
    returns: Vec<Box<dyn Work>>,
    /// The number of the last revocation, as the last look of fetches found it.
    last_revoked: u64,
    /// Pages in the WAL, as SQLite told at the last commit.
    wal_pages: Arc<AtomicU64>,
    /// The number of pages at which to try the next checkpoint.
    checkpoint_at: u64,
    /// That number after the last transaction.
    wal_seen: u64,
}

impl Thread {
    /// Opens the files, creating or migrating the database.
    pub(super) fn open(
        options: SqliteOptions,
        files: &Companions,
        shared: Shared,
        receiver: mpsc::Receiver<Message>,
    ) -> Result<Self> {
        let beside = |error| {
            Error::from(Fault::io("can't use the files beside the database", &error))
                .with("path", options.path.display())
        };
        let lock = WriteLock::open(&files.lock).map_err(beside)?;
        let bell = Bell::open(&files.wake).map_err(beside)?;
        let turn = lock.wait().map_err(beside)?;
        let mut conn = schema::open_writer(&options)?;
        drop(turn);

        // In place of SQLite's own automatic checkpoints, which come without the file lock: several
        // processes would then write on during each other's, and the WAL would never start anew.
        let wal_pages = Arc::new(AtomicU64::new(0));
        let counter = wal_pages.clone();
        conn.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages| {
            counter.store(u64::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        }))
        .map_err(Fault::from)?;
        Ok(Self {
            conn,
            lock,
            bell,
            clock: options.clock,
            max_batch: options.max_batch,
            shared,
            receiver,
            queues: QueueIds::new(),
            waiting: Vec::new(),
            look: false,
            returns: Vec::new(),
            last_revoked: 0,
            wal_pages,
            checkpoint_at: CHECKPOINT_PAGES,
            wal_seen: 0,
        })
    }

    /// Works until the last handle is gone.
    pub(super) fn run(mut self) {
        while let Some(works) = self.take_in() {
            if works.is_empty() && !self.would_serve() {
                self.settle_for_nothing();
            } else {
                self.transact(works);
            }
        }
        // The last handle is gone. Where this is the last connection of all processes, its close
        // also writes the WAL back and removes it.
    }

    /// Sleeps until there is something to do, and takes all there is up to the bounds; `None` when
    /// there is nobody left.
    fn take_in(&mut self) -> Option<Vec<Box<dyn Work>>> {
        let mut works = std::mem::take(&mut self.returns);
        let mut rows: usize = works.iter().map(|work| work.rows()).sum();
        let mut next = self.receiver.try_recv().ok();
        if next.is_none() && works.is_empty() && !self.look {
            next = match self.nap() {
                None => Some(self.receiver.recv().ok()?),
                Some(nap) => match self.receiver.recv_timeout(nap) {
                    Ok(message) => Some(message),
                    Err(RecvTimeoutError::Timeout) => {
                        self.look = true;
                        None
                    }
                    Err(RecvTimeoutError::Disconnected) => return None,
                },
            };
        }
        while let Some(message) = next {
            match message {
                Message::Work(work) => {
                    rows += work.rows();
                    if !work.is_abandoned() {
                        works.push(work);
                    }
                }
                Message::Fetch(job) => {
                    rows += 1;
                    self.waiting.push(Waiting {
                        job,
                        fresh: true,
                        outcome: None,
                    });
                    // Before anybody looks for it, see `Doze`.
                    self.shared.doze.set_waiting(self.waiting.len());
                }
                Message::Look => {
                    self.shared.doze.woke();
                    self.look = true;
                }
            }
            let full = works.len() >= self.max_batch || rows >= MAX_BATCH_ROWS;
            next = if full {
                None
            } else {
                self.receiver.try_recv().ok()
            };
        }
        Some(works)
    }

    /// How long to sleep at most; `None` while there is nobody whose time could come.
    fn nap(&mut self) -> Option<Duration> {
        // Nobody is served in place of those who left, so a time that has come for them would keep
        // coming.
        self.waiting.retain(|waiting| !waiting.job.is_abandoned());
        self.shared.doze.set_waiting(self.waiting.len());
        if self.waiting.is_empty() {
            return None;
        }
        let queues: BTreeSet<_> = self
            .waiting
            .iter()
            .flat_map(|waiting| waiting.job.queues())
            .collect();
        let due = queues.into_iter().filter_map(|queue| {
            // If this can't be read, the look after `RECHECK` fails too and tells those who wait.
            earliest_due(&self.conn, queue).ok().flatten()
        });
        let until = due.min().map(|due_ms| self.clock.until(from_ms(due_ms)));
        Some(until.map_or(RECHECK, |until| until.min(RECHECK)))
    }

    /// Whether one of the fetches to be looked at would act, seen without a transaction.
    fn would_serve(&self) -> bool {
        let now_ms = now_ms(&self.clock);
        self.waiting
            .iter()
            .filter(|waiting| self.look || waiting.fresh)
            .any(|waiting| {
                // A look that fails is left to the transaction, which fails too and tells why.
                !waiting.job.is_abandoned()
                    && waiting.job.would_act(&self.conn, now_ms).unwrap_or(true)
            })
    }

    /// Runs operations and fetches in one transaction if that can be, else one by one.
    fn transact(&mut self, mut works: Vec<Box<dyn Work>>) {
        match self.attempt(&mut works, true) {
            Ok(turn) => self.conclude(works, turn),
            Err(Failure {
                fault,
                began: false,
            }) => {
                works
                    .into_iter()
                    .for_each(|work| work.refuse(fault.clone().into()));
                self.refuse_fetches(&fault);
            }
            Err(Failure { began: true, .. }) => {
                for work in works {
                    let mut works = vec![work];
                    match self.attempt(&mut works, false) {
                        Ok(turn) => self.conclude(works, turn),
                        Err(Failure { fault, .. }) => {
                            works
                                .into_iter()
                                .for_each(|work| work.refuse(fault.clone().into()));
                        }
                    }
                }
                self.look = true;
                match self.attempt(&mut [], true) {
                    Ok(turn) => self.conclude(Vec::new(), turn),
                    Err(Failure { fault, .. }) => self.refuse_fetches(&fault),
                }
            }
        }
    }

    /// One transaction, from the lock to the commit. Gives the lock back, except where a checkpoint is
    /// to come under it.
    fn attempt(
        &mut self,
        works: &mut [Box<dyn Work>],
        fetches: bool,
    ) -> std::result::Result<Option<Turn>, Failure> {
        let turn = self.lock.wait().map_err(|error| Failure {
            fault: Fault::io("can't lock the file beside the database", &error),
            began: false,
        })?;
        self.begin().map_err(|error| Failure {
            fault: error.into(),
            began: false,
        })?;
        let committed = self.fill(works, fetches).and_then(|news| {
            self.conn.prepare_cached("COMMIT")?.execute([])?;
            Ok(news)
        });
        match committed {
            Ok(news) => {
                let turn = self.checkpoint_is_due().then_some(turn);
                if news.ring
                    && let Err(error) = self.bell.ring()
                {
                    tracing::warn!(%error, "other processes learn of a change only by looking");
                }
                self.shared.awaited.tell(&news.results);
                Ok(turn)
            }
            Err(error) => {
                // SQLite has undone it already after some errors, a full disk among them.
                if !self.conn.is_autocommit()
                    && let Err(error) = self.conn.execute_batch("ROLLBACK")
                {
                    tracing::error!(%error, "can't undo a transaction");
                }
                // Among what is known may be queues that were created, and are undone like the takings of
                // fetches.
                self.queues.clear();
                for waiting in &mut self.waiting {
                    waiting.outcome = None;
                }
                Err(Failure {
                    fault: error.into(),
                    began: true,
                })
            }
        }
    }

    fn begin(&self) -> rusqlite::Result<()> {
        let mut begin = self.conn.prepare_cached("BEGIN IMMEDIATE")?;
        let mut tries = 0;
        loop {
            tries += 1;
            match begin.execute([]) {
                Ok(_) => return Ok(()),
                Err(error) if is_busy(&error) && tries < BUSY_TRIES => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// What goes between begin and commit. Fetches come last, so that they see what the rest made
    /// ready.
    fn fill(&mut self, works: &mut [Box<dyn Work>], fetches: bool) -> rusqlite::Result<News> {
        let mut batch = Batch::new(&self.conn, &mut self.queues, now_ms(&self.clock));
        for work in works {
            work.run(&mut batch)?;
        }
        if fetches {
            if !self.waiting.is_empty() {
                // With the revocations of this very transaction.
                self.last_revoked = last_number(&self.conn, REVOKED)?;
            }
            let look = std::mem::take(&mut self.look);
            let mut room = MAX_FETCH;
            for waiting in &mut self.waiting {
                let job = &waiting.job;
                let concerned = look || waiting.fresh || job.is_concerned(&batch.news);
                if !concerned || job.is_abandoned() {
                    continue;
                }
                if room == 0 {
                    // It gets its look in the next transaction, which follows at once.
                    self.look = true;
                    continue;
                }
                let outcome = job.take(&mut batch, room)?;
                room -= outcome.as_ref().map_or(0, Vec::len);
                waiting.outcome = Some(outcome);
            }
        }
        batch.finish()
    }

    /// After the commit: answers, and writes the WAL back when it is time.
    fn conclude(&mut self, works: Vec<Box<dyn Work>>, turn: Option<Turn>) {
        works.into_iter().for_each(|work| work.answer());
        self.answer_fetches();
        if let Some(turn) = turn {
            self.checkpoint();
            drop(turn);
        }
    }

    /// Tells every fetch that would have been looked at that there is nothing.
    fn settle_for_nothing(&mut self) {
        match last_number(&self.conn, REVOKED) {
            Ok(last) => self.last_revoked = last,
            Err(error) => return self.refuse_fetches(&error.into()),
        }
        let look = std::mem::take(&mut self.look);
        for waiting in self
            .waiting
            .iter_mut()
            .filter(|waiting| look || waiting.fresh)
        {
            waiting.outcome = Some(Ok(Vec::new()));
        }
        self.answer_fetches();
    }

    /// Tells every fetch that would have been looked at why it can't be.
    fn refuse_fetches(&mut self, fault: &Fault) {
        let look = std::mem::take(&mut self.look);
        for waiting in self
            .waiting
            .iter_mut()
            .filter(|waiting| look || waiting.fresh)
        {
            waiting.outcome = Some(Err(fault.clone().into()));
        }
        self.answer_fetches();
    }

    /// Answers the fetches that were looked at. Who waits and got nothing stays.
    fn answer_fetches(&mut self) {
        for waiting in &mut self.waiting {
            if waiting.job.wait && matches!(&waiting.outcome, Some(Ok(taken)) if taken.is_empty()) {
                waiting.outcome = None;
                waiting.fresh = false;
            }
        }
        for answered in self
            .waiting
            .extract_if(.., |waiting| waiting.outcome.is_some())
        {
            let FetchJob { reply, source, .. } = answered.job;
            let outcome = answered.outcome.expect("chosen for having one");
            if outcome.is_ok() {
                source.learn_revoked(self.last_revoked);
            }
            if let Err(Ok(taken)) = reply.send(outcome)
                && !taken.is_empty()
            {
                // Who asked is gone: it shall be as if these had never been fetched.
                let holds = taken.iter().map(|taken| taken.hold).collect();
                self.returns.push(hand_back(source.consumer, holds));
            }
        }
        self.shared.doze.set_waiting(self.waiting.len());
    }

    fn checkpoint_is_due(&mut self) -> bool {
        let pages = self.wal_pages.load(Ordering::Relaxed);
        if pages < self.wal_seen {
            // It was started anew since, by this process or by another.
            self.checkpoint_at = CHECKPOINT_PAGES;
        }
        self.wal_seen = pages;
        pages >= self.checkpoint_at
    }

    /// Writes the WAL back into the database. The next writer then starts it anew, if nobody still
    /// reads from it; otherwise it grows on and this comes again. Never waits for readers: those of this
    /// crate take milliseconds, and a foreign one shall not keep everybody from writing.
    fn checkpoint(&mut self) {
        let done = self
            .conn
            .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        if let Err(error) = done {
            // What is committed stays in the WAL, where it is as safe as before.
            tracing::warn!(%error, "can't write the WAL back into the database");
        }
        self.checkpoint_at = self.wal_seen + CHECKPOINT_PAGES;
    }
}

/// An attempt that came to nothing.
struct Failure {
    fault: Fault,
    /// Whether the transaction had begun, so that one of the operations may be at fault.
    began: bool,
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use crate::fetch::Source;
    use crate::message::{NewMessage, insert};
    use crate::testing::{Bed, message};

    /// A thread on a file with one ready message in queue `q`, where consumer 7 waits; and that
    /// consumer's side.
    fn waiting_for_one(bed: &Bed) -> (Thread, oneshot::Receiver<Result<Vec<Taken>>>) {
        let file = |name| bed.folder.path().join(name);
        let files = Companions {
            lock: file("lock"),
            wake: file("wake"),
        };
        let shared = Shared {
            awaited: Arc::default(),
            doze: Arc::default(),
        };
        let (_, receiver) = mpsc::channel();
        let mut thread = Thread::open(bed.options.clone(), &files, shared, receiver).expect("open");
        let new = NewMessage::encode(message("q", "a")).expect("encode");
        let mut batch = Batch::new(&thread.conn, &mut thread.queues, 0);
        insert(&mut batch, &[new]).expect("insert");
        let queue = batch.queue(&"q".into()).expect("queue");
        batch.finish().expect("finish");
        thread
            .conn
            .execute("INSERT INTO consumer VALUES (7, 'worker', ?1)", [i64::MAX])
            .expect("consumer");
        let (reply, caller) = oneshot::channel();
        let job = FetchJob {
            source: Arc::new(Source::new(7, vec![(queue, "q".into())])),
            max: 1,
            started: 1,
            wait: true,
            reply,
        };
        thread.waiting.push(Waiting {
            job,
            fresh: true,
            outcome: None,
        });
        (thread, caller)
    }

    /// The caller left after the message was taken and before the answer was given.
    #[test]
    fn what_nobody_is_there_to_receive_is_handed_back() {
        let bed = Bed::new();
        let (mut thread, caller) = waiting_for_one(&bed);
        let place = |thread: &Thread| -> (bool, bool) {
            let query = "SELECT EXISTS (SELECT 1 FROM ready), EXISTS (SELECT 1 FROM in_flight)";
            thread
                .conn
                .query_row(query, [], |row| Ok((row.get(0)?, row.get(1)?)))
                .expect("query")
        };

        let turn = thread.attempt(&mut [], true).ok().expect("attempt");
        assert_eq!(place(&thread), (false, true), "taken");
        drop(caller);
        thread.conclude(Vec::new(), turn);
        let works = thread.take_in().expect("there is something to do");
        thread.transact(works);

        assert_eq!(place(&thread), (true, false), "handed back");
    }

    /// What became ready or due for it would have the thread look again and again.
    #[test]
    fn who_left_is_not_waited_for() {
        let bed = Bed::new();
        let (mut thread, caller) = waiting_for_one(&bed);
        assert!(thread.nap().is_some());

        drop(caller);

        assert_eq!(thread.nap(), None);
    }
}
