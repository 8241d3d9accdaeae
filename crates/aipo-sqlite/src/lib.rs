//! The embedded store of aipo: queues, results and state in one SQLite file, for many processes on
//! one machine, with no server.
//!
//! ```no_run
//! # async fn example() -> aipo_core::Result<()> {
//! use aipo_sqlite::SqliteOptions;
//!
//! let store = aipo_sqlite::connect(SqliteOptions::from_url("sqlite://tasks.db")?).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Files
//! | file | holds |
//! |---|---|
//! | `tasks.db` | everything |
//! | `tasks.db-wal`, `tasks.db-shm` | SQLite's own: changes not yet written back, some 16 MiB at most under constant load, and their index |
//! | `tasks.db-lock` | nothing; its lock says whose turn it is to write |
//! | `tasks.db-wake` | one byte; writing it wakes the processes that wait |
//!
//! To copy the data use SQLite's `VACUUM INTO` or its backup, not a plain copy while something runs. The
//! file does not shrink when queues empty, its pages are used again; `VACUUM` shrinks it.
//!
//! # Tables
//! | table | a row is |
//! |---|---|
//! | `message` | a message wherever it is: queue, priority, task id, headers, properties, body |
//! | `ready`, `parked`, `in_flight`, `dead` | where it is: each message is in exactly one of them |
//! | `queue` | a name, and how many messages are where |
//! | `consumer` | a registered consumer and the end of its lease |
//! | `result` | the latest state of a task |
//! | `fact` | a fact of the state store, with its fence while it is claimed |
//! | `log`, `entry` | a log of the state store, and what was appended to it |
//! | `notice` | something told over the bus, for listeners to read within a minute |
//! | `sequence` | the next number to give out; no number is given twice |
//!
//! What moves (`ready` to `in_flight` to gone) is a few small rows, and what is looked up has an index in
//! the order it is wanted: a task costs the same whether a thousand wait or ten million. The schema
//! is in `src/migrations/`, and a file is brought up to date when it is opened; a file that a newer
//! program made is refused.
//!
//! # Guarantees
//! - **Atomic.** Every operation of the contracts is part of one transaction. A settlement is one step:
//!   verdict, result and follow-up messages (`settles_results` is true). A purge and a sweep of many rows
//!   go in steps, so that others get their turn.
//! - **Durable.** What was accepted survives the death of every process; what a power cut may take is a
//!   choice, see [`Synchronous`].
//! - **Fenced.** A consumer's lease is checked in the transaction that acts on it.
//! - **Group commit.** All operations that wait share the next transaction, of sends, fetches, settlements,
//!   results and facts alike. One alone waits for nobody.
//! - **Waiting costs nothing.** A fetch, a wait for a result or a listener sleeps until it is woken: in the
//!   same process by the commit itself, between processes (and for all listeners) by the wake file. As a
//!   safeguard it also looks by itself every 5 s, for wake-ups that were lost with a process that was killed.
//! - **Bounded.** What waits to be written (64 MiB), a transaction (4,096 rows), an answer (4,096 messages,
//!   16 MiB) and the WAL each have a bound; beyond it callers wait. Notices are kept for 60 s, at most 16,384 of
//!   them or 64 MiB, and 4,096 wait for a listener; beyond it the oldest go.
//! - **Never "database is locked".** Processes queue up for their turn. Only when a foreign program keeps
//!   the database locked for a minute do callers get [`ErrorKind::Unavailable`].
//!
//! What it is not: for several machines, or for a file on a network drive.
//!
//! # Inside
//! ```text
//!  broker.rs  consumer.rs  results.rs               the contracts; each call becomes an operation
//!  state.rs   bus.rs       chords.rs
//!        │ writes                 │ reads
//!        ▼                        ▼
//!    writer.rs                 reader.rs            one thread each, with a connection of its own
//!    batch.rs  message.rs                           one transaction; a message's moves
//!    fetch.rs                                       which messages come, in which order
//!        │ lock.rs  wake.rs                         whose turn; waking others
//!        └ awaited.rs  listeners.rs                 who waits for a result; who listens to what
//! ```

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aipo_core::{Error, ErrorKind, Result, Store};

