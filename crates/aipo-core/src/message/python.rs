//! Python's types that JSON has none for, in kombu's form: `{"__type__": "date", "__value__": "2026-01-02"}`.
//!
//! An argument or a result of such a type is read without any of this: a date into whatever reads
//! `"2026-01-02"`, see [`from_json`]. The types here are for the other direction, where Python shall get its
//! own type, and for bytes that are no text.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{Timestamp, civil};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::body::Kwargs;
use super::codec::json::{Node, write_text};
use super::time::{WireTime, format_utc};

/// How kombu marks a map that stands for a value of another type.
const TYPE: &str = "__type__";
const VALUE: &str = "__value__";

/// How deep values may nest that are made plain; serde_json reads no deeper.
const MAX_DEPTH: usize = 128;

/// Reads a value from JSON text, as Python programs write it.
///
/// First the text is read as it is. If that fails, it is read once more with Python's own types made plain:
/// datetime, date and time as ISO 8601 text, UUID with hyphens, bytes as text, Decimal as text or,
/// if that is not what is wanted either, as a number. So `jiff::Timestamp`, `f64` or `uuid::Uuid` read what
/// Python sends, at any depth, while a `serde_json::Value` keeps the maps and can be passed on.
///
/// # Errors
/// When the value is of another type.
pub fn from_json<T: DeserializeOwned>(text: &str) -> serde_json::Result<T> {
    let as_it_is = match serde_json::from_str(text) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    let Some(plain) = plain(text, Decimals::AsText) else {
        return Err(as_it_is);
    };
    serde_json::from_str(&plain).or_else(|error| {
        let numbers = plain_numbers(text).ok_or(error)?;
        serde_json::from_str(&numbers)
    })
}

fn plain_numbers(text: &str) -> Option<String> {
    text.contains("\"decimal\"")
        .then(|| plain(text, Decimals::AsNumbers))?
}

#[derive(Clone, Copy)]
enum Decimals {
    AsText,
    AsNumbers,
}

/// The text with Python's types made plain; `None` when there are none in it.
fn plain(text: &str, decimals: Decimals) -> Option<String> {
    if !is_marked(text) {
        return None;
    }
    let mut out = Vec::with_capacity(text.len());
    make_plain(&mut out, serde_json::from_str(text).ok()?, decimals, 0)?;
    String::from_utf8(out).ok()
}

fn is_marked(text: &str) -> bool {
    text.contains("\"__type__\"")
}

fn make_plain(out: &mut Vec<u8>, raw: &RawValue, decimals: Decimals, depth: usize) -> Option<()> {
    if !is_marked(raw.get()) {
        out.extend_from_slice(raw.get().as_bytes());
        return Some(());
    }
    if depth > MAX_DEPTH {
        return None;
    }
    match Node::of(raw).ok()? {
        Node::Array(items) => {
            out.push(b'[');
            for (index, item) in items.into_iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                make_plain(out, item, decimals, depth + 1)?;
            }
            out.push(b']');
        }
        Node::Map(map) => match (Extended::of(&map), decimals) {
            (Some(Extended::Decimal(digits)), Decimals::AsNumbers) if is_number(&digits) => {
                out.extend_from_slice(digits.as_bytes());
            }
            // No text that a type would read; `Bytes` reads the map.
            (Some(Extended::Bytes(bytes)), _) if std::str::from_utf8(&bytes).is_err() => {
                out.extend_from_slice(raw.get().as_bytes());
            }
            (Some(extended), _) => write_text(out, &extended.plain_text()),
            (None, _) => {
                out.push(b'{');
                for (index, (name, value)) in map.0.into_iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    write_text(out, &name);
                    out.push(b':');
                    make_plain(out, value, decimals, depth + 1)?;
                }
                out.push(b'}');
            }
        },
        _ => out.extend_from_slice(raw.get().as_bytes()),
    }
    Some(())
}

fn is_number(text: &str) -> bool {
    serde_json::from_str::<serde_json::Number>(text).is_ok()
}

