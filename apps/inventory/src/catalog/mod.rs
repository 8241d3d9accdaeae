//! The inventory's own data on SQLite: products, categories, brands, sales, stock movements, and
//! the notifications that tell a user how a job stands.
//!
//! # Invariants
//! - Rows of products, sales and movements are saved one at a time through [`save`], which calls
//!   the [hooks] in the same transaction. Nothing writes `product.quantity` but a hook.
//! - A writer takes SQLite's write lock when it begins (`BEGIN IMMEDIATE`), so two writers wait for
//!   each other instead of failing half-way.
//! - Every write is one transaction; a killed process leaves none half done. In WAL mode with
//!   `synchronous = NORMAL` a power cut may undo the last few commits, but always whole ones, in
//!   order, so an import's cursor never disagrees with its rows.
//! - All tables may share a file with other programs' tables: the schema's version is a table of
//!   its own.

pub mod hooks;
pub mod imports;
mod model;
pub mod notifications;
mod pool;
pub mod products;
pub mod save;
mod schema;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use aipo::Clock;
use jiff::Timestamp;
use rusqlite::{Connection, Transaction, TransactionBehavior};

pub use model::{
    MAX_QUANTITY, Model, MovementKind, NewMovement, NewNamed, NewProduct, NewSale, Origin, Refusal,
};
pub use pool::Pooled;

/// Why the catalogue could not answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be opened or created.
    #[error("cannot open the database {}", path.display())]
    Open {
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The file was written by a newer version of this program.
    #[error("the database has schema version {found}, this program knows up to {known}")]
    NewerSchema {
        /// The file's version.
        found: i64,
        /// This program's version.
        known: i64,
    },
    /// SQLite failed.
    #[error("the database failed")]
    Sqlite(#[from] rusqlite::Error),
}

impl Error {
    /// Whether the same call may succeed later: the file was busy, or an I/O error passed.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Open { source, .. } | Self::Sqlite(source) => is_temporary(source),
            Self::NewerSchema { .. } => false,
        }
    }
}

fn is_temporary(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{
        CannotOpen, DatabaseBusy, DatabaseLocked, DiskFull, OutOfMemory, SystemIoFailure,
    };
    matches!(
        error.sqlite_error_code(),
        Some(DatabaseBusy | DatabaseLocked | DiskFull | SystemIoFailure | CannotOpen | OutOfMemory)
    )
}

/// The inventory's database. Cheap to clone; clones share a few connections.
#[derive(Clone)]
pub struct Catalog {
    pool: Arc<pool::Pool>,
    clock: Clock,
}

impl Catalog {
    /// Opens the database at `path`, creates it when it does not exist, and brings its tables up to
    /// date.
    ///
    /// # Errors
    /// [`Error::Open`] and [`Error::NewerSchema`]; [`Error::Sqlite`] when a migration fails.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Self::with_clock(path, Clock::system())
    }

    /// Like [`open`](Self::open), with another clock.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn with_clock(path: &Path, clock: Clock) -> Result<Self, Error> {
        let catalog = Self {
            pool: Arc::new(pool::Pool::new(path.to_owned())),
            clock,
        };
        schema::migrate(&mut *catalog.connect()?, catalog.now())?;
        Ok(catalog)
    }

    /// The present moment, by the catalogue's clock.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A connection for reading; it goes back to the pool when dropped.
    ///
    /// # Errors
    /// [`Error::Open`].
    pub fn connect(&self) -> Result<Pooled<'_>, Error> {
        self.pool.get()
    }

    /// Runs `work` in one write transaction: all of it is committed, or on `Err` none of it.
    ///
    /// # Errors
    /// Those of `work`, and [`Error`] when the transaction cannot begin or commit.
    pub fn write<T, E: From<Error>>(
        &self,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        write_on(&mut *self.connect()?, work)
    }
}

/// [`Catalog::write`] on a connection the caller already holds.
///
/// # Errors
/// As [`Catalog::write`].
pub fn write_on<T, E: From<Error>>(
    connection: &mut Connection,
    work: impl FnOnce(&mut Transaction<'_>) -> Result<T, E>,
) -> Result<T, E> {
    let mut transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(Error::from)?;
    let value = work(&mut transaction)?;
    transaction.commit().map_err(Error::from)?;
    Ok(value)
}

impl std::fmt::Debug for Catalog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Catalog({})", self.pool.path().display())
    }
}

/// A moment as the database keeps it.
fn to_ms(moment: Timestamp) -> i64 {
    moment.as_millisecond()
}

/// A moment from the database. The columns hold only what [`to_ms`] wrote; anything else is clamped
/// to the range of representable moments.
fn from_ms(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(milliseconds).unwrap_or(if milliseconds < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_fails_leaves_nothing_behind() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let catalog = Catalog::open(&folder.path().join("inventory.db")).expect("opens");
        let failed: Result<(), Error> = catalog.write(|transaction| {
            transaction.execute(
                "INSERT INTO brand (name, name_key, description, created_at_ms) VALUES ('A', 'a', '', 0)",
                [],
            )?;
            Err(rusqlite::Error::InvalidQuery.into())
        });
        assert!(failed.is_err());
        let count: i64 = catalog
            .connect()
            .expect("connects")
            .query_row("SELECT count(*) FROM brand", [], |row| row.get(0))
            .expect("counts");
        assert_eq!(count, 0);
    }

    #[test]
    fn a_folder_that_does_not_exist_is_named_in_the_error() {
        let error = Catalog::open(Path::new("/nonexistent/inventory.db")).expect_err("refused");
        assert!(
            error.to_string().contains("/nonexistent/inventory.db"),
            "{error}"
        );
    }
}
