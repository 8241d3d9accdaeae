//! A workflow for aipo, and the tasks that it is made of.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use aipo::{App, AppBuilder, Canvas, Context, Revoke, TaskError, TaskId, TaskResult};
use serde_json::{Value, json};

use super::interpreter::digest;
use super::spec::{How, Spec};

/// The stamp of marked tasks.
const MARK: &str = "unwanted";

/// Ends the worker that calls it.
pub(super) type Death = Box<dyn Fn() + Send + Sync>;

/// An app that knows the tasks. `runs` is the file where they leave their runs.
///
/// By `keeps_apart` it keeps what comes later apart from its messages, or sends it along.
pub(super) fn app(runs: &Path, death: Death, keeps_apart: bool) -> AppBuilder {
    let runs = OpenOptions::new().append(true).create(true).open(runs);
    App::builder("law")
        .settings(|settings| {
            settings.workflow_inline_max_size = if keeps_apart { 0 } else { usize::MAX };
        })
        .task(work::task())
        .task(deadly::task())
        .data(runs.expect("a file"))
        .data(death)
}

/// Revokes what is to be revoked before it starts, now and later.
pub(super) async fn revoke_the_unwanted(app: &App, specs: &[Spec]) -> aipo::Result<()> {
    app.revoke_by_stamp(MARK, vec![true.into()], Revoke::Waiting)
        .await?;
    let mut ids = Vec::new();
    specs.iter().for_each(|spec| unwanted(spec, &mut ids));
    app.revoke(&ids, Revoke::Waiting).await
}

fn unwanted(spec: &Spec, ids: &mut Vec<TaskId>) {
    let mut all = |specs: &[Spec]| specs.iter().for_each(|spec| unwanted(spec, ids));
    match spec {
        Spec::Task {
            label,
            how,
            callback,
            errback,
            ..
        } => {
            let linked = callback.iter().chain(errback);
            linked.for_each(|linked| unwanted(linked, ids));
            if matches!(how, How::Revoked) {
                ids.push(fixed_id(*label).into());
            }
        }
        Spec::Chain(parts) | Spec::Group(parts) => all(parts),
        Spec::Chord(header, body) => {
            all(header);
            unwanted(body, ids);
        }
        Spec::Gather => {}
    }
}

/// The id of a task that is revoked by it.
fn fixed_id(label: u64) -> String {
    format!("unwanted-{label}")
}

pub(super) fn canvas(spec: &Spec) -> Canvas {
    match spec {
        Spec::Task {
            label,
            how,
            takes_nothing,
            callback,
            errback,
        } => {
            let told = match how {
                How::AfterRetries(retries) => json!(retries),
                How::As(other) => canvas(other).to_value(),
                other => json!(format!("{other:?}")),
            };
            let mut task = match how {
                How::Unknown => Canvas::task("unknown"),
                How::Deadly => Canvas::task("deadly"),
                _ => work_on(*label, told),
            };
            task.immutable = *takes_nothing;
            match how {
                How::Marked => task.stamp(MARK, &true.into()),
                How::Revoked => {
                    let id = fixed_id(*label);
                    task.options.insert("task_id".to_owned(), id.into());
                }
                How::Expired => {
                    let long_ago = "2020-02-02T02:02:02+00:00";
                    task.options.insert("expires".to_owned(), long_ago.into());
                }
                _ => {}
            }
            if let Some(callback) = callback {
                task.link(&canvas(callback).to_value());
            }
            if let Some(errback) = errback {
                task.link_error(&canvas(errback).to_value());
            }
            task
        }
        Spec::Chain(steps) => Canvas::chain(steps.iter().map(canvas).collect()),
        Spec::Group(members) => Canvas::group(members.iter().map(canvas).collect()),
        Spec::Chord(header, body) => {
            Canvas::chord(header.iter().map(canvas).collect(), canvas(body))
        }
        Spec::Gather => unreachable!("nobody writes it"),
    }
}

fn work_on(label: u64, how: Value) -> Canvas {
    let mut task = Canvas::task("work");
    task.kwargs.insert("label".to_owned(), label.into());
    task.kwargs.insert("how".to_owned(), how);
    task
}

/// What goes wrong once in a while.
#[derive(Debug)]
struct Hiccup;

