//! Whose turn it is to write, among all processes that have the file open.
//!
//! SQLite lets one connection write at a time and has the others ask again and again. A lock on a
//! file beside the database is a queue in the kernel instead: it costs nothing to stand in, and a
//! process that dies leaves it.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Result};
use std::path::Path;
use std::sync::Arc;

pub(crate) struct WriteLock(Arc<File>);

/// The turn, until it is dropped.
pub(crate) struct Turn(Arc<File>);

impl WriteLock {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        // Each open of the file is an own party to the lock, also within one process.
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)?;
        Ok(Self(Arc::new(file)))
    }

    /// Waits for the turn.
    pub(crate) fn wait(&self) -> Result<Turn> {
        loop {
            match self.0.lock() {
                Ok(()) => return Ok(Turn(self.0.clone())),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Err(error) = self.0.unlock() {
            // The kernel has no reason to refuse; if it does, the next `wait` finds the lock held
            // by this very file, which counts as ours.
            tracing::warn!(%error, "can't give the write lock back");
        }
    }
}
