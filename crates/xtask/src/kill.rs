//! `cargo xtask kill`: builds and runs the SIGKILL test, `crates/aipo/examples/kill`.

use std::process::Command;

use crate::args::Args;
use crate::cargo::{EVERYTHING, built, cargo};
use crate::{Result, process};

/// The lease of the short run: many losses and recoveries in a few seconds. The long one keeps the
/// default lease, and the figures that count.
const SHORT: [&str; 8] = [
    "--tasks",
    "3000",
    "--lease",
    "2s",
    "--every",
    "250ms",
    "--recovery",
    "5s",
];

pub(crate) fn main(args: Args) -> Result<()> {
    process::run(&mut cargo([
        "build",
        "--quiet",
        "--package",
        "aipo",
        "--example",
        "kill",
    ]))?;
    process::run(judge()?.args(args.rest()))
}

/// The short run, then the long one, with what the other steps have built.
pub(crate) fn check() -> Result<String> {
    process::run(cargo(["build", "--example", "kill"]).args(EVERYTHING))?;
    process::run(judge()?.args(SHORT))?;
    let (success, output) = process::run_and_listen(&mut judge()?)?;
    let figures = [
        "tasks",
        "workers killed",
        "runs beyond the first",
        "recovery, longest",
    ]
    .map(|name| format!("{name}: {}", figure(&output, name)));
    match success {
        true => Ok(figures.join(", ")),
        false => Err(format!("not all checks hold; {}", figures.join(", ")).into()),
    }
}

fn judge() -> Result<Command> {
    let mut command = Command::new(built()?.join("examples/kill"));
    command.arg("judge");
    Ok(command)
}

/// A row of the judge's table.
fn figure<'a>(table: &'a str, name: &str) -> &'a str {
    let row = table.lines().find_map(|line| {
        let value = line.strip_prefix(name)?;
        // A longer name may begin with this one; a value stands apart.
        value.starts_with("  ").then_some(value.trim())
    });
    row.unwrap_or("unknown")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_figures_by_their_whole_name() {
        let table = "tasks in flight at a kill  242\ntasks                      20000\n";
        assert_eq!(figure(table, "tasks"), "20000");
        assert_eq!(figure(table, "tasks in flight at a kill"), "242");
        assert_eq!(figure(table, "workers killed"), "unknown");
    }
}
