//! Plain words of YAML 1.1: what is a number, a date, true.

use std::borrow::Cow;
use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::message::codec::json::{write_float, write_text};
use crate::message::python::Extended;

/// What a scalar is.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kind {
    /// Text, whatever it looks like.
    Text,
    /// Bytes in base64.
    Binary,
    /// What it looks like.
    Guess,
}

/// Writes a scalar as JSON.
pub(super) fn write(out: &mut Vec<u8>, text: &str, kind: Kind) -> Result<(), String> {
    match kind {
        Kind::Text => write_text(out, text),
        Kind::Binary => {
            let digits: String = text.split_ascii_whitespace().collect();
            let bytes = STANDARD
                .decode(digits)
                .map_err(|error| format!("!!binary: {error}"))?;
            Extended::Bytes(bytes.into()).write(out);
        }
        Kind::Guess => guess(out, text),
    }
    Ok(())
}

fn guess(out: &mut Vec<u8>, text: &str) {
    const INTO_MEMORY: &str = "writing into memory does not fail";
    match text {
        "" | "~" | "null" | "Null" | "NULL" => out.extend_from_slice(b"null"),
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => {
            out.extend_from_slice(b"true");
        }
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => {
            out.extend_from_slice(b"false");
        }
        _ => {
            if let Some(integer) = integer(text) {
                out.write_all(integer.as_bytes()).expect(INTO_MEMORY);
            } else if let Some(float) = float(text) {
                write_float(out, float);
            } else if let Some(time) = timestamp(text) {
                time.write(out);
            } else {
                write_text(out, text);
            }
        }
    }
}

/// An integer in base 10, 2, 8 or 16 (`0b1`, `017`, `0xff`), `_` between digits; with colons in base 60.
fn integer(text: &str) -> Option<String> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    if !digits.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let digits: Cow<'_, str> = if digits.contains('_') {
        digits.replace('_', "").into()
    } else {
        digits.into()
    };
    let in_base = |digits: &str, base| u128::from_str_radix(digits, base).ok();
    let value = if digits == "0" {
        0
    } else if let Some(digits) = digits.strip_prefix("0b") {
        in_base(digits, 2)?
    } else if let Some(digits) = digits.strip_prefix("0x") {
        in_base(digits, 16)?
    } else if let Some(digits) = digits.strip_prefix('0') {
        in_base(digits, 8)?
    } else if digits.contains(':') {
        let mut value = 0_u128;
        for (index, part) in digits.split(':').enumerate() {
            let part: u8 = part.parse().ok().filter(|part| index == 0 || *part < 60)?;
            value = value.checked_mul(60)?.checked_add(part.into())?;
        }
        value
    } else {
        // Of any length.
        return is_digits(&digits).then(|| format!("{sign}{digits}"));
    };
    Some(format!("{sign}{value}"))
}

/// A float: with a point, and a sign in its exponent.
fn float(text: &str) -> Option<f64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1.0, digits),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    match digits {
        ".inf" | ".Inf" | ".INF" => return Some(sign * f64::INFINITY),
        ".nan" | ".NaN" | ".NAN" => return Some(f64::NAN),
        _ => {}
    }
    let has_sign = digits.len() < text.len();
    let digits = digits.replace('_', "");
    let (whole, rest) = digits.split_once('.')?;
    let (fraction, exponent) = match rest.split_once(['e', 'E']) {
        Some((fraction, exponent)) => (fraction, Some(exponent)),
        None => (rest, None),
    };
    let has_exponent = exponent.is_none_or(|exponent| {
        exponent
            .strip_prefix(['+', '-'])
            .is_some_and(|digits| !digits.is_empty() && is_digits(digits))
    });
    // Without digits in front there is no sign either.
    let has_digits = !whole.is_empty() || (!fraction.is_empty() && !has_sign);
    let is_float = is_digits(whole) && is_digits(fraction) && has_digits && has_exponent;
    is_float
        .then(|| digits.parse().ok())?
        .map(|value: f64| sign * value)
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A date, or a date and time with an offset or without, as ISO 8601.
pub(super) fn timestamp(text: &str) -> Option<Extended<'static>> {
    let (date, rest) = text.split_at_checked(10)?;
    if !has_shape(date, "dddd-dd-dd") {
        return None;
    }
    if rest.is_empty() {
        return Some(Extended::Date(date.to_owned().into()));
    }
    let rest = match rest.strip_prefix(['T', 't']) {
        Some(rest) => rest,
        None => rest
            .strip_prefix([' ', '\t'])?
            .trim_start_matches([' ', '\t']),
    };
    let (time, rest) = rest.split_at_checked(8)?;
    if !has_shape(time, "dd:dd:dd") {
        return None;
    }
    let mut iso = format!("{date}T{time}");
    let zone = match rest.strip_prefix('.') {
        Some(rest) => {
            let end = rest.find(|c: char| !c.is_ascii_digit());
            let (fraction, zone) = rest.split_at(end.unwrap_or(rest.len()));
            // Python keeps microseconds.
            let fraction = &fraction[..fraction.len().min(6)];
            iso.push_str(&format!(".{fraction:0<6}"));
            zone
        }
        None => rest,
    };
    iso.push_str(&offset(zone.trim_start_matches([' ', '\t']))?);
    Some(Extended::DateTime(iso.into()))
}

/// `+03:00` of `+3`; empty when there is none.
fn offset(zone: &str) -> Option<String> {
    if zone.is_empty() {
        return Some(String::new());
    }
    if zone == "Z" {
        return Some("+00:00".to_owned());
    }
    let hours = zone.strip_prefix(['+', '-'])?;
    let (hours, minutes) = hours.split_once(':').unwrap_or((hours, "00"));
    let fits = (1..=2).contains(&hours.len()) && is_digits(hours) && has_shape(minutes, "dd");
    fits.then(|| format!("{}{hours:0>2}:{minutes}", &zone[..1]))
}

/// Whether a text has digits where the shape has `d`, and is the shape otherwise.
fn has_shape(text: &str, shape: &str) -> bool {
    text.len() == shape.len()
        && text.bytes().zip(shape.bytes()).all(|(byte, wanted)| {
            if wanted == b'd' {
                byte.is_ascii_digit()
            } else {
                byte == wanted
            }
        })
}
