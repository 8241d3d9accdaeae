//! A program whose tasks do what tasks should not do. The tests run it to see what a worker makes of that.

use std::process::ExitCode;
use std::time::Duration;

use aipo::{App, TaskResult};
use serde_json::Value;

/// Calls itself until the stack is full, which ends the whole process.
#[aipo::task(name = "trouble.overflow")]
async fn overflow() -> TaskResult<u64> {
    #[expect(unconditional_recursion, reason = "this is what it is for")]
    fn deeper(depth: u64) -> u64 {
        let here = std::hint::black_box([depth; 64]);
        deeper(depth + 1) + here[(depth % 64) as usize]
    }
    Ok(deeper(0))
}

/// Never ends and never waits.
#[aipo::task(name = "trouble.spin", time_limit = "500ms")]
fn spin() {
    loop {
        std::thread::park_timeout(Duration::from_secs(60));
    }
}

/// Harmless, but slow enough to be there when something happens.
#[aipo::task(name = "trouble.bystander")]
async fn bystander(n: u64) -> TaskResult<u64> {
    tokio::time::sleep(Duration::from_millis(200)).await;
    Ok(n)
}

/// Returns what it is given.
#[aipo::task(name = "trouble.echo")]
async fn echo(value: Value) -> TaskResult<Value> {
    Ok(value)
}

/// Returns a text of so many bytes.
#[aipo::task(name = "trouble.huge")]
async fn huge(bytes: usize) -> TaskResult<String> {
    Ok("x".repeat(bytes))
}

#[tokio::main]
async fn main() -> ExitCode {
    let app = App::builder("trouble")
        .task(overflow::task())
        .task(spin::task())
        .task(bystander::task())
        .task(echo::task())
        .task(huge::task());
    aipo::cli::run(app).await
}
