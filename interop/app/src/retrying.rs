//! Tasks that ask to be run again.

use std::time::Duration;

use aipo::{AppBuilder, Context, TaskError, TaskResult};

pub(crate) fn register(app: AppBuilder) -> AppBuilder {
    app.task(retry_twice::task())
        .task(retry_automatically::task())
        .task(retry_later::task())
}

/// Succeeds at the third attempt.
#[aipo::task(name = "interop.retry_twice")]
async fn retry_twice(cx: &Context) -> TaskResult<u32> {
    match cx.retries() {
        0 | 1 => Err(TaskError::retry().after(Duration::ZERO)),
        retries => Ok(retries),
    }
}

/// Is retried because its options say so, and succeeds at attempt number `attempt`, counted from 1.
#[aipo::task(
    name = "interop.retry_automatically",
    autoretry_for = any,
    max_retries = 2,
    retry_delay = "0s"
)]
async fn retry_automatically(cx: &Context, attempt: u32) -> TaskResult<u32> {
    if cx.retries() + 1 < attempt {
        "not yet".parse::<u32>()?;
    }
    Ok(cx.retries())
}

/// Will be run again in an hour, so that its state can be looked at.
#[aipo::task(name = "interop.retry_later")]
async fn retry_later() -> TaskResult<()> {
    let hour = Duration::from_secs(60 * 60);
    Err(TaskError::retry()
        .after(hour)
        .because(TaskError::fail("printer is offline")))
}
