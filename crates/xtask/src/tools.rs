//! What must be installed, and how to install it.

use crate::process::answers;
use crate::{Result, cargo};

/// Looks for everything that the other steps call, so that what is missing is told by name and not
/// by an error deep inside a build.
pub(crate) fn check() -> Result<String> {
    let mut missing = Vec::new();
    for (subcommand, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        let there = cargo::cargo([subcommand, "--version"])
            .output()
            .is_ok_and(|output| output.status.success());
        if !there {
            missing.push(format!("{component}: rustup component add {component}"));
        }
    }
    if !has_c_compiler() {
        missing.push(
            "a C compiler, which SQLite is built with: apt-get install build-essential, \
             dnf install gcc, xcode-select --install"
                .to_owned(),
        );
    }
    if !missing.is_empty() {
        return Err(format!("missing: {}", missing.join("; missing: ")).into());
    }
    Ok(match has_nextest() {
        true => "all there, with nextest".to_owned(),
        false => "all there; without nextest, so tests run by `cargo test`".to_owned(),
    })
}

/// Whether tests can run in parallel processes.
pub(crate) fn has_nextest() -> bool {
    cargo::cargo(["nextest", "--version"])
        .output()
        .is_ok_and(|output| output.status.success())
}

/// Asks the one that `CC` names, or else the one by the usual name.
fn has_c_compiler() -> bool {
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    // Words after the first are options.
    compiler
        .split_whitespace()
        .next()
        .is_some_and(|program| answers(program, &["--version"]))
}
