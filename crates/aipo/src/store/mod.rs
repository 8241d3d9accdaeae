//! From a URL to a store, and from two to one.

mod apart;

use aipo_core::{Clock, Error, ErrorKind, Result, Store};

pub(crate) use apart::with_results_of;

/// Connects to the store that a URL names.
///
/// | URL | store |
/// |---|---|
/// | `sqlite://relative.db`, `sqlite:///absolute.db` | one SQLite file, see the crate `aipo-sqlite` for its options |
/// | `redis://`, `rediss://`, `redis+socket://` | Redis or Valkey, feature `redis`, see the crate `aipo-redis` for its options |
/// | `memory://` | this process only, gone with it |
///
/// # Errors
/// [`ErrorKind::Config`] when no store has such URLs or an option of it is wrong, otherwise what the
/// store answers.
pub async fn connect(url: &str, clock: Clock) -> Result<Store> {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme);
    match scheme {
        Some("memory") => Ok(crate::memory::store(clock)),
        #[cfg(feature = "sqlite")]
        Some("sqlite") => {
            let mut options = aipo_sqlite::SqliteOptions::from_url(url)?;
            options.clock = clock;
            aipo_sqlite::connect(options).await
        }
        // The server tells the time there, which is the same for all processes.
        #[cfg(feature = "redis")]
        Some("redis" | "rediss" | "redis+socket") => {
            aipo_redis::connect(aipo_redis::RedisOptions::from_url(url)?).await
        }
        #[cfg(not(feature = "redis"))]
        Some("redis" | "rediss" | "redis+socket") => {
            let message =
                "this program was built without the Redis store, the feature `redis` of aipo";
            Err(Error::new(ErrorKind::Config, message))
        }
        Some(scheme @ ("amqp" | "amqps" | "postgres" | "postgresql")) => {
            let message = format!(
                "there is no {scheme} store yet; sqlite://, redis:// and memory:// are there"
            );
            Err(Error::new(ErrorKind::Config, message))
        }
        _ => {
            let message = format!("no store has URLs like {url:?}; try sqlite://aipo.db");
            Err(Error::new(ErrorKind::Config, message))
        }
    }
}
