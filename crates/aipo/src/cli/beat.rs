//! `beat`: reserved for the scheduler.

use super::problem::{Exit, Problem};

/// Flags of `beat`.
#[derive(Debug, clap::Args)]
pub struct Args {}

impl Args {
    /// Says that there is no scheduler, rather than pretending to be one.
    pub(super) fn run(self) -> Result<Exit, Problem> {
        Err(
            Problem::usage("aipo has no beat yet: it can't send periodic tasks by itself")
                .hint("let cron or a systemd timer run `call NAME` until it has"),
        )
    }
}