/// A value of a Python type that JSON has none for.
#[derive(Debug, PartialEq)]
pub(super) enum Extended<'a> {
    /// ISO 8601, with an offset or without.
    DateTime(Cow<'a, str>),
    Date(Cow<'a, str>),
    Time(Cow<'a, str>),
    Decimal(Cow<'a, str>),
    Uuid(uuid::Uuid),
    Bytes(Cow<'a, [u8]>),
}

impl<'a> Extended<'a> {
    /// What a map stands for; `None` for one that stands for itself: it has other keys, or a type that kombu
    /// does not have.
    pub(super) fn of(map: &Kwargs<'a>) -> Option<Self> {
        let [(first, one), (second, other)] = &map.0[..] else {
            return None;
        };
        let (name, value) = match (&**first, &**second) {
            (TYPE, VALUE) => (one, other),
            (VALUE, TYPE) => (other, one),
            _ => return None,
        };
        let name: String = serde_json::from_str(name.get()).ok()?;
        Self::read(&name, value)
    }

    fn read(name: &str, value: &'a RawValue) -> Option<Self> {
        if name == "uuid" {
            #[derive(Deserialize)]
            struct Hex {
                hex: String,
            }
            let Hex { hex } = serde_json::from_str(value.get()).ok()?;
            return uuid::Uuid::try_parse(&hex).ok().map(Self::Uuid);
        }
        let text = || -> Option<Cow<'a, str>> { serde_json::from_str(value.get()).ok() };
        match name {
            "datetime" => text().map(Self::DateTime),
            "date" => text().map(Self::Date),
            "time" => text().map(Self::Time),
            "decimal" => text().map(Self::Decimal),
            "bytes" => Some(Self::Bytes(text()?.into_owned().into_bytes().into())),
            "base64" => Some(Self::Bytes(STANDARD.decode(&*text()?).ok()?.into())),
            _ => None,
        }
    }

    /// Writes kombu's map.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        serde_json::to_writer(out, self)
            .expect("text is JSON, and writing into memory does not fail");
    }

    /// What it is as text; bytes that are no text as base64.
    pub(super) fn plain_text(&self) -> Cow<'_, str> {
        match self {
            Self::DateTime(text) | Self::Date(text) | Self::Time(text) | Self::Decimal(text) => {
                Cow::Borrowed(text)
            }
            Self::Uuid(uuid) => uuid.hyphenated().to_string().into(),
            Self::Bytes(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => Cow::Borrowed(text),
                Err(_) => STANDARD.encode(bytes).into(),
            },
        }
    }
}

impl Serialize for Extended<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Marked<T> {
            __type__: &'static str,
            __value__: T,
        }
        #[derive(Serialize)]
        struct Hex {
            hex: String,
        }

        let __type__ = match self {
            Self::DateTime(_) => "datetime",
            Self::Date(_) => "date",
            Self::Time(_) => "time",
            Self::Decimal(_) => "decimal",
            Self::Uuid(uuid) => {
                let hex = uuid.simple().to_string();
                let uuid = Marked {
                    __type__: "uuid",
                    __value__: Hex { hex },
                };
                return uuid.serialize(to);
            }
            Self::Bytes(bytes) if std::str::from_utf8(bytes).is_ok() => "bytes",
            Self::Bytes(_) => "base64",
        };
        let __value__ = self.plain_text();
        Marked {
            __type__,
            __value__,
        }
        .serialize(to)
    }
}

/// Reads kombu's map of one of these types, or the value as plain text. `parse` is given the name of the type,
/// empty for plain text, and the text.
fn read<'de, D: Deserializer<'de>, T>(
    from: D,
    names: &[&str],
    parse: impl FnOnce(&str, &str) -> Option<T>,
) -> Result<T, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "no value of this type")]
    enum Wire {
        Plain(String),
        Marked { __type__: String, __value__: Value },
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Value {
        Text(String),
        Uuid { hex: String },
    }

    let (name, text) = match Wire::deserialize(from)? {
        Wire::Plain(text) => (String::new(), text),
        Wire::Marked {
            __type__: name,
            __value__: Value::Text(text) | Value::Uuid { hex: text },
        } => (name, text),
    };
    let is_known = name.is_empty() || names.contains(&&*name);
    let value = is_known.then(|| parse(&name, &text)).flatten();
    value.ok_or_else(|| D::Error::custom(format_args!("{text:?} is no {}", names[0])))
}

