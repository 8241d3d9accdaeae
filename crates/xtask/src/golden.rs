//! `cargo xtask golden`: captures again what Celery really sends and stores, into `interop/golden`.
//!
//! Needs Python, the package index, and `redis-server`; the tests that read the files need none of
//! them. The Python packages live in the cache folder, one environment for each requirements file.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::args::Args;
use crate::process::{answers, run};
use crate::{Result, root};

/// Where things are kept between runs; `~/.cache/aipo` by default.
const CACHE: &str = "AIPO_CACHE";

pub(crate) fn main(mut args: Args) -> Result<()> {
    let check = args.flag("--check");
    args.finish()?;
    for (program, package) in [
        ("python3", "python3 python3-venv"),
        ("redis-server", "redis-server"),
    ] {
        if !answers(program, &["--version"]) {
            return Err(format!("{program} is missing: apt-get install {package}").into());
        }
    }
    let python = environment(&root().join("interop/requirements.txt"))?;
    let mut command = Command::new(python);
    command
        .current_dir(root())
        .arg("interop/capture_golden.py")
        .args(check.then_some("--check"));
    run(&mut command)
}

/// The Python of an environment with these packages, made when it is not there yet.
fn environment(requirements: &Path) -> Result<PathBuf> {
    let wanted = std::fs::read(requirements)
        .map_err(|error| format!("{}: {error}", requirements.display()))?;
    let mut hasher = DefaultHasher::new();
    wanted.hash(&mut hasher);
    let folder = cache()?.join(format!("venv-{:016x}", hasher.finish()));
    let python = folder.join("bin/python");
    let ready = folder.join("ready");
    if !ready.exists() {
        run(Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&folder))?;
        run(Command::new(&python)
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
            ])
            .arg("--requirement")
            .arg(requirements))?;
        // Last, so that an environment whose making was interrupted is made again.
        std::fs::write(ready, "")?;
    }
    Ok(python)
}

fn cache() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os(CACHE) {
        return Ok(folder.into());
    }
    let home =
        std::env::home_dir().ok_or_else(|| format!("there is no home folder; set {CACHE}"))?;
    Ok(home.join(".cache/aipo"))
}
