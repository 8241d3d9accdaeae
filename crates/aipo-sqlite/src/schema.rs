//! Opening the file: is it ours, is it new enough, and the settings of a connection.
//!
//! `PRAGMA application_id` says that a file is aipo's, `PRAGMA user_version` how many of the
//! migrations it has seen. A migration is never edited once released; a new one is added.

use std::path::Path;
use std::time::Duration;

use aipo_core::{Error, ErrorKind, Result};
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use crate::config::SqliteOptions;
use crate::error::storage;

/// "aipo" in ASCII.
const APPLICATION_ID: i32 = 0x6169_706f;

/// All migrations in order; the n-th brings a file to version n.
const MIGRATIONS: &[&str] = &[include_str!("migrations/0001_initial.sql")];

/// How long SQLite itself waits for a lock before a statement answers "busy". Only other programs
/// make it wait: this one queues for the file lock first. Who needs longer tries again.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Different statements that a connection keeps prepared; more than there are.
const STATEMENT_CACHE: usize = 128;

/// Page cache of the reading connection, in KiB: point reads need little.
const READER_CACHE_KIB: usize = 4 * 1024;

/// Bytes of disk that the WAL keeps when it starts anew. More than it usually takes; it grows beyond
/// only while a foreign program reads for long.
const WAL_KEPT: u32 = 64 * 1024 * 1024;

/// Bytes in a page of a new file. Measured with messages of 1 KiB: 8 KiB waste less at the end of
/// a page than SQLite's 4 KiB, and larger ones make small changes dear.
const PAGE_SIZE: u32 = 8192;

/// Opens the file for writing, creates or migrates it. Only with the file lock held.
///
/// # Errors
/// [`ErrorKind::Config`] for a file that is not aipo's or that a newer aipo has migrated;
/// [`ErrorKind::Storage`] for one that can't be opened or written.
pub(crate) fn open_writer(options: &SqliteOptions) -> Result<Connection> {
    let mut conn = Connection::open(&options.path).map_err(|error| opening(error, options))?;
    conn.busy_timeout(BUSY_TIMEOUT).map_err(storage)?;
    let Some(version) = version(&conn).map_err(|error| opening(error, options))? else {
        return Err(about(
            options,
            ErrorKind::Config,
            "the file is not an aipo database",
        ));
    };
    if version > MIGRATIONS.len() {
        let error = about(
            options,
            ErrorKind::Config,
            "the database was made by a newer aipo",
        );
        return Err(error
            .with("version", version)
            .with("known", MIGRATIONS.len()));
    }
    if version == 0 {
        // Only before the first table; on any other file it would do nothing.
        conn.pragma_update(None, "page_size", PAGE_SIZE)
            .map_err(storage)?;
    }
    let mode: String = conn
        .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))
        .map_err(storage)?;
    if mode != "wal" {
        let error = about(
            options,
            ErrorKind::Unsupported,
            "the file system can't do WAL",
        );
        return Err(error.with("journal_mode", mode));
    }
    migrate(&mut conn, version).map_err(storage)?;
    conn.pragma_update(None, "journal_size_limit", WAL_KEPT)
        .map_err(storage)?;
    conn.pragma_update(None, "synchronous", options.synchronous.pragma())
        .map_err(storage)?;
    settle_in(&conn, options.cache_kib).map_err(storage)?;
    Ok(conn)
}

/// Opens the file, which exists and is ours, for reading.
pub(crate) fn open_reader(path: &Path) -> Result<Connection> {
    // Not with the flag for reading only: should this connection be the last to close, it is the one
    // that writes the WAL back.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags).map_err(storage)?;
    conn.busy_timeout(BUSY_TIMEOUT).map_err(storage)?;
    conn.pragma_update(None, "query_only", true)
        .map_err(storage)?;
    settle_in(&conn, READER_CACHE_KIB).map_err(storage)?;
    Ok(conn)
}

fn settle_in(conn: &Connection, cache_kib: usize) -> rusqlite::Result<()> {
    conn.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
    let kib = i64::try_from(cache_kib).unwrap_or(i64::MAX);
    // Negative is KiB, positive would be pages.
    conn.pragma_update(None, "cache_size", -kib)?;
    // What a statement sets aside while it runs is small here, and no file is made for it.
    conn.pragma_update(None, "temp_store", "MEMORY")
}

/// The version of the file; 0 for an empty one, `None` for one that is not aipo's.
fn version(conn: &Connection) -> rusqlite::Result<Option<usize>> {
    let pragma = |name| conn.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let application = pragma("application_id")?;
    let version = pragma("user_version")?;
    let objects: i64 =
        conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let empty = application == 0 && version == 0 && objects == 0;
    Ok(if empty {
        Some(0)
    } else if application == APPLICATION_ID {
        usize::try_from(version).ok()
    } else {
        None
    })
}

fn migrate(conn: &mut Connection, version: usize) -> rusqlite::Result<()> {
    if version == MIGRATIONS.len() {
        return Ok(());
    }
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for migration in &MIGRATIONS[version..] {
        tx.execute_batch(migration)?;
    }
    tx.pragma_update(None, "application_id", APPLICATION_ID)?;
    tx.pragma_update(None, "user_version", MIGRATIONS.len())?;
    tx.commit()
}

fn opening(error: rusqlite::Error, options: &SqliteOptions) -> Error {
    if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) {
        return about(
            options,
            ErrorKind::Config,
            "the file is not a SQLite database",
        );
    }
    storage(error).with("path", options.path.display())
}

fn about(options: &SqliteOptions, kind: ErrorKind, message: &str) -> Error {
    Error::new(kind, message).with("path", options.path.display())
}
