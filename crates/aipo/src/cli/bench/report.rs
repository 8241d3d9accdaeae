//! Figures, as tables for people and as JSON for programs.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::super::output::Table;
use super::super::problem::{Exit, Problem};
use super::job::Counted;

/// What a scenario measured.
#[derive(Debug)]
pub(super) struct Report {
    scenario: &'static str,
    facts: Vec<(&'static str, Value)>,
    parts: Vec<Part>,
    checks: Vec<Check>,
}

/// The figures of one measurement.
#[derive(Debug)]
pub(super) struct Part {
    name: &'static str,
    figures: Vec<(&'static str, Option<f64>)>,
}

/// Something that must hold.
#[derive(Debug)]
struct Check {
    name: &'static str,
    number: u64,
    expected: u64,
}

impl Part {
    pub(super) fn new(name: &'static str) -> Self {
        Self {
            name,
            figures: Vec::new(),
        }
    }

    /// A rate, as `per_s`, and the time that it took.
    pub(super) fn rate(self, number: u64, took: Duration) -> Self {
        self.figure("per_s", Some(number as f64 / took.as_secs_f64()))
            .time("elapsed_ms", took)
    }

    /// A time; the name ends in `_ms`.
    pub(super) fn time(self, name: &'static str, time: Duration) -> Self {
        self.figure(name, Some(time.as_secs_f64() * 1000.0))
    }

    /// A figure; `None` where this machine can't tell.
    pub(super) fn figure(mut self, name: &'static str, value: Option<f64>) -> Self {
        self.figures.push((name, value));
        self
    }
}

impl Report {
    pub(super) fn new(scenario: &'static str, facts: Vec<(&'static str, Value)>) -> Self {
        Self {
            scenario,
            facts,
            parts: Vec::new(),
            checks: Vec::new(),
        }
    }

    /// Adds something that the figures depend on.
    pub(super) fn fact(&mut self, name: &'static str, value: Value) {
        self.facts.push((name, value));
    }

    pub(super) fn add(&mut self, part: Part) {
        self.parts.push(part);
    }

    /// Adds a number that must be as expected.
    pub(super) fn check(&mut self, name: &'static str, number: u64, expected: u64) {
        self.checks.push(Check {
            name,
            number,
            expected,
        });
    }

    /// Adds that each of the tasks must have run once.
    pub(super) fn check_runs(&mut self, counted: Counted) {
        self.check("ran", counted.ran, counted.ran + counted.missing);
        self.check("missing", counted.missing, 0);
        self.check("double", counted.double, 0);
    }

    pub(super) fn to_json(&self) -> Value {
        let mut document = Map::new();
        document.insert("bench".to_owned(), self.scenario.into());
        document.insert("version".to_owned(), env!("CARGO_PKG_VERSION").into());
        for (name, value) in &self.facts {
            document.insert((*name).to_owned(), value.clone());
        }
        for part in &self.parts {
            let figures = part.figures.iter().map(|(name, value)| {
                let value = value.map(|value| (value * 1000.0).round() / 1000.0);
                ((*name).to_owned(), json!(value))
            });
            document.insert(part.name.to_owned(), figures.collect::<Map<_, _>>().into());
        }
        let checks = self
            .checks
            .iter()
            .map(|check| (check.name.to_owned(), check.number.into()));
        document.insert("verified".to_owned(), checks.collect::<Map<_, _>>().into());
        document.into()
    }

    pub(super) fn to_text(&self) -> String {
        let facts = self.facts.iter().map(|(name, value)| match value {
            Value::String(text) => format!("{name} {text}"),
            value => format!("{name} {value}"),
        });
        let mut text = format!(
            "{}: {}\n\n",
            self.scenario,
            facts.collect::<Vec<_>>().join(", ")
        );
        let mut table = Table::new(&["PART", "FIGURE", ">VALUE"]);
        for part in &self.parts {
            for (index, (name, value)) in part.figures.iter().enumerate() {
                let part = if index == 0 { part.name } else { "" };
                let value = value.map_or("-".to_owned(), readable);
                table.row([part.to_owned(), (*name).to_owned(), value]);
            }
        }
        text.push_str(&table.render());
        let checks: Vec<String> = self
            .checks
            .iter()
            .map(|check| format!("{} {}", check.name, check.number))
            .collect();
        text.push_str(&format!("\nverified: {}\n", checks.join(", ")));
        text
    }

    /// Whether everything holds.
    ///
    /// # Errors
    /// Names what does not.
    pub(super) fn verdict(&self) -> Result<Exit, Problem> {
        let broken: Vec<String> = self
            .checks
            .iter()
            .filter(|check| check.number != check.expected)
            .map(|check| format!("{} is {}, not {}", check.name, check.number, check.expected))
            .collect();
        if broken.is_empty() {
            return Ok(Exit::Done);
        }
        let text = format!("the store did not keep its promise: {}", broken.join("; "));
        Err(Problem::new(Exit::Failed, text).hint("the figures above are worth nothing"))
    }
}

/// Three digits that matter, and commas between the thousands.
fn readable(value: f64) -> String {
    let decimals = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.decimals$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_readable() {
        #[track_caller]
        fn check(value: f64, text: &str) {
            assert_eq!(readable(value), text);
        }
        check(1_234_567.8, "1,234,568");
        check(123.4, "123");
        check(12.34, "12.3");
        check(1.234, "1.23");
        check(0.1234, "0.123");
        check(0.0, "0.000");
    }

    #[test]
    fn a_missing_task_is_a_failure() {
        let mut report = Report::new("drain", Vec::new());
        report.add(Part::new("drain").rate(3, Duration::from_secs(2)));
        report.check_runs(Counted {
            ran: 3,
            missing: 0,
            double: 0,
        });
        assert_eq!(report.verdict().expect("all is well"), Exit::Done);
        assert_eq!(report.to_json()["drain"]["per_s"], 1.5);

        report.check("results", 2, 3);
        let problem = report.verdict().expect_err("a result is missing");
        assert_eq!(problem.exit(), Exit::Failed);
        assert!(problem.to_string().contains("results is 2, not 3"));
    }
}
