//! Small facts that all processes share: which tasks are revoked, which workers are there.
//!
//! Each fact has a key, bytes, and usually a time to live, so that nothing outlives its purpose.

use std::time::Duration;

use async_trait::async_trait;

use crate::error::Result;

/// A fencing token: a number that grows each time a key is claimed anew, so that whoever claimed it
/// before can be told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fence(pub u64);

/// The log of what was revoked; see [`Consumer::last_revoked`](super::Consumer::last_revoked).
pub const REVOKED: &str = "revoked";

/// An entry of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number; numbers grow, and none is used again.
    pub number: u64,
    /// What was appended: any bytes.
    pub value: Vec<u8>,
}

/// A fact to be set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// Its key.
    pub key: String,
    /// Any bytes.
    pub value: Vec<u8>,
    /// Its time to live from now; for ever when `None`.
    pub ttl: Option<Duration>,
}

/// The facts of one store, and its logs.
///
/// A log is a list under a name of its own that only grows at its end, and forgets each entry when its time to
/// live is over.
///
/// A key that was [`put`](StateStore::put) is taken, for a claim too; a put or a delete ends the claim
/// that was there. Tokens grow for ever, and a time to live of zero is over at once.
#[async_trait]
pub trait StateStore: Send + Sync + 'static {
    /// Sets a fact, whatever was there. `ttl` is its time to live from now; for ever when `None`.
    async fn put(&self, key: &str, value: Vec<u8>, ttl: Option<Duration>) -> Result<()>;

    /// Claims a key if nobody holds it: the token of the claim, or `None` when it is taken.
    ///
    /// - Of many claims at the same time exactly one wins.
    /// - A claim whose time to live is over can be won again, with a higher token.
    async fn claim(&self, key: &str, value: Vec<u8>, ttl: Duration) -> Result<Option<Fence>>;

    /// Sets the value of a claimed key and renews its time to live; `false` when the claim is not
    /// `fence`'s any more, and then nothing changes.
    async fn renew(&self, key: &str, fence: Fence, value: Vec<u8>, ttl: Duration) -> Result<bool>;

    /// Gives a claimed key up; `false` when the claim is not `fence`'s any more.
    async fn release(&self, key: &str, fence: Fence) -> Result<bool>;

    /// The values of these keys in their order; `None` where there is none or it has expired.
    async fn get(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>>;

    /// Deletes a fact if it is there.
    async fn delete(&self, key: &str) -> Result<()>;

    /// All facts whose key starts with `prefix`, taken literally, by key in byte order.
    async fn scan(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>>;

    /// Appends values to a log, each with this time to live, and gives the number of the last one.
    ///
    /// - They stand in their order, all together; or none was appended.
    /// - Whoever has read up to a number has missed none before it: what comes later has higher numbers.
    /// - With no values nothing changes, and the number is that of the last entry there ever was, or zero.
    async fn append(&self, log: &str, values: Vec<Vec<u8>>, ttl: Duration) -> Result<u64>;

    /// The entries of a log after that number that have not expired, the oldest first, at most `limit`. Zero
    /// comes before all numbers.
    async fn entries(&self, log: &str, after: u64, limit: usize) -> Result<Vec<Entry>>;

    /// Deletes what has expired and says how much that was, see
    /// [`ResultBackend::sweep`](super::ResultBackend::sweep).
    async fn sweep(&self) -> Result<u64>;
}
