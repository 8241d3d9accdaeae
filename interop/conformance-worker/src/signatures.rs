//! Signatures as values: returned, never run, or read.

use aipo::{AppBuilder, TaskResult};
use serde_json::{Value, json};

use crate::exceptions::type_error;
use crate::python::repr;

/// Tasks that return a signature of chains, groups and chords within each other.
macro_rules! nested {
    ($($name:ident = $signature:expr;)*) => {
        pub(crate) fn register(app: AppBuilder) -> AppBuilder {
            app.task(rebuild_signature::task())$(.task($name::task()))*
        }

        $(#[aipo::task(name = concat!("t.integration.tasks.", stringify!($name)))]
        async fn $name() -> Value {
            $signature
        })*
    };
}

nested! {
    return_nested_signature_chain_chain = chain(chain(add()));
    return_nested_signature_chain_group = chain(group(add()));
    return_nested_signature_chain_chord = chain(chord(add(), add()));
    return_nested_signature_group_chain = group(chain(add()));
    return_nested_signature_group_group = group(add());
    return_nested_signature_group_chord = group(chord(add(), add()));
    return_nested_signature_chord_chain = chord(add(), add());
    return_nested_signature_chord_group = chord(add(), add());
    return_nested_signature_chord_chord = chord(chord(add(), add()), add());
}

fn signature(task: &str, kwargs: Value, subtask_type: Option<&str>) -> Value {
    json!({
        "task": task, "args": [], "kwargs": kwargs, "options": {}, "subtask_type": subtask_type,
        "immutable": false,
    })
}

fn add() -> Value {
    signature("t.integration.tasks.add", json!({}), None)
}

fn chain(task: Value) -> Value {
    signature("celery.chain", json!({ "tasks": [task] }), Some("chain"))
}

fn group(task: Value) -> Value {
    signature("celery.group", json!({ "tasks": [task] }), Some("group"))
}

fn chord(header: Value, body: Value) -> Value {
    let kwargs = json!({ "kwargs": {}, "header": [header], "body": body });
    signature("celery.chord", kwargs, Some("chord"))
}

/// Checks that every part of a signature is one.
#[aipo::task(name = "t.integration.tasks.rebuild_signature")]
async fn rebuild_signature(sig_dict: Value) -> TaskResult<()> {
    check(&sig_dict)
}

fn check(signature: &Value) -> TaskResult<()> {
    let kwargs = match signature.get("task") {
        Some(Value::String(_)) => &signature["kwargs"],
        _ => {
            let text = format!("{} is not a signature object", repr(signature));
            return Err(type_error(text));
        }
    };
    match signature["subtask_type"].as_str() {
        Some("chain" | "group") => check_all(&kwargs["tasks"]),
        Some("chord") => {
            match &kwargs["header"] {
                group @ Value::Object(_) => check(group)?,
                list => check_all(list)?,
            }
            check(&kwargs["body"])
        }
        _ => Ok(()),
    }
}

fn check_all(signatures: &Value) -> TaskResult<()> {
    crate::python::iterate(signatures)?
        .iter()
        .try_for_each(check)
}
