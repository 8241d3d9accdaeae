//! `result`: what became of a task.

use std::time::Duration;

use aipo_core::TaskState;
use aipo_core::message::TaskMeta;
use aipo_core::store::Location;
use serde_json::{Value, json};

use super::open;
use super::problem::{Exit, Problem};
use super::{output, values};
use crate::{App, AppBuilder, Handle};

/// Flags of `result`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The task's id
    #[arg(value_name = "ID")]
    id: String,
    /// Wait this long for the task to end
    #[arg(long, value_name = "DURATION", value_parser = values::duration)]
    wait: Option<Duration>,
    /// Show the failure at length
    #[arg(long)]
    traceback: bool,
    /// Write JSON
    #[arg(short, long)]
    json: bool,
}

/// How a result is shown.
pub(super) struct View {
    pub(super) json: bool,
    pub(super) traceback: bool,
}

impl Args {
    pub(super) async fn run(self, app: AppBuilder) -> Result<Exit, Problem> {
        let app = open(app).await?;
        let handle = app.result(self.id.as_str());
        let view = View {
            json: self.json,
            traceback: self.traceback,
        };
        show(&app, &handle, self.wait, &view).await
    }
}

/// Prints what is known of a task, after waiting for its end if asked to.
pub(super) async fn show(
    app: &App,
    handle: &Handle<Value>,
    wait: Option<Duration>,
    view: &View,
) -> Result<Exit, Problem> {
    let ended = match wait {
        Some(timeout) => handle.wait(timeout).await?,
        None => None,
    };
    let meta = match ended {
        Some(meta) => Some(meta),
        None => handle.meta().await?,
    };
    let known = match meta {
        Some(meta) => Known::Stored(meta),
        None => match locate(app, handle).await? {
            Some(location) => Known::Message(location),
            // It may have ended between the two questions.
            None => match handle.meta().await? {
                Some(meta) => Known::Stored(meta),
                None => return Err(unknown(handle)),
            },
        },
    };
    if view.json {
        output::print_json(&known.to_json(handle))?;
    } else {
        output::print(&known.to_text(view.traceback))?;
    }
    Ok(match known.state() {
        TaskState::Success => Exit::Done,
        TaskState::Failure | TaskState::Revoked => Exit::Negative,
        _ if wait.is_some() => {
            eprintln!("note: the task has not ended in the time given");
            Exit::NotReady
        }
        _ => Exit::Done,
    })
}

async fn locate(app: &App, handle: &Handle<Value>) -> Result<Option<Location>, Problem> {
    let ids = std::slice::from_ref(handle.id());
    let locations = app.store().broker.locate(ids).await?;
    Ok(locations.into_iter().flatten().next())
}

fn unknown(handle: &Handle<Value>) -> Problem {
    Problem::new(
        Exit::Negative,
        format!("nothing is known of task {}", handle.id()),
    )
    .hint("it was never sent to this store, its result was not stored, or the result has expired")
}

/// What is known of a task.
enum Known {
    /// A result.
    Stored(TaskMeta),
    /// No result, but a message.
    Message(Location),
}

impl Known {
    fn state(&self) -> TaskState {
        match self {
            Self::Stored(meta) => meta.status.clone(),
            Self::Message(Location::Ready { .. } | Location::Parked { .. }) => TaskState::Pending,
            Self::Message(Location::InFlight { .. }) => TaskState::Received,
            Self::Message(Location::Dead { .. }) => TaskState::Failure,
        }
    }

    fn to_text(&self, traceback: bool) -> String {
        let mut lines = vec![("state", self.state().to_string())];
        match self {
            Self::Stored(meta) => {
                let failed = matches!(
                    meta.status,
                    TaskState::Failure | TaskState::Retry | TaskState::Revoked
                );
                match meta.exception().filter(|_| failed) {
                    Some(exception) => lines.push(("error", exception.to_string())),
                    None => lines.push(("value", meta.result.get().to_owned())),
                }
                lines.extend(meta.date_done.clone().map(|at| ("done", at)));
                if traceback {
                    let story = meta.traceback.as_deref().unwrap_or("none is stored");
                    lines.push(("trace", story.trim_end().replace('\n', "\n       ")));
                }
            }
            Self::Message(location) => lines.push(("place", place(location))),
        }
        lines
            .into_iter()
            .map(|(what, text)| format!("{what:<5}  {text}\n"))
            .collect()
    }

    fn to_json(&self, handle: &Handle<Value>) -> Value {
        match self {
            Self::Stored(meta) => json!(meta),
            Self::Message(location) => json!({
                "task_id": handle.id(),
                "status": self.state(),
                "result": null,
                "place": place(location),
            }),
        }
    }
}

fn place(location: &Location) -> String {
    match location {
        Location::Ready { queue } => format!("waits in queue {queue}"),
        Location::Parked { queue, due } => format!("parked until {due} for queue {queue}"),
        Location::InFlight { queue, consumer } => {
            format!("held by worker {consumer}, from queue {queue}")
        }
        Location::Dead { queue } => {
            format!("among the dead letters of queue {queue}, see `queues dead`")
        }
    }
}
