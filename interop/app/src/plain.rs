//! Tasks that answer with what they were given, or with what their message says.

use aipo::{AppBuilder, Context, TaskResult};
use serde_json::value::RawValue;
use serde_json::{Value, json};

pub(crate) fn register(app: AppBuilder) -> AppBuilder {
    app.task(add::task())
        .task(echo::task())
        .task(pass_on::task())
        .task(greet::task())
        .task(scale::task())
        .task(request::task())
        .task(quiet::task())
}

#[aipo::task(name = "interop.add")]
async fn add(x: i64, y: i64) -> TaskResult<i64> {
    Ok(x + y)
}

/// Gives back its argument, whatever JSON it is.
#[aipo::task(name = "interop.echo")]
async fn echo(value: Value) -> TaskResult<Value> {
    Ok(value)
}

/// Gives back the text of its argument, digit by digit.
#[aipo::task(name = "interop.pass_on")]
async fn pass_on(value: Box<RawValue>) -> TaskResult<Box<RawValue>> {
    Ok(value)
}

/// One argument must be there, two have defaults.
#[aipo::task(name = "interop.greet")]
async fn greet(
    name: String,
    #[arg(default = "Hello".to_owned())] greeting: String,
    #[arg(default)] title: Option<String>,
) -> TaskResult<String> {
    let title = title.map(|title| title + " ").unwrap_or_default();
    Ok(format!("{greeting}, {title}{name}!"))
}

/// A number that JSON may not have: Python sends and reads NaN and the infinities.
#[aipo::task(name = "interop.scale")]
async fn scale(value: Option<f64>, factor: f64) -> TaskResult<Option<f64>> {
    Ok(value.map(|value| value * factor))
}

/// What the message said beside the arguments.
#[aipo::task(name = "interop.request")]
async fn request(cx: &Context) -> TaskResult<Value> {
    let headers = cx.headers();
    Ok(json!({
        "id": headers.id,
        "task": headers.task,
        "shadow": headers.shadow,
        "retries": headers.retries,
        "group": headers.group,
        "group_index": headers.group_index,
        "root_id": headers.root_id,
        "parent_id": headers.parent_id,
        "ignore_result": headers.ignore_result,
        "headers": headers.custom,
        "stamps": headers.stamps,
        "origin": headers.origin,
        "priority": cx.properties().priority,
        "reply_to": cx.properties().reply_to,
        "queue": cx.queue().as_str(),
        "worker": cx.worker(),
    }))
}

/// Its result is not stored, unless the call asks for it.
#[aipo::task(name = "interop.quiet", ignore_result = true)]
async fn quiet(value: Value) -> TaskResult<Value> {
    Ok(value)
}
