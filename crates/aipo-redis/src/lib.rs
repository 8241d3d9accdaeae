//! aipo on Redis and Valkey, in Celery's own format: Python programs send to the same queues, work on them and
//! read the same results.
//!
//! ```no_run
//! # async fn example() -> aipo_core::Result<()> {
//! use aipo_redis::RedisOptions;
//!
//! let store = aipo_redis::connect(RedisOptions::from_url("redis://localhost:6379/0")?).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What is where
//! Messages that wait, bindings and results lie where Celery has them. What a worker holds lies under keys of
//! aipo's own, so no Python worker takes it for lost, and aipo touches nothing that Python workers hold.
//! `keys.rs` lists all keys, `wire.rs` tells how a message is written. Control commands, their replies and events go
//! over kombu's channels and mailboxes, see `bus.rs`.
//!
//! # Guarantees
//! | | how |
//! |---|---|
//! | a message is in one place | it leaves its list and becomes held in one script, and leaves that with its outcome in another |
//! | a crash loses nothing | a worker renews one lease for all it holds; when that is over, any other puts its messages back |
//! | a worker that was given up does no harm | each of its scripts first looks at its lease |
//! | waiting costs nothing | the server tells of changed keys (`CLIENT TRACKING`); nobody polls, nothing is popped into a client |
//! | nothing is left by who listened | subscriptions end with the connection; a mailbox whose owner died is swept |
//! | time is the server's | so clocks of machines need not agree |
//!
//! # Bounds
//! A list can't be asked for an id: where a task's message is, and taking it out of its queue, are found by
//! searching what waits, at most 100,000 messages in one call, and beyond that refused. One server, or one
//! with replicas, but no cluster. A call that was sent and not answered fails and is not sent again: it may have
//! happened.
//!
//! What Redis itself forgets in a crash is forgotten: with `appendonly` and `appendfsync everysec` up to a second,
//! without persistence everything.

use std::sync::Arc;

use aipo_core::{Result, Store};

mod broker;
mod bus;
mod channels;
mod chords;
mod config;
mod consumer;
mod error;
mod fetch;
mod handle;
mod json;
mod keys;
mod link;
mod mailbox;
mod publish;
mod reply;
mod results;
mod script;
mod search;
mod server;
mod settle;
mod source;
mod state;
mod time;
mod url;
mod watch;
mod wire;

pub use config::{
    Address, DEFAULT_CONNECT_TIMEOUT, DEFAULT_PRIORITY_STEPS, DEFAULT_SEP, DEFAULT_TIMEOUT,
    RedisOptions, Tls,
};

use channels::Channels;
use handle::Handle;
use keys::Keys;
use link::{Link, News};
use publish::Declared;
use watch::Watch;

/// Connects to the server.
///
/// # Errors
/// [`ErrorKind::Unavailable`](aipo_core::ErrorKind::Unavailable) when it can't be reached in
/// `options.timeout`, [`ErrorKind::Config`](aipo_core::ErrorKind::Config) when it refuses user, password
/// or database, [`ErrorKind::Unsupported`](aipo_core::ErrorKind::Unsupported) when it is older than
/// Redis 6.2 or a cluster.
pub async fn connect(options: RedisOptions) -> Result<Store> {
    options.check()?;
    let declared = Declared::default();
    let listener = {
        let declared = declared.clone();
        Box::new(move |news| {
            if let News::All = news {
                declared.clear();
            }
        })
    };
    let link = Link::new(&options, None, listener)?;
    server::check(&link).await?;
    let handle = Arc::new(Handle {
        link,
        watch: Watch::new(&options)?,
        channels: Channels::new(&options)?,
        keys: Keys::new(&options),
        clock: options.clock.clone(),
        park_on_send: options.park_on_send,
        declared,
    });
    Ok(Store {
        broker: Arc::new(broker::RedisBroker(handle.clone())),
        results: Arc::new(results::RedisResults(handle.clone())),
        state: Arc::new(state::RedisState(handle.clone())),
        chords: Arc::new(chords::RedisChords(handle.clone())),
        bus: Arc::new(bus::RedisBus(handle)),
        settles_results: true,
        url: options.url(),
    })
}