macro_rules! python_types {
    ($(
        $(#[$doc:meta])+
        $name:ident($inner:ty) = $names:expr, $write:expr, $parse:expr;
    )+) => {$(
        $(#[$doc])+
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                let extended: fn(&$inner) -> Extended<'_> = $write;
                extended(&self.0).serialize(to)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                read(from, $names, $parse).map(Self)
            }
        }

        impl From<$inner> for $name {
            fn from(inner: $inner) -> Self {
                Self(inner)
            }
        }
    )+};
}

python_types! {
    /// Bytes: Python's `bytes`, where a `Vec<u8>` would be a list of numbers. Reads text as well, as its
    /// UTF-8 bytes.
    Bytes(Vec<u8>) = &["bytes", "base64"],
        |bytes| Extended::Bytes(bytes.into()),
        |name, text| match name {
            "base64" => STANDARD.decode(text).ok(),
            _ => Some(text.as_bytes().to_vec()),
        };
    /// A moment: Python's `datetime` with a time zone, here UTC, to the microsecond. Reads a time without a
    /// zone as UTC, as Celery does.
    DateTime(Timestamp) = &["datetime"],
        |at| Extended::DateTime(format_utc(*at).into()),
        |_, text| WireTime::parse(text).map(|time| time.timestamp());
    /// A date and time of no time zone: Python's naive `datetime`, to the microsecond.
    NaiveDateTime(civil::DateTime) = &["datetime"],
        |at| Extended::DateTime(at.strftime("%Y-%m-%dT%H:%M:%S.%6f").to_string().into()),
        |_, text| text.parse().ok();
    /// A date: Python's `date`.
    Date(civil::Date) = &["date"],
        |date| Extended::Date(date.to_string().into()),
        |_, text| text.parse().ok();
    /// A time of day: Python's `time`, to the microsecond.
    Time(civil::Time) = &["time"],
        |time| Extended::Time(time.strftime("%H:%M:%S.%6f").to_string().into()),
        |_, text| text.parse().ok();
    /// A decimal number of any size by its digits: Python's `Decimal`. Any text is taken; Python refuses
    /// what is no number.
    Decimal(String) = &["decimal"],
        |digits| Extended::Decimal(Cow::Borrowed(digits)),
        |_, text| Some(text.to_owned());
    /// A UUID: Python's `UUID`.
    Uuid(uuid::Uuid) = &["uuid"],
        |uuid| Extended::Uuid(*uuid),
        |_, text| uuid::Uuid::try_parse(text).ok();
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use serde_json::{Value, json};

    use super::*;

    const DATE: &str = r#"{"__type__": "date", "__value__": "2026-01-02"}"#;

    #[test]
    fn a_value_of_a_plain_type_reads_what_python_writes() {
        #[track_caller]
        fn check<T: DeserializeOwned + PartialEq + fmt::Debug>(text: &str, expected: T) {
            assert_eq!(from_json::<T>(text).expect(text), expected);
        }
        let marked =
            |name: &str, value: &str| format!(r#"{{"__type__": "{name}", "__value__": {value}}}"#);
        check(DATE, "2026-01-02".to_owned());
        check(&marked("time", r#""03:04:05""#), "03:04:05".to_owned());
        check(&marked("decimal", r#""1.50""#), "1.50".to_owned());
        check(&marked("decimal", r#""1.50""#), 1.5);
        check(&marked("decimal", r#""-1E+3""#), -1000.0);
        check(&marked("decimal", r#""3""#), 3_u8);
        check(&marked("decimal", r#""NaN""#), "NaN".to_owned());
        check(&marked("bytes", r#""olá""#), "olá".to_owned());
        let uuid = marked("uuid", r#"{"hex": "12345678123456781234567812345678"}"#);
        check(&uuid, "12345678-1234-5678-1234-567812345678".to_owned());
        check(&format!("[1, [{DATE}]]"), (1, ["2026-01-02".to_owned()]));
        let pair = format!(r#"{{"when": {DATE}, "big": 18446744073709551616}}"#);
        #[derive(Debug, PartialEq, Deserialize)]
        struct Pair {
            when: String,
            big: u128,
        }
        let expected = Pair {
            when: "2026-01-02".to_owned(),
            big: 1 << 64,
        };
        check(&pair, expected);
    }

    #[test]
    fn a_json_value_keeps_the_map_so_that_it_can_be_passed_on() {
        let value: Value = from_json(DATE).expect("JSON");
        assert_eq!(
            value,
            json!({"__type__": "date", "__value__": "2026-01-02"})
        );
    }

    #[test]
    fn what_is_no_type_of_kombus_stays_a_map() {
        for text in [
            r#"{"__type__": "colour", "__value__": "red"}"#,
            r#"{"__type__": "date", "__value__": "2026-01-02", "more": 1}"#,
            r#"{"__type__": "date"}"#,
            r#"{"__type__": "date", "__value__": 5}"#,
            r#"{"__type__": "uuid", "__value__": {"hex": "short"}}"#,
            r#"{"__type__": "base64", "__value__": "//4="}"#,
        ] {
            let error = from_json::<String>(text).expect_err(text).to_string();
            assert!(error.contains("invalid type: map"), "{error}");
        }
    }

    #[test]
    fn values_nested_too_deep_are_refused() {
        let deep = format!("{}{DATE}{}", "[".repeat(200), "]".repeat(200));
        from_json::<Vec<String>>(&deep).expect_err("too deep");
    }

    #[test]
    fn each_type_is_written_in_kombus_form_and_read_in_every_form() {
        #[track_caller]
        fn check<T>(value: T, wire: Value, plain: Option<&str>)
        where
            T: Serialize + DeserializeOwned + PartialEq + fmt::Debug,
        {
            assert_eq!(serde_json::to_value(&value).expect("JSON"), wire);
            assert_eq!(
                serde_json::from_value::<T>(wire).expect("its own form"),
                value
            );
            if let Some(plain) = plain {
                assert_eq!(
                    serde_json::from_value::<T>(plain.into()).expect(plain),
                    value
                );
            }
        }
        let marked = |name, value| json!({"__type__": name, "__value__": value});
        check(
            Bytes(b"hi".to_vec()),
            marked("bytes", json!("hi")),
            Some("hi"),
        );
        check(Bytes(vec![255, 254]), marked("base64", json!("//4=")), None);
        check(
            DateTime("2026-01-02T03:04:05.5Z".parse().expect("a time")),
            marked("datetime", json!("2026-01-02T03:04:05.500000+00:00")),
            Some("2026-01-02T00:04:05.5-03:00"),
        );
        check(
            NaiveDateTime(civil::date(2026, 1, 2).at(3, 4, 5, 60_000)),
            marked("datetime", json!("2026-01-02T03:04:05.000060")),
            Some("2026-01-02T03:04:05.00006"),
        );
        check(
            Date(civil::date(2026, 1, 2)),
            marked("date", json!("2026-01-02")),
            Some("2026-01-02"),
        );
        check(
            Time(civil::time(3, 4, 5, 0)),
            marked("time", json!("03:04:05.000000")),
            Some("03:04:05"),
        );
        check(
            Decimal("1.50".to_owned()),
            marked("decimal", json!("1.50")),
            Some("1.50"),
        );
        let uuid = uuid::Uuid::from_u128(0x12345678123456781234567812345678);
        check(
            Uuid(uuid),
            marked("uuid", json!({"hex": "12345678123456781234567812345678"})),
            Some("12345678-1234-5678-1234-567812345678"),
        );
    }

    #[test]
    fn another_type_is_refused() {
        let error = serde_json::from_str::<Time>(DATE).expect_err("a date");
        assert!(
            error.to_string().contains("\"2026-01-02\" is no time"),
            "{error}"
        );
        serde_json::from_str::<Date>("5").expect_err("a number");
        serde_json::from_str::<Uuid>(r#"{"hex": "12345678123456781234567812345678"}"#)
            .expect_err("no map of kombu's");
    }
}
