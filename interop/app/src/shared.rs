//! Tasks that the Celery app `pyapp` has under the same names, for queues that both kinds of workers serve.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use aipo::{AppBuilder, Canvas, Context, Failure, TaskError, TaskResult};
use serde_json::{Value, json};

pub(crate) fn register(app: AppBuilder) -> AppBuilder {
    app.task(who::task())
        .task(mark::task())
        .task(second_attempt::task())
        .task(hold::task())
        .task(step::task())
        .task(refuse::task())
        .task(failed::task())
        .task(go_on::task())
        .task(more::task())
}

/// Which kind of worker ran it.
#[aipo::task(name = "shared.who")]
async fn who() -> TaskResult<String> {
    Ok("aipo".to_owned())
}

/// Adds a line to a file that workers of both kinds write to: who ran it, and its text.
#[aipo::task(name = "shared.mark")]
fn mark(file: PathBuf, text: String) -> TaskResult<()> {
    write_line(file, &text)
}

fn write_line(file: PathBuf, text: &str) -> TaskResult<()> {
    // One write in append mode, so that lines of several processes do not mix.
    let mut file = OpenOptions::new().create(true).append(true).open(file)?;
    Ok(file.write_all(format!("aipo {text}\n").as_bytes())?)
}

/// Asks for a second attempt at once, wherever it is first run, and tells who made the second.
#[aipo::task(name = "shared.second_attempt")]
async fn second_attempt(cx: &Context) -> TaskResult<Value> {
    if cx.retries() == 0 {
        return Err(TaskError::retry().after(Duration::ZERO));
    }
    Ok(json!({"by": "aipo", "retries": cx.retries()}))
}

/// Runs until the gate, a named pipe, has been written to.
#[aipo::task(name = "shared.hold")]
async fn hold(gate: PathBuf) -> TaskResult<String> {
    Ok(tokio::fs::read_to_string(gate).await?)
}

/// A step of a workflow: which one it was, who ran it, and what it was given.
#[aipo::task(name = "shared.step")]
async fn step(value: Value, label: String) -> TaskResult<Value> {
    Ok(json!({"step": label, "by": "aipo", "of": value}))
}

/// A step that fails.
#[aipo::task(name = "shared.refuse")]
async fn refuse(_value: Value, label: String) -> TaskResult<Value> {
    let failure = Failure::new("builtins", "ValueError", label);
    Err(TaskError::failure(failure))
}

/// An errback: adds a line that says which task has failed.
#[aipo::task(name = "shared.failed")]
fn failed(task_id: String, file: PathBuf) -> TaskResult<()> {
    write_line(file, &format!("failed {task_id}"))
}

/// A step that puts two others in its place, one on each queue.
#[aipo::task(name = "shared.go_on")]
async fn go_on(value: Value, label: String, queues: [String; 2]) -> TaskResult<Value> {
    let [first, second] = queues;
    Err(TaskError::replace(Canvas::chain(vec![
        later(vec![value, format!("{label}1").into()], first),
        later(vec![format!("{label}2").into()], second),
    ])))
}

/// A step that adds another one, on a queue, to the chord that it is part of.
#[aipo::task(name = "shared.more")]
async fn more(cx: &Context, value: Value, label: String, queue: String) -> TaskResult<Value> {
    let added = vec![Value::Null, format!("{label}+").into()];
    cx.add_to_chord(later(added, queue)).await?;
    Ok(json!({"step": label, "by": "aipo", "of": value}))
}

fn later(args: Vec<Value>, queue: String) -> Canvas {
    let mut step = Canvas::task("shared.step");
    step.args = args;
    step.options.insert("queue".to_owned(), queue.into());
    step
}
