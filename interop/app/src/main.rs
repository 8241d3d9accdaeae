//! The aipo side of the tests beside real Celery: a small program with aipo's command set, tasks named
//! `interop.…`, and tasks named `shared.…` that the Celery app `pyapp` has as well.
//!
//! Beside aipo's own commands there are `send` and `flow`, see [`send`](mod@send) and [`flow`](mod@flow).

use std::process::ExitCode;

use aipo::cli::{Command, LogLevel, Options};
use aipo::{App, AppBuilder};
use clap::Parser;

mod failing;
mod flow;
mod groups;
mod plain;
mod retrying;
mod running;
mod send;
mod sending;
mod shared;
mod trial;

/// The aipo side of the tests beside real Celery
#[derive(Parser)]
#[command(name = "interop-app")]
struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Commands,
}

#[derive(clap::Subcommand)]
enum Commands {
    /// Send the calls that stand on stdin, one JSON object a line, and print their ids
    Send,
    /// Send the workflows that stand on stdin, one JSON object a line, and print the results they will have
    Flow,
    #[command(flatten)]
    Aipo(Command),
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let app = cli.options.apply(app());
    let sent = match cli.command {
        Commands::Send => {
            cli.options.start_logging(LogLevel::Warning);
            send::send(app).await
        }
        Commands::Flow => {
            cli.options.start_logging(LogLevel::Warning);
            flow::send(app).await
        }
        Commands::Aipo(command) => {
            cli.options.start_logging(command.default_log_level());
            return command.run(app).await;
        }
    };
    match sent {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The app with all its tasks.
fn app() -> AppBuilder {
    let app = App::builder("interop");
    let app = plain::register(app);
    let app = failing::register(app);
    let app = retrying::register(app);
    let app = running::register(app);
    let app = sending::register(app);
    let app = groups::register(app);
    let app = shared::register(app);
    trial::register(app)
}
