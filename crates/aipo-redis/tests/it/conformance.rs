//! The behaviour suite that every store runs.
//!
//! With a list for each of the ten priorities and parking on send, which the cases ask for; what differs by
//! default, as it does with Celery, is in `celery.rs`.

use aipo_core::{Clock, Store};
use aipo_redis::RedisOptions;

use crate::server::{fresh, shared};

/// One database per store.
struct Redis;

async fn connect(mut options: RedisOptions, clock: Clock) -> Store {
    options.global_keyprefix = "suite:".to_owned();
    options.priority_steps = (0..=9).collect();
    options.park_on_send = true;
    options.clock = Some(clock);
    aipo_redis::connect(options).await.expect("connect")
}

impl aipo_conformance::Harness for Redis {
    async fn open(&self, clock: Clock) -> Store {
        connect(fresh().options(), clock).await
    }

    async fn second(&self, store: &Store, clock: Clock) -> Store {
        let (_, db) = store
            .url
            .rsplit_once('/')
            .expect("the URL ends in the database");
        connect(
            shared().database(db.parse().expect("its number")).options(),
            clock,
        )
        .await
    }
}

aipo_conformance::conformance!(Redis);
