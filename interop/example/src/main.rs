//! The Rust worker of the example in `docs/celery.md`: one task, beside a Celery app.

use std::process::ExitCode;

use aipo::{App, TaskResult};

/// What an order costs, in cents; called by Python as `shop.total`.
#[aipo::task(name = "shop.total", queue = "rust")]
async fn total(prices: Vec<i64>, #[arg(default = 0)] discount: i64) -> TaskResult<i64> {
    Ok(prices.iter().sum::<i64>() - discount)
}

#[tokio::main]
async fn main() -> ExitCode {
    aipo::cli::run(App::builder("shop").task(total::task())).await
}