impl std::fmt::Display for Hiccup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("hiccup")
    }
}

impl std::error::Error for Hiccup {}

/// By chance a task can be hit by many kills, which is not what is tried here: so many deliveries are allowed.
#[aipo::task(
    name = "work",
    max_retries = 10,
    retry_delay = "100ms",
    autoretry_for(Hiccup),
    max_deliveries = 1000
)]
async fn work(
    cx: &Context,
    #[arg(rest)] args: Vec<Value>,
    #[arg(named)] label: u64,
    #[arg(named)] how: Value,
) -> TaskResult<Value> {
    Run::of(cx, label).append(cx.data::<File>()?)?;
    // A kill may come meanwhile.
    tokio::time::sleep(Duration::from_millis(label % 7)).await;
    match &how {
        Value::Number(retries)
            if u64::from(cx.retries()) < retries.as_u64().unwrap_or_default() =>
        {
            match cx.retries() % 2 {
                0 => Err(TaskError::retry()),
                _ => Err(Hiccup.into()),
            }
        }
        Value::Object(_) => {
            let canvas = Canvas::from_value(&how).expect("a signature");
            Err(TaskError::replace(canvas))
        }
        Value::String(how) => match how.as_str() {
            "Badly" => Err(TaskError::fail("as told")),
            "OutOfRetries" => Err(TaskError::retry().max_retries(1)),
            "Rejecting" => Err(TaskError::reject("as told")),
            "RevokedRunning" => {
                let own = [cx.id().clone()];
                // The store may be away for a while.
                while cx.app().revoke(&own, Revoke::Running).await.is_err() {
                    tokio::task::yield_now().await;
                }
                std::future::pending().await
            }
            _ => Ok(digest(label, &args)),
        },
        _ => Ok(digest(label, &args)),
    }
}

#[aipo::task(name = "deadly", max_deliveries = 2)]
async fn deadly(cx: &Context, #[arg(rest)] _args: Vec<Value>) -> TaskResult<Value> {
    cx.data::<Death>()?();
    std::future::pending().await
}

/// A run of a task.
///
/// Runs are lines of a file that all workers append to: one `write` is not interleaved with another, and what it
/// wrote outlives its process.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Run {
    label: u64,
    /// Together with `retries`, its message.
    id: String,
    retries: u32,
    /// The delivery of that message, from 1.
    delivery: u32,
}

impl Run {
    fn of(cx: &Context, label: u64) -> Self {
        Self {
            label,
            id: cx.id().to_string(),
            retries: cx.retries(),
            delivery: cx.deliveries(),
        }
    }

    fn append(&self, mut file: &File) -> std::io::Result<()> {
        let Self {
            label,
            id,
            retries,
            delivery,
        } = self;
        file.write_all(format!("{label} {id} {retries} {delivery}\n").as_bytes())
    }

    fn read(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        Some(Self {
            label: words.next()?.parse().ok()?,
            id: words.next()?.to_owned(),
            retries: words.next()?.parse().ok()?,
            delivery: words.next()?.parse().ok()?,
        })
    }
}

/// Reads what the tasks left.
pub(super) struct Reader(File);

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The different messages that ran, by label.
    pub(super) messages: BTreeMap<u64, usize>,
    /// Deliveries that ran more than once.
    pub(super) twice: Vec<String>,
    /// Runs beyond the first of a message.
    pub(super) again: usize,
}

impl Reader {
    pub(super) fn open(runs: &Path) -> Self {
        Self(File::open(runs).expect("a file"))
    }

    /// The runs since it was asked last.
    pub(super) fn next(&mut self) -> Seen {
        let mut text = String::new();
        self.0.read_to_string(&mut text).expect("text");
        let mut runs = BTreeSet::new();
        let mut messages = BTreeSet::new();
        let mut seen = Seen::default();
        for line in text.lines() {
            let run = Run::read(line).expect("a run");
            if messages.insert((run.label, run.id.clone(), run.retries)) {
                *seen.messages.entry(run.label).or_default() += 1;
            } else {
                seen.again += 1;
            }
            if !runs.insert(run) {
                seen.twice.push(line.to_owned());
            }
        }
        seen
    }
}
