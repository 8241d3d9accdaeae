//! `cargo xtask test`: everything that CI does, in the order in which mistakes are cheapest to find.

use std::fmt;
use std::process::ExitCode;
use std::time::Instant;

use crate::args::{Args, Misused};
use crate::cargo::{EVERYTHING, cargo};
use crate::{Result, conformance, features, interop, kill, links, process, summary, tools, usage};

/// One thing that CI checks.
struct Step {
    /// What it is called on the command line.
    name: &'static str,
    /// What it checks.
    what: &'static str,
    /// Checks it, and gives a few words about what was found.
    run: fn() -> Result<String>,
}

const STEPS: &[Step] = &[
    Step {
        name: "tools",
        what: "what the other steps need is installed",
        run: tools::check,
    },
    Step {
        name: "fmt",
        what: "the code is formatted",
        run: || {
            process::run(&mut cargo(["fmt", "--all", "--check", "--", "-l"])).map(nothing_to_add)
        },
    },
    Step {
        name: "clippy",
        what: "compiler and clippy have nothing to say, tests and examples included",
        run: clippy,
    },
    Step {
        name: "doc",
        what: "rustdoc has nothing to say",
        run: doc,
    },
    Step {
        name: "features",
        what: "aipo compiles with no feature, each alone, and all",
        run: features::check,
    },
    Step {
        name: "tests",
        what: "unit and integration tests of the workspace",
        run: tests,
    },
    Step {
        name: "doctests",
        what: "examples in the documentation",
        run: doctests,
    },
    Step {
        name: "kill",
        what: "tasks survive workers that are killed",
        run: kill::check,
    },
    Step {
        name: "golden",
        what: "what Celery sent and stored is understood, and written the same way",
        run: golden,
    },
    Step {
        name: "interop",
        what: "aipo and real Celery understand each other, both ways",
        run: interop::check,
    },
    Step {
        name: "conformance",
        what: "Celery's own integration tests pass with a worker made with aipo",
        run: conformance::check,
    },
    Step {
        name: "links",
        what: "links between documents lead somewhere",
        run: links::check,
    },
];

/// Why a step could not check anything here: it has neither passed nor failed.
#[derive(Debug)]
pub(crate) struct NotRun(pub(crate) String);

impl fmt::Display for NotRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotRun {}

/// Runs the steps and tells what came of them.
pub(crate) fn main(mut args: Args) -> ExitCode {
    let keep_going = args.flag("--no-fail-fast");
    let steps = match args.names().and_then(|names| select(&names)) {
        Ok(steps) => steps,
        Err(error) => return usage(&error.to_string()),
    };
    let report = run(&steps, keep_going);
    println!("{}", report.closing());
    report.exit_code()
}

/// The steps of these names, in their usual order; all of them when no name is given.
fn select(names: &[String]) -> Result<Vec<&'static Step>> {
    let known = |name: &String| STEPS.iter().any(|step| step.name == name);
    if let Some(unknown) = names.iter().find(|name| !known(name)) {
        let all: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
        let problem = format!("there is no step {unknown:?}; there are {}", all.join(", "));
        return Err(Misused::new(problem).into());
    }
    let chosen = |step: &&Step| names.is_empty() || names.iter().any(|name| name == step.name);
    Ok(STEPS.iter().filter(chosen).collect())
}

/// What came of a run.
#[derive(Debug)]
struct Report {
    passed: usize,
    failed: usize,
    /// A line for each step, those that were not run included.
    lines: Vec<String>,
}

/// Runs steps one by one.
#[expect(
    clippy::disallowed_methods,
    reason = "people want to know how long a step really took"
)]
fn run(steps: &[&Step], keep_going: bool) -> Report {
    let mut report = Report {
        passed: 0,
        failed: 0,
        lines: Vec::new(),
    };
    for step in steps {
        if report.failed > 0 && !keep_going {
            report.add(step, "not run", "", "an earlier step failed");
            continue;
        }
        println!("\n=== {}: {}", step.name, step.what);
        let started = Instant::now();
        let outcome = (step.run)();
        let took = format!("{:.1}s", started.elapsed().as_secs_f64());
        let (verdict, words) = match outcome {
            Ok(words) => {
                report.passed += 1;
                ("ok", words)
            }
            Err(error) if error.is::<NotRun>() => ("not run", error.to_string()),
            Err(error) => {
                report.failed += 1;
                ("FAILED", error.to_string())
            }
        };
        println!("=== {}: {verdict} in {took}. {words}", step.name);
        report.add(step, verdict, &took, &words);
    }
    report
}

impl Report {
    fn add(&mut self, step: &Step, verdict: &str, took: &str, words: &str) {
        let words = words.lines().next().unwrap_or_default();
        let (name, what) = (step.name, step.what);
        let line = format!("{name:11} {verdict:7} {took:>7}  {what}. {words}");
        self.lines.push(line.trim_end().to_owned());
    }

    /// The table and the closing line. The line is made from what the steps answered and from
    /// nothing else, and a run that was interrupted has none.
    fn closing(&self) -> String {
        let Self {
            passed,
            failed,
            lines,
        } = self;
        let lines = lines.join("\n");
        format!("\n{lines}\n\nxtask: {passed} passed, {failed} failed")
    }

    /// Good only when something was checked and nothing failed.
    fn exit_code(&self) -> ExitCode {
        match (self.passed, self.failed) {
            (1.., 0) => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        }
    }
}

fn nothing_to_add((): ()) -> String {
    String::new()
}

