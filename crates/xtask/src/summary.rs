//! How many tests ran, as the test runner says itself.

use crate::Result;

/// Tests counted.
#[derive(Debug, Default, PartialEq, Eq, Clone, Copy)]
pub(crate) struct Counted {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
}

impl Counted {
    /// A line for people; an error when tests failed or, since that proves nothing, none ran.
    pub(crate) fn verdict(self) -> Result<String> {
        let Self {
            passed,
            failed,
            skipped,
        } = self;
        let told = format!("{passed} passed, {failed} failed, {skipped} not run");
        match (passed, failed) {
            (1.., 0) => Ok(told),
            (0, 0) => Err(format!("no test ran: {told}").into()),
            (_, _) => Err(told.into()),
        }
    }
}

/// Reads nextest's last line: `Summary [0.1s] 30 tests run: 29 passed (1 slow), 1 failed, 2 skipped`.
pub(crate) fn of_nextest(output: &str) -> Option<Counted> {
    let output = without_colours(output);
    let line = output
        .lines()
        .rev()
        .find(|line| line.trim_start().starts_with("Summary ["))?;
    let (_, counts) = line.split_once("run: ")?;
    let mut counted = Counted::default();
    for part in without_brackets(counts).split(',') {
        let (count, what) = part.trim().split_once(' ')?;
        let count: usize = count.parse().ok()?;
        match what.trim() {
            "passed" => counted.passed += count,
            "skipped" => counted.skipped += count,
            // Failed, timed out, failed to start, and whatever else nextest may come to know.
            _ => counted.failed += count,
        }
    }
    Some(counted)
}

/// Adds up libtest's lines, one for each test program:
/// `test result: ok. 4 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s`.
pub(crate) fn of_libtest(output: &str) -> Option<Counted> {
    let output = without_colours(output);
    let mut counted = None;
    for line in output.lines() {
        let Some((_, counts)) = line.split_once("test result: ") else {
            continue;
        };
        let total = counted.get_or_insert_with(Counted::default);
        let (_, counts) = counts.split_once(". ")?;
        for part in counts.split(';') {
            let Some((count, what)) = part.trim().split_once(' ') else {
                continue;
            };
            match what {
                "passed" => total.passed += count.parse::<usize>().ok()?,
                "failed" => total.failed += count.parse::<usize>().ok()?,
                "ignored" => total.skipped += count.parse::<usize>().ok()?,
                _ => {}
            }
        }
    }
    counted
}

/// Reads pytest's last line: `== 3 passed, 1 skipped, 2 xfailed, 1 warning in 66.73s (0:01:06) ==`. A test
/// that is known to fail, and fails, is not counted: it says itself why, and fails when it passes.
pub(crate) fn of_pytest(output: &str) -> Option<Counted> {
    let output = without_colours(output);
    let line = output.lines().rev().find(|line| {
        let line = line.trim_matches(['=', ' ']);
        line.starts_with(|first: char| first.is_ascii_digit()) && line.contains(" in ")
    })?;
    let (counts, _) = line.trim_matches(['=', ' ']).split_once(" in ")?;
    let mut counted = Counted::default();
    for part in counts.split(", ") {
        let (count, what) = part.split_once(' ')?;
        let count: usize = count.parse().ok()?;
        match what {
            "passed" => counted.passed += count,
            "skipped" | "deselected" => counted.skipped += count,
            "xfailed" | "warning" | "warnings" => {}
            // Failed, errors, passed against expectation, and whatever else pytest may come to know.
            _ => counted.failed += count,
        }
    }
    Some(counted)
}

/// The text without terminal escapes.
fn without_colours(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        plain.push_str(before);
        rest = after.split_once('m').map_or("", |(_, after)| after);
    }
    plain.push_str(rest);
    plain
}

/// The text without what stands in round brackets.
fn without_brackets(text: &str) -> String {
    let mut depth = 0_usize;
    text.chars()
        .filter(|character| {
            match character {
                '(' => depth += 1,
                ')' => {
                    depth = depth.saturating_sub(1);
                    return false;
                }
                _ => {}
            }
            depth == 0
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(passed: usize, failed: usize, skipped: usize) -> Option<Counted> {
        Some(Counted {
            passed,
            failed,
            skipped,
        })
    }

    #[test]
    fn reads_what_nextest_says() {
        let line = "     Summary [   0.012s] ";
        let check = |text: &str, expected| assert_eq!(of_nextest(text), expected, "{text}");
        check(
            &format!("x\n{line}30 tests run: 30 passed, 0 skipped\n"),
            counted(30, 0, 0),
        );
        check(
            &format!(
                "{line}31 tests run: 28 passed (2 slow, 1 leaky), 2 failed, 1 timed out, 4 skipped"
            ),
            counted(28, 3, 4),
        );
        check(
            &format!("{line}3/30 tests run: 2 passed, 1 exec failed, 0 skipped"),
            counted(2, 1, 0),
        );
        check(
            "\u{1b}[32;1m     Summary\u{1b}[0m [   1.0s] \u{1b}[1m1\u{1b}[0m test run: \u{1b}[1m1\u{1b}[0m \u{1b}[32;1mpassed\u{1b}[0m, \u{1b}[1m0\u{1b}[0m \u{1b}[33;1mskipped\u{1b}[0m",
            counted(1, 0, 0),
        );
        check("error: could not compile `aipo`", None);
    }

    #[test]
    fn adds_up_what_test_programs_say() {
        let output = "\
test result: ok. 4 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s
running 3 tests
test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 7 filtered out; finished in 0.00s
";
        assert_eq!(of_libtest(output), counted(5, 2, 1));
        assert_eq!(of_libtest("error: could not compile `aipo`"), None);
    }

    #[test]
    fn reads_what_pytest_says() {
        let check = |text: &str, expected| assert_eq!(of_pytest(text), expected, "{text}");
        check(
            "..x\n27 passed, 1 xfailed in 66.73s (0:01:06)\n",
            counted(27, 0, 0),
        );
        check(
            "===== 2 failed, 58 passed, 3 skipped, 1 warning, 4 errors in 10.42s =====",
            counted(58, 6, 3),
        );
        check(
            "= 1 passed, 1 xpassed, 2 deselected in 0.1s =",
            counted(1, 1, 2),
        );
        check("no tests ran in 0.01s", None);
        check("error: unrecognized arguments", None);
    }

    #[test]
    fn only_tests_that_ran_and_passed_are_good() {
        let verdict = |passed, failed| {
            let counts = counted(passed, failed, 1).expect("counts");
            counts.verdict().map_err(|error| error.to_string())
        };
        assert_eq!(
            verdict(3, 0),
            Ok("3 passed, 0 failed, 1 not run".to_owned())
        );
        assert_eq!(
            verdict(3, 1),
            Err("3 passed, 1 failed, 1 not run".to_owned())
        );
        assert_eq!(
            verdict(0, 0),
            Err("no test ran: 0 passed, 0 failed, 1 not run".to_owned())
        );
    }
}
