//! The one thread of this handle that writes, and its group commit.
//!
//! SQLite writes one transaction at a time, and each costs about the same whether it holds one
//! change or hundreds. So operations of all callers queue up here; the thread takes all that wait,
//! runs them as **one** transaction and then answers them all. While one transaction runs the next one
//! gathers: alone, a caller waits for nobody; under load, hundreds share the cost.
//!
//! ```text
//!   callers ──▶ channel ──▶ take all ──▶ lock, BEGIN ──▶ run each ──▶ serve fetches ──▶ COMMIT ──▶ answer
//!                  ▲                                                      │
//!                  └── wake file, due time ◀──── fetches that found nothing wait here
//! ```
//!
//! Invariants:
//! - Nothing is answered before its commit.
//! - An operation that answers with an error of its own has changed nothing. If SQLite refuses
//!   anything in a transaction, all of it is undone and each operation runs again alone, so that only
//!   the one at fault fails. (Room on the disk is the usual reason: then a large publish fails
//!   and the settlements beside it, which free room, do not.)
//! - A fetch that finds nothing stays here. It is served in the very transaction that makes a message
//!   ready, when that is one of this process; otherwise the wake file or the next due time has it
//!   looked at again.
//! - What waits for the thread is bounded: by [`MAX_WAITING_KIB`] of content, and by the callers, each of
//!   whom has one operation there until it is answered.

mod thread;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;

use aipo_core::{Error, ErrorKind, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use self::thread::Thread;
use crate::awaited::Awaited;
use crate::batch::{Batch, Outcome};
use crate::config::SqliteOptions;
use crate::error::closed;
use crate::fetch::FetchJob;
use crate::message::{self, Hold};
use crate::wake::Doze;

/// Content of all operations that wait for the thread, in KiB; beyond that callers wait to hand
/// theirs over.
const MAX_WAITING_KIB: u32 = 64 * 1024;

/// What an operation weighs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weight {
    /// Rows that it touches, more or less.
    pub(crate) rows: usize,
    /// Content that it carries.
    pub(crate) bytes: usize,
}

impl Weight {
    /// An operation on a few rows with nothing to speak of in it.
    pub(crate) const SMALL: Self = Self { rows: 1, bytes: 0 };
}

/// What comes to the thread.
pub(crate) enum Message {
    /// Something to run.
    Work(Box<dyn Work>),
    /// A fetch.
    Fetch(FetchJob),
    /// Another process changed something: look again for those who wait.
    Look,
}

/// Something to run in a transaction. It may run several times, until one commits.
pub(crate) trait Work: Send {
    /// Rows that it touches, more or less.
    fn rows(&self) -> usize;
    /// Whether nobody waits for the answer any more, and it has not begun: then it need not run.
    fn is_abandoned(&self) -> bool;
    fn run(&mut self, batch: &mut Batch<'_>) -> rusqlite::Result<()>;
    /// Gives the answer of the last run, which is committed.
    fn answer(self: Box<Self>);
    /// Answers that it could not run.
    fn refuse(self: Box<Self>, error: Error);
}

/// Hands operations to the thread, which ends when the last clone is gone.
#[derive(Clone)]
pub(crate) struct Writer {
    sender: mpsc::Sender<Message>,
    room: Arc<Semaphore>,
}

/// What the thread shares with others in the process.
pub(crate) struct Shared {
    pub(crate) awaited: Arc<Awaited>,
    pub(crate) doze: Arc<Doze>,
}

/// The files beside the database.
pub(crate) struct Companions {
    pub(crate) lock: PathBuf,
    pub(crate) wake: PathBuf,
}

impl Writer {
    /// Opens the database, creating or migrating it, and starts the thread.
    pub(crate) async fn start(
        options: SqliteOptions,
        files: Companions,
        shared: Shared,
    ) -> Result<Self> {
        let (sender, receiver) = mpsc::channel();
        let (opened, open) = oneshot::channel();
        std::thread::Builder::new()
            .name("aipo-db-write".to_owned())
            .spawn(
                move || match Thread::open(options, &files, shared, receiver) {
                    Ok(thread) => {
                        if opened.send(Ok(())).is_ok() {
                            thread.run();
                        }
                    }
                    Err(error) => drop(opened.send(Err(error))),
                },
            )
            .map_err(|error| {
                Error::new(ErrorKind::Unavailable, "can't start a thread").caused_by(error)
            })?;
        open.await.map_err(|_| closed())??;
        Ok(Self {
            sender,
            room: Arc::new(Semaphore::new(MAX_WAITING_KIB as usize)),
        })
    }

