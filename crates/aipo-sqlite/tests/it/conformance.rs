//! The behaviour suite that every store runs.

use std::path::PathBuf;

use aipo_core::{Clock, Store};
use aipo_sqlite::{SqliteOptions, Synchronous};
use tempfile::TempDir;

/// One folder per case, removed with it.
struct Sqlite {
    folder: TempDir,
    opened: std::sync::atomic::AtomicUsize,
}

impl Sqlite {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder for the test");
        Self {
            folder,
            opened: Default::default(),
        }
    }
}

async fn connect(path: PathBuf, clock: Clock) -> Store {
    let mut options = SqliteOptions::new(path);
    options.clock = clock;
    // What survives a power cut is not what these cases are about.
    options.synchronous = Synchronous::Off;
    aipo_sqlite::connect(options).await.expect("connect")
}

impl aipo_conformance::Harness for Sqlite {
    async fn open(&self, clock: Clock) -> Store {
        let number = self
            .opened
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        connect(self.folder.path().join(format!("{number}.db")), clock).await
    }

    async fn second(&self, store: &Store, clock: Clock) -> Store {
        let path = store
            .url
            .strip_prefix("sqlite://")
            .expect("the store's own URL");
        connect(path.into(), clock).await
    }
}

aipo_conformance::conformance!(Sqlite::new());
