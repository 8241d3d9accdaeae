//! A Redis server for tests: on a free port, in a folder of its own, gone with the test process.
//!
//! Where there is none on the path, the tests that need it are skipped and say so; with
//! `AIPO_REQUIRE_SERVERS=1` they fail instead.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};

use aipo_core::Store;
use aipo_redis::{Address, RedisOptions};
use tempfile::TempDir;

/// More than there are tests, each of which takes one.
const DATABASES: i64 = 10_000;

/// Ends the server when the test process ends, however it does: then its end of the pipe is closed.
const WATCHED: &str =
    r#""$@" & server=$!; cat > /dev/null; kill -9 "$server"; wait "$server" 2> /dev/null"#;

/// A server. Dropping it ends it, as a crash would.
pub(crate) struct Server {
    port: u16,
    process: Child,
    folder: TempDir,
    arguments: Vec<String>,
}

impl Server {
    /// Starts a server that keeps nothing on disk.
    pub(crate) fn start() -> Self {
        Self::start_with(&["--save", "", "--appendonly", "no"])
    }

    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the server");
        let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        // Another process may take the port between the look and the start.
        for _ in 0..10 {
            let port = free_port();
            if let Some(process) = run(port, &folder, &arguments) {
                return Self {
                    port,
                    process,
                    folder,
                    arguments,
                };
            }
        }
        panic!("no redis-server could be started on a free port");
    }

    /// One of its databases.
    pub(crate) fn database(&self, number: i64) -> Database {
        Database {
            port: self.port,
            number,
        }
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(&mut self) {
        // The shell sees its pipe closed and kills the server.
        drop(self.process.stdin.take());
        self.process.wait().expect("the shell that watches ends");
    }

    /// Starts it again, on the same port and with the same data on disk.
    pub(crate) fn restart(&mut self) {
        self.process =
            run(self.port, &self.folder, &self.arguments).expect("the port is still free");
    }

    pub(crate) fn process_id(&self) -> String {
        self.info("server", "process_id")
    }

    /// Makes it stand still (`STOP`) or go on (`CONT`).
    pub(crate) fn signal(&self, process_id: &str, signal: &str) {
        let status = Command::new("kill")
            .args([&format!("-{signal}"), process_id])
            .status();
        assert!(status.expect("kill is there").success());
    }

    pub(crate) fn address(&self) -> Address {
        self.database(0).options().address
    }

    /// One field of `INFO`.
    pub(crate) fn info(&self, section: &str, field: &str) -> String {
        let info: String = self.database(0).ask(&["INFO", section]);
        let value = info
            .lines()
            .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        value
            .unwrap_or_else(|| panic!("{field} is in {info}"))
            .to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The server that tests share which do not hurt it.
pub(crate) fn shared() -> &'static Server {
    static SHARED: OnceLock<Server> = OnceLock::new();
    SHARED.get_or_init(Server::start)
}

/// A database of the shared server that no other test has.
pub(crate) fn fresh() -> Database {
    static NEXT: AtomicI64 = AtomicI64::new(0);
    let db = NEXT.fetch_add(1, Ordering::Relaxed);
    assert!(db < DATABASES, "every test has a database of its own");
    shared().database(db)
}

/// A database of a server.
#[derive(Clone, Copy)]
pub(crate) struct Database {
    port: u16,
    number: i64,
}

impl Database {
    pub(crate) fn url(self) -> String {
        format!("redis://127.0.0.1:{}/{}", self.port, self.number)
    }

    pub(crate) fn options(self) -> RedisOptions {
        RedisOptions::from_url(&self.url()).expect("a valid URL")
    }

    pub(crate) async fn store(self) -> Store {
        aipo_redis::connect(self.options()).await.expect("connect")
    }

    /// Sends a command past the store, as another program would, and gives its answer.
    pub(crate) fn ask<T: redis::FromRedisValue>(self, command: &[&str]) -> T {
        self.ask_bytes(
            &command
                .iter()
                .map(|text| text.as_bytes())
                .collect::<Vec<_>>(),
        )
    }

    pub(crate) fn ask_bytes<T: redis::FromRedisValue>(self, command: &[&[u8]]) -> T {
        let client = redis::Client::open(self.url()).expect("a valid URL");
        let mut connection = client.get_connection().expect("connect");
        let mut request = redis::Cmd::new();
        command.iter().for_each(|part| _ = request.arg(*part));
        request
            .query(&mut connection)
            .expect("the command is right")
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("it is bound").port()
}

/// `None` when the server could not listen.
fn run(port: u16, folder: &TempDir, arguments: &[String]) -> Option<Child> {
    require_binary();
    let mut process = Command::new("sh")
        .args(["-c", WATCHED, "sh", "redis-server", "--bind", "127.0.0.1"])
        .args([
            "--port",
            &port.to_string(),
            "--databases",
            &DATABASES.to_string(),
            "--dir",
        ])
        .arg(folder.path())
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("sh is there");
    let output = BufReader::new(process.stdout.take().expect("it is piped"));
    let is_ready = output
        .lines()
        .map_while(Result::ok)
        .any(|line| line.to_lowercase().contains("ready to accept connections"));
    is_ready.then_some(process)
}

fn require_binary() {
    let found = Command::new("redis-server")
        .arg("--version")
        .output()
        .is_ok();
    if found {
        return;
    }
    let message = "redis-server is not on the path";
    assert!(
        std::env::var_os("AIPO_REQUIRE_SERVERS").is_none(),
        "{message}"
    );
    // The test harness knows no skipping; so that nothing is counted as passed that did not run, all
    // of this program's tests end here. Not by `eprintln`, which the harness would keep to itself.
    let told = writeln!(
        std::io::stderr(),
        "skipped: {message}; AIPO_REQUIRE_SERVERS=1 makes this a failure"
    );
    told.expect("stderr can be written");
    std::process::exit(0);
}
