//! Tasks that the Celery app `pyapp` has under the same names, for queues that both kinds of workers serve.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use aipo::{AppBuilder, Context, TaskError, TaskResult};
use serde_json::{Value, json};

pub(crate) fn register(app: AppBuilder) -> AppBuilder {
    app.task(who::task())
        .task(mark::task())
        .task(second_attempt::task())
        .task(hold::task())
}

/// Which kind of worker ran it.
#[aipo::task(name = "shared.who")]
async fn who() -> TaskResult<String> {
    Ok("aipo".to_owned())
}

/// Adds a line to a file that workers of both kinds write to: who ran it, and its text.
#[aipo::task(name = "shared.mark")]
fn mark(file: PathBuf, text: String) -> TaskResult<()> {
    // One write in append mode, so that lines of several processes do not mix.
    let mut file = OpenOptions::new().create(true).append(true).open(file)?;
    Ok(file.write_all(format!("aipo {text}\n").as_bytes())?)
}

/// Asks for a second attempt at once, wherever it is first run, and tells who made the second.
#[aipo::task(name = "shared.second_attempt")]
async fn second_attempt(cx: &Context) -> TaskResult<Value> {
    if cx.retries() == 0 {
        return Err(TaskError::retry().after(Duration::ZERO));
    }
    Ok(json!({"by": "aipo", "retries": cx.retries()}))
}

/// Runs until the gate, a named pipe, has been written to.
#[aipo::task(name = "shared.hold")]
async fn hold(gate: PathBuf) -> TaskResult<String> {
    Ok(tokio::fs::read_to_string(gate).await?)
}
