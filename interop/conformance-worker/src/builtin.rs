//! Tasks that every Celery worker has.

use aipo::{AppBuilder, TaskResult};
use serde_json::Value;

use crate::exceptions::builtin;

pub(crate) fn register(app: AppBuilder) -> AppBuilder {
    app.task(ping::task()).task(accumulate::task())
}

#[aipo::task(name = "celery.ping")]
async fn ping() -> String {
    "pong".to_owned()
}

/// All its arguments, or the one at `index`.
#[aipo::task(name = "celery.accumulate")]
async fn accumulate(
    #[arg(rest)] args: Vec<Value>,
    #[arg(named, default)] index: Option<i64>,
) -> TaskResult<Value> {
    let Some(index) = index else {
        return Ok(args.into());
    };
    let from_the_end = if index < 0 { args.len() as i64 } else { 0 };
    let at = usize::try_from(index + from_the_end).ok();
    at.and_then(|at| args.into_iter().nth(at))
        .ok_or_else(|| builtin("IndexError", "tuple index out of range"))
}
