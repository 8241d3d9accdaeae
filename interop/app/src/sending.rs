//! Tasks that send tasks.

use std::time::Duration;

use aipo::{AppBuilder, Context, QueueName, Signature, TaskResult};
use serde_json::Value;

pub(crate) fn register(app: AppBuilder) -> AppBuilder {
    app.task(spawn::task()).task(ask::task())
}

/// Sends `count` children of a task, which may be one of Python's, and gives their ids.
#[aipo::task(name = "interop.spawn")]
async fn spawn(
    cx: &Context,
    task: String,
    args: Vec<Value>,
    queue: String,
    count: u32,
) -> TaskResult<Vec<String>> {
    let mut ids = Vec::new();
    for _ in 0..count {
        let child = cx.send(child(&task, &args, &queue)).await?;
        ids.push(child.id().to_string());
    }
    Ok(ids)
}

/// Sends a task, which may be one of Python's, and answers with its result.
#[aipo::task(name = "interop.ask")]
async fn ask(cx: &Context, task: String, args: Vec<Value>, queue: String) -> TaskResult<Value> {
    let child = cx.send(child(&task, &args, &queue)).await?;
    Ok(child.get(Duration::from_secs(30)).await?)
}

fn child(task: &str, args: &[Value], queue: &str) -> Signature {
    let mut signature = Signature::new(task).args(args.iter().cloned());
    signature.options.queue = Some(QueueName::from(queue));
    signature
}
