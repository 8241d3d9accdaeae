//! `events`: what workers, tasks and senders tell, as it happens.

use std::io::{self, Write};

use aipo_core::message::{repr_text, repr_value};
use jiff::Timestamp;
use serde_json::Value;

use super::open;
use super::problem::{Exit, Problem};
use crate::{AppBuilder, Event};

/// Flags of `events`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Let the workers tell what happens to their tasks, and leave it so
    #[arg(short = 'E', long)]
    enable: bool,
    /// End after so many events; at Ctrl-C otherwise
    #[arg(short = 'n', long, value_name = "N")]
    limit: Option<u64>,
    /// Write JSON, an event a line
    #[arg(short, long)]
    json: bool,
    /// What it does anyway, for those used to Celery
    #[arg(short, long, hide = true)]
    dump: bool,
}

impl Args {
    pub(super) async fn run(self, app: AppBuilder) -> Result<Exit, Problem> {
        let app = open(app).await?;
        let mut events = app.events().await?;
        if self.enable {
            app.control().tell("enable_events", Value::Null).await?;
        }
        for _ in 0..self.limit.unwrap_or(u64::MAX) {
            let event = events.next().await?;
            let line = match self.json {
                true => serde_json::to_string(&event).map_err(io::Error::from)?,
                false => line(&event),
            };
            // A line goes out as it comes, so that the other end of a pipe sees it.
            let mut stdout = io::stdout().lock();
            match writeln!(stdout, "{line}").and_then(|()| stdout.flush()) {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
                told => told?,
            }
        }
        Ok(Exit::Done)
    }
}

/// When, who, what, about which task, and the rest.
fn line(event: &Event) -> String {
    let micros = (event.timestamp * 1e6) as i64;
    let when = Timestamp::from_microsecond(micros).unwrap_or_default();
    let mut line = format!(
        "{} {} {}",
        when.strftime("%Y-%m-%d %H:%M:%S.%6fZ"),
        event.hostname,
        event.kind
    );
    if let Some(id) = event.uuid() {
        line.push_str(&format!(" {id}"));
    }
    for (name, value) in &event.fields {
        if name != "uuid" {
            let told = match value {
                Value::String(text) => repr_text(text),
                value => repr_value(value),
            };
            line.push_str(&format!(" {name}={told}"));
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_a_line() {
        let event: Event = serde_json::from_str(
            r#"{"hostname": "w1@h", "pid": 7, "clock": 38, "uuid": "58a0b9c4", "result": "5", "runtime": 0.5,
                "timestamp": 1795184953.25, "type": "task-succeeded", "traceback": "a\nb"}"#,
        )
        .expect("an event");
        assert_eq!(
            line(&event),
            "2026-11-20 14:29:13.250000Z w1@h task-succeeded 58a0b9c4 result='5' runtime=0.5 traceback='a\\nb'"
        );
    }
}
