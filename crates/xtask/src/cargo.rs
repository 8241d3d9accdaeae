//! Cargo, called so that steps share what they compile.
//!
//! What is compiled depends on the packages and features that are selected together, so all steps
//! select [`EVERYTHING`]. Two compile dependencies of their own nevertheless: the feature builds, which
//! are there to select less, and the documentation, which cargo builds without the features that only
//! tests ask for.

use std::ffi::OsStr;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::Command;

/// The one selection.
pub(crate) const EVERYTHING: [&str; 2] = ["--workspace", "--all-features"];

/// A call of cargo in the workspace's folder.
pub(crate) fn cargo(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(crate::root()).args(args);
    // The tools step has seen to it that the servers are there; a test that finds none must fail.
    command.env("AIPO_REQUIRE_SERVERS", "1");
    if std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        // Its output may go through a pipe, on which it would not use colour by itself.
        command.env("CARGO_TERM_COLOR", "always");
    }
    command
}

/// The folder in which cargo leaves the programs of this profile: where this one is.
pub(crate) fn built() -> std::io::Result<PathBuf> {
    let mut here = std::env::current_exe()?;
    here.pop();
    Ok(here)
}
