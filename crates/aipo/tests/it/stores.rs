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

    /// A server of its own; `None`, with a word about it, where there is no Redis.
    #[cfg(feature = "redis")]
    pub(crate) fn redis() -> Option<Self> {
        use aipo_conformance::redis::Server;
        let Some(server) = Server::start(&["--save", "", "--appendonly", "no"]) else {
            eprintln!("skipped: no redis-server; AIPO_REQUIRE_SERVERS=1 makes this a failure");
            return None;
        };
        Some(Self {
            url: format!("redis://127.0.0.1:{}/0", server.port()),
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
