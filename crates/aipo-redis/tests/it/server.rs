//! A Redis server for tests, and what it is asked past the store.
//!
//! Where there is no server on the path, the tests that need it are skipped and say so; with
//! `AIPO_REQUIRE_SERVERS=1` they fail instead.

use std::io::Write;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};

use aipo_core::Store;
use aipo_redis::{Address, RedisOptions};

/// More than there are tests, each of which takes one.
const DATABASES: i64 = 10_000;

const NOTHING_ON_DISK: [&str; 4] = ["--save", "", "--appendonly", "no"];

/// A server. Dropping it ends it, as a crash would.
pub(crate) struct Server(aipo_conformance::redis::Server);

impl Server {
    /// Starts a server that keeps nothing on disk.
    pub(crate) fn start() -> Self {
        Self::start_with(&NOTHING_ON_DISK)
    }

    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        aipo_conformance::redis::Server::start(arguments).map_or_else(skip, Self)
    }

    /// One of its databases.
    pub(crate) fn database(&self, number: i64) -> Database {
        Database {
            port: self.0.port(),
            number,
        }
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(&mut self) {
        self.0.kill();
    }

    /// Starts it again, on the same port and with the same data on disk.
    pub(crate) fn restart(&mut self) {
        self.0.restart();
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

/// The server that tests share which do not hurt it.
pub(crate) fn shared() -> &'static Server {
    static SHARED: OnceLock<Server> = OnceLock::new();
    SHARED.get_or_init(|| {
        let databases = DATABASES.to_string();
        let arguments = [&NOTHING_ON_DISK[..], &["--databases", &databases]];
        Server::start_with(&arguments.concat())
    })
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

fn skip() -> Server {
    // The test harness knows no skipping; so that nothing is counted as passed that did not run, all
    // of this program's tests end here. Not by `eprintln`, which the harness would keep to itself.
    let told = writeln!(
        std::io::stderr(),
        "skipped: redis-server is not on the path; AIPO_REQUIRE_SERVERS=1 makes this a failure"
    );
    told.expect("stderr can be written");
    std::process::exit(0);
}
