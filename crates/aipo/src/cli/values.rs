//! Reading the values of flags.

use std::time::Duration;

use aipo_core::When;
use aipo_core::duration::parse_duration;
use aipo_core::message::WireTime;
use jiff::Timestamp;
use serde_json::{Map, Value};

/// A whole number from 1.
pub(super) fn at_least_one(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(0) => Err("at least 1 is needed".to_owned()),
        Ok(number) => Ok(number),
        Err(error) => Err(std::num::ParseIntError::to_string(&error)),
    }
}

/// `90`, `1.5` (seconds), `500ms`, `90s`, `5m`, `1h`, `1d`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let seconds = || Duration::try_from_secs_f64(text.parse().ok()?).ok();
    parse_duration(text)
        .or_else(seconds)
        .ok_or_else(|| "write seconds, or a number with ms, s, m, h or d, such as 90s".to_owned())
}

/// ISO 8601, in UTC unless it has an offset.
pub(super) fn moment(text: &str) -> Result<Timestamp, String> {
    WireTime::parse(text)
        .map(|time| time.timestamp())
        .ok_or_else(|| "write a time such as 2030-01-31T09:00:00-03:00".to_owned())
}

/// A duration or a moment.
pub(super) fn when(text: &str) -> Result<When, String> {
    duration(text)
        .map(When::In)
        .or_else(|_| moment(text).map(When::At))
        .map_err(|_| "write seconds, such as 90, or a time such as 2030-01-31T09:00:00Z".to_owned())
}

/// The values of a JSON array. A type of its own, since clap takes a `Vec` for several flags.
#[derive(Debug, Clone)]
pub(super) struct Array(pub(super) Vec<Value>);

/// A JSON array.
pub(super) fn json_array(text: &str) -> Result<Array, String> {
    match json(text)? {
        Value::Array(values) => Ok(Array(values)),
        _ => Err("this is no JSON array, such as '[1, \"two\"]'".to_owned()),
    }
}

/// A JSON object.
pub(super) fn json_object(text: &str) -> Result<Map<String, Value>, String> {
    match json(text)? {
        Value::Object(map) => Ok(map),
        _ => Err("this is no JSON object, such as '{\"name\": 1}'".to_owned()),
    }
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("this is no JSON: {error}"))
}

/// `setting=value`.
pub(super) fn assignment(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(name, value)| (name.trim().to_owned(), value.to_owned()))
        .ok_or_else(|| "write SETTING=VALUE, such as worker_concurrency=4".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_number_is_seconds() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1.5"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        for text in ["", "-1", "soon", "inf", "NaN", "1e300"] {
            assert!(duration(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn when_is_a_time_from_now_or_a_moment() {
        let moment = "2030-01-31T12:00:00Z".parse().expect("a timestamp");
        assert_eq!(when("90"), Ok(When::In(Duration::from_secs(90))));
        assert_eq!(when("2030-01-31T09:00:00-03:00"), Ok(When::At(moment)));
        assert_eq!(when("2030-01-31T12:00:00"), Ok(When::At(moment)));
        assert!(when("tomorrow").is_err());
    }
}
