//! Imports a CSV file, line by line.
//!
//! ```text
//! file ─inspect─▶ records ─split─▶ values ─validate─▶ row ─save + advance cursor─▶ committed
//!                                              └─ refused ─▶ rejection + advance cursor ─▶ committed
//! ```
//!
//! # Exactly once
//! Whatever a line causes (its row, the rows its hooks change, its rejections) is committed in one
//! transaction with the step of the import's cursor. A process that dies before the commit has done
//! nothing for this line; one that dies after it has done everything. Whoever continues starts at
//! the cursor. Should two workers ever run the same import, the cursor moves for one of them only,
//! and the other stops with [`ImportError::Overtaken`].

mod fields;
mod layout;
mod lines;
mod records;

use std::fs::File;

use jiff::Timestamp;
use rusqlite::{Connection, Transaction};

use crate::catalog::imports::{self, Cursor};
use crate::catalog::notifications::{self, Kind, Progress, Status};
use crate::catalog::save::{self, SaveError};
use crate::catalog::{self, Catalog, Origin, Refusal, write_on};
use crate::media::Media;
use layout::reader_at;
pub use layout::{FileError, Layout, MAX_COLUMNS};
pub use lines::LINE;
use lines::NewRow;
use records::Splitter;

/// Records between two reports of progress.
const REPORT_EVERY: u64 = 100;

/// Why an import did not complete.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// There is no such import.
    #[error("there is no import with notification {0}")]
    Unknown(i64),
    /// The import has failed for good; its notification says why.
    #[error("the import of notification {0} has already failed")]
    AlreadyFailed(i64),
    /// The file as a whole was refused. The message is in Portuguese.
    #[error(transparent)]
    File(#[from] FileError),
    /// The caller asked to stop. The cursor is kept: the import can be continued.
    #[error("the import was cancelled")]
    Cancelled,
    /// Another worker has continued this import.
    #[error("another worker has continued the import of notification {0}")]
    Overtaken(i64),
    /// The database failed.
    #[error(transparent)]
    Catalog(#[from] catalog::Error),
}

impl ImportError {
    /// Whether the same import may succeed when it is tried again.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::File(error) => matches!(error, FileError::Io(_)),
            Self::Catalog(error) => error.is_temporary(),
            Self::Unknown(_) | Self::AlreadyFailed(_) | Self::Cancelled | Self::Overtaken(_) => {
                false
            }
        }
    }
}

/// Why a line's transaction was not committed.
enum LineError {
    Overtaken,
    Catalog(catalog::Error),
}

impl From<catalog::Error> for LineError {
    fn from(error: catalog::Error) -> Self {
        Self::Catalog(error)
    }
}

