//! Celery's message protocol 1, and what stands between it and protocol 2.
//!
//! In protocol 1 everything is in the body, which is a map; a message of both has headers as protocol 2 has
//! them and such a body. There is no `chain`: chains travel as callbacks inside of callbacks. Either
//! becomes headers and body of protocol 2. Times without an offset are read as UTC, whatever `utc` says, as
//! Celery does with its default time zone.

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::body::{Body, Kwargs};
use super::codec::json::write_text;
use super::headers::{HEADER_NAMES, Headers};
use super::python_repr::{repr_kwargs, repr_value};

/// Headers and body of protocol 2, from the headers and the map that came.
///
/// # Errors
/// When neither names a task and its id, or a field is of a wrong type.
pub(super) fn to_protocol_2(headers: &[u8], body: &[u8]) -> Result<(Headers, Vec<u8>), String> {
    let came: Kwargs<'_> =
        serde_json::from_slice(headers).map_err(|error| format!("headers: {error}"))?;
    let fields: Kwargs<'_> =
        serde_json::from_slice(body).map_err(|error| format!("body: {error}"))?;
    let field = |name: &str| {
        let found = fields.0.iter().rev().find(|(given, _)| given == name);
        found.map(|(_, value)| value.get())
    };
    let or = |name: &str, default: &'static str| match field(name) {
        None | Some("null") => default.to_owned(),
        Some(value) => value.to_owned(),
    };

    let mut headers = united(&came, &fields)?;
    let (args, kwargs) = (or("args", "[]"), or("kwargs", "{}"));
    headers.argsrepr = headers.argsrepr.or_else(|| print(&args, repr_value));
    headers.kwargsrepr = headers
        .kwargsrepr
        .or_else(|| print(&kwargs, |kwargs: &Map<String, Value>| repr_kwargs(kwargs)));

    let embed = ["callbacks", "errbacks", "chord"].map(|name| or(name, "null"));
    let [callbacks, errbacks, chord] = embed;
    let body = format!(
        "[{args}, {kwargs}, {{\"callbacks\": {callbacks}, \"errbacks\": {errbacks}, \
         \"chain\": null, \"chord\": {chord}}}]"
    )
    .into_bytes();
    Body::parse(&body).map_err(|error| format!("body: {error}"))?;
    Ok((headers, body))
}

/// The fields that are headers in protocol 2, and the headers that came. Where both have one, protocol 1 takes
/// its own, and the message of both the header.
fn united(came: &Kwargs<'_>, fields: &Kwargs<'_>) -> Result<Headers, String> {
    let known = fields.0.iter().filter_map(|(name, value)| match &**name {
        name if HEADER_NAMES.contains(&name) => Some((name, *value)),
        _ => None,
    });
    // The old name of the group, which wins where there is one.
    let taskset = fields.0.iter().filter(|(name, _)| name == "taskset");
    let known = known.chain(taskset.map(|(_, value)| ("group", *value)));
    let came = || came.0.iter().map(|(name, value)| (&**name, *value));
    let is_of_both = came().any(|(name, _)| name == "task");
    // The later one wins.
    let all: Vec<(&str, &RawValue)> = if is_of_both {
        known.chain(came()).collect()
    } else {
        came().chain(known).collect()
    };

    let mut object = b"{".to_vec();
    for (index, (name, value)) in all.into_iter().enumerate() {
        if index > 0 {
            object.push(b',');
        }
        write_text(&mut object, name);
        object.push(b':');
        object.extend_from_slice(value.get().as_bytes());
    }
    object.push(b'}');
    serde_json::from_slice(&object).map_err(|error| {
        let from = if is_of_both {
            "headers and body"
        } else {
            "body"
        };
        format!("{from}: {error}")
    })
}

/// Arguments as Python would print them; `None` where they can't be read, which the task will tell.
fn print<T: serde::de::DeserializeOwned>(
    json: &str,
    repr: impl Fn(&T) -> String,
) -> Option<String> {
    serde_json::from_str(json).ok().map(|value| repr(&value))
}
