//! What the operating system tells a worker.

use super::Stop;

/// The first signal stops the worker warm, the second cold.
pub(crate) async fn listen(stop: Stop) {
    asked().await;
    tracing::info!("stopping: running tasks finish; ask again to hand them back at once");
    stop.warm.cancel();
    asked().await;
    stop.cold.cancel();
}

/// Waits for SIGTERM, SIGQUIT or Ctrl-C.
#[cfg(unix)]
async fn asked() {
    use tokio::signal::unix::{SignalKind, signal};

    let listen = |kind| signal(kind).expect("this process may handle its signals");
    let (mut terminate, mut quit) = (listen(SignalKind::terminate()), listen(SignalKind::quit()));
    let mut interrupt = listen(SignalKind::interrupt());
    tokio::select! {
        _ = terminate.recv() => {}
        _ = quit.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Waits for Ctrl-C.
#[cfg(not(unix))]
async fn asked() {
    tokio::signal::ctrl_c()
        .await
        .expect("this process may handle Ctrl-C");
}
