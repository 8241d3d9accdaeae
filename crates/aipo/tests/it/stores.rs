//! The same test on every kind of store: memory with virtual time, the others as they are.

use std::any::Any;

use aipo::{App, AppBuilder, testing};

/// Stamps cases, each an `async fn(Place)`, as tests on every store.
macro_rules! on_every_store {
    ($($case:ident,)+) => {
        mod memory {
            $(#[tokio::test(start_paused = true)]
            async fn $case() {
                super::$case(crate::stores::Place::memory()).await;
            })+
        }

        #[cfg(feature = "sqlite")]
        mod sqlite {
            $(#[tokio::test]
            async fn $case() {
                super::$case(crate::stores::Place::sqlite()).await;
            })+
        }

        #[cfg(feature = "redis")]
        mod redis {
            $(#[tokio::test]
            async fn $case() {
                if let Some(place) = crate::stores::Place::redis() {
                    super::$case(place).await;
                }
            })+
        }
    };
}

pub(crate) use on_every_store;

/// A store with nothing in it, until it is dropped.
pub(crate) struct Place {
    /// Empty for memory.
    url: String,
    #[expect(dead_code, reason = "held so that the store is there")]
    held: Box<dyn Any + Send>,
}

impl Place {
    pub(crate) fn memory() -> Self {
        Self {
            url: String::new(),
            held: Box::new(()),
        }
    }

    /// A file in a folder of its own.
    #[cfg(feature = "sqlite")]
    pub(crate) fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a folder for the file");
        Self {
            url: format!("sqlite://{}", folder.path().join("aipo.db").display()),
            held: Box::new(folder),
        }
    }

    /// A server of its own, on a socket in a folder; `None` where there is no Redis.
    #[cfg(feature = "redis")]
    pub(crate) fn redis() -> Option<Self> {
        let server = server::Server::start()?;
        Some(Self {
            url: server.url(),
            held: Box::new(server),
        })
    }

    /// Where it is; nowhere for memory.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) async fn build(&self, app: AppBuilder) -> App {
        match &*self.url {
            "" => testing::build(app).await,
            url => {
                let settings = app.settings(|settings| settings.broker_url = url.to_owned());
                settings.build().await
            }
        }
        .expect("an app")
    }
}

#[cfg(feature = "redis")]
mod server {
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command, Stdio};

    use tempfile::TempDir;

    /// Ends the server when this process ends, however it does: then its end of the pipe is closed.
    const WATCHED: &str =
        r#""$@" & server=$!; cat > /dev/null; kill -9 "$server"; wait "$server" 2> /dev/null"#;

    pub(super) struct Server {
        process: Child,
        folder: TempDir,
    }

    impl Server {
        /// `None`, with a word about it, where there is no server and `AIPO_REQUIRE_SERVERS` is not set.
        pub(super) fn start() -> Option<Self> {
            if Command::new("redis-server")
                .arg("--version")
                .output()
                .is_err()
            {
                let message = "redis-server is not on the path";
                assert!(
                    std::env::var_os("AIPO_REQUIRE_SERVERS").is_none(),
                    "{message}"
                );
                eprintln!("skipped: {message}; AIPO_REQUIRE_SERVERS=1 makes this a failure");
                return None;
            }
            let folder = tempfile::tempdir().expect("a folder for the server");
            let mut process = Command::new("sh")
                .args(["-c", WATCHED, "sh", "redis-server", "--port", "0"])
                .args(["--save", "", "--appendonly", "no", "--unixsocket"])
                .arg(folder.path().join("socket"))
                .arg("--dir")
                .arg(folder.path())
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .expect("sh is there");
            let output = BufReader::new(process.stdout.take().expect("it is piped"));
            let is_ready = output
                .lines()
                .map_while(Result::ok)
                .any(|line| line.to_lowercase().contains("ready to accept connections"));
            assert!(is_ready, "redis-server could not be started");
            Some(Self { process, folder })
        }

        pub(super) fn url(&self) -> String {
            format!(
                "redis+socket://{}",
                self.folder.path().join("socket").display()
            )
        }
    }

    impl Drop for Server {
        fn drop(&mut self) {
            // The shell sees its pipe closed and kills the server.
            drop(self.process.stdin.take());
            self.process.wait().expect("the shell that watches ends");
        }
    }
}