mod awaited;
mod batch;
mod broker;
mod bus;
mod chords;
mod config;
mod consumer;
mod error;
mod fetch;
mod handle;
mod listeners;
mod lock;
mod message;
mod reader;
mod results;
mod schema;
mod state;
mod time;
mod wake;
mod writer;

#[cfg(test)]
mod testing;

pub use config::{DEFAULT_CACHE_KIB, DEFAULT_MAX_BATCH, SqliteOptions, Synchronous};

use awaited::Awaited;
use handle::Handle;
use listeners::Listeners;
use reader::Reader;
use wake::{Doze, Watch};
use writer::{Companions, Shared, Writer};

/// Opens the store at `options.path`, and creates the file when it is missing.
///
/// Each call makes a handle of its own, with three threads (one writes, one reads, one listens for
/// other processes) that end when the last clone of the store and the last consumer are dropped. A
/// process needs one handle; several are safe.
///
/// # Errors
/// - [`ErrorKind::Config`]: the path can't be, the file is not aipo's, or a newer aipo made it.
/// - [`ErrorKind::Storage`]: the file can't be opened or written.
/// - [`ErrorKind::Unsupported`]: the file system can't do what is needed, as over a network.
/// - [`ErrorKind::Unavailable`]: the operating system gives no thread or no file watch.
pub async fn connect(options: SqliteOptions) -> Result<Store> {
    options.check()?;
    let path = resolve(&options.path)?;
    let handle = connect_handle(SqliteOptions {
        path: path.clone(),
        ..options
    })
    .await?;
    Ok(store(handle, &path))
}

async fn connect_handle(options: SqliteOptions) -> Result<Arc<Handle>> {
    let path = options.path.clone();
    let clock = options.clock.clone();
    let files = Companions {
        lock: beside(&path, "-lock"),
        wake: beside(&path, "-wake"),
    };
    let wake = files.wake.clone();
    let (awaited, doze) = (Arc::new(Awaited::default()), Arc::new(Doze::default()));
    let shared = Shared {
        awaited: awaited.clone(),
        doze: doze.clone(),
    };

    // The writer first: it creates the files that the others open.
    let writer = Writer::start(options, files, shared).await?;
    let reader = Reader::start(&path).await?;
    let listeners = Arc::new(Listeners::default());
    let watch = Watch::start(
        &wake,
        doze,
        writer.sender(),
        awaited.clone(),
        listeners.clone(),
        reader.clone(),
    )?;
    Ok(Arc::new(Handle {
        writer,
        reader,
        awaited,
        listeners,
        clock,
        watch,
    }))
}

fn store(handle: Arc<Handle>, path: &Path) -> Store {
    Store {
        broker: Arc::new(broker::SqliteBroker(handle.clone())),
        results: Arc::new(results::SqliteResults(handle.clone())),
        state: Arc::new(state::SqliteState(handle.clone())),
        chords: Arc::new(chords::SqliteChords(handle.clone())),
        bus: Arc::new(bus::SqliteBus(handle)),
        settles_results: true,
        url: SqliteOptions::url_of(path),
    }
}

/// The one spelling of a path, so that all processes use the same files beside the database.
fn resolve(path: &Path) -> Result<PathBuf> {
    let wrong = |message: &str| Error::new(ErrorKind::Config, message).with("path", path.display());
    // The file itself may be missing yet, its folder may not.
    if let Ok(path) = path.canonicalize() {
        // Before anything is put beside it.
        return if path.is_dir() {
            Err(wrong("the path is a folder"))
        } else {
            Ok(path)
        };
    }
    let name = path
        .file_name()
        .ok_or_else(|| wrong("the path does not name a file"))?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let folder = folder
        .canonicalize()
        .map_err(|error| wrong("the folder of the database can't be opened").caused_by(error))?;
    Ok(folder.join(name))
}

/// The file beside `path` with `suffix` added to its name.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}
