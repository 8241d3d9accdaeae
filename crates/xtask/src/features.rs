//! The features of `aipo`, each built alone, and none.
//!
//! All of them together is what every other step builds.

use crate::cargo::cargo;
use crate::{Result, process, root};

const MANIFEST: &str = "crates/aipo/Cargo.toml";

/// Checks that the library compiles without features, and with each of them alone.
pub(crate) fn check() -> Result<String> {
    let path = root().join(MANIFEST);
    let manifest =
        std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let features = declared(&manifest);
    if features.is_empty() {
        return Err(format!("{MANIFEST} declares no features").into());
    }
    let build = ["check", "--package", "aipo", "--no-default-features"];
    process::run(&mut cargo(build))?;
    for feature in &features {
        process::run(cargo(build).args(["--features", feature]))?;
    }
    process::run(&mut cargo(["check", "--package", "aipo", "--all-features"]))?;
    Ok(format!("none, each of {}, all", features.join(" ")))
}

/// The names in the table `[features]`, without `default`.
fn declared(manifest: &str) -> Vec<&str> {
    manifest
        .lines()
        .map(str::trim)
        .skip_while(|line| *line != "[features]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(name, _)| name.trim().trim_matches('"'))
        .filter(|name| *name != "default")
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_declared_features() {
        let manifest = "\
[package]
name = \"aipo\"

[features]
default = [\"sqlite\"]
# The embedded store = one file.
sqlite = [\"dep:aipo-sqlite\"]
cli = [\"dep:clap\"]

[dependencies]
clap = { workspace = true, optional = true }
";
        assert_eq!(declared(manifest), ["sqlite", "cli"]);
        assert!(declared("[package]\nname = \"aipo\"\n").is_empty());
    }
}
