//! Creates the tables, and brings an older file up to date.
//!
//! The version is kept in a table rather than in `PRAGMA user_version`, because the file may be
//! shared with another program's tables, which may use the pragma themselves.

use jiff::Timestamp;
use rusqlite::Connection;

use super::{Error, to_ms, write_on};

/// In order; a file's version is the number of scripts it has seen. Published scripts never change.
const MIGRATIONS: [&str; 2] = [
    include_str!("migrations/0001_catalog.sql"),
    include_str!("migrations/0002_jobs.sql"),
];

/// Runs the scripts the file has not seen, each recorded in the same transaction. Safe to call from
/// several processes at once: they take turns.
pub(super) fn migrate(connection: &mut Connection, now: Timestamp) -> Result<(), Error> {
    write_on(connection, |transaction| {
        transaction.execute_batch(
            "CREATE TABLE IF NOT EXISTS inventory_migration (
                 version INTEGER PRIMARY KEY,
                 applied_at_ms INTEGER NOT NULL
             ) STRICT",
        )?;
        let found: i64 = transaction.query_row(
            "SELECT coalesce(max(version), 0) FROM inventory_migration",
            [],
            |row| row.get(0),
        )?;
        let known = MIGRATIONS.len() as i64;
        if found > known {
            return Err(Error::NewerSchema { found, known });
        }
        for (version, script) in (1..).zip(MIGRATIONS).skip(found.unsigned_abs() as usize) {
            transaction.execute_batch(script)?;
            transaction.execute(
                "INSERT INTO inventory_migration (version, applied_at_ms) VALUES (?1, ?2)",
                (version, to_ms(now)),
            )?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrating_twice_changes_nothing() {
        let mut connection = Connection::open_in_memory().expect("opens");
        for _ in 0..2 {
            migrate(&mut connection, Timestamp::UNIX_EPOCH).expect("migrates");
        }
        let versions: i64 = connection
            .query_row("SELECT count(*) FROM inventory_migration", [], |row| {
                row.get(0)
            })
            .expect("counts");
        assert_eq!(versions, MIGRATIONS.len() as i64);
    }

    #[test]
    fn a_file_of_a_newer_program_is_refused() {
        let mut connection = Connection::open_in_memory().expect("opens");
        migrate(&mut connection, Timestamp::UNIX_EPOCH).expect("migrates");
        connection
            .execute("INSERT INTO inventory_migration VALUES (99, 0)", [])
            .expect("inserts");
        let error = migrate(&mut connection, Timestamp::UNIX_EPOCH).expect_err("refused");
        assert!(
            matches!(error, Error::NewerSchema { found: 99, .. }),
            "{error}"
        );
    }
}
