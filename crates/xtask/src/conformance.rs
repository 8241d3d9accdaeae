//! The step `conformance`: Celery's own integration tests, run against a worker made with aipo.
//!
//! The harness that runs them is not part of this repository. Where the environment variable
//! `AIPO_CONFORMANCE` names its folder, the step runs it; elsewhere the step says that it did not run.

use std::path::PathBuf;
use std::process::Command;

use crate::cargo::{EVERYTHING, built, cargo};
use crate::test::NotRun;
use crate::{Result, process};

const FOLDER: &str = "AIPO_CONFORMANCE";
const WORKER: &str = "conformance-worker";

/// The harness's own choice of tests, two at a time.
pub(crate) fn check() -> Result<String> {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        return Err(NotRun(format!("{FOLDER} does not name the folder of the harness")).into());
    };
    process::run(cargo(["build", "--bin", WORKER]).args(EVERYTHING))?;
    let mut command = Command::new(folder.join("run.sh"));
    command.args(["--jobs", "2"]).arg("--worker-cmd");
    command.arg(built()?.join(WORKER));
    let (success, output) = process::run_and_listen(&mut command)?;
    let (passed, total) = totals(&output).ok_or("the harness told no result")?;
    let verdict = format!("{passed} of {total} passed");
    match success && passed == total && total > 0 {
        true => Ok(verdict),
        false => Err(verdict.into()),
    }
}

/// Reads the last row of the harness's table: `TOTAL  121  121  0  0  0  0`, where all tests come first
/// and those that passed second.
fn totals(output: &str) -> Option<(usize, usize)> {
    let row = output
        .lines()
        .rev()
        .find(|line| line.starts_with("TOTAL "))?;
    let mut columns = row.split_whitespace().skip(1);
    let total = columns.next()?.parse().ok()?;
    let passed = columns.next()?.parse().ok()?;
    Some((passed, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_harness_says() {
        let output = "file            total  passed  failed  error  skipped  xfailed\n\
                      test_canvas.py     90      88       2      0        0        0\n\
                      TOTAL             121     119       2      0        0        0\n\n\
                      63s, worker restarts: 0; reports and logs: /tmp/report\n";
        assert_eq!(totals(output), Some((119, 121)));
        assert_eq!(totals("run.sh: no Python >= 3.10 with venv found"), None);
    }
}
