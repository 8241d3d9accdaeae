//! Who is there, which tasks run, wait or are known.

use std::collections::{BTreeMap, HashSet};

use aipo_core::control::{ScheduledTask, TaskInfo};
use aipo_core::message::{Body, Headers, Properties, TaskMessage, WireTime, decode, format_utc};
use aipo_core::store::{Delivery, Parked};
use aipo_core::task::TaskOptions;
use aipo_core::{QueueName, TaskId};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Answer, Arguments, Raised, Texts, truth};
use crate::control::unix_seconds;
use crate::task::was_given_back;
use crate::worker::tasks::Running;
use crate::worker::{Shared, mingle};

/// How many tasks that wait for their time are told at most: those that are due first.
const SCHEDULED: usize = 1_000;

pub(super) fn ping() -> Answer {
    Ok(json!({ "ok": "pong" }))
}

pub(super) fn clock(shared: &Shared) -> Answer {
    Ok(json!({ "clock": shared.app.lamport().value() }))
}

#[derive(Deserialize)]
struct Hello {
    from_node: String,
    #[serde(default)]
    revoked: Value,
}

/// A worker that starts greets; see `mingle`.
pub(super) async fn hello(shared: &Shared, arguments: Arguments<'_>) -> Answer {
    let Hello { from_node, revoked } = arguments.read()?;
    if from_node == *shared.name {
        tracing::warn!(worker = %shared.name, "another worker with this name starts");
        return Ok(Value::Null);
    }
    mingle::learn(shared, mingle::revoked_ids(&revoked)).await?;
    shared.revoked.update(&shared.app, None).await?;
    Ok(json!({ "revoked": shared.revoked.ids(), "clock": shared.app.lamport().forward() }))
}

#[derive(Deserialize)]
struct Active {
    /// Whether arguments are told as texts.
    #[serde(default)]
    safe: Value,
}

pub(super) fn active(shared: &Shared, arguments: Arguments<'_>) -> Answer {
    let Active { safe } = arguments.read()?;
    let running = shared.tasks.active();
    let tasks = running.iter().map(|task| told_running(task, truth(&safe)));
    Ok(json!(tasks.collect::<Vec<TaskInfo>>()))
}

pub(super) fn reserved(shared: &Shared, arguments: Arguments<'_>) -> Answer {
    let Active { safe } = arguments.read()?;
    let held = shared.held.list();
    let tasks = held
        .into_iter()
        .filter_map(|delivery| told_held(shared, delivery, truth(&safe)));
    Ok(json!(tasks.collect::<Vec<TaskInfo>>()))
}

pub(super) async fn scheduled(shared: &Shared, arguments: Arguments<'_>) -> Answer {
    let Active { safe } = arguments.read()?;
    Ok(json!(parked(shared, truth(&safe)).await?))
}

async fn parked(shared: &Shared, safe: bool) -> Result<Vec<ScheduledTask>, Raised> {
    let queues = shared.queues.borrow().clone();
    let parked = shared.app.store().broker.parked(&queues, SCHEDULED).await?;
    let told = parked
        .into_iter()
        .filter_map(|parked| told_parked(shared, parked, safe));
    Ok(told.collect())
}

#[derive(Deserialize)]
struct Query {
    #[serde(default)]
    ids: Texts,
}

/// Where tasks are; those that are not here are left out.
pub(super) async fn query_task(shared: &Shared, arguments: Arguments<'_>) -> Answer {
    let Query { ids } = arguments.read()?;
    let ids: Vec<String> = ids.into();
    let ids: HashSet<TaskId> = ids.into_iter().map(TaskId::from).collect();
    let mut found: BTreeMap<TaskId, (&str, TaskInfo)> = BTreeMap::new();
    let mut add = |state, task: TaskInfo| {
        if ids.contains(&task.id) {
            found.insert(task.id.clone(), (state, task));
        }
    };
    // What is nearer to its end is told last, and stays.
    for task in parked(shared, false).await? {
        add("scheduled", task.request);
    }
    for delivery in shared.held.list() {
        if let Some(task) = told_held(shared, delivery, false) {
            add("reserved", task);
        }
    }
    for task in shared.tasks.active() {
        add("active", told_running(&task, false));
    }
    Ok(json!(found))
}

