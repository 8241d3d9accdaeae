//! `cargo xtask docs`: the pages of `docs/` that are made from code.
//!
//! Each page is a test of the crate it is made from (`tests/it/pages.rs`), which compares it and,
//! with `AIPO_BLESS=1`, writes it. So a page that is out of date fails the tests by itself, and
//! this command is only the way to remember.

use crate::Result;
use crate::args::Args;
use crate::cargo::cargo;
use crate::process;

/// The environment variable that makes golden tests write what they would compare.
const BLESS: &str = "AIPO_BLESS";

pub(crate) fn main(mut args: Args) -> Result<()> {
    let check = args.flag("--check");
    args.finish()?;
    let mut command = cargo([
        "test",
        "--quiet",
        "--package",
        "aipo-core",
        "--test",
        "it",
        "pages::",
    ]);
    match check {
        true => command.env_remove(BLESS),
        false => command.env(BLESS, "1"),
    };
    process::run(&mut command)
}
