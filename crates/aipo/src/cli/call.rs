//! `call`: sends a task by its name.

use std::time::Duration;

use aipo_core::{Signature, When};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::open;
use super::problem::{Exit, Problem};
use super::{output, result, values};
use crate::{AppBuilder, Handle};

/// Flags of `call`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The task's name, such as app.tasks.add
    name: String,
    /// Positional arguments, a JSON array
    #[arg(short, long, value_name = "JSON", value_parser = values::json_array)]
    args: Option<values::Array>,
    /// Named arguments, a JSON object
    #[arg(short, long, value_name = "JSON", value_parser = values::json_object)]
    kwargs: Option<Map<String, Value>>,
    /// Run it no earlier than this long from now, in seconds or as 90s, 5m, 1h
    #[arg(long, value_name = "DURATION", value_parser = values::duration, conflicts_with = "eta")]
    countdown: Option<Duration>,
    /// Run it no earlier than at this time (ISO 8601)
    #[arg(long, value_name = "TIME", value_parser = values::moment)]
    eta: Option<Timestamp>,
    /// Do not start it after this time, or this long from now
    #[arg(long, value_name = "TIME|DURATION", value_parser = values::when)]
    expires: Option<When>,
    /// Send it to this queue
    #[arg(long, value_name = "QUEUE")]
    queue: Option<String>,
    /// Its priority: 0 is the most urgent, 9 the least
    #[arg(long, value_name = "0-9", value_parser = clap::value_parser!(u8).range(0..=9))]
    priority: Option<u8>,
    /// Its id, instead of a new one
    #[arg(long, value_name = "ID")]
    task_id: Option<String>,
    /// Wait this long for the result and show it, instead of the id
    #[arg(long, value_name = "DURATION", value_parser = values::duration)]
    wait: Option<Duration>,
    /// Write JSON
    #[arg(short, long)]
    json: bool,
}

impl Args {
    /// Sends it and prints its id, or waits and prints its result.
    pub(super) async fn run(self, app: AppBuilder) -> Result<Exit, Problem> {
        let app = open(app).await?;
        if !app.tasks().is_empty() && app.task_options(&self.name).is_none() {
            eprintln!(
                "note: this program has no task {:?}; another one may",
                self.name
            );
        }
        let (wait, as_json) = (self.wait, self.json);
        let handle: Handle<Value> = app.send(self.signature()).await?;
        if let Some(timeout) = wait {
            return result::show(
                &app,
                &handle,
                Some(timeout),
                &result::View {
                    json: as_json,
                    traceback: false,
                },
            )
            .await;
        }
        if as_json {
            output::print_json(&json!({ "task_id": handle.id() }))?;
        } else {
            output::print(&format!("{}\n", handle.id()))?;
        }
        Ok(Exit::Done)
    }

    fn signature(self) -> Signature {
        let mut signature = Signature::new(self.name);
        signature.args = self.args.map(|array| array.0).unwrap_or_default();
        signature.kwargs = self.kwargs.unwrap_or_default();
        signature.options.eta = self.eta.map(When::At).or(self.countdown.map(When::In));
        signature.options.expires = self.expires;
        signature.options.queue = self.queue.map(Into::into);
        signature.options.priority = self.priority;
        signature.options.task_id = self.task_id.map(Into::into);
        signature
    }
}
