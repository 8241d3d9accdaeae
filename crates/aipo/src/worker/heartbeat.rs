//! Keeps the lease of a session alive.

use std::sync::Arc;
use std::time::Duration;

use aipo_core::ErrorKind;
use aipo_core::store::Consumer;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// Renewals in one lease period: two may fail before the lease runs out.
pub(crate) const BEATS_PER_LEASE: u32 = 3;

/// Renews the lease until it is lost; then `lost` is cancelled.
///
/// A worker that goes on waits for its store as long as it takes. One that is `stopping` does not: when the store was
/// away for a whole lease period, what it holds is for others to bring back.
pub(crate) async fn heartbeat(
    consumer: Arc<dyn Consumer>,
    lease: Duration,
    stopping: CancellationToken,
    lost: CancellationToken,
) {
    let mut renewed = Instant::now();
    let mut beats = tokio::time::interval(lease / BEATS_PER_LEASE);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beats.tick().await;
        match consumer.renew().await {
            Ok(()) => renewed = Instant::now(),
            Err(error) if error.kind() == ErrorKind::LeaseLost => {
                lost.cancel();
                return;
            }
            Err(error) if stopping.is_cancelled() && renewed.elapsed() >= lease => {
                tracing::error!(%error, "the store is away; stopping without it");
                lost.cancel();
                return;
            }
            Err(error) => tracing::warn!(%error, "renewing the lease failed; trying again"),
        }
    }
}
