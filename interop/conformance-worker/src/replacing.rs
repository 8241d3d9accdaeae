//! Tasks that put others in their place.

use aipo::{AppBuilder, Canvas, Context, TaskError, TaskResult};
use serde_json::{Value, json};

use crate::call::{s, si, with};
use crate::exceptions::type_error;
use crate::python::{add, iterate, truthy};
use crate::redis::Redis;

pub(crate) fn register(app: AppBuilder) -> AppBuilder {
    app.task(add_replaced::task())
        .task(add_replaced_with_chain::task())
        .task(fail_replaced::task())
        .task(replace_with_chain::task())
        .task(replace_with_chain_which_raises::task())
        .task(replace_with_empty_chain::task())
        .task(replace_with_chain_which_contains_a_group::task())
        .task(add_to_all::task())
        .task(record_replaced_task_nesting::task())
        .task(second_order_replace1::task())
        .task(second_order_replace2::task())
        .task(replace_with_stamped_task::task())
}

#[aipo::task(name = "t.integration.tasks.add_replaced")]
async fn add_replaced(x: Value, y: Value) -> TaskResult<Value> {
    Err(TaskError::replace(s("add", [x, y])))
}

#[aipo::task(name = "t.integration.tasks.add_replaced_with_chain")]
async fn add_replaced_with_chain(x: Value, y: Value) -> TaskResult<Value> {
    let chain = vec![s("add", [x, y]), s("identity", [])];
    Err(TaskError::replace(Canvas::chain(chain)))
}

#[aipo::task(name = "t.integration.tasks.fail_replaced")]
async fn fail_replaced(#[arg(rest)] args: Vec<Value>) -> TaskResult<Value> {
    Err(TaskError::replace(si("fail", args)))
}

#[aipo::task(name = "t.integration.tasks.replace_with_chain")]
async fn replace_with_chain(
    #[arg(rest)] args: Vec<Value>,
    #[arg(named, default)] link_msg: Value,
) -> TaskResult<Value> {
    let mut chain = Canvas::chain(vec![s("identity", args), s("identity", [])]);
    chain.link(&echo(link_msg).to_value());
    Err(TaskError::replace(chain))
}

#[aipo::task(name = "t.integration.tasks.replace_with_chain_which_raises")]
async fn replace_with_chain_which_raises(
    #[arg(rest)] args: Vec<Value>,
    #[arg(named, default)] link_msg: Value,
) -> TaskResult<Value> {
    let mut chain = Canvas::chain(vec![s("identity", args), s("raise_error", [])]);
    chain.link_error(&echo(link_msg).to_value());
    Err(TaskError::replace(chain))
}

/// What is linked: it echoes the message, or what it is given if there is none.
fn echo(message: Value) -> Canvas {
    match message {
        Value::Null => s("redis_echo", []),
        message => si("redis_echo", [message]),
    }
}

#[aipo::task(name = "t.integration.tasks.replace_with_empty_chain")]
async fn replace_with_empty_chain(#[arg(rest)] _anything: Vec<Value>) -> TaskResult<Value> {
    Err(TaskError::replace(Canvas::chain(Vec::new())))
}

#[aipo::task(name = "t.integration.tasks.replace_with_chain_which_contains_a_group")]
async fn replace_with_chain_which_contains_a_group() -> TaskResult<Value> {
    let one_more = || s("add", [json!(1)]);
    Err(TaskError::replace(Canvas::chain(vec![
        s("add", [json!(1), json!(2)]),
        Canvas::group(vec![one_more(), one_more()]),
    ])))
}

#[aipo::task(name = "t.integration.tasks.add_to_all")]
async fn add_to_all(nums: Value, val: Value) -> TaskResult<Value> {
    let nums = iterate(&nums)?.into_iter();
    let calls = nums.map(|num| s("add", [num, val.clone()]));
    Err(TaskError::replace(Canvas::group(calls.collect())))
}

#[aipo::task(name = "t.integration.tasks.record_replaced_task_nesting")]
async fn record_replaced_task_nesting(
    cx: &Context,
    replacements: Value,
    #[arg(default)] nesting: Option<Vec<Value>>,
) -> TaskResult<Value> {
    let mut nesting = nesting.unwrap_or_default();
    nesting.push(cx.headers().replaced_task_nesting.into());
    if !truthy(&replacements) {
        return Ok(nesting.into());
    }
    let left = add(&replacements, &json!(-1))?;
    let mut next = s("record_replaced_task_nesting", [left, nesting.into()]);
    let reply_to = cx.properties().reply_to.clone();
    next.options.insert("reply_to".to_owned(), reply_to.into());
    Err(TaskError::replace(next))
}

#[aipo::task(name = "t.integration.tasks.second_order_replace1")]
async fn second_order_replace1(cx: &Context, #[arg(default)] state: Value) -> TaskResult<()> {
    if truthy(&state) {
        return tell(cx, "Out A").await;
    }
    tell(cx, "In A").await?;
    Err(TaskError::replace(Canvas::chain(vec![
        s("second_order_replace2", []),
        with(si("second_order_replace1", []), "state", true),
    ])))
}

#[aipo::task(name = "t.integration.tasks.second_order_replace2")]
async fn second_order_replace2(cx: &Context, #[arg(default)] state: Value) -> TaskResult<()> {
    if truthy(&state) {
        return tell(cx, "Out B").await;
    }
    tell(cx, "In B").await?;
    Err(TaskError::replace(Canvas::chain(vec![
        s("redis_echo", [json!("In/Out C")]),
        with(si("second_order_replace2", []), "state", true),
    ])))
}

async fn tell(cx: &Context, what: &str) -> TaskResult<()> {
    let redis = cx.data::<Redis>()?;
    redis.push(&json!("redis-echo"), &json!(what)).await
}

#[aipo::task(name = "t.integration.tasks.replace_with_stamped_task")]
async fn replace_with_stamped_task(#[arg(default)] replace_with: Value) -> TaskResult<Value> {
    let mut canvas = match &replace_with {
        Value::Null => s("replaced_with_me", []),
        signature => Canvas::from_value(signature).map_err(|error| type_error(error.0))?,
    };
    canvas.stamp("StampOnReplace", &json!("This is the replaced task"));
    Err(TaskError::replace(canvas))
}
