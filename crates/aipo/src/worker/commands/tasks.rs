//! Commands about tasks: revoking, rate limits, time limits.

use std::time::Duration;

use aipo_core::message::{TaskMeta, repr_text, repr_value};
use aipo_core::store::Location;
use aipo_core::task::RateLimit;
use aipo_core::{ErrorKind, Result, TaskId, TaskState};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Answer, Arguments, Raised, Texts, not_ok, ok, truth};
use crate::revoke::Revoke;
use crate::worker::{Shared, fields_of_revoked};

#[derive(Deserialize)]
struct RevokeArguments {
    task_id: Texts,
    #[serde(default)]
    terminate: Value,
    /// Whether it comes from aipo, which has stored all there is to store ([`RECORDED`](crate::revoke::RECORDED)).
    #[serde(default)]
    recorded: bool,
}

/// The signal is not looked at: a task here ends at its next `await`, whatever the signal.
pub(super) async fn revoke(shared: &Shared, arguments: Arguments<'_>) -> Answer {
    let RevokeArguments {
        task_id,
        terminate,
        recorded,
    } = arguments.read()?;
    if recorded {
        // What waited may have been the last part of a chord.
        shared.parts.notify_one();
        end_revoked(shared).await?;
        return Ok(Value::Null);
    }
    if truth(&terminate) {
        end(shared, task_id).await
    } else {
        flag(shared, task_id).await
    }
}

pub(super) async fn terminate(shared: &Shared, arguments: Arguments<'_>) -> Answer {
    let RevokeArguments { task_id, .. } = arguments.read()?;
    end(shared, task_id).await
}

async fn flag(shared: &Shared, ids: Texts) -> Answer {
    let ids = task_ids(ids);
    record(shared, &ids, Revoke::Waiting).await?;
    tell_revoked(shared, &ids).await?;
    tracing::info!(?ids, "tasks flagged as revoked");
    let texts: Vec<String> = ids.iter().map(|id| repr_text(id.as_str())).collect();
    let set = match texts.is_empty() {
        true => "set()".to_owned(),
        false => format!("{{{}}}", texts.join(", ")),
    };
    ok(format!("tasks {set} flagged as revoked"))
}

async fn end(shared: &Shared, ids: Texts) -> Answer {
    let ids = task_ids(ids);
    record(shared, &ids, Revoke::Running).await?;
    let ended = end_revoked(shared).await?;
    tell_revoked(shared, &ids).await?;
    let ended: Vec<&str> = ended
        .iter()
        .filter(|id| ids.contains(id))
        .map(TaskId::as_str)
        .collect();
    tracing::info!(?ids, ?ended, "tasks terminated");
    match ended.is_empty() {
        true => ok("terminate: tasks unknown"),
        false => ok(format!("terminate: {}", ended.join(", "))),
    }
}

async fn record(shared: &Shared, ids: &[TaskId], what: Revoke) -> Result<()> {
    let mut ended = Vec::new();
    let recorded = shared.app.record_revoke(ids, what, &mut ended).await;
    for id in &ended {
        let events = &shared.events;
        events.task("task-revoked", || fields_of_revoked(id, "revoked").into());
    }
    recorded?;
    // What waited may have been the last part of a chord.
    shared.parts.notify_one();
    Ok(())
}

/// The ids, each once.
fn task_ids(ids: Texts) -> Vec<TaskId> {
    let mut ids: Vec<String> = ids.into();
    ids.sort();
    ids.dedup();
    ids.into_iter().map(TaskId::from).collect()
}

/// Ends what runs here and is revoked now, and says which tasks those are.
async fn end_revoked(shared: &Shared) -> Result<Vec<TaskId>> {
    shared.revoked.update(&shared.app, None).await?;
    let now = shared.app.clock().now();
    Ok(shared.tasks.end_known_revoked(&shared.revoked, now))
}

/// Stores `REVOKED` at once for tasks that have not started as far as anybody knows, so that nobody waits for the end of
/// a task until its turn would have come. Celery does so since 5.6, for any id.
async fn tell_revoked(shared: &Shared, ids: &[TaskId]) -> Result<()> {
    let store = shared.app.store();
    let locations = match store.broker.locate(ids).await {
        Ok(locations) => locations,
        // More waits than this store searches.
        Err(error) if error.kind() == ErrorKind::TooLarge => vec![None; ids.len()],
        Err(error) => return Err(error),
    };
    let metas = store.results.get(ids).await?;
    let limit = shared.app.settings().result_read_limit();
    let not_started: Vec<TaskId> = ids
        .iter()
        .zip(locations)
        .zip(metas)
        .filter(|((_, location), meta)| {
            let runs = matches!(location, Some(Location::InFlight { .. }));
            !runs && may_be_revoked(meta.as_deref(), limit)
        })
        .map(|((id, _), _)| id.clone())
        .collect();
    shared.app.store_revoked(&not_started).await
}

