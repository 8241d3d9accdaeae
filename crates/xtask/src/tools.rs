//! What must be installed, and how to install it.

use std::process::Command;

use crate::process::{self, answers};
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
    if !has_redis() && !install_redis()? {
        missing.push(
            "redis-server, which the tests of the Redis store start: apt-get install redis-server, \
             brew install redis"
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

fn has_redis() -> bool {
    answers("redis-server", &["--version"])
}

/// Installs Redis where this program may: as root on Debian and its like. Whether it is there then.
fn install_redis() -> Result<bool> {
    let id = Command::new("id").arg("-u").output();
    let is_root = id.is_ok_and(|output| output.stdout.trim_ascii() == b"0");
    if !is_root || !answers("apt-get", &["--version"]) {
        return Ok(false);
    }
    println!("installing redis-server with apt-get");
    process::run(Command::new("apt-get").args(["-qq", "update"]))?;
    let install = [
        "-qq",
        "install",
        "-y",
        "--no-install-recommends",
        "redis-server",
    ];
    process::run(
        Command::new("apt-get")
            .args(install)
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )?;
    Ok(has_redis())
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
