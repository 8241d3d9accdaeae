//! `serve` and `all`: the API, alone or with a worker beside it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aipo::{App, Signal};
use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::problem::Problem;
use super::{Place, open};
use crate::api;

/// How long requests that are under way may take when the program is asked to stop.
const GRACE: Duration = Duration::from_secs(10);

/// The API until SIGTERM or Ctrl-C.
pub(super) async fn serve(place: &Place, options: &aipo::cli::Options) -> Result<(), Problem> {
    let unheard = || Problem::failed("não há como esperar por sinais");
    let (bound, _) = bind(place, options).await?;
    // Before anybody can know that it serves, so that no signal finds it unprepared.
    let mut signals = StopSignals::listen().map_err(unheard())?;
    let server = bound.serve();
    signals.received().await.map_err(unheard())?;
    server.stop().await;
    Ok(())
}

/// The API and a worker until SIGTERM or Ctrl-C. The worker listens to the signals, so that a second
/// one makes it hurry; the API begins after it and stops after it.
pub(super) async fn all(place: &Place, options: &aipo::cli::Options) -> Result<(), Problem> {
    let (bound, app) = bind(place, options).await?;
    tracing::info!(
        "there is no scheduler yet: the dashboard's figures are computed when asked for"
    );
    let ready = worker_ready(&app);
    let mut working = tokio::spawn(app.worker().run());
    let stopped = tokio::select! {
        () = ready.notified() => {
            let server = bound.serve();
            let stopped = working.await;
            server.stop().await;
            stopped
        }
        stopped = &mut working => stopped,
    };
    stopped
        .map_err(Problem::failed("o trabalhador foi interrompido"))?
        .map_err(Problem::failed("o trabalhador parou"))
}

/// Told when a worker of this process takes tasks.
fn worker_ready(app: &App) -> Arc<Notify> {
    let ready = Arc::new(Notify::new());
    let told = ready.clone();
    app.signals().connect(move |signal| {
        if let Signal::WorkerReady { .. } = signal {
            told.notify_one();
        }
    });
    ready
}

async fn bind(place: &Place, options: &aipo::cli::Options) -> Result<(Bound, App), Problem> {
    if !place.listen.ip().is_loopback() && !place.behind_proxy {
        return Err(Problem::usage(format!(
            "--listen: {} é alcançável por outras máquinas, e a API acredita no cabeçalho X-User; \
             ponha à frente um proxy que autentique, e confirme com --behind-proxy",
            place.listen
        )));
    }
    let inventory = open::inventory(place, options).await?;
    let unseen = "as tarefas pendentes não puderam ser vistas";
    let mended = inventory.mend().await.map_err(Problem::failed(unseen))?;
    if mended > 0 {
        tracing::info!(mended, "what a crash had left apart was brought together");
    }
    let app = inventory.app.clone();
    let router = api::router(inventory, place.max_upload);
    Ok((Bound::new(place.listen, router).await?, app))
}

/// An API that has its address, and does not answer yet.
pub(super) struct Bound {
    address: SocketAddr,
    listener: TcpListener,
    router: Router,
}

/// An API that answers.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Bound {
    pub(super) async fn new(address: SocketAddr, router: Router) -> Result<Self, Problem> {
        let taken = || Problem::failed(format!("a API não pode escutar em {address}"));
        let listener = TcpListener::bind(address).await.map_err(taken())?;
        let address = listener.local_addr().map_err(taken())?;
        Ok(Self {
            address,
            listener,
            router,
        })
    }

    pub(super) fn serve(self) -> Server {
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let serving = axum::serve(self.listener, self.router).with_graceful_shutdown(stopped);
        tracing::info!(address = %self.address, "the API answers");
        Server {
            address: self.address,
            stop,
            serving: tokio::spawn(serving.into_future()),
        }
    }
}

impl Server {
    /// Takes no more requests, and lets those under way finish for a while.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        match tokio::time::timeout(GRACE, self.serving).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::error!(%error, "the API stopped with an error"),
            Ok(Err(error)) => tracing::error!(%error, "the API was interrupted"),
            Err(_) => tracing::warn!("requests were cut off after {GRACE:?}"),
        }
    }
}

/// SIGTERM and Ctrl-C, heard from the moment that this exists.
struct StopSignals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

impl StopSignals {
    fn listen() -> std::io::Result<Self> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            Ok(Self {
                terminate: signal(SignalKind::terminate())?,
                interrupt: signal(SignalKind::interrupt())?,
            })
        }
        #[cfg(not(unix))]
        Ok(Self {})
    }

    async fn received(&mut self) -> std::io::Result<()> {
        #[cfg(unix)]
        {
            tokio::select! {
                _ = self.terminate.recv() => {}
                _ = self.interrupt.recv() => {}
            }
            Ok(())
        }
        #[cfg(not(unix))]
        tokio::signal::ctrl_c().await
    }
}
