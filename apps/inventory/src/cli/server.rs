//! `serve` and `all`: the API, alone or with a worker beside it.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::problem::Problem;
use super::{Place, open};
use crate::api;

/// How long requests that are under way may take when the program is asked to stop.
const GRACE: Duration = Duration::from_secs(10);

/// The API until SIGTERM or Ctrl-C.
pub(super) async fn serve(place: &Place, options: &aipo::cli::Options) -> Result<(), Problem> {
    let server = start(place, options).await?;
    asked_to_stop()
        .await
        .map_err(Problem::failed("não há como esperar por sinais"))?;
    server.stop().await;
    Ok(())
}

/// The API and a worker until SIGTERM or Ctrl-C. The worker listens to the signals, so that a
/// second one makes it hurry; the API stops after it.
pub(super) async fn all(place: &Place, options: &aipo::cli::Options) -> Result<(), Problem> {
    let server = start(place, options).await?;
    tracing::info!(
        "there is no scheduler yet: the figures of the dashboard are computed when asked for"
    );
    let worked = server.inventory.app.worker().run().await;
    server.stop().await;
    worked.map_err(Problem::failed("o trabalhador parou"))
}

async fn start(place: &Place, options: &aipo::cli::Options) -> Result<Server, Problem> {
    if !place.listen.ip().is_loopback() && !place.behind_proxy {
        return Err(Problem::usage(format!(
            "--listen: {} é alcançável por outras máquinas, e a API acredita no cabeçalho X-User; \
             ponha à frente um proxy que autentique, e confirme com --behind-proxy",
            place.listen
        )));
    }
    let inventory = open::inventory(place, options).await?;
    let mended = inventory.mend().await.map_err(Problem::failed(
        "as tarefas pendentes não puderam ser vistas",
    ))?;
    if mended > 0 {
        tracing::info!(mended, "jobs left behind by a crash were taken up again");
    }
    let router = api::router(inventory.clone(), place.max_upload);
    let server = Server::start(place.listen, router, inventory).await?;
    tracing::info!(address = %server.address, "the API listens");
    Ok(server)
}

/// An API that listens.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) inventory: crate::jobs::Inventory,
    stop: CancellationToken,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Server {
    pub(super) async fn start(
        address: SocketAddr,
        router: Router,
        inventory: crate::jobs::Inventory,
    ) -> Result<Self, Problem> {
        let in_use = || Problem::failed(format!("a API não pode escutar em {address}"));
        let listener = TcpListener::bind(address).await.map_err(in_use())?;
        let address = listener.local_addr().map_err(in_use())?;
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let serving = axum::serve(listener, router).with_graceful_shutdown(stopped);
        Ok(Self {
            address,
            inventory,
            stop,
            serving: tokio::spawn(serving.into_future()),
        })
    }

    /// Takes no more requests, and lets those under way finish for a while.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        if tokio::time::timeout(GRACE, self.serving).await.is_err() {
            tracing::warn!("requests were cut off after {GRACE:?}");
        }
    }
}

async fn asked_to_stop() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminated = signal(SignalKind::terminate())?;
        tokio::select! {
            _ = terminated.recv() => Ok(()),
            interrupted = tokio::signal::ctrl_c() => interrupted,
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}
