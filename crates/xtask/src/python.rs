//! The Python side of the project's tests: one environment with the packages of
//! `interop/requirements.txt`, made once in the cache folder.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::PathBuf;
use std::process::Command;

use crate::process::{answers, run};
use crate::{Result, root};

/// Where things are kept between runs; `~/.cache/aipo` by default.
const CACHE: &str = "AIPO_CACHE";

/// The environment's Python. Made when it is not there yet, which needs the package index.
pub(crate) fn environment() -> Result<PathBuf> {
    for (program, package) in [
        ("python3", "python3 python3-venv"),
        ("redis-server", "redis-server"),
    ] {
        if !answers(program, &["--version"]) {
            return Err(format!("{program} is missing: apt-get install {package}").into());
        }
    }
    let requirements = root().join("interop/requirements.txt");
    let wanted = std::fs::read(&requirements)
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
