//! The command line, shared by all roles: the judge passes its own options on.

use std::path::PathBuf;
use std::time::Duration;

use aipo_core::duration;
use serde::de::IntoDeserializer;
use serde::de::value::Error as ValueError;

pub(crate) const USAGE: &str = "\
usage: kill judge [OPTION...]

  --tasks N          how many tasks (20000)
  --workers N        how many worker processes at a time (4)
  --slots N          how many tasks each runs at a time (4)
  --busy DURATION    the longest that a task takes; each takes a random time up to it (40ms)
  --every DURATION   the time between two kills (500ms)
  --lease DURATION   the workers' lease (10s, the default of worker_lease)
  --recovery DURATION  how soon a task of a killed worker must run again (20s)
  --within DURATION  how long all of it may take before it is given up (10m)
  --store URL        where tasks and results are kept (a new SQLite file)
  --seed N           repeats the choice of who is killed and of how long tasks take (random)
  --json             the figures as JSON";

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Options {
    pub(crate) tasks: u32,
    pub(crate) workers: u32,
    pub(crate) slots: usize,
    pub(crate) busy: Duration,
    pub(crate) every: Duration,
    pub(crate) lease: Duration,
    pub(crate) recovery: Duration,
    pub(crate) within: Duration,
    pub(crate) store: Option<String>,
    pub(crate) seed: u64,
    pub(crate) json: bool,
    pub(crate) help: bool,
    /// The file of effects; set by the judge for the others.
    pub(crate) effects: PathBuf,
    /// Which worker this is, from 0; set by the judge.
    pub(crate) worker: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            tasks: 20_000,
            workers: 4,
            slots: 4,
            busy: Duration::from_millis(40),
            every: Duration::from_millis(500),
            lease: Duration::from_secs(10),
            recovery: Duration::from_secs(20),
            within: Duration::from_secs(600),
            store: None,
            seed: fastrand::u64(..),
            json: false,
            help: false,
            effects: PathBuf::new(),
            worker: 0,
        }
    }
}

impl Options {
    /// Reads the words after the role.
    pub(crate) fn parse(words: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut options = Self::default();
        let mut words = words.into_iter();
        while let Some(name) = words.next() {
            match name.as_str() {
                "--json" => options.json = true,
                "--help" | "-h" => options.help = true,
                _ => {
                    let value = words.next().ok_or_else(|| format!("{name} has no value"))?;
                    options.set(&name, value)?;
                }
            }
        }
        if options.tasks == 0 || options.workers == 0 || options.slots == 0 {
            return Err("tasks, workers and slots can't be 0".to_owned());
        }
        Ok(options)
    }

    fn set(&mut self, name: &str, value: String) -> Result<(), String> {
        match name {
            "--tasks" => self.tasks = number(name, &value)?,
            "--workers" => self.workers = number(name, &value)?,
            "--slots" => self.slots = number(name, &value)?,
            "--busy" => self.busy = time(name, &value)?,
            "--every" => self.every = time(name, &value)?,
            "--lease" => self.lease = time(name, &value)?,
            "--recovery" => self.recovery = time(name, &value)?,
            "--within" => self.within = time(name, &value)?,
            "--store" => self.store = Some(value),
            "--seed" => self.seed = number(name, &value)?,
            "--effects" => self.effects = value.into(),
            "--worker" => self.worker = number(name, &value)?,
            _ => return Err(format!("no such option: {name}")),
        }
        Ok(())
    }

    /// The words that make another process read the same options.
    pub(crate) fn words(&self) -> Vec<String> {
        let pairs = [
            ("--tasks", self.tasks.to_string()),
            ("--slots", self.slots.to_string()),
            ("--busy", duration::format_duration(self.busy)),
            ("--lease", duration::format_duration(self.lease)),
            ("--seed", self.seed.to_string()),
            ("--effects", self.effects.display().to_string()),
            ("--worker", self.worker.to_string()),
        ];
        let store = self.store.iter().map(|url| ("--store", url.clone()));
        pairs
            .into_iter()
            .chain(store)
            .flat_map(|(name, value)| [name.to_owned(), value])
            .collect()
    }
}

fn number<N: std::str::FromStr>(name: &str, value: &str) -> Result<N, String> {
    let wrong = |_| format!("{name}: {value:?} is no number");
    value.parse().map_err(wrong)
}

fn time(name: &str, value: &str) -> Result<Duration, String> {
    let text: serde::de::value::StrDeserializer<'_, ValueError> = value.into_deserializer();
    duration::deserialize(text).map_err(|error| format!("{name}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn other_processes_read_the_same() {
        let options =
            parse("--tasks 30 --lease 1500ms --seed 7 --store memory://").expect("options");
        assert_eq!(options.lease, Duration::from_millis(1500));
        assert_eq!(Options::parse(options.words()), Ok(options));
    }

    #[test]
    fn mistakes_are_told() {
        let problem = |line| parse(line).expect_err("a mistake");
        assert_eq!(problem("--task 3"), "no such option: --task");
        assert_eq!(problem("--tasks"), "--tasks has no value");
        assert_eq!(problem("--tasks many"), "--tasks: \"many\" is no number");
        assert_eq!(problem("--slots 0"), "tasks, workers and slots can't be 0");
        assert!(problem("--every soon").starts_with("--every: "));
    }
}
