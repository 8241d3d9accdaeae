//! Running programs and looking at what they say.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::oneshot;

/// How long anything may take before the test fails; nothing takes nearly so long.
pub(crate) const PATIENCE: &str = "60s";

/// A folder with a store in it, in which programs are run.
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.path().join(name), text).expect("a file in the temporary folder");
    }

    /// The binary `aipo` on this place's store.
    pub(crate) fn aipo<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Said {
        Said::by(self.program(env!("CARGO_BIN_EXE_aipo").into()).args(args))
    }

    /// The example program on this place's store.
    pub(crate) fn shop<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Said {
        Said::by(self.program(example("shop")).args(args))
    }

    /// A worker of the example program, once it is ready. Its lease is short, so that what it tells
    /// of itself is fresh.
    pub(crate) fn worker(&self, args: &[&str]) -> Worker {
        self.worker_of("shop", args)
    }

    /// A worker of an example program, once it is ready.
    pub(crate) fn worker_of(&self, program: &str, args: &[&str]) -> Worker {
        let mut command = self.program(example(program));
        command
            .arg("worker")
            .args(["-o", "worker_lease=300ms"])
            .args(args);
        Worker::start(&mut command)
    }

    /// The URL of the store, for this process.
    pub(crate) fn url(&self) -> String {
        format!("sqlite://{}", self.0.path().join("test.db").display())
    }

    /// A command with nothing of this process's environment that could change what it does.
    pub(crate) fn program(&self, program: PathBuf) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.0.path())
            .env_clear()
            .env("AIPO_BROKER_URL", "sqlite://test.db")
            .env("TMPDIR", self.0.path());
        command
    }

    /// What is in the folder.
    pub(crate) fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).expect("the temporary folder");
        let name = |entry: std::io::Result<std::fs::DirEntry>| {
            let name = entry.expect("an entry").file_name();
            name.to_string_lossy().into_owned()
        };
        let mut names: Vec<String> = entries.map(name).collect();
        names.sort();
        names
    }
}

/// An example, which cargo builds beside the tests.
fn example(name: &str) -> PathBuf {
    let tests = std::env::current_exe().expect("the path of this test");
    let folder = tests.ancestors().nth(2).expect("target/<profile>/deps");
    let path = folder
        .join("examples")
        .join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(
        path.exists(),
        "{} is not built: run `cargo test -p aipo-cli` without `--test`, or build the example first",
        path.display()
    );
    path
}

/// What a program said, and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    fn by(command: &mut Command) -> Self {
        let Output {
            status,
            stdout,
            stderr,
        } = command
            .stdin(Stdio::null())
            .output()
            .expect("the program starts");
        Self {
            code: status.code().expect("no signal ended it"),
            stdout: String::from_utf8(stdout).expect("stdout is text"),
            stderr: String::from_utf8(stderr).expect("stderr is text"),
        }
    }

    /// Its stdout, when it ended well.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        self.ended(0).stdout
    }

    /// The JSON on its stdout, when it ended well.
    #[track_caller]
    pub(crate) fn json(self) -> Value {
        let text = self.ok();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}:\n{text}"))
    }

    #[track_caller]
    pub(crate) fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        self
    }
}

/// A process with a running worker; killed if the test fails.
pub(crate) struct Worker {
    process: Child,
    /// What it said until the worker was ready.
    pub(crate) told: String,
    /// Closed when it says no more.
    silent: oneshot::Receiver<()>,
}

impl Worker {
    /// Starts a process and waits until it says that its worker is ready.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut process = command
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut stderr = BufReader::new(process.stderr.take().expect("its stderr is piped"));
        let mut told = String::new();
        while !told.contains("worker ready") {
            let bytes = stderr.read_line(&mut told).expect("its stderr is text");
            assert!(bytes > 0, "the process ended:\n{told}");
        }
        // Read on, so that the process never waits for somebody to read its log.
        let (speaking, silent) = oneshot::channel();
        std::thread::spawn(move || {
            let _speaking = speaking;
            std::io::copy(&mut stderr, &mut std::io::sink())
        });
        Self {
            process,
            told,
            silent,
        }
    }

    /// Stops it with SIGTERM and expects it to end well.
    #[track_caller]
    pub(crate) fn stop(self) {
        assert_eq!(self.signal("-TERM"), Some(0));
    }

    /// Its process, to send it signals.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Waits until it closes its stderr, which it does when it ends. Once only.
    pub(crate) async fn silent(&mut self) {
        // Nothing is ever sent.
        let _ = (&mut self.silent).await;
    }

    /// Waits until it ends, and gives its exit code; `None` when a signal ended it.
    pub(crate) fn ended(mut self) -> Option<i32> {
        self.process.wait().expect("the process ends").code()
    }

    /// Sends it a signal and gives the exit code with which it ends.
    #[track_caller]
    pub(crate) fn signal(self, signal: &str) -> Option<i32> {
        kill(signal, self.pid());
        self.ended()
    }
}

/// A process that tells one JSON document a line, until it is dropped.
pub(crate) struct Listening {
    process: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Listening {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut process = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let stdout = process.stdout.take().expect("its stdout is piped");
        Self {
            process,
            lines: BufReader::new(stdout).lines(),
        }
    }

    /// The next document.
    #[track_caller]
    pub(crate) fn next(&mut self) -> Value {
        let line = self.lines.next().expect("it goes on").expect("text");
        serde_json::from_str(&line).expect("a line is JSON")
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        // It has ended already if all went well.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Sends a signal to a process.
#[track_caller]
pub(crate) fn kill(signal: &str, pid: u32) {
    let sent = Command::new("kill")
        .args([signal, &pid.to_string()])
        .status();
    assert!(
        sent.is_ok_and(|status| status.success()),
        "no signal was sent"
    );
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It has ended already if all went well.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A shop for the task `shop.tasks.watch`, which runs until it closes.
pub(crate) struct OpenShop {
    listener: TcpListener,
}

impl OpenShop {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        Self { listener }
    }

    /// The argument of the task.
    pub(crate) fn address(&self) -> String {
        let address = self.listener.local_addr().expect("it is bound");
        address.to_string()
    }

    /// Waits until a task watches; it goes on until the answer is dropped.
    pub(crate) fn watched(&self) -> TcpStream {
        let (watcher, _) = self.listener.accept().expect("the task connects");
        let patience = Duration::from_secs(60);
        watcher
            .set_read_timeout(Some(patience))
            .expect("a timeout above zero");
        watcher
    }
}
