//! Tasks that ask to be run again.

use std::time::Duration;

use aipo::{AppBuilder, Context, Failure, TaskError, TaskResult};
use serde_json::{Map, Value, json};

use crate::exceptions::{expected, type_error, unpickleable};
use crate::python::{add, truthy};

pub(crate) fn register(app: AppBuilder) -> AppBuilder {
    app.task(retry::task())
        .task(retry_unpickleable::task())
        .task(retry_with_args_after_kwargs::task())
        .task(retry_with_kwargs_after_args::task())
        .task(retry_once::task())
        .task(retry_once_ignore_result::task())
        .task(retry_once_with_result::task())
        .task(retry_once_priority::task())
        .task(retry_once_headers::task())
        .task(auto_retry_class_task::task())
}

/// Without a value it fails in the end; with one its fourth run returns that.
#[aipo::task(name = "t.integration.tasks.retry", retry_delay = "1s")]
async fn retry(cx: &Context, #[arg(default)] return_value: Value) -> TaskResult<Value> {
    if truthy(&return_value) && cx.retries() >= 3 {
        return Ok(return_value);
    }
    let retry = TaskError::retry().after(Duration::from_secs(5));
    Err(retry.because(expected(Vec::new())))
}

#[aipo::task(name = "t.integration.tasks.retry_unpickleable", retry_delay = "1s")]
async fn retry_unpickleable(
    foo: Value,
    bar: Value,
    #[arg(named)] retry_kwargs: Map<String, Value>,
) -> TaskResult<()> {
    if bar.is_null() {
        return Err(type_error("bar must be provided"));
    }
    Err(with_options(&retry_kwargs)?.because(unpickleable(foo)))
}

/// A retry with the options of a call in Python.
fn with_options(options: &Map<String, Value>) -> TaskResult<TaskError> {
    let mut retry = TaskError::retry();
    for (name, value) in options.iter().filter(|(_, value)| !value.is_null()) {
        retry = match (name.as_str(), value.as_f64(), value.as_u64()) {
            ("countdown", Some(countdown), _) => retry.after(seconds(countdown)),
            ("expires", Some(expires), _) => retry.expires(seconds(expires)),
            ("time_limit", Some(limit), _) => retry.time_limit(seconds(limit)),
            ("soft_time_limit", Some(limit), _) => retry.soft_time_limit(seconds(limit)),
            ("max_retries", _, Some(max)) => {
                retry.max_retries(u32::try_from(max).unwrap_or(u32::MAX))
            }
            _ => {
                return Err(type_error(format!(
                    "retry() does not take {name} = {value}"
                )));
            }
        };
    }
    Ok(retry)
}

/// Python's seconds, of which those before now are none.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

#[aipo::task(
    name = "t.integration.tasks.retry_with_args_after_kwargs",
    max_retries = 1
)]
async fn retry_with_args_after_kwargs(
    cx: &Context,
    foo: Value,
    bar: Value,
    #[arg(default)] label: Value,
) -> TaskResult<Value> {
    if cx.retries() == 0 {
        let args = [add(&foo, &json!(1))?, add(&bar, &json!(1))?];
        return Err(TaskError::retry().args(args).after(Duration::ZERO));
    }
    let (retries, is_eager) = (cx.retries(), cx.is_eager());
    Ok(json!({
        "foo": foo, "bar": bar, "label": label, "retries": retries, "is_eager": is_eager,
    }))
}

#[aipo::task(
    name = "t.integration.tasks.retry_with_kwargs_after_args",
    max_retries = 1
)]
async fn retry_with_kwargs_after_args(cx: &Context, foo: Value, bar: Value) -> TaskResult<Value> {
    if cx.retries() == 0 {
        let foo = add(&foo, &json!(1))?;
        return Err(TaskError::retry().kwarg("foo", foo).after(Duration::ZERO));
    }
    let (retries, is_eager) = (cx.retries(), cx.is_eager());
    Ok(json!({ "foo": foo, "bar": bar, "retries": retries, "is_eager": is_eager }))
}

#[aipo::task(
    name = "t.integration.tasks.retry_once",
    expires = "120s",
    max_retries = 1
)]
async fn retry_once(
    cx: &Context,
    #[arg(rest)] _args: Vec<Value>,
    #[arg(named, default)] expires: Option<f64>,
    #[arg(named, default = Some(1))] max_retries: Option<u32>,
    #[arg(named, default = Some(0.1))] countdown: Option<f64>,
) -> TaskResult<u32> {
    let retry = once(cx, max_retries, countdown);
    retry.map_err(|retry| match expires {
        Some(expires) => retry.expires(seconds(expires)),
        None => retry.never_expires(),
    })
}

/// The number of retries; none yet is one to come.
fn once(cx: &Context, max_retries: Option<u32>, countdown: Option<f64>) -> TaskResult<u32> {
    if cx.retries() > 0 {
        return Ok(cx.retries());
    }
    let mut retry = TaskError::retry();
    if let Some(max_retries) = max_retries {
        retry = retry.max_retries(max_retries);
    }
    if let Some(countdown) = countdown {
        retry = retry.after(seconds(countdown));
    }
    Err(retry)
}

#[aipo::task(name = "t.integration.tasks.retry_once_ignore_result", ignore_result)]
async fn retry_once_ignore_result(cx: &Context) -> TaskResult<u32> {
    once(cx, None, Some(0.0))
}

#[aipo::task(
    name = "t.integration.tasks.retry_once_with_result",
    ignore_result = false
)]
async fn retry_once_with_result(cx: &Context) -> TaskResult<u32> {
    once(cx, None, Some(0.0))
}

#[aipo::task(name = "t.integration.tasks.retry_once_priority", max_retries = 1)]
async fn retry_once_priority(
    cx: &Context,
    #[arg(rest)] _args: Vec<Value>,
    #[arg(named, default)] expires: Value,
    #[arg(named, default = Some(1))] max_retries: Option<u32>,
    #[arg(named, default = Some(0.1))] countdown: Option<f64>,
) -> TaskResult<u8> {
    // As in Python: taken, and not passed on.
    drop(expires);
    once(cx, max_retries, countdown)?;
    Ok(cx.properties().priority)
}

#[aipo::task(name = "t.integration.tasks.retry_once_headers", max_retries = 1)]
async fn retry_once_headers(
    cx: &Context,
    #[arg(rest)] _args: Vec<Value>,
    #[arg(named, default = Some(1))] max_retries: Option<u32>,
    #[arg(named, default = Some(0.1))] countdown: Option<f64>,
) -> TaskResult<Map<String, Value>> {
    once(cx, max_retries, countdown)?;
    Ok(cx.headers().custom.clone())
}

#[aipo::task(
    name = "auto_retry_class_task",
    autoretry_for = any,
    max_retries = 1,
    retry_backoff = "1s"
)]
async fn auto_retry_class_task(cx: &Context) -> TaskResult<u32> {
    if cx.retries() > 0 {
        return Ok(cx.retries());
    }
    let failure = Failure::with_args("builtins", "ValueError", Vec::new());
    Err(TaskError::failure(failure))
}
