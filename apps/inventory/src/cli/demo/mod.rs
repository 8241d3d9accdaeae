//! `demo`: the program's main job without a person, on fresh files, checked at every step.
//!
//! API, worker and store run in this process; everything the demonstration does, it does over HTTP,
//! as a user would. A step whose outcome is not what it must be ends it with exit code 1.

mod check;
mod client;
mod scenario;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::problem::Problem;
use super::server::Bound;
use super::{Place, open};
use crate::api::{self, DEFAULT_MAX_UPLOAD};
use scenario::Scenario;

/// Flags of `demo`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Linhas do catálogo de exemplo
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    rows: u64,
    /// Semente do catálogo: a mesma semente dá o mesmo catálogo
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Guarda os arquivos nesta pasta, que ainda não pode existir; sem ela, são apagados no fim
    #[arg(long, value_name = "PASTA")]
    keep: Option<PathBuf>,
}

pub(super) async fn run(args: Args, options: &aipo::cli::Options) -> Result<(), Problem> {
    let no_folder = || Problem::failed("não há onde pôr os arquivos da demonstração");
    // Held until the end, when it deletes the folder.
    let temporary;
    let folder = match &args.keep {
        Some(folder) => {
            std::fs::create_dir(folder).map_err(no_folder())?;
            folder.clone()
        }
        None => {
            temporary = tempfile::tempdir().map_err(no_folder())?;
            temporary.path().to_owned()
        }
    };
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let place = Place {
        database: folder.join("inventory.db").display().to_string(),
        media: folder.join("media"),
        listen: loopback,
        behind_proxy: false,
        // The longest catalogue has some 110 MB.
        max_upload: 4 * DEFAULT_MAX_UPLOAD,
    };
    let broker = format!("sqlite://{}", folder.join("inventory-tasks.db").display());
    let inventory = open::inventory_on(&place, options, &broker).await?;
    let worker = inventory.app.worker().start().await;
    let worker = worker.map_err(Problem::failed("o trabalhador não começa"))?;
    let router = api::router(inventory.clone(), place.max_upload);
    let server = Bound::new(place.listen, router).await?.serve();

    let scenario = Scenario::new(server.address, inventory, folder, args.rows, args.seed);
    // Blocking, as its HTTP client is.
    let shown = tokio::task::spawn_blocking(move || scenario.play()).await;

    server.stop().await;
    worker
        .stop()
        .await
        .map_err(Problem::failed("o trabalhador não parou como devia"))?;
    shown.map_err(Problem::failed("a demonstração foi interrompida"))?
}
