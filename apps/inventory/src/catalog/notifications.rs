//! What a user is told about each import and export.
//!
//! ```text
//! pending ──start──▶ processing ──complete──▶ completed
//!    └───────fail───────┴──────────fail─────▶ failed
//! ```
//! `start` may be repeated while processing (a retry, or a second worker after a crash). The two
//! states at the right are final: a late worker cannot change them any more. Reaching one of them
//! makes the notification unread again, so that its user notices.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Error, Model, from_ms, to_ms};

/// What the job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Reads a file into the inventory.
    Import,
    /// Writes a file from the inventory.
    Export,
}

/// How the job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Accepted, not started.
    Pending,
    /// A worker has started it.
    Processing,
    /// Done; final.
    Completed,
    /// Given up; `error_message` says why; final.
    Failed,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Import => "import",
            Self::Export => "export",
        }
    }
}

/// One job, as its user sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskNotification {
    /// Its number; later jobs have larger ones.
    pub id: i64,
    /// The task that does the job.
    pub task_id: String,
    /// Whose job it is.
    pub user: String,
    /// Import or export.
    pub kind: Kind,
    /// What is imported or exported.
    pub model: Model,
    /// The format of an export, such as `csv`.
    pub format: Option<String>,
    /// How it stands.
    pub status: Status,
    /// Why it failed, in Portuguese.
    pub error_message: Option<String>,
    /// Rows imported or exported so far.
    pub record_count: u64,
    /// How far it has come.
    pub progress: Progress,
    /// The uploaded or the produced file, relative to the media folder. An export has none until it
    /// completes.
    pub file: Option<String>,
    /// What the file is called for its user.
    pub file_name: Option<String>,
    /// Whether its user has seen it.
    pub is_read: bool,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When a worker first started it.
    pub started_at: Option<Timestamp>,
    /// When it completed or failed.
    pub finished_at: Option<Timestamp>,
}

/// How far a job has come, in records (lines of a file that are not blank, or rows of a table).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Progress {
    /// Records dealt with.
    pub done: u64,
    /// Records there are; 0 until they have been counted.
    pub total: u64,
    /// Records that were not accepted; an export has none.
    pub rejected: u64,
}

/// A job to be announced.
#[derive(Debug, Clone)]
pub struct NewNotification<'a> {
    /// The task that will do it; unique.
    pub task_id: &'a str,
    /// Whose job it is.
    pub user: &'a str,
    /// Import or export.
    pub kind: Kind,
    /// What is imported or exported.
    pub model: Model,
    /// The format of an export.
    pub format: Option<&'a str>,
    /// The uploaded file, relative to the media folder.
    pub file: Option<&'a str>,
    /// What the file is called for its user.
    pub file_name: Option<&'a str>,
}

/// Announces a job as pending, and returns its id.
///
/// # Errors
/// [`Error::Sqlite`]; among others when the task id is taken.
pub fn create(
    connection: &Connection,
    new: &NewNotification<'_>,
    now: Timestamp,
) -> Result<i64, Error> {
    connection
        .prepare_cached(
            "INSERT INTO task_notification
                 (task_id, user, kind, model, format, status, file, file_name,
                  created_at_ms, updated_at_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, 'pending', ?6, ?7, ?8, ?8)",
        )?
        .execute((
            new.task_id,
            new.user,
            new.kind.name(),
            new.model.name(),
            new.format,
            new.file,
            new.file_name,
            to_ms(now),
        ))?;
    Ok(connection.last_insert_rowid())
}

/// The notification with this id.
///
/// # Errors
/// [`Error::Sqlite`].
pub fn get(connection: &Connection, id: i64) -> Result<Option<TaskNotification>, Error> {
    let sql = format!("{SELECT} WHERE n.id = ?1");
    Ok(connection
        .prepare_cached(&sql)?
        .query_row([id], from_row)
        .optional()?)
}

/// The notification of this task.
///
/// # Errors
/// [`Error::Sqlite`].
pub fn of_task(connection: &Connection, task_id: &str) -> Result<Option<TaskNotification>, Error> {
    let sql = format!("{SELECT} WHERE n.task_id = ?1");
    Ok(connection
        .prepare_cached(&sql)?
        .query_row([task_id], from_row)
        .optional()?)
}

