//! A Redis server for tests: on a free port, in a folder of its own, gone with the test process.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// Ends the server when the test process ends, however it does: then its end of the pipe is closed.
const WATCHED: &str =
    r#""$@" & server=$!; cat > /dev/null; kill -9 "$server"; wait "$server" 2> /dev/null"#;

/// A server. Dropping it ends it, as a crash would.
pub struct Server {
    port: u16,
    process: Child,
    folder: TempDir,
    arguments: Vec<String>,
}

impl Server {
    /// Starts a server with these arguments, for example `["--save", "", "--appendonly", "no"]` for one that keeps nothing
    /// on disk. `None` where there is no `redis-server` on the path.
    ///
    /// # Panics
    /// When it can't be started, and with the environment variable `AIPO_REQUIRE_SERVERS` also when there is none.
    pub fn start(arguments: &[&str]) -> Option<Self> {
        if !is_installed() {
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder for the server");
        let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        // Another process may take the port between the look and the start.
        for _ in 0..10 {
            let port = free_port();
            if let Some(process) = run(port, &folder, &arguments) {
                return Some(Self {
                    port,
                    process,
                    folder,
                    arguments,
                });
            }
        }
        panic!("no redis-server could be started on a free port");
    }

    /// Where it listens, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends it as a crash does.
    pub fn kill(&mut self) {
        // The shell sees its pipe closed and kills the server.
        drop(self.process.stdin.take());
        self.process.wait().expect("the shell that watches ends");
    }

    /// Starts it again, on the same port and with the same data on disk.
    ///
    /// # Panics
    /// When another process has taken the port meanwhile.
    pub fn restart(&mut self) {
        self.process =
            run(self.port, &self.folder, &self.arguments).expect("the port is still free");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn is_installed() -> bool {
    let found = Command::new("redis-server")
        .arg("--version")
        .output()
        .is_ok();
    assert!(
        found || std::env::var_os("AIPO_REQUIRE_SERVERS").is_none(),
        "redis-server is not on the path"
    );
    found
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("it is bound").port()
}

/// `None` when the server could not listen.
fn run(port: u16, folder: &TempDir, arguments: &[String]) -> Option<Child> {
    let mut process = Command::new("sh")
        .args(["-c", WATCHED, "sh", "redis-server", "--bind", "127.0.0.1"])
        .args(["--port", &port.to_string(), "--dir"])
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
