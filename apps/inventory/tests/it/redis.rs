//! A Redis server of a test's own, on a socket in its folder, gone with the test.
//!
//! Where there is none on the path, tests that need it do nothing and say so; with
//! `AIPO_REQUIRE_SERVERS=1` they fail instead.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use tempfile::TempDir;

pub(crate) struct Redis {
    process: Child,
    // Kept open, for what the server still has to say.
    _log: BufReader<ChildStdout>,
    folder: TempDir,
}

impl Redis {
    /// Starts one; `None` where Redis is not installed.
    pub(crate) fn start() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let process = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--unixsocket"])
            .arg(socket(folder.path()))
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn();
        let mut process = match process {
            Ok(process) => process,
            Err(error) if std::env::var_os("AIPO_REQUIRE_SERVERS").is_none() => {
                println!("not run: redis-server: {error}");
                return None;
            }
            Err(error) => panic!("redis-server: {error}"),
        };
        let mut log = BufReader::new(process.stdout.take().expect("piped"));
        let ready = log
            .by_ref()
            .lines()
            .map(|line| line.expect("text"))
            .any(|line| line.contains("eady to accept connections"));
        assert!(ready, "redis-server has ended");
        Some(Self {
            process,
            _log: log,
            folder,
        })
    }

    pub(crate) fn url(&self) -> String {
        format!("redis+socket://{}", socket(self.folder.path()))
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // `kill` only fails for a process that has ended, which is as good.
        let _ = self.process.kill();
        self.process
            .wait()
            .expect("a killed process can be waited for");
    }
}

fn socket(folder: &Path) -> String {
    folder.join("redis.sock").display().to_string()
}