/// A user's notifications, newest first: at most `limit`, older than the id `before`.
///
/// # Errors
/// [`Error::Sqlite`].
pub fn list(
    connection: &Connection,
    user: &str,
    before: Option<i64>,
    limit: usize,
) -> Result<Vec<TaskNotification>, Error> {
    let sql = format!("{SELECT} WHERE n.user = ?1 AND n.id < ?2 ORDER BY n.id DESC LIMIT ?3");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map((user, before.unwrap_or(i64::MAX), limit as i64), from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The notifications that are pending or processing, oldest first: at most `limit`, newer than the
/// id `after`.
///
/// # Errors
/// [`Error::Sqlite`].
pub fn unfinished(
    connection: &Connection,
    after: i64,
    limit: usize,
) -> Result<Vec<TaskNotification>, Error> {
    let sql = format!(
        "{SELECT} WHERE n.status IN ('pending', 'processing') AND n.id > ?1 ORDER BY n.id LIMIT ?2"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map((after, limit as i64), from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Whether a notification refers to this file of the media folder.
///
/// # Errors
/// [`Error::Sqlite`].
pub fn refers_to(connection: &Connection, file: &str) -> Result<bool, Error> {
    Ok(connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM task_notification WHERE file = ?1)")?
        .query_row([file], |row| row.get(0))?)
}

/// Notes which task does the job; for a task that was sent by another program under an id of its
/// own.
///
/// # Errors
/// [`Error::Sqlite`]; among others when the task has another job.
pub fn set_task(connection: &Connection, id: i64, task_id: &str) -> Result<(), Error> {
    connection
        .prepare_cached(
            "UPDATE task_notification SET task_id = ?2 WHERE id = ?1 AND task_id <> ?2",
        )?
        .execute((id, task_id))?;
    Ok(())
}

/// Marks one of the user's notifications as read; false when the user has no such notification.
///
/// # Errors
/// [`Error::Sqlite`].
pub fn mark_read(connection: &Connection, user: &str, id: i64) -> Result<bool, Error> {
    let changed = connection
        .prepare_cached("UPDATE task_notification SET is_read = 1 WHERE id = ?1 AND user = ?2")?
        .execute((id, user))?;
    Ok(changed == 1)
}

/// Marks all of the user's notifications as read, and returns how many were not.
///
/// # Errors
/// [`Error::Sqlite`].
pub fn mark_all_read(connection: &Connection, user: &str) -> Result<usize, Error> {
    Ok(connection
        .prepare_cached("UPDATE task_notification SET is_read = 1 WHERE user = ?1 AND is_read = 0")?
        .execute([user])?)
}

/// Deletes the user's completed and read notifications with all that belongs to them, and returns
/// how many there were and the files nobody refers to any more.
///
/// # Errors
/// [`Error::Sqlite`].
pub fn delete_completed(
    connection: &Connection,
    user: &str,
) -> Result<(usize, Vec<String>), Error> {
    let mut statement = connection.prepare_cached(
        "DELETE FROM task_notification WHERE user = ?1 AND status = 'completed' AND is_read = 1
         RETURNING file",
    )?;
    let files = statement
        .query_map([user], |row| row.get::<_, Option<String>>(0))?
        .collect::<Result<Vec<_>, _>>()?;
    Ok((files.len(), files.into_iter().flatten().collect()))
}

/// Marks the job as started; false when it is in a final state, or does not exist.
///
/// # Errors
/// [`Error::Sqlite`].
pub fn start(connection: &Connection, id: i64, now: Timestamp) -> Result<bool, Error> {
    let changed = connection
        .prepare_cached(
            "UPDATE task_notification
             SET status = 'processing', started_at_ms = coalesce(started_at_ms, ?2), updated_at_ms = ?2
             WHERE id = ?1 AND status IN ('pending', 'processing')",
        )?
        .execute((id, to_ms(now)))?;
    Ok(changed == 1)
}

/// Records how far an export has come; an import's progress is its cursor.
///
/// # Errors
/// [`Error::Sqlite`].
pub fn set_progress(
    connection: &Connection,
    id: i64,
    progress: Progress,
    now: Timestamp,
) -> Result<(), Error> {
    connection
        .prepare_cached(
            "UPDATE task_notification
             SET progress_done = ?2, progress_total = ?3, record_count = ?2, updated_at_ms = ?4
             WHERE id = ?1 AND status = 'processing'",
        )?
        .execute((id, progress.done as i64, progress.total as i64, to_ms(now)))?;
    Ok(())
}

/// Marks the job as completed with `record_count` rows; an export names its `file` and what to call
/// it. False when it was not processing any more.
///
/// # Errors
/// [`Error::Sqlite`].
pub fn complete(
    connection: &Connection,
    id: i64,
    record_count: u64,
    file: Option<(&str, &str)>,
    now: Timestamp,
) -> Result<bool, Error> {
    let changed = connection
        .prepare_cached(
            "UPDATE task_notification
             SET status = 'completed', error_message = NULL, is_read = 0, record_count = ?2,
                 file = coalesce(?3, file), file_name = coalesce(?4, file_name),
                 updated_at_ms = ?5, finished_at_ms = ?5
             WHERE id = ?1 AND status = 'processing'",
        )?
        .execute((
            id,
            record_count as i64,
            file.map(|(file, _)| file),
            file.map(|(_, name)| name),
            to_ms(now),
        ))?;
    Ok(changed == 1)
}

/// Marks the job as failed, with a message in Portuguese for its user. False when it was already
/// in a final state.
///
/// # Errors
/// [`Error::Sqlite`].
pub fn fail(
    connection: &Connection,
    id: i64,
    message: &str,
    now: Timestamp,
) -> Result<bool, Error> {
    let changed = connection
        .prepare_cached(
            "UPDATE task_notification
             SET status = 'failed', error_message = ?2, is_read = 0,
                 updated_at_ms = ?3, finished_at_ms = ?3
             WHERE id = ?1 AND status IN ('pending', 'processing')",
        )?
        .execute((id, message, to_ms(now)))?;
    Ok(changed == 1)
}

const SELECT: &str = "
    SELECT n.id, n.task_id, n.user, n.kind, n.model, n.format, n.status, n.error_message,
           coalesce(c.imported, n.record_count) AS record_count,
           coalesce(c.records_done, n.progress_done) AS done,
           coalesce(c.records_total, n.progress_total) AS total,
           coalesce(c.rejected, 0) AS rejected,
           n.file, n.file_name, n.is_read,
           n.created_at_ms, n.updated_at_ms, n.started_at_ms, n.finished_at_ms
    FROM task_notification n LEFT JOIN import_cursor c ON c.notification_id = n.id";

fn from_row(row: &Row<'_>) -> rusqlite::Result<TaskNotification> {
    let count = |name: &str| row.get::<_, i64>(name).map(i64::unsigned_abs);
    let moment = |name: &str| row.get::<_, i64>(name).map(from_ms);
    let maybe_moment = |name: &str| {
        row.get::<_, Option<i64>>(name)
            .map(|value| value.map(from_ms))
    };
    Ok(TaskNotification {
        id: row.get("id")?,
        task_id: row.get("task_id")?,
        user: row.get("user")?,
        kind: parsed(row, "kind", |text| match text {
            "import" => Some(Kind::Import),
            "export" => Some(Kind::Export),
            _ => None,
        })?,
        model: parsed(row, "model", |text| text.parse().ok())?,
        format: row.get("format")?,
        status: parsed(row, "status", |text| match text {
            "pending" => Some(Status::Pending),
            "processing" => Some(Status::Processing),
            "completed" => Some(Status::Completed),
            "failed" => Some(Status::Failed),
            _ => None,
        })?,
        error_message: row.get("error_message")?,
        record_count: count("record_count")?,
        progress: Progress {
            done: count("done")?,
            total: count("total")?,
            rejected: count("rejected")?,
        },
        file: row.get("file")?,
        file_name: row.get("file_name")?,
        is_read: row.get("is_read")?,
        created_at: moment("created_at_ms")?,
        updated_at: moment("updated_at_ms")?,
        started_at: maybe_moment("started_at_ms")?,
        finished_at: maybe_moment("finished_at_ms")?,
    })
}

/// A column that holds one of a few words.
fn parsed<T>(
    row: &Row<'_>,
    column: &str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> rusqlite::Result<T> {
    let index = row.as_ref().column_index(column)?;
    let text: String = row.get(index)?;
    parse(&text).ok_or_else(|| {
        rusqlite::Error::FromSqlConversionFailure(
            index,
            rusqlite::types::Type::Text,
            format!("unknown {column} {text:?}").into(),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    fn shop() -> (tempfile::TempDir, Catalog) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let catalog = Catalog::open(&folder.path().join("inventory.db")).expect("opens");
        (folder, catalog)
    }

    fn announce(catalog: &Catalog, user: &str, task_id: &str) -> i64 {
        let connection = catalog.connect().expect("connects");
        let new = NewNotification {
            task_id,
            user,
            kind: Kind::Export,
            model: Model::Product,
            format: Some("csv"),
            file: None,
            file_name: None,
        };
        create(&connection, &new, catalog.now()).expect("created")
    }

    #[test]
    fn a_job_goes_from_pending_over_processing_to_completed() {
        let (_folder, catalog) = shop();
        let id = announce(&catalog, "ana", "t1");
        let connection = catalog.connect().expect("connects");
        let now = catalog.now();
        let status = || get(&connection, id).expect("reads").expect("exists").status;
        assert_eq!(status(), Status::Pending);
        assert!(
            !complete(&connection, id, 1, None, now).expect("runs"),
            "not started yet"
        );
        assert!(start(&connection, id, now).expect("runs"));
        assert!(
            start(&connection, id, now).expect("runs"),
            "a retry starts again"
        );
        assert!(complete(&connection, id, 3, Some(("exports/1.csv", "p.csv")), now).expect("runs"));
        assert!(
            !fail(&connection, id, "tarde", now).expect("runs"),
            "completed is final"
        );
        assert!(
            !start(&connection, id, now).expect("runs"),
            "completed is final"
        );
        let job = of_task(&connection, "t1").expect("reads").expect("exists");
        assert_eq!(
            (job.status, job.record_count, job.file.as_deref()),
            (Status::Completed, 3, Some("exports/1.csv"))
        );
    }

    #[test]
    fn a_finished_job_is_unread_again() {
        let (_folder, catalog) = shop();
        let id = announce(&catalog, "ana", "t1");
        let connection = catalog.connect().expect("connects");
        assert!(mark_read(&connection, "ana", id).expect("runs"));
        assert!(fail(&connection, id, "sem espaço", catalog.now()).expect("runs"));
        let job = get(&connection, id).expect("reads").expect("exists");
        assert!(!job.is_read);
        assert_eq!(job.error_message.as_deref(), Some("sem espaço"));
    }

    #[test]
    fn users_see_and_change_only_their_own() {
        let (_folder, catalog) = shop();
        let of_ana = announce(&catalog, "ana", "t1");
        announce(&catalog, "rui", "t2");
        let connection = catalog.connect().expect("connects");
        let listed = list(&connection, "ana", None, 10).expect("lists");
        assert_eq!(
            listed.iter().map(|job| job.id).collect::<Vec<_>>(),
            [of_ana]
        );
        assert!(!mark_read(&connection, "rui", of_ana).expect("runs"));
        assert_eq!(mark_all_read(&connection, "ana").expect("runs"), 1);
    }

    #[test]
    fn pages_go_from_the_newest_to_the_oldest() {
        let (_folder, catalog) = shop();
        let ids: Vec<i64> = (0..5)
            .map(|n| announce(&catalog, "ana", &format!("t{n}")))
            .collect();
        let connection = catalog.connect().expect("connects");
        let first = list(&connection, "ana", None, 3).expect("lists");
        let second = list(&connection, "ana", Some(first[2].id), 3).expect("lists");
        let seen: Vec<i64> = first.iter().chain(&second).map(|job| job.id).collect();
        assert_eq!(seen, ids.into_iter().rev().collect::<Vec<_>>());
    }

    #[test]
    fn only_completed_and_read_ones_are_deleted() {
        let (_folder, catalog) = shop();
        let connection = catalog.connect().expect("connects");
        let now = catalog.now();
        for task in ["unread", "read"] {
            let id = announce(&catalog, "ana", task);
            start(&connection, id, now).expect("runs");
            complete(&connection, id, 1, Some((task, task)), now).expect("runs");
            if task == "read" {
                mark_read(&connection, "ana", id).expect("runs");
            }
        }
        let failed = announce(&catalog, "ana", "failed");
        fail(&connection, failed, "x", now).expect("runs");
        mark_read(&connection, "ana", failed).expect("runs");
        let (deleted, files) = delete_completed(&connection, "ana").expect("runs");
        assert_eq!((deleted, files), (1, vec!["read".to_owned()]));
        assert_eq!(list(&connection, "ana", None, 10).expect("lists").len(), 2);
    }
}
