//! Tasks that give their message back at its first delivery.

use aipo::{AppBuilder, Context, TaskError, TaskResult};

pub(crate) fn register(app: AppBuilder) -> AppBuilder {
    app.task(reject_then_succeed::task())
        .task(store_success_then_reject::task())
}

#[aipo::task(name = "t.integration.tasks.reject_then_succeed", acks_late)]
async fn reject_then_succeed(cx: &Context) -> TaskResult<String> {
    if !cx.redelivered() {
        return Err(TaskError::requeue());
    }
    Ok("second-pass".to_owned())
}

#[aipo::task(name = "t.integration.tasks.store_success_then_reject", acks_late)]
async fn store_success_then_reject(cx: &Context) -> TaskResult<String> {
    if !cx.redelivered() {
        cx.set_state("SUCCESS", "first-pass").await?;
        return Err(TaskError::requeue());
    }
    Ok("dedup-pass".to_owned())
}
