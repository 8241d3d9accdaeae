//! Workers that can be killed.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aipo::{AppBuilder, Seconds, Store};
use tokio::runtime::{Builder, Runtime};

use super::work::{self, Death};

/// Short, so that what a dead worker held is back soon; a busy machine can keep it all the same.
pub(super) const LEASE: Duration = Duration::from_millis(500);
/// How many tasks a worker runs at the same time.
const SLOTS: usize = 4;

/// The status of a process that a task has ended.
const DEADLY: i32 = 99;

const STORE: &str = "AIPO_LAW_STORE";
const RUNS: &str = "AIPO_LAW_RUNS";

/// Where workers find their messages and leave their runs.
#[derive(Clone)]
pub(super) struct Site {
    pub(super) store: Place,
    pub(super) runs: PathBuf,
}

#[derive(Clone)]
pub(super) enum Place {
    /// For memory, which has no address.
    Here(Store),
    Url(String),
}

impl Site {
    /// An app of this place.
    pub(super) fn app(&self, death: Death) -> AppBuilder {
        // Whatever the others do.
        let app = work::app(&self.runs, death, fastrand::bool());
        let app = app.settings(|settings| settings.worker_lease = Seconds(LEASE));
        match &self.store {
            Place::Here(store) => app.store(store.clone()),
            Place::Url(url) => app.broker(url),
        }
    }
}

/// A worker that can be killed.
pub(super) enum Worker {
    /// All that it does happens in a runtime of its own.
    Threads {
        runtime: Runtime,
        has_died: Arc<AtomicBool>,
    },
    /// It is a process, which does not outlive this one: its input closes then.
    Process(Child),
}

impl Worker {
    pub(super) fn in_threads(site: &Site) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let has_died = Arc::new(AtomicBool::new(false));
        let dying = has_died.clone();
        let death = Box::new(move || dying.store(true, Ordering::SeqCst));
        runtime.spawn(work(site.app(death)));
        Self::Threads { runtime, has_died }
    }

    /// This test program once more, as [`a_worker_of_other_tests`].
    #[cfg_attr(
        not(any(feature = "sqlite", feature = "redis")),
        expect(dead_code, reason = "memory is that of one process")
    )]
    pub(super) fn in_a_process(site: &Site) -> Self {
        let Place::Url(url) = &site.store else {
            panic!("another process can't reach this one's memory");
        };
        let name = concat!(module_path!(), "::a_worker_of_other_tests");
        let (_, name) = name.split_once("::").expect("the crate comes first");
        let process = Command::new(std::env::current_exe().expect("the test binary"))
            .args(["--ignored", "--exact", name])
            .env(STORE, url)
            .env(RUNS, &site.runs)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn();
        Self::Process(process.expect("the test binary runs"))
    }

    /// Whether one of its tasks has ended it.
    pub(super) fn has_died(&mut self) -> bool {
        match self {
            Self::Threads { has_died, .. } => has_died.load(Ordering::SeqCst),
            Self::Process(process) => {
                let ended = process.try_wait().expect("it is a child");
                if let Some(status) = ended {
                    assert_eq!(status.code(), Some(DEADLY), "a worker ended by itself");
                }
                ended.is_some()
            }
        }
    }

    /// Stops it for a while, as a machine that is too busy does: its lease runs out, and it does not know. Threads can't be
    /// stopped.
    pub(super) fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    pub(super) fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        if let Self::Process(process) = self {
            let id = process.id().to_string();
            let sent = Command::new("kill").args([signal, &id]).status();
            assert!(sent.expect("there is a kill").success(), "it is a child");
        }
    }

    /// Ends it at this instant. What it has handed to its store already is carried out.
    pub(super) fn kill(self) {
        match self {
            Self::Threads { runtime, .. } => runtime.shutdown_background(),
            Self::Process(mut process) => {
                process.kill().expect("it is a child");
                process.wait().expect("it is a child");
            }
        }
    }
}

/// Works until it is killed.
async fn work(app: AppBuilder) {
    let app = app.build().await.expect("an app");
    let worker = app.worker().concurrency(SLOTS).without_mingle().start();
    let worker = worker.await.expect("a worker");
    worker.join().await.expect("it works until it is killed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[ignore = "the worker process of other tests"]
async fn a_worker_of_other_tests() {
    let site = Site {
        store: Place::Url(std::env::var(STORE).expect("set by the parent")),
        runs: Path::new(&std::env::var_os(RUNS).expect("set by the parent")).to_owned(),
    };
    std::thread::spawn(|| {
        // The parent has ended, and so nobody waits for this one.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
    work(site.app(Box::new(|| std::process::exit(DEADLY)))).await;
}
