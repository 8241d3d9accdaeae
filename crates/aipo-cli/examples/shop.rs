//! A program with a command of its own beside aipo's.
//!
//! ```sh
//! cargo run -p aipo-cli --example shop -- worker -c 2 &
//! cargo run -p aipo-cli --example shop -- price 3
//! ```

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use aipo::cli::{Command, LogLevel, Options};
use aipo::{App, TaskError, TaskResult};
use clap::{Parser, Subcommand};

/// Adds the tax.
#[aipo::task(name = "shop.tasks.price", max_retries = 0)]
async fn price(net: i64) -> TaskResult<i64> {
    Ok(net * 119 / 100)
}

#[aipo::task(
    name = "shop.tasks.refund",
    queue = "money",
    max_retries = 0,
    time_limit = "60s"
)]
async fn refund(order: String) -> TaskResult<()> {
    Err(TaskError::fail(format!("order {order} was never paid")))
}

/// Watches a shop that is open on a TCP port, until it closes.
#[aipo::task(name = "shop.tasks.watch", max_retries = 0)]
async fn watch(address: String) -> TaskResult<()> {
    let shop = tokio::net::TcpStream::connect(address).await?;
    shop.readable().await?;
    Ok(())
}

#[derive(Parser)]
#[command(name = "shop", about = "An example")]
struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Commands,
}

#[derive(Subcommand)]
enum Commands {
    /// Ask a worker for the price with tax
    Price { net: i64 },
    #[command(flatten)]
    Aipo(Command),
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let app = App::builder("shop")
        .broker("sqlite://shop.db")
        .task(price::task())
        .task(refund::task())
        .task(watch::task());
    let app = cli.options.apply(app);
    match cli.command {
        Commands::Aipo(command) => {
            cli.options.start_logging(command.default_log_level());
            command.run(app).await
        }
        Commands::Price { net } => {
            cli.options.start_logging(LogLevel::Warning);
            match ask(app, net).await {
                Ok(gross) => {
                    println!("{gross}");
                    ExitCode::SUCCESS
                }
                Err(error) => {
                    eprintln!("error: {error}");
                    ExitCode::FAILURE
                }
            }
        }
    }
}

async fn ask(app: aipo::AppBuilder, net: i64) -> Result<i64, Box<dyn Error>> {
    let app = app.build().await?;
    let handle = app.send(price::s(net)).await?;
    Ok(handle.get(Duration::from_secs(30)).await?)
}
