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
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_initial.sql"),
    include_str!("migrations/0002_notices_and_logs.sql"),
    include_str!("migrations/0003_chords.sql"),
];

/// How long SQLite itself waits for a lock before a statement answers "busy". Only other programs
/// make it wait: this one queues for the file lock first. Who needs longer tries again.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Different statements that a connection keeps prepared; more than there are.
const STATEMENT_CACHE: usize = 128;

/// Page cache of the reading connection, in KiB: point reads need little.
const READER_CACHE_KIB: usize = 4 * 1024;

/// Bytes of disk that the WAL keeps when it starts anew. More than it usually takes; it grows beyond
/// only while a foreign program reads for long.
pub(crate) const WAL_KEPT: u32 = 64 * 1024 * 1024;

/// Bytes in a page of a new file. Measured with messages of 1 KiB: 8 KiB waste less at the end of
/// a page than SQLite's 4 KiB, and larger ones make small changes dear.
pub(crate) const PAGE_SIZE: u32 = 8192;

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

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn folder() -> (TempDir, SqliteOptions) {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let options = SqliteOptions::new(folder.path().join("test.db"));
        (folder, options)
    }

    fn refused(options: &SqliteOptions) -> Error {
        open_writer(options).expect_err("the file is refused")
    }

    #[test]
    fn a_new_file_is_brought_to_the_newest_version() {
        let (_folder, options) = folder();

        let conn = open_writer(&options).expect("open");

        assert_eq!(version(&conn).expect("version"), Some(MIGRATIONS.len()));
        let mode: String = conn
            .query_row("PRAGMA journal_mode", [], |row| row.get(0))
            .expect("journal mode");
        assert_eq!(mode, "wal");
        let page_size: u32 = conn
            .query_row("PRAGMA page_size", [], |row| row.get(0))
            .expect("page size");
        assert_eq!(page_size, PAGE_SIZE);
    }

    #[test]
    fn a_file_that_exists_is_opened_as_it_is() {
        let (_folder, options) = folder();
        let conn = open_writer(&options).expect("open");
        conn.execute("INSERT INTO queue (name) VALUES ('kept')", [])
            .expect("insert");
        drop(conn);

        let conn = open_writer(&options).expect("open again");

        let name: String = conn
            .query_row("SELECT name FROM queue", [], |row| row.get(0))
            .expect("the row");
        assert_eq!(name, "kept");
    }

    #[test]
    fn every_version_is_brought_to_the_newest() {
        for old in 0..MIGRATIONS.len() {
            let (_folder, options) = folder();
            let conn = Connection::open(&options.path).expect("open");
            for migration in &MIGRATIONS[..old] {
                conn.execute_batch(migration).expect("migration");
            }
            if old > 0 {
                conn.pragma_update(None, "application_id", APPLICATION_ID)
                    .expect("pragma");
                conn.pragma_update(None, "user_version", old)
                    .expect("pragma");
                conn.execute("INSERT INTO queue (name) VALUES ('kept')", [])
                    .expect("insert");
            }
            drop(conn);

            let conn = open_writer(&options).expect("open");

            assert_eq!(
                version(&conn).expect("version"),
                Some(MIGRATIONS.len()),
                "from {old}"
            );
            let queues: usize = conn
                .query_row("SELECT count(*) FROM queue", [], |row| row.get(0))
                .expect("count");
            assert_eq!(queues, old.min(1), "from {old} with what was there");
            for table in ["message", "log", "entry", "notice"] {
                conn.prepare(&format!("SELECT * FROM {table}"))
                    .unwrap_or_else(|error| panic!("{table} from {old}: {error}"));
            }
        }
    }

    #[test]
    fn a_file_of_a_newer_program_is_refused_and_left_alone() {
        let (_folder, options) = folder();
        let newer = MIGRATIONS.len() + 1;
        let conn = open_writer(&options).expect("open");
        conn.pragma_update(None, "user_version", newer)
            .expect("pragma");
        drop(conn);

        let error = refused(&options);

        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("newer"), "{error}");
        let conn = Connection::open(&options.path).expect("open");
        assert_eq!(version(&conn).expect("version"), Some(newer));
    }

    #[test]
    fn a_database_of_another_program_is_refused_and_left_alone() {
        let (_folder, options) = folder();
        let conn = Connection::open(&options.path).expect("open");
        conn.execute_batch("CREATE TABLE theirs (a)")
            .expect("create");
        drop(conn);
        let before = std::fs::read(&options.path).expect("read");

        let error = refused(&options);

        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("test.db"), "{error}");
        assert_eq!(std::fs::read(&options.path).expect("read"), before);
    }

    #[test]
    fn a_file_that_is_no_database_is_refused_and_left_alone() {
        let (_folder, options) = folder();
        let text = "not a database, and long enough to have a header ".repeat(40);
        std::fs::write(&options.path, &text).expect("write");

        let error = refused(&options);

        assert_eq!(error.kind(), ErrorKind::Config);
        assert_eq!(std::fs::read_to_string(&options.path).expect("read"), text);
    }

    #[test]
    fn a_reader_cannot_write() {
        let (_folder, options) = folder();
        let _writer = open_writer(&options).expect("open");
        let reader = open_reader(&options.path).expect("open for reading");

        let error = reader
            .execute("DELETE FROM queue", [])
            .expect_err("it may only read");

        assert_eq!(error.sqlite_error_code(), Some(ErrorCode::ReadOnly));
    }
}
