//! Durations as people write them: `500ms`, `60s`, `5m`, `1h`, `1d`, or a number of seconds.

use std::time::Duration;

use serde::de::{self, Deserializer, Visitor};

/// Reads a duration: a whole number and one of the units `ms`, `s`, `m`, `h`, `d`.
///
/// `const`, so that a duration in an attribute is checked when the program is compiled.
pub const fn parse_duration(text: &str) -> Option<Duration> {
    let bytes = text.as_bytes();
    let mut at = 0;
    let mut number: u64 = 0;
    while at < bytes.len() && bytes[at].is_ascii_digit() {
        let Some(tens) = number.checked_mul(10) else {
            return None;
        };
        let Some(sum) = tens.checked_add((bytes[at] - b'0') as u64) else {
            return None;
        };
        number = sum;
        at += 1;
    }
    if at == 0 {
        return None;
    }
    let (_, unit) = bytes.split_at(at);
    let seconds = match unit {
        b"ms" => return Some(Duration::from_millis(number)),
        b"s" => Some(number),
        b"m" => number.checked_mul(60),
        b"h" => number.checked_mul(60 * 60),
        b"d" => number.checked_mul(24 * 60 * 60),
        _ => None,
    };
    match seconds {
        Some(seconds) => Some(Duration::from_secs(seconds)),
        None => None,
    }
}

/// Writes a duration so that [`parse_duration`] reads it back, to the millisecond.
pub fn format_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    for (unit, size) in [
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1000),
    ] {
        if millis >= size && millis.is_multiple_of(size) {
            return format!("{}{unit}", millis / size);
        }
    }
    format!("{millis}ms")
}

/// For `#[serde(with)]`: text for [`parse_duration`], or a number of seconds.
pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    struct DurationVisitor;

    impl Visitor<'_> for DurationVisitor {
        type Value = Duration;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a duration such as \"60s\" or a number of seconds")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
            parse_duration(text)
                .or_else(|| Duration::try_from_secs_f64(text.parse().ok()?).ok())
                .ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
        }

        fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Duration, E> {
            Ok(Duration::from_secs(seconds))
        }

        fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Duration, E> {
            u64::try_from(seconds)
                .map(Duration::from_secs)
                .map_err(|_| E::invalid_value(de::Unexpected::Signed(seconds), &self))
        }

        fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<Duration, E> {
            Duration::try_from_secs_f64(seconds)
                .map_err(|_| E::invalid_value(de::Unexpected::Float(seconds), &self))
        }
    }

    from.deserialize_any(DurationVisitor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes() {
        #[track_caller]
        fn check(text: &str, millis: u64) {
            let duration = Duration::from_millis(millis);
            assert_eq!(parse_duration(text), Some(duration));
            assert_eq!(format_duration(duration), text);
        }
        check("500ms", 500);
        check("0ms", 0);
        check("90s", 90_000);
        check("5m", 300_000);
        check("1h", 3_600_000);
        check("2d", 172_800_000);
    }

    #[test]
    fn refuses_the_rest() {
        for text in [
            "",
            "s",
            "5",
            "5 s",
            "-5s",
            "5sec",
            "99999999999999999999s",
            "1.5s",
        ] {
            assert_eq!(parse_duration(text), None, "{text:?}");
        }
    }
}
