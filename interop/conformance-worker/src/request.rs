//! Tasks that look at their request.

use aipo::{AppBuilder, Context};
use serde_json::{Value, json};

pub(crate) fn register(app: AppBuilder) -> AppBuilder {
    app.task(ids::task())
        .task(collect_ids::task())
        .task(return_priority::task())
        .task(return_request_eta::task())
        .task(return_properties::task())
        .task(return_request_time_limits::task())
        .task(task_with_declared_time_limits::task())
}

#[aipo::task(name = "t.integration.tasks.ids")]
async fn ids(cx: &Context, i: Value) -> Value {
    json!([cx.headers().root_id, cx.headers().parent_id, i])
}

#[aipo::task(name = "t.integration.tasks.collect_ids")]
async fn collect_ids(cx: &Context, res: Value, i: Value) -> Value {
    json!([res, [cx.headers().root_id, cx.headers().parent_id, i]])
}

#[aipo::task(name = "t.integration.tasks.return_priority")]
async fn return_priority(cx: &Context, #[arg(rest)] _anything: Vec<Value>) -> String {
    format!("Priority: {}", cx.properties().priority)
}

#[aipo::task(name = "t.integration.tasks.return_request_eta")]
async fn return_request_eta(cx: &Context) -> Value {
    json!(cx.headers().eta)
}

/// The properties as kombu's message has them: what tells of the body stands beside them there.
#[aipo::task(name = "t.integration.tasks.return_properties")]
async fn return_properties(cx: &Context) -> Value {
    let mut properties = json!(cx.properties());
    if let Value::Object(properties) = &mut properties {
        properties.remove("content-type");
        properties.remove("content-encoding");
        let delivery_info = json!({ "exchange": "", "routing_key": cx.queue() });
        properties.insert("delivery_info".to_owned(), delivery_info);
        properties.insert("body_encoding".to_owned(), "base64".into());
    }
    properties
}

#[aipo::task(name = "t.integration.tasks.return_request_time_limits")]
async fn return_request_time_limits(cx: &Context) -> Value {
    time_limits(cx)
}

#[aipo::task(
    name = "t.integration.tasks.task_with_declared_time_limits",
    time_limit = "60s",
    soft_time_limit = "45s"
)]
async fn task_with_declared_time_limits(cx: &Context) -> Value {
    time_limits(cx)
}

fn time_limits(cx: &Context) -> Value {
    let limits = &cx.headers().timelimit;
    json!({ "time_limit": limits.0, "soft_time_limit": limits.1 })
}
