//! What `inspect`, `control` and `status` have in common: whom they ask, and how answers look.

use std::time::Duration;

use clap::Subcommand;
use serde_json::{Map, Value};

use super::open;
use super::output::{self, count};
use super::problem::{Exit, Problem};
use super::values;
use crate::{Answers, AppBuilder, Control};

/// Flags of a command that sends one remote control command.
#[derive(Debug, clap::Args)]
pub struct Ask<R: Subcommand> {
    #[command(subcommand)]
    request: R,
    #[command(flatten)]
    whom: Whom,
}

/// What can be asked.
pub trait Request {
    /// The remote control command and its arguments.
    fn request(&self) -> (&'static str, Value);

    /// Whether workers answer to it.
    fn is_answered(&self) -> bool {
        true
    }
}

impl<R: Subcommand + Request> Ask<R> {
    pub(super) async fn run(self, app: AppBuilder) -> Result<Exit, Problem> {
        let (method, arguments) = self.request.request();
        if self.request.is_answered() {
            return self.whom.ask(app, method, arguments, in_full).await;
        }
        let control = self.whom.control(app).await?;
        control.tell(method, arguments).await?;
        Ok(Exit::Done)
    }
}

/// Whom to ask, and how to tell the answers.
#[derive(Debug, clap::Args)]
pub(super) struct Whom {
    /// Only these workers
    #[arg(
        short,
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        global = true
    )]
    destination: Vec<String>,
    /// How long to wait for answers; with --destination no longer than until all are there
    #[arg(short, long, value_name = "TIME", default_value = "1s", value_parser = values::duration, global = true)]
    timeout: Duration,
    /// Write JSON
    #[arg(short, long, global = true)]
    json: bool,
}

impl Whom {
    /// The commands of an app, to those who were named.
    pub(super) async fn control(&self, app: AppBuilder) -> Result<Control, Problem> {
        let control = open(app).await?.control().timeout(self.timeout);
        Ok(match self.destination.is_empty() {
            true => control,
            false => control.destination(&self.destination),
        })
    }

    /// Asks, and tells the answers; `lines` says how one of them is told to people.
    pub(super) async fn ask(
        &self,
        app: AppBuilder,
        method: &str,
        arguments: Value,
        lines: fn(&str, &Value) -> String,
    ) -> Result<Exit, Problem> {
        let answers = self.control(app).await?.ask(method, arguments).await?;
        if answers.is_empty() {
            return Err(nobody());
        }
        if self.json {
            output::print_json(&answers)?;
        } else {
            let text: String = answers
                .iter()
                .map(|(node, answer)| lines(node, answer))
                .collect();
            output::print(&text)?;
            let nodes = count(answers.len() as u64, "node");
            output::print(&format!("\n{nodes} online.\n"))?;
        }
        Ok(exit(&answers))
    }
}

pub(super) fn nobody() -> Problem {
    Problem::new(Exit::NoWorker, "no worker answers")
        .hint("is a worker running, and does it use the same store? See `--broker`")
}

/// Whether all could do what was asked.
fn exit(answers: &Answers<Value>) -> Exit {
    match answers.values().any(|answer| error(answer).is_some()) {
        true => Exit::Failed,
        false => Exit::Done,
    }
}

fn error(answer: &Value) -> Option<&Value> {
    answer.get("error")
}

/// An answer under its node, as Celery tells it.
fn in_full(node: &str, answer: &Value) -> String {
    let (verdict, lines) = match (error(answer), answer.get("ok")) {
        (Some(text), _) => ("ERROR", text_lines(text)),
        (None, Some(text)) => ("OK", text_lines(text)),
        (None, None) => ("OK", lines(answer)),
    };
    let lines: String = lines
        .iter()
        .map(|line| format!("    {line}").trim_end().to_owned() + "\n")
        .collect();
    format!("->  {node}: {verdict}\n{lines}")
}

/// A node and whether it is well.
pub(super) fn in_short(node: &str, answer: &Value) -> String {
    let verdict = if error(answer).is_some() {
        "ERROR"
    } else {
        "OK"
    };
    format!("{node}: {verdict}\n")
}

fn text_lines(text: &Value) -> Vec<String> {
    let text = plain(text);
    text.trim().lines().map(str::to_owned).collect()
}

fn lines(answer: &Value) -> Vec<String> {
    match answer {
        Value::Null => Vec::new(),
        Value::Array(items) if items.is_empty() => vec!["- empty -".to_owned()],
        Value::Array(items) => items
            .iter()
            .map(|item| format!("* {}", item_line(item)))
            .collect(),
        Value::Object(fields) => fields.iter().flat_map(field_lines).collect(),
        other => text_lines(other),
    }
}

/// A task, a queue, or a plain text on one line.
fn item_line(item: &Value) -> String {
    let Value::Object(fields) = item else {
        return plain(item);
    };
    if let (Some(eta), Some(Value::Object(task))) = (fields.get("eta"), fields.get("request")) {
        return format!("{} {}", plain(eta), task_line(task));
    }
    if fields.contains_key("id") {
        return task_line(fields);
    }
    fields.get("name").map_or_else(|| item.to_string(), plain)
}

fn task_line(task: &Map<String, Value>) -> String {
    let field = |name: &str| task.get(name).map(plain).unwrap_or_default();
    format!(
        "{} {} args={} kwargs={}",
        field("name"),
        field("id"),
        field("args"),
        field("kwargs")
    )
}

/// `name: value`, with what is inside the value below it.
fn field_lines((name, value): (&String, &Value)) -> Vec<String> {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            let inner = fields.iter().flat_map(field_lines);
            let inner = inner.map(|line| format!("  {line}"));
            std::iter::once(format!("{name}:")).chain(inner).collect()
        }
        // Where a task is, and the task.
        Value::Array(pair) if matches!(&pair[..], [Value::String(_), Value::Object(_)]) => {
            vec![format!(
                "{name}: {} {}",
                plain(&pair[0]),
                item_line(&pair[1])
            )]
        }
        value => vec![format!("{name}: {}", plain(value))],
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn answers_are_told_as_celery_tells_them() {
        #[track_caller]
        fn check(answer: Value, expected: &str) {
            assert_eq!(in_full("w1@h", &answer), expected);
        }
        check(json!({ "ok": "pong" }), "->  w1@h: OK\n    pong\n");
        check(
            json!({ "error": "unknown task" }),
            "->  w1@h: ERROR\n    unknown task\n",
        );
        check(json!(null), "->  w1@h: OK\n");
        check(json!([]), "->  w1@h: OK\n    - empty -\n");
        check(json!(["a", "b"]), "->  w1@h: OK\n    * a\n    * b\n");
        check(
            json!([{ "name": "celery", "alias": null }]),
            "->  w1@h: OK\n    * celery\n",
        );
        let task = json!({ "id": "i", "name": "add", "args": [1, "x"], "kwargs": {} });
        check(
            json!([task]),
            "->  w1@h: OK\n    * add i args=[1,\"x\"] kwargs={}\n",
        );
        check(
            json!([{ "eta": "2030", "priority": 6, "request": task }]),
            "->  w1@h: OK\n    * 2030 add i args=[1,\"x\"] kwargs={}\n",
        );
        check(
            json!({ "i": ["active", task] }),
            "->  w1@h: OK\n    i: active add i args=[1,\"x\"] kwargs={}\n",
        );
        check(
            json!({ "pid": 7, "pool": { "max": 2, "processes": [7] } }),
            "->  w1@h: OK\n    pid: 7\n    pool:\n      max: 2\n      processes: [7]\n",
        );
    }
}
