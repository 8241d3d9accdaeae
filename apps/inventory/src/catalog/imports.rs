//! How far an import has come, and which lines it rejected.
//!
//! [`advance`] must run in the transaction that saves the line. It moves the cursor only from where
//! the caller believes it to be: a worker that was overtaken (its lease ran out and another
//! continued) gets `false`, rolls back, and has changed nothing.

use rusqlite::{Connection, OptionalExtension};

use super::{Error, Refusal};

/// Characters of a rejected value that are kept; enough to recognise it, bounded whatever the file
/// holds.
pub const MAX_VALUE_CHARS: usize = 120;

/// Where an import stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Records in the file.
    pub records_total: u64,
    /// Records dealt with.
    pub records_done: u64,
    /// Records saved.
    pub imported: u64,
    /// Records not accepted.
    pub rejected: u64,
    /// Where the next record begins, in bytes from the start of the file.
    pub next_byte: u64,
    /// The line on which it begins, from 1.
    pub next_line: u64,
}

/// One thing that was wrong with one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Its number among all rejections; they are listed in this order, which is that of the file.
    pub id: i64,
    /// The line in the file, from 1.
    pub line: u64,
    /// The field, or `linha` when the line as a whole is wrong.
    pub field: String,
    /// What stood there, at most [`MAX_VALUE_CHARS`] characters of it.
    pub value: String,
    /// Why it was not accepted, in Portuguese.
    pub reason: String,
}

/// The cursor of an import, or `start` when it has none yet.
///
/// # Errors
/// [`Error::Sqlite`].
pub fn begin(
    connection: &Connection,
    notification_id: i64,
    start: Cursor,
) -> Result<Cursor, Error> {
    connection
        .prepare_cached(
            "INSERT INTO import_cursor (notification_id, records_total, records_done, imported,
                                        rejected, next_byte, next_line)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (notification_id) DO NOTHING",
        )?
        .execute((
            notification_id,
            start.records_total as i64,
            start.records_done as i64,
            start.imported as i64,
            start.rejected as i64,
            start.next_byte as i64,
            start.next_line as i64,
        ))?;
    Ok(cursor(connection, notification_id)?.unwrap_or(start))
}

/// The cursor of an import that has begun.
///
/// # Errors
/// [`Error::Sqlite`].
pub fn cursor(connection: &Connection, notification_id: i64) -> Result<Option<Cursor>, Error> {
    Ok(connection
        .prepare_cached(
            "SELECT records_total, records_done, imported, rejected, next_byte, next_line
             FROM import_cursor WHERE notification_id = ?1",
        )?
        .query_row([notification_id], |row| {
            let count = |index| row.get::<_, i64>(index).map(i64::unsigned_abs);
            Ok(Cursor {
                records_total: count(0)?,
                records_done: count(1)?,
                imported: count(2)?,
                rejected: count(3)?,
                next_byte: count(4)?,
                next_line: count(5)?,
            })
        })
        .optional()?)
}

/// Moves the cursor of an import from `from` to `to`; false when it is not at `from`.
///
/// # Errors
/// [`Error::Sqlite`].
pub fn advance(
    connection: &Connection,
    notification_id: i64,
    from: &Cursor,
    to: &Cursor,
) -> Result<bool, Error> {
    let changed = connection
        .prepare_cached(
            "UPDATE import_cursor
             SET records_done = ?2, imported = ?3, rejected = ?4, next_byte = ?5, next_line = ?6
             WHERE notification_id = ?1 AND records_done = ?7 AND next_byte = ?8",
        )?
        .execute((
            notification_id,
            to.records_done as i64,
            to.imported as i64,
            to.rejected as i64,
            to.next_byte as i64,
            to.next_line as i64,
            from.records_done as i64,
            from.next_byte as i64,
        ))?;
    Ok(changed == 1)
}

/// Records what was wrong with a line.
///
/// # Errors
/// [`Error::Sqlite`].
pub fn reject(
    connection: &Connection,
    notification_id: i64,
    line: u64,
    refusals: &[Refusal],
) -> Result<(), Error> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO import_rejection (notification_id, line, field, value, reason)
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for refusal in refusals {
        statement.execute((
            notification_id,
            line as i64,
            refusal.field,
            shortened(&refusal.value),
            &refusal.reason,
        ))?;
    }
    Ok(())
}

/// An import's rejections in the order of the file: at most `limit`, after the id `after`.
///
/// # Errors
/// [`Error::Sqlite`].
pub fn rejections(
    connection: &Connection,
    notification_id: i64,
    after: i64,
    limit: usize,
) -> Result<Vec<Rejection>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT id, line, field, value, reason FROM import_rejection
         WHERE notification_id = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
    )?;
    let rows = statement.query_map((notification_id, after, limit as i64), |row| {
        Ok(Rejection {
            id: row.get(0)?,
            line: row.get::<_, i64>(1)?.unsigned_abs(),
            field: row.get(2)?,
            value: row.get(3)?,
            reason: row.get(4)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn shortened(value: &str) -> String {
    match value.char_indices().nth(MAX_VALUE_CHARS) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::notifications::{Kind, NewNotification, create};
    use crate::catalog::{Catalog, Model};

    const START: Cursor = Cursor {
        records_total: 3,
        records_done: 0,
        imported: 0,
        rejected: 0,
        next_byte: 10,
        next_line: 2,
    };

    fn import() -> (tempfile::TempDir, Catalog, i64) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let catalog = Catalog::open(&folder.path().join("inventory.db")).expect("opens");
        let new = NewNotification {
            task_id: "t",
            user: "ana",
            kind: Kind::Import,
            model: Model::Product,
            format: None,
            file: None,
            file_name: None,
        };
        let connection = catalog.connect().expect("connects");
        let id = create(&connection, &new, catalog.now()).expect("created");
        drop(connection);
        (folder, catalog, id)
    }

    #[test]
    fn a_worker_that_was_overtaken_cannot_advance() {
        let (_folder, catalog, id) = import();
        let connection = catalog.connect().expect("connects");
        let from = begin(&connection, id, START).expect("begins");
        let to = Cursor {
            records_done: 1,
            imported: 1,
            next_byte: 20,
            next_line: 3,
            ..from
        };
        assert!(advance(&connection, id, &from, &to).expect("runs"));
        assert!(!advance(&connection, id, &from, &to).expect("runs"));
        assert_eq!(begin(&connection, id, START).expect("continues"), to);
    }

    #[test]
    fn a_long_value_is_kept_short() {
        let (_folder, catalog, id) = import();
        let connection = catalog.connect().expect("connects");
        let refusal = Refusal::new("name", "ç".repeat(5_000), "longo demais");
        reject(&connection, id, 2, &[refusal]).expect("recorded");
        let kept = rejections(&connection, id, 0, 10).expect("lists");
        assert_eq!(kept[0].value.chars().count(), MAX_VALUE_CHARS + 1);
    }
}
