//! JSON text to YAML, for PyYAML's safe loader.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;

use super::scalar::timestamp;
use crate::message::codec::MAX_DEPTH;
use crate::message::codec::json::Node;
use crate::message::python::Extended;

/// PyYAML takes a longer text for a key only when it is announced as one.
const LONGEST_PLAIN_KEY: usize = 128;

/// JSON text as YAML in flow style. kombu's own types become bytes, dates and times where YAML has them,
/// otherwise text.
///
/// # Errors
/// When the values nest too deep, or a text is none in Unicode.
pub(in crate::message::codec) fn of_json(json: &[u8]) -> Result<Vec<u8>, String> {
    let raw: &RawValue = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    let mut out = Vec::with_capacity(json.len() + json.len() / 8);
    write(&mut out, raw, 0).map_err(|what| format!("yaml: {what}"))?;
    Ok(out)
}

fn write(out: &mut Vec<u8>, raw: &RawValue, depth: usize) -> Result<(), String> {
    if depth > MAX_DEPTH {
        return Err(format!("more than {MAX_DEPTH} levels"));
    }
    match Node::of(raw).map_err(|error| error.to_string())? {
        Node::Null => out.extend_from_slice(b"null"),
        Node::Bool(true) => out.extend_from_slice(b"true"),
        Node::Bool(false) => out.extend_from_slice(b"false"),
        Node::Number(digits) => number(out, digits),
        Node::Text(value) => text(out, &value),
        Node::Array(items) => {
            out.push(b'[');
            for (index, item) in items.into_iter().enumerate() {
                if index > 0 {
                    out.extend_from_slice(b", ");
                }
                write(out, item, depth + 1)?;
            }
            out.push(b']');
        }
        Node::Map(map) => match Extended::of(&map) {
            Some(value) => extended(out, &value),
            None => {
                out.push(b'{');
                for (index, (name, value)) in map.0.into_iter().enumerate() {
                    if index > 0 {
                        out.extend_from_slice(b", ");
                    }
                    if name.len() > LONGEST_PLAIN_KEY {
                        out.extend_from_slice(b"? ");
                    }
                    text(out, &name);
                    out.extend_from_slice(b": ");
                    write(out, value, depth + 1)?;
                }
                out.push(b'}');
            }
        },
    }
    Ok(())
}

fn extended(out: &mut Vec<u8>, value: &Extended<'_>) {
    let plain = value.plain_text();
    match value {
        Extended::Bytes(bytes) => {
            out.extend_from_slice(b"!!binary ");
            text(out, &STANDARD.encode(bytes));
        }
        Extended::Date(_) | Extended::DateTime(_) => {
            if timestamp(&plain).is_some() {
                out.extend_from_slice(b"!!timestamp ");
            }
            text(out, &plain);
        }
        _ => text(out, &plain),
    }
}

/// A number. YAML 1.1 takes `1e5` for text: a float has a point, and its exponent a sign.
fn number(out: &mut Vec<u8>, digits: &str) {
    let Some((mantissa, exponent)) = digits.split_once(['e', 'E']) else {
        return out.extend_from_slice(digits.as_bytes());
    };
    let point = if mantissa.contains('.') { "" } else { ".0" };
    let sign = if exponent.starts_with(['+', '-']) {
        ""
    } else {
        "+"
    };
    write!(out, "{mantissa}{point}e{sign}{exponent}").expect("writing into memory does not fail");
}

/// A text in double quotes, all in one line.
fn text(out: &mut Vec<u8>, value: &str) {
    out.push(b'"');
    let mut buffer = [0; 4];
    for c in value.chars() {
        match c {
            '"' | '\\' => out.extend_from_slice(&[b'\\', c as u8]),
            // Not printable in YAML 1.1, or the end of a line there.
            '\0'..='\x1f'
            | '\x7f'..='\u{9f}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{feff}'
            | '\u{fffe}'
            | '\u{ffff}' => {
                write!(out, "\\u{:04x}", c as u32).expect("writing into memory does not fail");
            }
            c => out.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes()),
        }
    }
    out.push(b'"');
}
