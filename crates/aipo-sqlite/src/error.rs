//! What went wrong in SQLite or in a file beside it, as the error kinds of the contracts.

use aipo_core::{Error, ErrorKind};
use rusqlite::ErrorCode;

/// A failure that several callers are told about: those who shared a transaction.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    kind: ErrorKind,
    message: &'static str,
    cause: String,
}

impl Fault {
    /// A failure of a file beside the database.
    pub(crate) fn io(message: &'static str, error: &std::io::Error) -> Self {
        Self {
            kind: ErrorKind::Storage,
            message,
            cause: error.to_string(),
        }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        use ErrorKind::{Storage, TooLarge, Unavailable};

        let (kind, message) = match error.sqlite_error_code() {
            // Only after `writer::BUSY_LIMIT`: short waits are waited for.
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                (Unavailable, "another program keeps the database to itself")
            }
            Some(ErrorCode::TooBig) => (TooLarge, "a value is longer than SQLite can keep"),
            Some(ErrorCode::DiskFull) => (Storage, "the disk is full"),
            Some(ErrorCode::SystemIoFailure) => (Storage, "the disk can't be read or written"),
            Some(ErrorCode::ReadOnly) => (Storage, "the database can't be written"),
            Some(ErrorCode::CannotOpen) => (Storage, "the database can't be opened"),
            Some(ErrorCode::DatabaseCorrupt) => (Storage, "the database is damaged"),
            _ => (Storage, "the database refused a statement"),
        };
        Self {
            kind,
            message,
            cause: error.to_string(),
        }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Error::new(fault.kind, fault.message).caused_by(fault.cause)
    }
}

/// For a driver error that only one caller is told about.
pub(crate) fn storage(error: rusqlite::Error) -> Error {
    Fault::from(error).into()
}

/// A thread of the store is gone, which only a bug in it brings about.
pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the store's thread has ended")
}

/// A consumer's lease ran out, or the deliveries named are not its own any more.
pub(crate) fn lease_lost(consumer: i64) -> Error {
    Error::new(ErrorKind::LeaseLost, "the lease has run out").with("consumer", consumer)
}