fn clippy() -> Result<String> {
    let mut command = cargo(["clippy", "--keep-going", "--all-targets"]);
    command.args(EVERYTHING).args(["--", "-D", "warnings"]);
    process::run(&mut command).map(nothing_to_add)
}

/// Links from public to private items are wanted: most readers of these pages read the code too.
fn doc() -> Result<String> {
    let mut command = cargo(["doc", "--keep-going", "--no-deps"]);
    command.args(EVERYTHING).env(
        "RUSTDOCFLAGS",
        "-D warnings -A rustdoc::private_intra_doc_links",
    );
    process::run(&mut command).map(nothing_to_add)
}

/// Tests wherever they stand; benchmarks are no tests.
const TARGETS: [&str; 4] = ["--lib", "--bins", "--tests", "--examples"];

fn tests() -> Result<String> {
    // Tests run some of the examples, which nextest does not build as programs.
    let mut examples = cargo(["build", "--examples"]);
    process::run(examples.args(EVERYTHING))?;
    if tools::has_nextest() {
        let mut command = cargo(["nextest", "run", "--no-fail-fast"]);
        command.args(EVERYTHING).args(TARGETS);
        return counted(&mut command, summary::of_nextest);
    }
    let mut command = cargo(["test", "--no-fail-fast"]);
    command.args(EVERYTHING).args(TARGETS);
    counted(&mut command, summary::of_libtest)
}

fn doctests() -> Result<String> {
    let mut command = cargo(["test", "--no-fail-fast", "--doc"]);
    command.args(EVERYTHING);
    counted(&mut command, summary::of_libtest)
}

/// These tests are among those that [`tests`] runs; here they are counted, so that golden files that
/// nobody reads any more are noticed.
fn golden() -> Result<String> {
    if tools::has_nextest() {
        let mut command = cargo(["nextest", "run", "--no-fail-fast"]);
        command.args(EVERYTHING).args(TARGETS).args([
            "--filterset",
            "package(aipo-core) & binary(it) & test(/^golden::/)",
        ]);
        return counted(&mut command, summary::of_nextest);
    }
    let mut command = cargo(["test", "--no-fail-fast", "--test", "it"]);
    command.args(EVERYTHING).args(["--", "golden::"]);
    counted(&mut command, summary::of_libtest)
}

/// Runs tests. Both the exit status and the counts must be good.
fn counted(
    command: &mut std::process::Command,
    count: fn(&str) -> Option<summary::Counted>,
) -> Result<String> {
    let (success, output) = process::run_and_listen(command)?;
    let Some(counted) = count(&output) else {
        return Err(format!("{} told no result", process::told(command)).into());
    };
    let verdict = counted.verdict()?;
    match success {
        true => Ok(verdict),
        false => Err(format!("{} failed, though: {verdict}", process::told(command)).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Step = Step {
        name: "good",
        what: "passes",
        run: || Ok(String::new()),
    };
    const BAD: Step = Step {
        name: "bad",
        what: "fails",
        run: || Err("broken".into()),
    };

    #[test]
    fn one_failed_step_is_a_failed_run() {
        #[track_caller]
        fn check(steps: &[&Step], keep_going: bool, closing: &str, code: ExitCode) {
            let report = run(steps, keep_going);
            assert_eq!(report.closing().lines().last(), Some(closing));
            assert_eq!(report.exit_code(), code);
            assert_eq!(report.lines.len(), steps.len());
        }
        let (good, bad) = (ExitCode::SUCCESS, ExitCode::FAILURE);
        check(&[&GOOD, &GOOD], false, "xtask: 2 passed, 0 failed", good);
        check(
            &[&GOOD, &BAD, &GOOD],
            false,
            "xtask: 1 passed, 1 failed",
            bad,
        );
        check(&[&BAD, &GOOD], true, "xtask: 1 passed, 1 failed", bad);
        check(&[], true, "xtask: 0 passed, 0 failed", bad);
    }

    #[test]
    fn a_step_that_was_not_run_is_told() {
        let report = run(&[&BAD, &GOOD], false);
        assert!(
            report.lines[0].starts_with("bad         FAILED "),
            "{report:?}"
        );
        assert!(
            report.lines[1].starts_with("good        not run"),
            "{report:?}"
        );
    }

    #[test]
    fn a_step_that_can_not_run_has_neither_passed_nor_failed() {
        const ELSEWHERE: Step = Step {
            name: "elsewhere",
            what: "needs what is not here",
            run: || Err(NotRun("it is not here".to_owned()).into()),
        };
        let report = run(&[&ELSEWHERE, &GOOD], false);
        assert_eq!((report.passed, report.failed), (1, 0), "{report:?}");
        assert!(
            report.lines[0].starts_with("elsewhere   not run"),
            "{report:?}"
        );
        assert!(report.lines[0].ends_with(". it is not here"), "{report:?}");
        let alone = run(&[&ELSEWHERE], false);
        assert_eq!(alone.exit_code(), ExitCode::FAILURE, "nothing was checked");
    }

    #[test]
    fn steps_are_chosen_by_name_and_keep_their_order() {
        let names = |chosen: &[&str]| {
            let words: Vec<String> = chosen.iter().map(|&name| name.to_owned()).collect();
            select(&words).map(|steps| steps.iter().map(|step| step.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&["clippy", "fmt"]).expect("steps"), ["fmt", "clippy"]);
        assert_eq!(names(&[]).expect("steps").len(), STEPS.len());
        let error = names(&["fnt"]).expect_err("a misspelt step");
        assert!(error.is::<Misused>(), "{error}");
    }
}
