//! The embedded store of aipo: queues, results and state in one SQLite file, with no server.
//!
//! ```no_run
//! # async fn example() -> aipo_core::Result<()> {
//! use aipo_sqlite::SqliteOptions;
//!
//! let store = aipo_sqlite::connect(SqliteOptions::from_url("sqlite://tasks.db")?).await?;
//! # Ok(())
//! # }
//! ```

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aipo_core::{Error, ErrorKind, Result, Store};

mod awaited;
mod batch;
mod broker;
mod config;
mod consumer;
mod error;
mod fetch;
mod handle;
mod lock;
mod message;
mod reader;
mod results;
mod schema;
mod state;
mod time;
mod wake;
mod writer;

pub use config::{DEFAULT_CACHE_KIB, DEFAULT_MAX_BATCH, SqliteOptions, Synchronous};

use awaited::Awaited;
use handle::Handle;
use reader::Reader;
use wake::{Doze, Watch};
use writer::{Companions, Shared, Writer};

/// Opens the store at `options.path`, creating the file when it is missing.
pub async fn connect(options: SqliteOptions) -> Result<Store> {
    options.check()?;
    let path = resolve(&options.path)?;
    let options = SqliteOptions {
        path: path.clone(),
        ..options
    };
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
    let writer = Writer::start(options, files, shared).await?;
    let reader = Reader::start(&path).await?;
    let watch = Watch::start(
        &wake,
        doze,
        writer.sender(),
        awaited.clone(),
        reader.clone(),
    )?;
    let handle = Arc::new(Handle {
        writer,
        reader,
        awaited,
        clock,
        watch,
    });
    Ok(Store {
        broker: Arc::new(broker::SqliteBroker(handle.clone())),
        results: Arc::new(results::SqliteResults(handle.clone())),
        state: Arc::new(state::SqliteState(handle)),
        settles_results: true,
        url: SqliteOptions::url_of(&path),
    })
}

/// The one spelling of a path, so that all processes use the same files beside the database.
fn resolve(path: &Path) -> Result<PathBuf> {
    let wrong = |message: &str| Error::new(ErrorKind::Config, message).with("path", path.display());
    // The file itself may be missing yet, its folder may not.
    if let Ok(path) = path.canonicalize() {
        return Ok(path);
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
