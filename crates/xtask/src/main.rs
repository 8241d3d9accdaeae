//! The project's chores: `cargo xtask <command>`.
//!
//! | command | file | what |
//! |---|---|---|
//! | `test` | `test` | everything that CI does, step by step |
//! | `kill` | `kill` | workers killed at random while 20,000 tasks run |
//! | `docs` | `docs` | writes the generated pages of `docs/` |
//! | `golden` | `golden` | captures again what Celery really sends and stores |
//! | `interop` | `interop` | the tests beside real Celery |
//! | `faults` | `faults` | tasks from Celery while workers are killed and Redis goes away |
//!
//! Only the standard library is used, so that this program builds at once everywhere and shares
//! nothing with what it checks: a workspace that does not compile is a failed step, told as one.
//!
//! Exit codes: 0 all well, 1 something failed, 2 a command line that makes no sense.

mod args;
mod cargo;
mod conformance;
mod docs;
mod faults;
mod features;
mod golden;
mod interop;
mod kill;
mod links;
mod process;
mod python;
mod summary;
mod test;
mod tools;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use args::Args;

/// What a chore answers: an error is told to a person and nothing else, so any error will do.
type Result<T> = std::result::Result<T, Box<dyn Error>>;

const USAGE: &str = "\
usage: cargo xtask <command>

  test [--no-fail-fast] [STEP...]   everything that CI does, or only these steps
  kill [OPTION...]                  the SIGKILL test; `cargo xtask kill --help` lists the options
  docs [--check]                    write the generated pages of docs/, or only compare them
  golden [--check]                  capture what Celery sends and stores, or only compare it
  interop [OPTION...]               the tests beside real Celery; the options are pytest's
  faults [OPTION...]                tasks from Celery while workers are killed and Redis goes away; `--help`
                                    lists the options
";

fn main() -> ExitCode {
    let mut args = Args::new(std::env::args().skip(1));
    let command = args.word();
    let done = match command.as_deref() {
        Some("test") => return test::main(args),
        Some("kill") => kill::main(args),
        Some("docs") => docs::main(args),
        Some("golden") => golden::main(args),
        Some("interop") => interop::main(args),
        Some("faults") => faults::main(args),
        Some("help" | "--help" | "-h") => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Some(other) => return usage(&format!("there is no command {other:?}")),
        None => return usage("which command?"),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<args::Misused>() => usage(&error.to_string()),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Tells what is wrong with the command line.
fn usage(problem: &str) -> ExitCode {
    eprintln!("error: {problem}\n\n{USAGE}");
    ExitCode::from(2)
}

/// The workspace's folder.
///
/// Asked of cargo at run time: the path known at compile time is that of another checkout when
/// two of them share a target folder.
fn root() -> PathBuf {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
        .expect("cargo sets CARGO_MANIFEST_DIR for the programs that it runs");
    PathBuf::from(manifest).join("../..")
}
