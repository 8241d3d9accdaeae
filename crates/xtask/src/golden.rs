//! `cargo xtask golden`: captures again what Celery really sends and stores, into `interop/golden`.
//!
//! Needs Python, the package index, and `redis-server`; the tests that read the files need none of
//! them.

use std::process::Command;

use crate::args::Args;
use crate::process::run;
use crate::{Result, python, root};

pub(crate) fn main(mut args: Args) -> Result<()> {
    let check = args.flag("--check");
    args.finish()?;
    let mut command = Command::new(python::environment()?);
    command
        .current_dir(root())
        .arg("interop/capture_golden.py")
        .args(check.then_some("--check"));
    run(&mut command)
}
