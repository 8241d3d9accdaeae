//! The options of a signature: how those of a call are merged in, and how a call takes them.

use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::CanvasError;
use super::signature::{Canvas, list};
use crate::message::WireTime;
use crate::signature::{CallOptions, Place, When};

/// Options that stay once they are set: to change them would leave others waiting for ever.
const FIXED: [&str; 2] = ["group_id", "stamped_headers"];

/// Merges options of a call into those of a signature: the call's win, except for a group's id and stamps.
pub(super) fn merge(own: &mut Map<String, Value>, of_call: &Map<String, Value>) {
    let stamps = stamp_names(own);
    for (name, value) in of_call {
        let fixed = FIXED.contains(&name.as_str()) || stamps.contains(name);
        let stays = fixed && own.contains_key(name);
        if !stays && !value.is_null() {
            own.insert(name.clone(), value.clone());
        }
    }
}

/// Takes options out of a map.
pub(super) fn take(options: &mut Map<String, Value>, names: &[&str]) -> Map<String, Value> {
    let taken = names.iter().filter_map(|name| options.remove_entry(*name));
    taken.collect()
}

fn stamp_names(options: &Map<String, Value>) -> Vec<String> {
    let names = list(options.get("stamped_headers"));
    names
        .iter()
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect()
}

/// The options as a call has them.
pub(super) fn read(task: &Canvas) -> Result<CallOptions, CanvasError> {
    let options = &task.options;
    let wrong = |name: &str| {
        CanvasError(format!(
            "option {name} of a call of {} is wrong",
            task.name()
        ))
    };
    let text = |name: &str| match options.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(wrong(name)),
    };
    let number = |name: &str| match options.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_f64().map(Some).ok_or_else(|| wrong(name)),
    };
    let seconds = |name: &str| {
        let seconds = number(name)?;
        let duration = seconds.map(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)));
        duration.transpose().map_err(|_| wrong(name))
    };
    let moment = |name: &str| match options.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => when(value).map(Some).ok_or_else(|| wrong(name)),
    };
    let eta = match seconds("countdown")? {
        // Celery sends no time at all for a countdown of zero.
        Some(Duration::ZERO) => None,
        Some(delay) => Some(When::In(delay)),
        None => moment("eta")?,
    };
    let stamped_headers = stamp_names(options);
    let stamps = stamped_headers
        .iter()
        .filter_map(|name| Some((name.clone(), options.get(name)?.clone())));
    let place = Place {
        root_id: text("root_id")?.map(Into::into),
        parent_id: text("parent_id")?.map(Into::into),
        group: text("group_id")?.map(Into::into),
        group_index: options.get("group_index").and_then(Value::as_i64),
        callbacks: list(options.get("link")),
        errbacks: list(options.get("link_error")),
        chain: match options.get("chain") {
            Some(Value::Array(chain)) => Some(chain.clone()),
            _ => None,
        },
        chord: options
            .get("chord")
            .filter(|chord| !chord.is_null())
            .cloned(),
        replaced_task_nesting: number("replaced_task_nesting")?.unwrap_or_default() as u32,
        reply_to: text("reply_to")?,
        stamps: stamps.collect(),
        stamped_headers,
    };
    Ok(CallOptions {
        task_id: text("task_id")?.map(Into::into),
        queue: text("queue")?.or(text("routing_key")?).map(Into::into),
        priority: number("priority")?.map(|priority| priority.clamp(0.0, 9.0) as u8),
        eta,
        expires: moment("expires")?,
        time_limit: seconds("time_limit")?,
        soft_time_limit: seconds("soft_time_limit")?,
        ignore_result: options.get("ignore_result").and_then(Value::as_bool),
        shadow: text("shadow")?,
        serializer: named(text("serializer")?).map_err(|()| wrong("serializer"))?,
        compression: named(text("compression")?).map_err(|()| wrong("compression"))?,
        headers: match options.get("headers") {
            Some(Value::Object(headers)) => headers.clone(),
            _ => Map::new(),
        },
        place,
    })
}

/// Something that is known by its name.
fn named<T: FromStr>(name: Option<String>) -> Result<Option<T>, ()> {
    name.map(|name| name.parse().map_err(|_| ())).transpose()
}

/// A moment as Celery writes one: ISO text, or seconds from now.
fn when(value: &Value) -> Option<When> {
    if let Some(seconds) = value.as_f64() {
        let delay = Duration::try_from_secs_f64(seconds.max(0.0)).ok()?;
        return Some(When::In(delay));
    }
    // kombu's own form of a datetime.
    let text = value
        .as_str()
        .or_else(|| value.get("__value__")?.as_str())?;
    WireTime::parse(text).map(|time| When::At(time.timestamp()))
}

/// The options of a call as a signature carries them.
pub(super) fn write(call: &CallOptions) -> Map<String, Value> {
    let mut options = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            options.insert(name.to_owned(), value);
        }
    };
    let seconds = |duration: Duration| -> Value { duration.as_secs_f64().into() };
    let iso = |moment: Timestamp| -> Value { crate::message::format_utc(moment).into() };
    put(
        "task_id",
        call.task_id.as_ref().map(|id| id.as_str().into()),
    );
    put(
        "queue",
        call.queue.as_ref().map(|queue| queue.as_str().into()),
    );
    put("priority", call.priority.map(Into::into));
    match call.eta {
        Some(When::In(delay)) => put("countdown", Some(seconds(delay))),
        Some(When::At(moment)) => put("eta", Some(iso(moment))),
        None => {}
    }
    put(
        "expires",
        call.expires.map(|when| match when {
            When::In(delay) => seconds(delay),
            When::At(moment) => iso(moment),
        }),
    );
    put("time_limit", call.time_limit.map(seconds));
    put("soft_time_limit", call.soft_time_limit.map(seconds));
    put("ignore_result", call.ignore_result.map(Into::into));
    put("shadow", call.shadow.clone().map(Into::into));
    put(
        "serializer",
        call.serializer.map(|serializer| serializer.name().into()),
    );
    put(
        "compression",
        call.compression
            .map(|compression| compression.to_string().into()),
    );
    if !call.headers.is_empty() {
        put("headers", Some(call.headers.clone().into()));
    }
    let place = &call.place;
    if !place.callbacks.is_empty() {
        put("link", Some(place.callbacks.clone().into()));
    }
    if !place.errbacks.is_empty() {
        put("link_error", Some(place.errbacks.clone().into()));
    }
    put("reply_to", place.reply_to.clone().map(Into::into));
    if !place.stamped_headers.is_empty() {
        put(
            "stamped_headers",
            Some(place.stamped_headers.clone().into()),
        );
        options.extend(place.stamps.clone());
    }
    options
}