/// Runs the import of a notification, or what is left of it, and completes the notification.
///
/// `on_progress` is called with committed progress: at the start, every 100 records, and at the
/// end. `cancelled` is asked before each record. An import that was completed before is not run
/// again. The notification is left as processing when an error is returned: whether to try again or
/// to give up ([`notifications::fail`]) is the caller's decision.
///
/// # Errors
/// [`ImportError`]; what was imported until then stays imported.
pub fn import_file(
    catalog: &Catalog,
    media: &Media,
    notification_id: i64,
    on_progress: &mut dyn FnMut(Progress),
    cancelled: &dyn Fn() -> bool,
) -> Result<Progress, ImportError> {
    let mut connection = catalog.connect()?;
    let job = notifications::get(&connection, notification_id)?
        .filter(|job| job.kind == Kind::Import)
        .ok_or(ImportError::Unknown(notification_id))?;
    match job.status {
        Status::Completed => return Ok(job.progress),
        Status::Failed => return Err(ImportError::AlreadyFailed(notification_id)),
        Status::Pending | Status::Processing => {}
    }
    notifications::start(&connection, notification_id, catalog.now())?;

    let path = media.path(job.file.as_deref().ok_or(FileError::Gone)?);
    let layout = Layout::inspect(&path, job.model)?;
    let mut cursor = imports::begin(&connection, notification_id, layout.start)?;
    let mut file = File::open(&path).map_err(FileError::from)?;
    let mut records = reader_at(
        &mut file,
        layout.delimiter,
        cursor.next_byte,
        cursor.next_line,
    )?;
    let mut splitter = Splitter::new(layout.delimiter);
    on_progress(progress(&cursor));

    while let Some(record) = records.next().map_err(FileError::from)? {
        if cancelled() {
            return Err(ImportError::Cancelled);
        }
        let now = catalog.now();
        let row = lines::read(
            job.model,
            &layout.columns,
            &splitter.split(record.text),
            now,
        );
        let origin = Origin {
            import_id: notification_id,
            line: record.line,
        };
        let next = Cursor {
            records_done: cursor.records_done + 1,
            next_byte: record.next_byte,
            next_line: record.next_line,
            ..cursor
        };
        cursor =
            commit_line(&mut connection, origin, row, &cursor, next, now).map_err(|error| {
                match error {
                    LineError::Overtaken => ImportError::Overtaken(notification_id),
                    LineError::Catalog(error) => error.into(),
                }
            })?;
        if cursor.records_done.is_multiple_of(REPORT_EVERY) {
            on_progress(progress(&cursor));
        }
    }
    if cursor.records_done != cursor.records_total {
        return Err(FileError::Changed.into());
    }
    // False means that another worker has completed it: the same cursor, hence the same outcome.
    notifications::complete(&connection, job.id, cursor.imported, None, catalog.now())?;
    on_progress(progress(&cursor));
    Ok(progress(&cursor))
}

/// Saves or rejects one line and moves the cursor to `next`, in one transaction.
fn commit_line(
    connection: &mut Connection,
    origin: Origin,
    row: Result<NewRow, Vec<Refusal>>,
    cursor: &Cursor,
    mut next: Cursor,
    now: Timestamp,
) -> Result<Cursor, LineError> {
    write_on(connection, |transaction| {
        let saved = match row {
            Ok(row) => save_whole(transaction, &row, origin, now)?,
            Err(refusals) => Err(refusals),
        };
        match saved {
            Ok(()) => next.imported += 1,
            Err(refusals) => {
                next.rejected += 1;
                imports::reject(transaction, origin.import_id, origin.line, &refusals)?;
            }
        }
        if imports::advance(transaction, origin.import_id, cursor, &next)? {
            Ok(next)
        } else {
            Err(LineError::Overtaken)
        }
    })
}

/// Saves a row with all that its hooks do, or nothing of it when it is refused. The transaction goes
/// on either way: it also records the rejection.
fn save_whole(
    transaction: &mut Transaction<'_>,
    row: &NewRow,
    origin: Origin,
    now: Timestamp,
) -> Result<Result<(), Vec<Refusal>>, catalog::Error> {
    let savepoint = transaction.savepoint()?;
    match save_row(&savepoint, row, origin, now) {
        Ok(()) => {
            savepoint.commit()?;
            Ok(Ok(()))
        }
        Err(SaveError::Refused(refusal)) => {
            savepoint.finish()?;
            Ok(Err(vec![refusal]))
        }
        Err(SaveError::Catalog(error)) => Err(error),
    }
}

fn save_row(
    connection: &Connection,
    row: &NewRow,
    origin: Origin,
    now: Timestamp,
) -> Result<(), SaveError> {
    match row {
        NewRow::Product(new) => save::product(connection, new, Some(origin), now),
        NewRow::Category(new) => save::category(connection, new, now),
        NewRow::Brand(new) => save::brand(connection, new, now),
        NewRow::Sale(new) => save::sale(connection, new, now),
        NewRow::StockMovement(new) => save::movement(connection, new, now),
    }
    .map(|_id| ())
}

fn progress(cursor: &Cursor) -> Progress {
    Progress {
        done: cursor.records_done,
        total: cursor.records_total,
        rejected: cursor.rejected,
    }
}

#[cfg(test)]
mod tests;
