//! What the benchmark's driver and all its peers agree on.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::ops::Range;
use std::time::Duration;

use rustix::time::{ClockId, Timespec, clock_gettime};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Result;

/// The id of the first job that is sent before anything is measured.
const WARM_BASE: u64 = 1 << 40;
/// The id of the job that follows a workflow's members.
pub(crate) const CALLBACK_ID: u64 = 1 << 41;

/// A job's argument.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Payload {
    pub(crate) id: u64,
    kind: String,
    to: String,
    tags: Vec<String>,
}

/// What a job returns.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Done {
    pub(crate) id: u64,
    pub(crate) ok: bool,
}

impl Payload {
    pub(crate) fn new(id: u64) -> Self {
        Self {
            id,
            kind: "email.welcome".to_owned(),
            to: "user@example.com".to_owned(),
            tags: vec!["a".to_owned(), "b".to_owned()],
        }
    }
}

/// What the driver says about `name`.
pub(crate) fn text(name: &str) -> Option<String> {
    std::env::var(format!("BENCH_{name}")).ok()
}

pub(crate) fn number(name: &str, default: u64) -> Result<u64> {
    match text(name) {
        None => Ok(default),
        Some(text) => text
            .parse()
            .map_err(|_| format!("BENCH_{name} is no number: {text:?}").into()),
    }
}

pub(crate) fn redis_url() -> Result<String> {
    let host = text("REDIS_HOST").unwrap_or_else(|| "127.0.0.1".to_owned());
    Ok(format!("redis://{host}:{}/0", number("REDIS_PORT", 6379)?))
}

pub(crate) fn stores_results() -> Result<bool> {
    Ok(number("RESULTS", 0)? == 1)
}

/// The jobs that are measured.
pub(crate) fn ids() -> Result<Range<u64>> {
    let first = number("ID_BASE", 0)?;
    Ok(first..first + number("N", 1000)?)
}

/// The jobs before those.
pub(crate) fn warm_ids() -> Result<Range<u64>> {
    Ok(WARM_BASE..WARM_BASE + number("WARM", 0)?)
}

/// A file to which many processes add records of 16 bytes: the id of a job, and now.
#[derive(Debug)]
pub(crate) struct EventLog(File);

impl EventLog {
    /// The file that the driver names.
    pub(crate) fn open(name: &str) -> Result<Self> {
        let path = text(name).ok_or_else(|| format!("BENCH_{name} names no file"))?;
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self(file))
    }

    /// One write, so that records of several processes and threads do not mix.
    pub(crate) fn put(&self, id: u64) -> std::io::Result<()> {
        let mut record = [0; 16];
        record[..8].copy_from_slice(&id.to_le_bytes());
        record[8..].copy_from_slice(&monotonic_ns().to_le_bytes());
        (&self.0).write_all(&record)
    }
}

/// The clock that all peers and the driver share.
pub(crate) fn monotonic_ns() -> u64 {
    let now = duration(clock_gettime(ClockId::Monotonic)).as_nanos();
    u64::try_from(now).expect("no machine has been up for 500 years")
}

/// The processor time of this process.
pub(crate) fn cpu_seconds() -> f64 {
    duration(clock_gettime(ClockId::ProcessCPUTime)).as_secs_f64()
}

fn duration(time: Timespec) -> Duration {
    Duration::try_from(time).expect("these clocks begin at zero")
}

/// Tells the driver what was measured.
pub(crate) fn report(figures: &Value) -> Result<()> {
    let path = text("OUT").unwrap_or_else(|| "/dev/stdout".to_owned());
    Ok(std::fs::write(path, figures.to_string())?)
}
