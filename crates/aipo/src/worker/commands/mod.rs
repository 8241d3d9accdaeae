//! The commands that a worker understands: Celery's, each a small function, with answers of Celery's shape and words.
//!
//! | file | commands |
//! |---|---|
//! | `inspect` | who is there, which tasks run, wait or are known |
//! | `stats` | numbers about the worker and its process |
//! | `settings` | `conf`, `report` |
//! | `tasks` | revoking, rate limits, time limits |
//! | `worker` | queues, slots, events, the end |
//!
//! An answer is what a command returns; what goes wrong is `{"error": …}` with a Python exception as its text, since
//! that is what those who ask expect.

mod inspect;
mod settings;
mod stats;
mod tasks;
mod worker;

use std::sync::Arc;

use aipo_core::Error;
use aipo_core::message::repr_text;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::Shared;

/// Why a command fails: a Python exception as it prints itself.
struct Raised(String);

type Answer = Result<Value, Raised>;

/// Carries a command out; `None` where Celery's workers give no answer.
pub(super) async fn run(
    shared: &Arc<Shared>,
    method: &str,
    arguments: Map<String, Value>,
) -> Option<Value> {
    let arguments = Arguments {
        method,
        given: arguments,
    };
    let answer = match method {
        "ping" => inspect::ping(),
        "clock" => inspect::clock(shared),
        "hello" => inspect::hello(shared, arguments).await,
        "active" | "dump_active" => inspect::active(shared, arguments),
        "reserved" | "dump_reserved" => inspect::reserved(shared, arguments),
        "scheduled" | "dump_schedule" => inspect::scheduled(shared, arguments).await,
        "query_task" => inspect::query_task(shared, arguments).await,
        "revoked" | "dump_revoked" => inspect::revoked(shared).await,
        "registered" | "dump_tasks" => inspect::registered(shared, arguments),
        "active_queues" => inspect::active_queues(shared, arguments),
        "memsample" | "memdump" | "objgraph" => inspect::memory(method),
        "stats" => stats::stats(shared),
        "conf" | "dump_conf" => settings::conf(shared, arguments),
        "report" => settings::report(shared, arguments),
        "revoke" => tasks::revoke(shared, arguments).await,
        "terminate" => tasks::terminate(shared, arguments).await,
        "revoke_by_stamped_headers" => tasks::revoke_by_stamps(shared, arguments).await,
        "rate_limit" => tasks::rate_limit(shared, arguments),
        "time_limit" => tasks::time_limit(shared, arguments),
        "add_consumer" => worker::add_consumer(shared, arguments),
        "cancel_consumer" => worker::cancel_consumer(shared, arguments),
        "pool_grow" => worker::pool_grow(shared, arguments),
        "pool_shrink" => worker::pool_shrink(shared, arguments),
        "autoscale" => worker::autoscale(arguments),
        "pool_restart" => worker::pool_restart(),
        "enable_events" => worker::enable_events(shared, arguments),
        "disable_events" => worker::disable_events(shared, arguments),
        "heartbeat" => worker::heartbeat(shared, arguments),
        "election" => worker::election(arguments),
        "shutdown" => {
            worker::shutdown(shared);
            return None;
        }
        unknown => {
            tracing::error!(method = unknown, "there is no such command");
            Err(Raised::new("KeyError", unknown))
        }
    };
    Some(answer.unwrap_or_else(|Raised(exception)| {
        tracing::warn!(method, exception, "a command failed");
        json!({ "error": exception })
    }))
}

impl Raised {
    fn new(class: &str, text: &str) -> Self {
        Self(format!("{class}({})", repr_text(text)))
    }
}

/// What the store answers.
impl From<Error> for Raised {
    fn from(error: Error) -> Self {
        Self::new("OperationalError", &error.to_string())
    }
}

/// `{"ok": text}`: done, or will be.
fn ok(text: impl Into<String>) -> Answer {
    Ok(json!({ "ok": text.into() }))
}

/// `{"error": text}`: not done, in plain words.
fn not_ok(text: impl Into<String>) -> Answer {
    Ok(json!({ "error": text.into() }))
}

/// The arguments of a command, not yet read.
struct Arguments<'a> {
    method: &'a str,
    given: Map<String, Value>,
}

impl Arguments<'_> {
    /// Reads them; those that the command does not know are ignored.
    fn read<T: DeserializeOwned>(self) -> Result<T, Raised> {
        T::deserialize(Value::Object(self.given)).map_err(|error| {
            let text = format!("{}(): {error}", self.method);
            Raised::new("TypeError", &text)
        })
    }

    /// For commands that accept these arguments only.
    fn only(self, known: &[&str]) -> Result<Self, Raised> {
        let Some(unknown) = self.given.keys().find(|name| !known.contains(&&***name)) else {
            return Ok(self);
        };
        let text = format!(
            "{}() got an unexpected keyword argument '{unknown}'",
            self.method
        );
        Err(Raised::new("TypeError", &text))
    }
}

/// What Python takes to be true.
fn truth(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}

/// One text, or several.
#[derive(Deserialize, Default)]
#[serde(untagged)]
enum Texts {
    One(String),
    Many(Vec<String>),
    #[default]
    None,
}

impl From<Texts> for Vec<String> {
    fn from(texts: Texts) -> Self {
        match texts {
            Texts::One(text) => vec![text],
            Texts::Many(texts) => texts,
            Texts::None => Vec::new(),
        }
    }
}