    /// Runs an operation in a transaction and gives its answer after the commit.
    ///
    /// # Cancel safety
    /// When the future is dropped the operation happens whole or not at all.
    pub(crate) async fn call<T, F>(&self, weight: Weight, run: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Batch<'_>) -> Outcome<T> + Send + 'static,
    {
        let permit = match weight.bytes {
            // What carries nothing, such as the renewal of a lease, must not wait behind content.
            0 => None,
            bytes => {
                let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
                let room = self.room.clone();
                let permit = room.acquire_many_owned(kib.min(MAX_WAITING_KIB)).await;
                Some(permit.map_err(|_| closed())?)
            }
        };
        let (reply, answer) = oneshot::channel();
        let call = Call {
            rows: weight.rows,
            run,
            outcome: None,
            reply: Some(reply),
            _permit: permit,
        };
        self.send(Message::Work(Box::new(call)))?;
        answer.await.map_err(|_| closed())?
    }

    /// Hands over a fetch; the answer comes through its `reply`.
    pub(crate) fn fetch(&self, job: FetchJob) -> Result<()> {
        self.send(Message::Fetch(job))
    }

    /// Hands back what a fetch took that nobody received.
    pub(crate) fn hand_back(&self, consumer: i64, holds: Vec<Hold>) {
        // If the thread is gone the lease runs out, and then they return.
        let _ = self.send(Message::Work(hand_back(consumer, holds)));
    }

    /// For the watch.
    pub(crate) fn sender(&self) -> mpsc::Sender<Message> {
        self.sender.clone()
    }

    fn send(&self, message: Message) -> Result<()> {
        self.sender.send(message).map_err(|_| closed())
    }
}

/// An operation with its way back.
struct Call<T, F> {
    rows: usize,
    run: F,
    outcome: Option<Result<T>>,
    /// `None` when nobody ever waited.
    reply: Option<oneshot::Sender<Result<T>>>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl<T, F> Work for Call<T, F>
where
    T: Send,
    F: FnMut(&mut Batch<'_>) -> Outcome<T> + Send,
{
    fn rows(&self) -> usize {
        self.rows
    }

    fn is_abandoned(&self) -> bool {
        self.reply.as_ref().is_some_and(oneshot::Sender::is_closed)
    }

    fn run(&mut self, batch: &mut Batch<'_>) -> rusqlite::Result<()> {
        self.outcome = Some((self.run)(batch)?);
        Ok(())
    }

    fn answer(self: Box<Self>) {
        if let (Some(reply), Some(outcome)) = (self.reply, self.outcome) {
            // Who asked may have left meanwhile.
            let _ = reply.send(outcome);
        }
    }

    fn refuse(self: Box<Self>, error: Error) {
        match self.reply {
            Some(reply) => drop(reply.send(Err(error))),
            None => tracing::warn!(%error, "messages return only when their lease runs out"),
        }
    }
}

fn hand_back(consumer: i64, holds: Vec<Hold>) -> Box<dyn Work> {
    let rows = holds.len();
    let run = move |batch: &mut Batch<'_>| {
        for &hold in &holds {
            // What is not held any more was returned by a recovery.
            if let Some(held) = message::take_back(batch, consumer, hold)? {
                message::release(batch, &held)?;
            }
        }
        Ok(Ok(()))
    };
    Box::new(Call {
        rows,
        run,
        outcome: None,
        reply: None,
        _permit: None,
    })
}

#[cfg(test)]
mod tests;
