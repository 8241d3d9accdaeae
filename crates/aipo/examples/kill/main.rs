//! Workers are killed with SIGKILL, at random, while tasks run. Is any task lost? Does any run twice
//! without cause?
//!
//! ```text
//! kill judge                      what follows, and then says what it saw
//!   ├─ kill send                  sends the tasks
//!   ├─ kill work (four of them)   one is killed every 500 ms, and replaced
//! ```
//!
//! `cargo xtask kill` builds and runs the judge. What it checks is listed in `verdict.rs`.
//!
//! | file | what |
//! |---|---|
//! | `options` | the command line |
//! | `effects` | the task's effect: records in a file that survive every process |
//! | `workload` | the task, the sender and the worker |
//! | `trial` | starts the processes, kills workers, collects what can be known |
//! | `verdict` | judges the evidence; pure |
//!
//! Exit codes: 0 all checks hold, 1 one does not, 2 a command line that makes no sense.

mod effects;
mod options;
mod trial;
mod verdict;
mod workload;

use std::error::Error;
use std::process::ExitCode;

use options::Options;
use verdict::Verdict;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let role = words.next().unwrap_or_default();
    let options = match Options::parse(words) {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("{problem}\n\n{}", options::USAGE);
            return ExitCode::from(2);
        }
    };
    if options.help {
        println!("{}", options::USAGE);
        return ExitCode::SUCCESS;
    }
    let done = match role.as_str() {
        "judge" => judge(&options).await,
        "send" => workload::send(&options).await.map(|()| true),
        "work" => workload::work(&options).await.map(|()| true),
        _ => {
            eprintln!("no such role: {role:?}\n\n{}", options::USAGE);
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("kill {role}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the trial and tells the verdict. Whether all checks hold.
async fn judge(options: &Options) -> Result<bool> {
    let evidence = trial::run(options).await?;
    let verdict = Verdict::of(&evidence, options.recovery);
    if options.json {
        println!("{}", verdict.json(options));
    } else {
        println!("{}", verdict.table(options));
    }
    Ok(verdict.holds())
}
