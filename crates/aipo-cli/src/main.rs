//! The `aipo` binary: looks into any store and acts on it, without the program whose tasks they are.
//!
//! It has no tasks of its own, so it can't be a worker; a program with tasks has the same commands and
//! more through `aipo::cli`.

use std::process::ExitCode;

use aipo::App;

#[tokio::main]
async fn main() -> ExitCode {
    aipo::cli::run(App::builder("aipo")).await
}
