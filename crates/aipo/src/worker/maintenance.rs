//! What every worker does for all of them: bring back the messages of workers that died, and delete
//! what has expired. Each is one step that may be done by several workers at once.

use std::time::Duration;

use aipo_core::Store;
use tokio::time::MissedTickBehavior;

/// How often expired results and facts are deleted.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// Recovers twice in a lease period, so that a dead worker is noticed within two periods.
pub(crate) async fn recover(store: Store, lease: Duration) {
    let mut ticks = tokio::time::interval(lease / 2);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match store.broker.recover().await {
            Ok(0) => {}
            Ok(count) => {
                tracing::warn!(count, "messages of a lost worker are back in their queues")
            }
            Err(error) => tracing::warn!(%error, "looking for lost workers failed; trying again"),
        }
    }
}

/// Deletes what has expired, every minute.
pub(crate) async fn sweep(store: Store) {
    let mut ticks = tokio::time::interval(SWEEP_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = store.results.sweep().await {
            tracing::warn!(%error, "deleting expired results failed; trying again");
        }
        if let Err(error) = store.state.sweep().await {
            tracing::warn!(%error, "deleting expired facts failed; trying again");
        }
    }
}
