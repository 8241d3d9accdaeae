//! The task of the fault runs, `faults/`, which the Celery app `pyapp` has under the same name.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aipo::{AppBuilder, Context, TaskResult};

pub(crate) fn register(app: AppBuilder) -> AppBuilder {
    app.task(work::task())
}

/// Takes some milliseconds, and records outside of the store that it begins and that it is done.
#[aipo::task(name = "trial.work")]
async fn work(cx: &Context, file: PathBuf, number: u64, millis: u64) -> TaskResult<u64> {
    record(cx, &file, "begun", number)?;
    tokio::time::sleep(Duration::from_millis(millis)).await;
    record(cx, &file, "done", number)?;
    Ok(number)
}

/// Adds a line: what, which task, the process, nanoseconds since 1970.
fn record(cx: &Context, file: &Path, what: &str, number: u64) -> std::io::Result<()> {
    let worker = std::process::id();
    let now = cx.app().clock().now().as_nanosecond();
    // One write in append mode, so that lines of several processes do not mix.
    let mut file = OpenOptions::new().create(true).append(true).open(file)?;
    file.write_all(format!("{what} {number} {worker} {now}\n").as_bytes())
}
