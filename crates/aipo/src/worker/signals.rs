//! What the operating system tells a worker.

use super::Stop;

/// SIGTERM, SIGQUIT and Ctrl-C, from the moment this is made: none is missed while the worker starts,
/// or between the first and the second.
#[cfg(unix)]
pub(crate) struct Signals([tokio::signal::unix::Signal; 3]);

#[cfg(unix)]
impl Signals {
    pub(crate) fn new() -> Self {
        use tokio::signal::unix::{SignalKind, signal};

        let kinds = [
            SignalKind::terminate(),
            SignalKind::quit(),
            SignalKind::interrupt(),
        ];
        Self(kinds.map(|kind| signal(kind).expect("this process may handle its signals")))
    }

    async fn next(&mut self) {
        let [terminate, quit, interrupt] = &mut self.0;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = quit.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
}

/// Ctrl-C.
#[cfg(not(unix))]
pub(crate) struct Signals;

#[cfg(not(unix))]
impl Signals {
    pub(crate) fn new() -> Self {
        Self
    }

    async fn next(&mut self) {
        tokio::signal::ctrl_c()
            .await
            .expect("this process may handle Ctrl-C");
    }
}

/// The first signal stops the worker warm, the second cold.
pub(crate) async fn obey(mut signals: Signals, stop: Stop) {
    signals.next().await;
    tracing::info!("stopping: running tasks finish; ask again to hand them back at once");
    stop.warm.cancel();
    signals.next().await;
    stop.cold.cancel();
}
