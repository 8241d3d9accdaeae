//! How long the worker waits before it asks a store again that did not answer.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(50);
/// Short enough that a worker consumes again within five seconds of the store's return.
const LONGEST: Duration = Duration::from_secs(2);

/// Waits that double, each of a random length up to that.
pub(crate) struct Backoff(Duration);

impl Backoff {
    pub(crate) fn new() -> Self {
        Self(FIRST)
    }

    pub(crate) async fn wait(&mut self) {
        let longest = self.0;
        self.0 = (longest * 2).min(LONGEST);
        tokio::time::sleep(longest.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
    }
}