/// Whether what is stored of a task says that it waits. Other states belong to somebody else.
fn may_be_revoked(meta: Option<&[u8]>, limit: usize) -> bool {
    let Some(meta) = meta else { return true };
    matches!(
        TaskMeta::state_of(meta, limit),
        Some(TaskState::Pending | TaskState::Received | TaskState::Retry | TaskState::Rejected)
    )
}

#[derive(Deserialize)]
struct Stamps {
    headers: StampHeaders,
    #[serde(default)]
    terminate: Value,
    #[serde(default)]
    recorded: bool,
}

/// A map from names to values, or `name=value`.
#[derive(Deserialize)]
#[serde(untagged)]
enum StampHeaders {
    Map(Map<String, Value>),
    List(Vec<String>),
}

pub(super) async fn revoke_by_stamps(shared: &Shared, arguments: Arguments<'_>) -> Answer {
    let Stamps {
        headers,
        terminate,
        recorded,
    } = arguments.read()?;
    if recorded {
        end_revoked(shared).await?;
        return Ok(Value::Null);
    }
    let headers = match headers {
        StampHeaders::Map(headers) => headers,
        StampHeaders::List(pairs) => pairs
            .iter()
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect(),
    };
    let terminate = truth(&terminate);
    let what = match terminate {
        true => Revoke::Running,
        false => Revoke::Waiting,
    };
    for (name, values) in &headers {
        let values = match values {
            Value::Array(values) => values.clone(),
            value => vec![value.clone()],
        };
        let now = shared.app.clock().now();
        shared.revoked.add_stamp(name, values, what, now);
    }
    let told = repr_value(&Value::Object(headers));
    if !terminate {
        return ok(format!(
            "headers {told} flagged as revoked, but not terminated"
        ));
    }
    match end_revoked(shared).await?.is_empty() {
        true => ok(format!("headers {told} were not terminated")),
        false => ok(format!("headers {told} revoked")),
    }
}

#[derive(Deserialize)]
struct Rate {
    task_name: String,
    #[serde(default)]
    rate_limit: Value,
}

pub(super) fn rate_limit(shared: &Shared, arguments: Arguments<'_>) -> Answer {
    let Rate {
        task_name,
        rate_limit,
    } = arguments.read()?;
    let text = match &rate_limit {
        Value::Null => "0".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let Ok(limit) = RateLimit::parse(&text) else {
        let text = format!("could not convert string to float: {}", repr_text(&text));
        let Raised(exception) = Raised::new("ValueError", &text);
        return not_ok(format!("Invalid rate limit string: {exception}"));
    };
    if shared.app.task_options(&task_name).is_none() {
        return not_ok("unknown task");
    }
    shared.rates.set(&task_name, limit);
    match limit {
        Some(limit) => {
            tracing::info!(task = task_name, %limit, "new rate limit");
            ok("new rate limit set successfully")
        }
        None => {
            tracing::info!(task = task_name, "rate limit disabled");
            ok("rate limit disabled successfully")
        }
    }
}

#[derive(Deserialize)]
struct TimeLimits {
    task_name: String,
    hard: Option<f64>,
    soft: Option<f64>,
}

/// Unlike Celery's it counts also for messages that carry the limits of the task as it was sent.
pub(super) fn time_limit(shared: &Shared, arguments: Arguments<'_>) -> Answer {
    let TimeLimits {
        task_name,
        hard,
        soft,
    } = arguments.read()?;
    if shared.app.task_options(&task_name).is_none() {
        return not_ok("unknown task");
    }
    let (hard, soft) = (limit(hard)?, limit(soft)?);
    shared.limits.set(&task_name, hard, soft);
    tracing::info!(task = task_name, ?hard, ?soft, "new time limits");
    ok("time limits set successfully")
}

fn limit(seconds: Option<f64>) -> Result<Option<Duration>, Raised> {
    let Some(seconds) = seconds.filter(|seconds| *seconds != 0.0) else {
        return Ok(None);
    };
    let limit = Duration::try_from_secs_f64(seconds);
    limit
        .map(Some)
        .map_err(|error| Raised::new("ValueError", &error.to_string()))
}
