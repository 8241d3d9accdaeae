//! The command line of a program that uses aipo, by Celery's names.
//!
//! A program with tasks and nothing else hands its app over:
//!
//! ```no_run
//! use std::process::ExitCode;
//! use aipo::{App, TaskResult};
//!
//! #[aipo::task]
//! async fn add(x: i64, y: i64) -> TaskResult<i64> {
//!     Ok(x + y)
//! }
//!
//! #[tokio::main]
//! async fn main() -> ExitCode {
//!     aipo::cli::run(App::builder("sums").task(add::task())).await
//! }
//! ```
//!
//! A program with commands of its own puts [`Command`] beside them, and [`Options`] in front:
//!
//! ```no_run
//! use std::process::ExitCode;
//! use aipo::App;
//! use aipo::cli::{Command, LogLevel, Options};
//! use clap::Parser;
//!
//! #[derive(Parser)]
//! struct Cli {
//!     #[command(flatten)]
//!     options: Options,
//!     #[command(subcommand)]
//!     command: Commands,
//! }
//!
//! #[derive(clap::Subcommand)]
//! enum Commands {
//!     /// Serve the API
//!     Serve,
//!     #[command(flatten)]
//!     Aipo(Command),
//! }
//!
//! #[tokio::main]
//! async fn main() -> ExitCode {
//!     let cli = Cli::parse();
//!     let app = cli.options.apply(App::builder("shop"));
//!     match cli.command {
//!         Commands::Serve => {
//!             cli.options.start_logging(LogLevel::Info);
//!             ExitCode::SUCCESS
//!         }
//!         Commands::Aipo(command) => {
//!             cli.options.start_logging(command.default_log_level());
//!             command.run(app).await
//!         }
//!     }
//! }
//! ```
//!
//! # Settings
//! What the program sets in code comes first, then the file of `--config`, the environment, and the
//! flags; later ones win, so that whoever runs a program decides.
//!
//! # Output
//! Data goes to stdout, everything else to stderr. With `--json` the data is one JSON document.
//!
//! # Exit codes
//! | code | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | it failed: the store can't be reached, a worker could not do what it was told, a check of `bench` did not hold, a question was answered with no |
//! | 2 | a flag, an argument or a setting is wrong |
//! | 3 | the task failed or was revoked, or what was asked for does not exist |
//! | 4 | the task has not ended in the time given by `--wait` |
//! | 69 | no worker answers, as Celery has it (`EX_UNAVAILABLE`) |
//! | 130 | ended by Ctrl-C |

mod beat;
mod bench;
mod call;
mod completions;
mod control;
mod dead;
mod events;
mod inspect;
mod logging;
mod options;
mod output;
mod problem;
mod purge;
mod queues;
mod remote;
mod result;
mod revoke;
mod settings;
mod status;
mod tasks;
mod values;
mod worker;
mod workflow;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::{App, AppBuilder};
use problem::{Exit, Problem};

pub use logging::{LogFormat, LogLevel};
pub use options::Options;

/// aipo's commands, for a program's own command line.
#[derive(Debug, Subcommand)]
#[non_exhaustive]
pub enum Command {
    /// Run a worker until SIGTERM or Ctrl-C
    Worker(worker::Args),
    /// Send periodic tasks (not there yet)
    Beat(beat::Args),
    /// Send a task by its name
    Call(Box<call::Args>),
    /// Show what became of a task
    Result(result::Args),
    /// Look at workflows
    Workflow(workflow::Args),
    /// Show the queues, and look after dead letters
    Queues(queues::Args),
    /// List the tasks
    Tasks(tasks::Args),
    /// Delete all messages that wait in queues
    Purge(purge::Args),
    /// Cancel tasks
    Revoke(revoke::Args),
    /// Ask the workers about themselves
    Inspect(remote::Ask<inspect::Method>),
    /// Tell the workers what to do
    Control(remote::Ask<control::Method>),
    /// Show which workers are there
    Status(status::Args),
    /// Show what happens, as it happens
    Events(events::Args),
    /// Show the settings
    Settings(settings::Args),
    /// Measure how fast a store is on this machine, and check that it loses nothing
    Bench(bench::Args),
}

impl Command {
    /// Runs the command; what goes wrong is told on stderr.
    ///
    /// The app is built only by commands that need its store.
    pub async fn run(self, app: AppBuilder) -> ExitCode {
        let done = match self {
            Self::Worker(args) => args.run(app).await,
            Self::Beat(args) => args.run(),
            Self::Call(args) => args.run(app).await,
            Self::Result(args) => args.run(app).await,
            Self::Workflow(args) => args.run(app).await,
            Self::Queues(args) => args.run(app).await,
            Self::Tasks(args) => args.run(app).await,
            Self::Purge(args) => args.run(app).await,
            Self::Revoke(args) => args.run(app).await,
            Self::Inspect(args) => args.run(app).await,
            Self::Control(args) => args.run(app).await,
            Self::Status(args) => args.run(app).await,
            Self::Events(args) => args.run(app).await,
            Self::Settings(args) => args.run(app),
            Self::Bench(args) => args.run(app).await,
        };
        finish(done)
    }

    /// What is logged where neither `--loglevel` nor `RUST_LOG` says: a worker tells what it does, the
    /// other commands only what goes wrong.
    pub fn default_log_level(&self) -> LogLevel {
        match self {
            Self::Worker(_) | Self::Beat(_) => LogLevel::Info,
            _ => LogLevel::Warning,
        }
    }
}

/// The command line of [`run`].
#[derive(Debug, Parser)]
#[command(
    name = "aipo",
    version,
    about = "Background tasks in Rust that speak Celery",
    subcommand_required = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: TopCommand,
}

#[derive(Debug, Subcommand)]
enum TopCommand {
    #[command(flatten)]
    Shared(Command),
    /// Write a completion script for a shell
    Completions(completions::Args),
}

/// Parses the arguments of this process and runs the command that they name.
///
/// The app's settings come first, then the file of `--config`, the environment and the flags, see
/// [the module](self) for these and the exit codes.
pub async fn run(app: AppBuilder) -> ExitCode {
    let parsed = Cli::command()
        .try_get_matches()
        .and_then(|matches| Cli::from_arg_matches(&matches));
    let Cli { options, command } = match parsed {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    match command {
        TopCommand::Shared(command) => {
            options.start_logging(command.default_log_level());
            command.run(options.apply(app)).await
        }
        TopCommand::Completions(args) => finish(args.run(Cli::command())),
    }
}

/// Connects to the store of a command that looks at what other programs do.
async fn open(app: AppBuilder) -> Result<App, Problem> {
    let app = app.build().await?;
    if app.store().url.starts_with("memory://") {
        eprintln!("note: memory:// is this process alone; no other program sees it");
    }
    Ok(app)
}

/// Tells what clap has to say: help on stdout, a mistake on stderr.
fn refuse(error: &clap::Error) -> ExitCode {
    // Nobody is left to be told when even that fails.
    let _ = error.print();
    match error.exit_code() {
        0 => ExitCode::SUCCESS,
        _ => Exit::Usage.into(),
    }
}

fn finish(done: Result<Exit, Problem>) -> ExitCode {
    match done {
        Ok(exit) => exit.into(),
        Err(problem) => {
            eprint!("{problem}");
            problem.exit().into()
        }
    }
}