pub(super) async fn revoked(shared: &Shared) -> Answer {
    shared.revoked.update(&shared.app, None).await?;
    Ok(json!(shared.revoked.ids()))
}

#[derive(Deserialize)]
struct Registered {
    taskinfoitems: Option<Vec<String>>,
}

/// The names of the tasks, each with what was asked for: `name [rate_limit=10/m]`.
pub(super) fn registered(shared: &Shared, arguments: Arguments<'_>) -> Answer {
    let Registered { taskinfoitems } = arguments.read()?;
    let default = || {
        ["exchange", "routing_key", "rate_limit"]
            .map(str::to_owned)
            .to_vec()
    };
    let items = taskinfoitems
        .filter(|items| !items.is_empty())
        .unwrap_or_else(default);
    let app = &shared.app;
    let tasks = app.tasks().into_iter().filter_map(|name| {
        let options = app.task_options(name)?;
        let told: Vec<String> = items
            .iter()
            .filter_map(|item| {
                Some(format!(
                    "{item}={}",
                    attribute(shared, name, options, item)?
                ))
            })
            .collect();
        Some(match told.is_empty() {
            true => name.to_owned(),
            false => format!("{name} [{}]", told.join(" ")),
        })
    });
    Ok(json!(tasks.collect::<Vec<String>>()))
}

/// An attribute of a task as Python prints it, by Celery's name; `None` when it is not set.
fn attribute(shared: &Shared, name: &str, options: &TaskOptions, item: &str) -> Option<String> {
    let python_bool = |flag: bool| if flag { "True" } else { "False" }.to_owned();
    let seconds = |limit: std::time::Duration| limit.as_secs_f64().to_string();
    let settings = shared.app.settings();
    match item {
        "name" => Some(name.to_owned()),
        "queue" => options.queue.as_ref().map(ToString::to_string),
        "priority" => options.priority.map(|priority| priority.to_string()),
        "rate_limit" => shared
            .rates
            .limit(name, options, settings)
            .map(|limit| limit.to_string()),
        "max_retries" => options.retries.max.map(|max| max.to_string()),
        "default_retry_delay" => Some(seconds(options.retries.delay)),
        "time_limit" => options.time_limit.map(seconds),
        "soft_time_limit" => options.soft_time_limit.map(seconds),
        "expires" => options.expires.map(seconds),
        "acks_late" => Some(python_bool(
            options.acks_late.unwrap_or(settings.task_acks_late),
        )),
        "ignore_result" => Some(python_bool(
            options.ignore_result.unwrap_or(settings.task_ignore_result),
        )),
        "track_started" => Some(python_bool(
            options.track_started.unwrap_or(settings.task_track_started),
        )),
        _ => None,
    }
}

/// The queues it takes from, as kombu describes them. Exchanges are Celery's defaults: aipo has none.
pub(super) fn active_queues(shared: &Shared, arguments: Arguments<'_>) -> Answer {
    arguments.only(&[])?;
    let queues = shared.queues.borrow();
    Ok(queues.iter().map(queue).collect())
}

fn queue(name: &QueueName) -> Value {
    json!({
        "name": name,
        "exchange": {
            "name": name, "type": "direct", "arguments": null, "durable": true, "passive": false,
            "auto_delete": false, "delivery_mode": null, "no_declare": false,
        },
        "routing_key": name, "queue_arguments": null, "binding_arguments": null,
        "consumer_arguments": null, "durable": true, "exclusive": false, "auto_delete": false,
        "no_ack": false, "alias": null, "bindings": [], "no_declare": null, "expires": null,
        "message_ttl": null, "max_length": null, "max_length_bytes": null, "max_priority": null,
    })
}

