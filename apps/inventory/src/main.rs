//! The program `inventory`; see the library for what it does.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    inventory::cli::run().await
}
