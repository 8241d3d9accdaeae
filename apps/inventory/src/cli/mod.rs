//! The command line: `serve`, `worker`, `beat`, `all` (the default), `demo`, and aipo's other
//! commands.

mod demo;
mod open;
mod problem;
mod server;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use aipo::cli::{Command, LogLevel};
use clap::{Parser, Subcommand};

use crate::api::{self, DEFAULT_MAX_UPLOAD};
use problem::Problem;

/// Estoque com importações e exportações longas, feitas em segundo plano
#[derive(Debug, Parser)]
#[command(name = "inventory", version)]
struct Cli {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    aipo: aipo::cli::Options,
    #[command(subcommand)]
    command: Option<Commands>,
}

/// Where the program keeps its data and listens.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Dados e rede")]
struct Place {
    /// O banco de dados do estoque: sqlite://caminho
    #[arg(
        long,
        value_name = "URL",
        env = "INVENTORY_DATABASE",
        default_value = "sqlite://inventory.db",
        global = true
    )]
    database: String,
    /// A pasta dos arquivos enviados e produzidos
    #[arg(
        long,
        value_name = "PASTA",
        env = "INVENTORY_MEDIA",
        default_value = "inventory-media",
        global = true
    )]
    media: PathBuf,
    /// O endereço da API
    #[arg(
        long,
        value_name = "IP:PORTA",
        env = "INVENTORY_LISTEN",
        default_value = "127.0.0.1:8000",
        global = true
    )]
    listen: SocketAddr,
    /// Aceita um endereço que outras máquinas alcançam: há um proxy à frente que autentica e define
    /// o cabeçalho X-User
    #[arg(long, env = "INVENTORY_BEHIND_PROXY", global = true)]
    behind_proxy: bool,
    /// O maior arquivo aceito numa importação, em bytes
    #[arg(
        long,
        value_name = "BYTES",
        env = "INVENTORY_MAX_UPLOAD",
        default_value_t = DEFAULT_MAX_UPLOAD,
        global = true
    )]
    max_upload: usize,
}

#[derive(Debug, Subcommand)]
enum Commands {
    /// Serve a API e executa as tarefas, num só processo (o padrão)
    All,
    /// Serve só a API
    Serve,
    /// Mostra o programa inteiro funcionando, em arquivos novos, e confere o resultado
    Demo(demo::Args),
    /// Escreve a descrição da API (OpenAPI)
    Openapi,
    #[command(flatten)]
    Aipo(Command),
}

/// Parses the arguments of this process and runs the command that they name.
pub async fn run() -> ExitCode {
    let Cli {
        place,
        aipo,
        command,
    } = Cli::parse();
    let done = match command.unwrap_or(Commands::All) {
        Commands::All => {
            aipo.start_logging(LogLevel::Info);
            server::all(&place, &aipo).await
        }
        Commands::Serve => {
            aipo.start_logging(LogLevel::Info);
            server::serve(&place, &aipo).await
        }
        Commands::Demo(args) => {
            aipo.start_logging(LogLevel::Error);
            demo::run(args, &aipo).await
        }
        Commands::Openapi => print_openapi(),
        Commands::Aipo(command) => {
            aipo.start_logging(command.default_log_level());
            let app = match command {
                Command::Worker(_) => open::app(&place, &aipo),
                // The others look at the broker only, and must not create a database on the way.
                _ => Ok(aipo.apply(open::named())),
            };
            match app {
                Ok(app) => return command.run(app).await,
                Err(problem) => Err(problem),
            }
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprint!("{problem}");
            problem.exit_code()
        }
    }
}

fn print_openapi() -> Result<(), Problem> {
    let document = api::openapi()
        .to_pretty_json()
        .map_err(Problem::failed("não há descrição"))?;
    println!("{document}");
    Ok(())
}
