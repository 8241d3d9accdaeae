//! Tasks that compute, fail or sleep.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::time::Duration;

use aipo::{AppBuilder, Context, Task, TaskError, TaskOptions, TaskResult};
use serde_json::{Map, Value, json};
use tokio::time::sleep;

use crate::call::Unbound;
use crate::exceptions::{builtin, expected, unpickleable, validation};
use crate::python::{self, sum, text, truthy};

pub(crate) fn register(app: AppBuilder) -> AppBuilder {
    app.task(Unbound(identity::task()))
        .task(Unbound(add::task()))
        .task(Unbound(mul::task()))
        .task(Unbound(add_not_typed::task()))
        .task(Unbound(add_ignore_result::task()))
        .task(Unbound(add_with_result::task()))
        .task(Unbound(raise_error::task()))
        .task(Unbound(fail::task()))
        .task(Unbound(fail_unpickleable::task()))
        .task(Unbound(tsum::task()))
        .task(Unbound(xsum::task()))
        .task(Unbound(delayed_sum::task()))
        .task(Unbound(delayed_sum_with_soft_guard::task()))
        .task(Unbound(sleeping::task()))
        .task(Unbound(print_unicode::task()))
        .task(Unbound(return_exception::task()))
        .task(Unbound(write_to_file_and_return_int::task()))
        .task(Unbound(replaced_with_me::task()))
        .task(Unbound(add_pydantic::task()))
        .task(Unbound(add_pydantic_string_annotations::task()))
        .task(Unbound(SoftLimitBeyondHard))
        .task(Unbound(reject_without_requeue::task()))
        .task(ping::task())
}

#[aipo::task(name = "t.integration.tasks.identity")]
async fn identity(x: Value) -> Value {
    x
}

#[aipo::task(name = "t.integration.tasks.add")]
async fn add(x: Value, y: Value, #[arg(default)] z: Value) -> TaskResult<Value> {
    let sum = python::add(&x, &y)?;
    if truthy(&z) {
        python::add(&sum, &z)
    } else {
        Ok(sum)
    }
}

#[aipo::task(name = "t.integration.tasks.mul")]
async fn mul(x: Value, y: Value) -> TaskResult<Value> {
    python::mul(&x, &y)
}

#[aipo::task(name = "t.integration.tasks.add_not_typed")]
async fn add_not_typed(x: Value, y: Value) -> TaskResult<Value> {
    python::add(&x, &y)
}

#[aipo::task(name = "t.integration.tasks.add_ignore_result", ignore_result)]
async fn add_ignore_result(x: Value, y: Value) -> TaskResult<Value> {
    python::add(&x, &y)
}

#[aipo::task(name = "t.integration.tasks.add_with_result", ignore_result = false)]
async fn add_with_result(x: Value, y: Value) -> TaskResult<Value> {
    python::add(&x, &y)
}

#[aipo::task(name = "t.integration.tasks.raise_error")]
async fn raise_error(#[arg(rest)] _args: Vec<Value>) -> TaskResult<()> {
    Err(builtin("ValueError", "deliberate error"))
}

#[aipo::task(name = "t.integration.tasks.fail")]
async fn fail(#[arg(rest)] args: Vec<Value>) -> TaskResult<()> {
    let mut told = vec![json!("Task expected to fail")];
    told.extend(args);
    Err(expected(told))
}

#[aipo::task(name = "t.integration.tasks.fail_unpickleable")]
async fn fail_unpickleable(foo: Value, bar: Value) -> TaskResult<()> {
    if bar.is_null() {
        return Err(builtin("TypeError", "bar must be provided"));
    }
    Err(unpickleable(foo))
}

#[aipo::task(name = "t.integration.tasks.tsum")]
async fn tsum(nums: Value) -> TaskResult<Value> {
    sum(&nums)
}

/// An element that is a list counts as its own sum.
#[aipo::task(name = "t.integration.tasks.xsum")]
async fn xsum(nums: Value) -> TaskResult<Value> {
    let one = |num: Value| match num {
        Value::Array(_) | Value::String(_) | Value::Object(_) => sum(&num),
        plain => Ok(plain),
    };
    let sums: TaskResult<Vec<Value>> = python::iterate(&nums)?.into_iter().map(one).collect();
    sum(&Value::Array(sums?))
}

