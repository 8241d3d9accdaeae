//! Tasks that do not succeed.

use std::fmt;

use aipo::{AppBuilder, Failure, TaskError, TaskResult};
use serde_json::Value;

pub(crate) fn register(app: AppBuilder) -> AppBuilder {
    app.task(fail::task())
        .task(fail_as::task())
        .task(fail_with_cause::task())
        .task(panic::task())
        .task(ignore::task())
        .task(reject::task())
}

/// Fails as most Python tasks do.
#[aipo::task(name = "interop.fail")]
async fn fail(message: String) -> TaskResult<()> {
    let failure = Failure::new("builtins", "ValueError", message);
    Err(TaskError::failure(failure))
}

/// Fails with any Python exception.
#[aipo::task(name = "interop.fail_as")]
async fn fail_as(module: String, name: String, args: Vec<Value>) -> TaskResult<()> {
    let failure = Failure::with_args(&module, &name, args);
    Err(TaskError::failure(failure))
}

/// An error that no Python program knows.
#[derive(Debug)]
struct OutOfStock {
    article: String,
    cause: std::num::ParseIntError,
}

impl fmt::Display for OutOfStock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is out of stock", self.article)
    }
}

impl std::error::Error for OutOfStock {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}

/// Fails with an error of Rust, which has another one behind it.
#[aipo::task(name = "interop.fail_with_cause")]
async fn fail_with_cause(article: String) -> TaskResult<u32> {
    let count = article
        .parse()
        .map_err(|cause| OutOfStock { article, cause })?;
    Ok(count)
}

#[aipo::task(name = "interop.panic")]
async fn panic(message: String) -> TaskResult<()> {
    panic!("{message}");
}

#[aipo::task(name = "interop.ignore")]
async fn ignore() -> TaskResult<()> {
    Err(TaskError::ignore())
}

#[aipo::task(name = "interop.reject")]
async fn reject() -> TaskResult<()> {
    Err(TaskError::reject("no use for it"))
}
