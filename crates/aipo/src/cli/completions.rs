//! `completions`: a script that teaches a shell the commands and flags.

use clap_complete::Shell;

use super::output;
use super::problem::{Exit, Problem};

/// Flags of `completions`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Which shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Args {
    /// Writes the script for a command line, under the name that this program was started by.
    pub(super) fn run(self, mut command: clap::Command) -> Result<Exit, Problem> {
        let program = std::env::args_os().next();
        let name = program
            .as_deref()
            .and_then(|path| std::path::Path::new(path).file_stem()?.to_str())
            .unwrap_or("aipo")
            .to_owned();
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, name, &mut script);
        output::print(&String::from_utf8_lossy(&script))?;
        Ok(Exit::Done)
    }
}
