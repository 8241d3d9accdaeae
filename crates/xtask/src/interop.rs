//! `cargo xtask interop`: the tests beside real Celery, `interop/tests`.
//!
//! Needs Python, the package index, and `redis-server`.

use std::process::Command;

use crate::args::Args;
use crate::cargo::{EVERYTHING, built, cargo};
use crate::{Result, process, python, root, summary};

/// Most of the time goes by while one process waits for another, so more than one test at a time
/// pays even on two cores. Tests of a file share their workers and stay together.
const PARALLEL: [&str; 4] = ["--numprocesses", "3", "--dist", "loadfile"];

/// The aipo side of the tests, and the example of the guide; packages of the same names.
const PROGRAMS: [&str; 2] = ["interop-app", "celery-example"];

/// Builds what the tests need and hands the other words on to pytest.
pub(crate) fn main(args: Args) -> Result<()> {
    let packages = PROGRAMS.map(|name| format!("--package={name}"));
    process::run(cargo(["build", "--quiet"]).args(packages))?;
    process::run(pytest()?.args(args.rest()))
}

/// All of them, counted; a test that is skipped proves nothing and is a failure.
pub(crate) fn check() -> Result<String> {
    let programs = PROGRAMS.map(|name| format!("--bin={name}"));
    process::run(cargo(["build"]).args(programs).args(EVERYTHING))?;
    let (success, output) = process::run_and_listen(pytest()?.args(PARALLEL))?;
    let counted = summary::of_pytest(&output).ok_or("pytest told no result")?;
    let verdict = counted.verdict()?;
    match (success, counted.skipped) {
        (true, 0) => Ok(verdict),
        (true, _) => Err(verdict.into()),
        (false, _) => Err(format!("pytest failed, though: {verdict}").into()),
    }
}

fn pytest() -> Result<Command> {
    python("pytest")
}

/// A module of Python, in the folder `interop` and with what stands there.
pub(crate) fn python(module: &str) -> Result<Command> {
    let mut command = Command::new(python::environment()?);
    command
        .args(["-m", module])
        .current_dir(root().join("interop"))
        .env("PYTHONPATH", "tests")
        .env("AIPO_INTEROP_APP", built()?.join("interop-app"))
        .env("AIPO_REQUIRE_SERVERS", "1");
    Ok(command)
}
