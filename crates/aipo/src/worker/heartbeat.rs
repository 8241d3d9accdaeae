//! Keeps the lease of a session alive.

use std::sync::Arc;
use std::time::Duration;

use aipo_core::ErrorKind;
use aipo_core::store::Consumer;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// Renewals in one lease period: two may fail before the lease runs out.
pub(crate) const BEATS_PER_LEASE: u32 = 3;

/// Renews the lease until it is lost; then `lost` is cancelled.
pub(crate) async fn heartbeat(
    consumer: Arc<dyn Consumer>,
    lease: Duration,
    lost: CancellationToken,
) {
    let mut beats = tokio::time::interval(lease / BEATS_PER_LEASE);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beats.tick().await;
        match consumer.renew().await {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::LeaseLost => {
                lost.cancel();
                return;
            }
            Err(error) => tracing::warn!(%error, "renewing the lease failed; trying again"),
        }
    }
}
