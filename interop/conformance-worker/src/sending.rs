//! Tasks that send others.

use aipo::{AppBuilder, Canvas, Context, TaskResult};
use serde_json::{Value, json};

use crate::call::s;
use crate::python::iterate;

pub(crate) fn register(app: AppBuilder) -> AppBuilder {
    app.task(chain_add::task())
        .task(chord_add::task())
        .task(add_to_all_to_chord::task())
        .task(add_chord_to_chord::task())
        .task(build_chain_inside_task::task())
}

#[aipo::task(name = "t.integration.tasks.chain_add")]
async fn chain_add(cx: &Context, x: Value, y: Value) -> TaskResult<()> {
    let chain = vec![s("add", [x.clone(), x]), s("add", [y])];
    cx.send_canvas(Canvas::chain(chain)).await?;
    Ok(())
}

#[aipo::task(name = "t.integration.tasks.chord_add")]
async fn chord_add(cx: &Context, x: Value, y: Value) -> TaskResult<()> {
    let chord = Canvas::chord(vec![s("add", [x.clone(), x])], s("add", [y]));
    cx.send_canvas(chord).await?;
    Ok(())
}

#[aipo::task(name = "t.integration.tasks.add_to_all_to_chord")]
async fn add_to_all_to_chord(cx: &Context, nums: Value, val: Value) -> TaskResult<i64> {
    for num in iterate(&nums)? {
        cx.add_to_chord(s("add", [num, val.clone()])).await?;
    }
    Ok(0)
}

#[aipo::task(name = "t.integration.tasks.add_chord_to_chord")]
async fn add_chord_to_chord(cx: &Context, nums: Value, val: Value) -> TaskResult<i64> {
    let nums = iterate(&nums)?.into_iter();
    let header = nums.map(|num| s("add", [num, val.clone()])).collect();
    cx.add_to_chord(Canvas::chord(header, s("tsum", [])))
        .await?;
    Ok(0)
}

/// Returns the result object of the chain, whose last step fails: a list is no number.
#[aipo::task(name = "t.integration.tasks.build_chain_inside_task")]
async fn build_chain_inside_task(cx: &Context) -> TaskResult<Value> {
    let add = |args: &[i64]| s("add", args.iter().copied().map(Value::from));
    let chain = Canvas::chain(vec![
        add(&[1, 1]),
        add(&[2]),
        Canvas::group(vec![add(&[3]), add(&[4])]),
        add(&[5]),
    ]);
    let result = cx.send_canvas(chain).await?;
    Ok(result.map_or(json!(null), |result| result.to_value()))
}
