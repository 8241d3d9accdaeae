//! The command line, read word by word: too small for a parser with dependencies.

use std::fmt;

use crate::Result;

/// The words that have not been understood yet.
#[derive(Debug)]
pub(crate) struct Args(Vec<String>);

/// A command line that makes no sense, and why.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Misused(String);

impl Args {
    pub(crate) fn new(words: impl IntoIterator<Item = String>) -> Self {
        Self(words.into_iter().collect())
    }

    /// Takes the next word.
    pub(crate) fn word(&mut self) -> Option<String> {
        (!self.0.is_empty()).then(|| self.0.remove(0))
    }

    /// Takes a flag out, wherever it stands, and says whether it was there.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|word| word != name);
        self.0.len() < before
    }

    /// Refuses what is left.
    pub(crate) fn finish(self) -> Result<()> {
        match self.0.first() {
            None => Ok(()),
            Some(word) => Err(Misused::new(format!("{word:?} means nothing here")).into()),
        }
    }

    /// What is left, for another program.
    pub(crate) fn rest(self) -> Vec<String> {
        self.0
    }

    /// What is left, which must be names without a dash.
    pub(crate) fn names(self) -> Result<Vec<String>> {
        match self.0.iter().find(|word| word.starts_with('-')) {
            None => Ok(self.0),
            Some(flag) => Err(Misused::new(format!("there is no flag {flag:?}")).into()),
        }
    }
}

impl Misused {
    pub(crate) fn new(problem: String) -> Self {
        Self(problem)
    }
}

impl fmt::Display for Misused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Misused {}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Args {
        Args::new(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn a_flag_is_found_wherever_it_stands() {
        let mut found = args("fmt --no-fail-fast clippy");
        assert!(found.flag("--no-fail-fast"));
        assert!(!found.flag("--no-fail-fast"));
        assert_eq!(found.names().expect("names"), ["fmt", "clippy"]);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let error = args("--chekc").finish().expect_err("a misspelt flag");
        assert_eq!(error.to_string(), "\"--chekc\" means nothing here");
        let error = args("fmt --fast").names().expect_err("an unknown flag");
        assert_eq!(error.to_string(), "there is no flag \"--fast\"");
    }
}
