//! `cargo xtask faults`: tasks from Celery, while workers are killed and Redis goes away, `interop/faults`.
//!
//! A small form of it is one of the tests of `interop`.

use crate::args::Args;
use crate::cargo::cargo;
use crate::{Result, interop, process};

/// Builds the worker and hands the words on.
pub(crate) fn main(args: Args) -> Result<()> {
    process::run(&mut cargo(["build", "--quiet", "--package", "interop-app"]))?;
    process::run(interop::python("faults")?.args(args.rest()))
}
