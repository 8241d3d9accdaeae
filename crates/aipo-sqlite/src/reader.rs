//! Reads on a connection and thread of their own, so that they do not wait behind writes.
//!
//! In WAL mode a read sees the last commit and neither waits for the writer nor makes it wait.

use std::path::Path;
use std::thread;

use aipo_core::{Error, ErrorKind, Result};
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::error::{closed, storage};
use crate::schema;

/// Reads that wait for the thread at most; who comes later waits to ask.
const MAX_WAITING: usize = 256;

type Job = Box<dyn FnOnce(&Connection) + Send>;

/// Ends its thread when the last clone is gone.
#[derive(Clone)]
pub(crate) struct Reader(mpsc::Sender<Job>);

impl Reader {
    /// Opens a database that exists.
    pub(crate) async fn start(path: &Path) -> Result<Self> {
        let (sender, mut receiver) = mpsc::channel::<Job>(MAX_WAITING);
        let (opened, open) = oneshot::channel();
        let path = path.to_owned();
        thread::Builder::new()
            .name("aipo-db-read".to_owned())
            .spawn(move || {
                let conn = match schema::open_reader(&path) {
                    Ok(conn) => conn,
                    Err(error) => return drop(opened.send(Err(error))),
                };
                if opened.send(Ok(())).is_err() {
                    return;
                }
                while let Some(job) = receiver.blocking_recv() {
                    job(&conn);
                }
            })
            .map_err(|error| {
                Error::new(ErrorKind::Unavailable, "can't start a thread").caused_by(error)
            })?;
        open.await.map_err(|_| closed())??;
        Ok(Self(sender))
    }

    /// Reads, in one transaction, and answers when it is done. So a look at many rows sees one
    /// moment, a message on the move in one place, and pays once for SQLite's locks.
    pub(crate) async fn read<T, F>(&self, read: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |conn| {
            if !reply.is_closed() {
                // Who asked may have left meanwhile, and then nobody misses the answer.
                let snapshot = conn.unchecked_transaction();
                let answer = snapshot.and_then(|snapshot| read(&snapshot));
                let _ = reply.send(answer.map_err(storage));
            }
        });
        self.0.send(job).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    /// Hands over a job from a thread that is not asynchronous.
    pub(crate) fn blocking(&self, job: impl FnOnce(&Connection) + Send + 'static) {
        if self.0.blocking_send(Box::new(job)).is_err() {
            tracing::debug!("a read came after the store was closed");
        }
    }
}
