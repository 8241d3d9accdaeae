//! Tasks that take their time. They wait for a test and not for a clock: `gate` is a named pipe, and a task
//! runs on when somebody has opened it for writing and closed it.

use std::path::PathBuf;

use aipo::{AppBuilder, Context, TaskResult};
use serde_json::json;

pub(crate) fn register(app: AppBuilder) -> AppBuilder {
    app.task(hold::task())
        .task(hold_started::task())
        .task(progress::task())
        .task(endless::task())
        .task(limited::task())
}

/// Runs until the gate opens.
#[aipo::task(name = "interop.hold")]
async fn hold(gate: PathBuf) -> TaskResult<String> {
    pass(gate).await
}

/// The same, and `STARTED` is stored.
#[aipo::task(name = "interop.hold_started", track_started = true)]
async fn hold_started(gate: PathBuf) -> TaskResult<String> {
    pass(gate).await
}

/// Tells how far it is, and runs until the gate opens.
#[aipo::task(name = "interop.progress")]
async fn progress(cx: &Context, gate: PathBuf, done: u64, total: u64) -> TaskResult<u64> {
    cx.progress(json!({"done": done, "total": total})).await?;
    pass(gate).await?;
    Ok(total)
}

/// Opens the gate for writing, which tells a test that it runs, and never ends by itself.
#[aipo::task(name = "interop.endless", track_started = true)]
async fn endless(gate: PathBuf) -> TaskResult<()> {
    tokio::fs::write(gate, "running").await?;
    std::future::pending::<()>().await;
    Ok(())
}

/// Runs into its time limit.
#[aipo::task(name = "interop.limited", time_limit = "1s")]
async fn limited() -> TaskResult<()> {
    std::future::pending::<()>().await;
    Ok(())
}

async fn pass(gate: PathBuf) -> TaskResult<String> {
    Ok(tokio::fs::read_to_string(gate).await?)
}