#[aipo::task(name = "t.integration.tasks.delayed_sum")]
async fn delayed_sum(numbers: Value, #[arg(default = 1.0)] pause_time: f64) -> TaskResult<Value> {
    pause(pause_time)?.await;
    sum(&numbers)
}

#[aipo::task(name = "t.integration.tasks.delayed_sum_with_soft_guard")]
async fn delayed_sum_with_soft_guard(
    cx: &Context,
    numbers: Value,
    #[arg(default = 1.0)] pause_time: f64,
) -> TaskResult<Value> {
    let pause = pause(pause_time)?;
    tokio::select! {
        biased;
        () = cx.soft_limit() => Ok(json!(0)),
        () = pause => sum(&numbers),
    }
}

#[aipo::task(name = "t.integration.tasks.sleeping")]
async fn sleeping(i: f64, #[arg(named_rest)] _anything: Map<String, Value>) -> TaskResult<()> {
    pause(i)?.await;
    Ok(())
}

/// Python's `sleep`.
fn pause(seconds: f64) -> TaskResult<tokio::time::Sleep> {
    let pause = Duration::try_from_secs_f64(seconds)
        .map_err(|_| builtin("ValueError", "sleep length must be non-negative"))?;
    Ok(sleep(pause))
}

#[aipo::task(name = "t.integration.tasks.print_unicode")]
async fn print_unicode(
    #[arg(default = "håå®ƒ valmuefrø".to_owned())] log_message: String,
    #[arg(default = "hiöäüß".to_owned())] print_message: String,
) {
    tracing::warn!("{log_message}");
    println!("{print_message}");
}

#[aipo::task(name = "t.integration.tasks.return_exception")]
async fn return_exception(e: Value) -> (Value, bool) {
    (e, true)
}

#[aipo::task(name = "t.integration.tasks.write_to_file_and_return_int")]
fn write_to_file_and_return_int(file_name: String, i: Value) -> TaskResult<Value> {
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .open(file_name)?;
    file.write_all(format!("{}\n", text(&i)).as_bytes())?;
    Ok(i)
}

#[aipo::task(name = "t.integration.tasks.replaced_with_me")]
async fn replaced_with_me() -> bool {
    true
}

#[aipo::task(name = "t.integration.tasks.add_pydantic")]
async fn add_pydantic(data: Value) -> TaskResult<Value> {
    add_model(&data)
}

#[aipo::task(name = "t.integration.tasks.add_pydantic_string_annotations")]
async fn add_pydantic_string_annotations(data: Value) -> TaskResult<Value> {
    add_model(&data)
}

/// Adds the fields of the model, which both are integers.
fn add_model(data: &Value) -> TaskResult<Value> {
    let field = |name| data.get(name).filter(|value| value.is_i64());
    match (field("x"), field("y")) {
        (Some(x), Some(y)) => Ok(json!({ "result": python::add(x, y)? })),
        _ => Err(validation()),
    }
}

/// A type, because `#[task]` refuses such limits.
struct SoftLimitBeyondHard;

impl Task for SoftLimitBeyondHard {
    const NAME: &'static str = "t.integration.tasks.soft_time_limit_must_exceed_time_limit";
    type Args = ();
    type Output = ();

    fn options() -> TaskOptions {
        TaskOptions {
            soft_time_limit: Some(Duration::from_secs(2)),
            time_limit: Some(Duration::from_secs(1)),
            ..TaskOptions::default()
        }
    }

    async fn run(&self, _cx: &Context, (): ()) -> TaskResult<()> {
        Ok(())
    }
}

#[aipo::task(name = "t.integration.tasks.reject_without_requeue")]
async fn reject_without_requeue() -> TaskResult<()> {
    Err(TaskError::reject("rejected"))
}

/// Of Celery's own tests.
#[aipo::task(name = "celery.ping")]
async fn ping() -> String {
    "pong".to_owned()
}
