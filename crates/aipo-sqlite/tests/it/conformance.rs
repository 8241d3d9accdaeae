//! The behaviour suite that every store runs.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use aipo_core::{Clock, Store};
use aipo_sqlite::{SqliteOptions, Synchronous};
use tempfile::TempDir;

use crate::sound::assert_sound;

/// One folder per case. What the case left in its files is checked when it is over.
struct Sqlite {
    folder: TempDir,
    opened: AtomicUsize,
}

impl Sqlite {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder for the test");
        Self {
            folder,
            opened: AtomicUsize::new(0),
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
        let number = self.opened.fetch_add(1, Ordering::Relaxed);
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

impl Drop for Sqlite {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            for number in 0..*self.opened.get_mut() {
                assert_sound(&self.folder.path().join(format!("{number}.db")));
            }
        }
    }
}

aipo_conformance::conformance!(Sqlite::new());
