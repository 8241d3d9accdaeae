//! How deep a workflow may nest.
//!
//! What is done with a workflow is done by functions that call themselves, so the stack sets a limit to it. The limits
//! are far beyond what people write by hand.

use serde::Deserialize as _;
use serde_json::Value;

use super::CanvasError;
use super::signature::{Canvas, Kind};

/// Groups one after the other, or inside each other.
const MAX_LAYERS: usize = 1_000;
/// Lists and maps inside each other in what a message carries. Each group after another one takes two.
const MAX_LEVELS: usize = 400;

/// Whether a workflow has too many layers.
pub(super) fn check_layers(canvas: &Canvas) -> Result<(), CanvasError> {
    match layers(canvas) {
        0..=MAX_LAYERS => Ok(()),
        layers => Err(CanvasError(format!(
            "a workflow has at most {MAX_LAYERS} layers of groups, this one has {layers}"
        ))),
    }
}

fn layers(canvas: &Canvas) -> usize {
    let deepest = |tasks: &[Canvas]| tasks.iter().map(layers).max().unwrap_or(0);
    match &canvas.kind {
        Kind::Task { .. } => 0,
        // A group and what follows it become a chord, and the next one is inside it.
        Kind::Chain(tasks) => tasks.iter().map(layers).sum(),
        Kind::Group(members) => 1 + deepest(members),
        Kind::Chord { header, body } => layers(header) + layers(body),
    }
}

/// Whether whoever gets it can read it.
///
/// # Errors
/// When it nests too deep.
pub fn check_levels(signature: &Value) -> Result<(), CanvasError> {
    if fits(signature, MAX_LEVELS) {
        return Ok(());
    }
    Err(CanvasError(format!(
        "what a message carries of a workflow nests deeper than {MAX_LEVELS} levels"
    )))
}

fn fits(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(values) => levels > 0 && values.iter().all(|value| fits(value, levels - 1)),
        Value::Object(map) => levels > 0 && map.values().all(|value| fits(value, levels - 1)),
        _ => true,
    }
}

/// Reads a signature of a message: JSON, deeper than it is read elsewhere.
///
/// # Errors
/// When it is no JSON, or nests too deep.
pub fn parse(text: &str) -> Result<Value, CanvasError> {
    if depth(text) > MAX_LEVELS {
        let text = format!("a signature nests deeper than {MAX_LEVELS} levels");
        return Err(CanvasError(text));
    }
    let mut json = serde_json::Deserializer::from_str(text);
    json.disable_recursion_limit();
    let value = Value::deserialize(&mut json).and_then(|value| json.end().map(|()| value));
    value.map_err(|error| CanvasError(error.to_string()))
}

/// How many lists and maps of a JSON text are open at most.
fn depth(text: &str) -> usize {
    let (mut open, mut deepest) = (0_usize, 0);
    let (mut in_text, mut is_escaped) = (false, false);
    for byte in text.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_text => is_escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'[' | b'{' => {
                open += 1;
                deepest = deepest.max(open);
            }
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nests_is_read_up_to_the_limit() {
        let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(parse(&nested(MAX_LEVELS)).is_ok_and(|value| fits(&value, MAX_LEVELS)));
        assert!(parse(&nested(MAX_LEVELS + 1)).is_err());
        assert!(parse("[1] 2").is_err());
    }

    #[test]
    fn brackets_in_texts_do_not_count() {
        assert_eq!(depth(r#"[{"a[\"[\\": "]]"}, [], {}]"#), 2);
        assert_eq!(depth("1"), 0);
    }
}