/// Looks into Python's memory, which is not here.
pub(super) fn memory(method: &str) -> Answer {
    let text = format!("{method}: this worker is not written in Python");
    Err(Raised::new("NotImplementedError", &text))
}

fn told_running(task: &Running, safe: bool) -> TaskInfo {
    let cx = &task.cx;
    TaskInfo {
        time_start: Some(unix_seconds(task.started)),
        acknowledged: task.acknowledged,
        worker_pid: Some(std::process::id()),
        ..told(&Told {
            node: cx.worker(),
            headers: cx.headers(),
            properties: cx.properties(),
            queue: cx.queue(),
            body: &task.cx.parts().body,
            redelivered: cx.redelivered(),
            safe,
        })
    }
}

fn told_held(shared: &Shared, delivery: Delivery, safe: bool) -> Option<TaskInfo> {
    let message = decode(delivery.envelope, shared.app.settings()).ok()?;
    let redelivered = delivery.deliveries > 0 || was_given_back(&message.headers);
    Some(told_waiting(
        shared,
        &message,
        &delivery.queue,
        redelivered,
        safe,
    ))
}

fn told_parked(shared: &Shared, parked: Parked, safe: bool) -> Option<ScheduledTask> {
    let message = decode(parked.envelope, shared.app.settings()).ok()?;
    Some(ScheduledTask {
        eta: iso(due(&message.headers, parked.due)),
        priority: 6,
        request: told_waiting(shared, &message, &parked.queue, false, safe),
    })
}

/// When a task is due: as its message says, to the microsecond, where that is why it waits. Stores round up to the
/// millisecond, and a rate limit can make it later.
fn due(headers: &Headers, parked: Timestamp) -> Timestamp {
    let eta = headers.eta.as_ref().map(WireTime::timestamp);
    eta.filter(|eta| parked.duration_since(*eta).abs() < SignedDuration::from_millis(1))
        .unwrap_or(parked)
}

/// Python's `isoformat`, which leaves out a fraction of zero.
fn iso(moment: Timestamp) -> String {
    let text = format_utc(moment);
    match text.split_once(".000000") {
        Some((whole, offset)) => format!("{whole}{offset}"),
        None => text,
    }
}

fn told_waiting(
    shared: &Shared,
    message: &TaskMessage,
    queue: &QueueName,
    redelivered: bool,
    safe: bool,
) -> TaskInfo {
    told(&Told {
        node: &shared.name,
        headers: &message.headers,
        properties: &message.properties,
        queue,
        body: &message.body,
        redelivered,
        safe,
    })
}

struct Told<'a> {
    node: &'a str,
    headers: &'a Headers,
    properties: &'a Properties,
    queue: &'a QueueName,
    body: &'a [u8],
    redelivered: bool,
    safe: bool,
}

fn told(task: &Told<'_>) -> TaskInfo {
    let Told {
        headers,
        properties,
        queue,
        redelivered,
        ..
    } = task;
    let (args, kwargs) = arguments_of(task);
    TaskInfo {
        id: headers.id.clone(),
        name: headers.display_name().to_owned(),
        args,
        kwargs,
        kind: headers.task.clone(),
        hostname: task.node.to_owned(),
        time_start: None,
        acknowledged: false,
        delivery_info: json!({
            "exchange": "",
            "routing_key": queue,
            "priority": properties.priority,
            "redelivered": redelivered,
        }),
        worker_pid: None,
    }
}

/// The arguments themselves, or as the message says that Python prints them.
fn arguments_of(task: &Told<'_>) -> (Value, Value) {
    let headers = task.headers;
    let texts = || (json!(headers.argsrepr), json!(headers.kwargsrepr));
    if task.safe {
        return texts();
    }
    let Ok(Body(args, kwargs, _)) = Body::parse(task.body) else {
        return texts();
    };
    let kwargs: Map<String, Value> = kwargs
        .0
        .into_iter()
        .map(|(name, value)| (name.into_owned(), json!(value)))
        .collect();
    (json!(args), Value::Object(kwargs))
}
