//! A moment as a message writes it.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An ISO 8601 time in a header, with the text it came as, so that a message that is passed on
/// carries the very same text.
///
/// Wire: with an offset, or naive, which readers take as UTC (Celery's `enable_utc`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireTime {
    text: Box<str>,
    at: Timestamp,
}

impl WireTime {
    /// Reads ISO 8601. `None` when the text is no such time.
    pub fn parse(text: &str) -> Option<Self> {
        let at = text.parse::<Timestamp>().or_else(|_| {
            let naive: DateTime = text.parse()?;
            TimeZone::UTC.to_timestamp(naive)
        });
        Some(Self {
            text: text.into(),
            at: at.ok()?,
        })
    }

    /// The moment.
    pub fn timestamp(&self) -> Timestamp {
        self.at
    }
}

/// UTC with six decimals and a numeric offset, as Celery writes it.
impl From<Timestamp> for WireTime {
    fn from(at: Timestamp) -> Self {
        Self {
            text: format_utc(at).into(),
            at,
        }
    }
}

/// `2026-11-20T14:29:13.317576+00:00`: how Celery writes the times of its own.
pub fn format_utc(at: Timestamp) -> String {
    format!("{}+00:00", at.strftime("%Y-%m-%dT%H:%M:%S.%6f"))
}

impl Serialize for WireTime {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for WireTime {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        Self::parse(&text)
            .ok_or_else(|| serde::de::Error::custom(format_args!("{text:?} is no ISO 8601 time")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_celery_writes_and_keeps_the_text() {
        #[track_caller]
        fn check(text: &str, utc: &str) {
            let time = WireTime::parse(text).expect(text);
            assert_eq!(time.timestamp().to_string(), utc);
            assert_eq!(serde_json::to_value(&time).expect("a string"), text);
        }
        check(
            "2026-11-20T14:28:46.750990+00:00",
            "2026-11-20T14:28:46.75099Z",
        );
        check(
            "2026-11-20T11:42:13.496605-03:00",
            "2026-11-20T14:42:13.496605Z",
        );
        check("2027-01-01T12:00:00", "2027-01-01T12:00:00Z");
        check("2027-01-01T12:00:00Z", "2027-01-01T12:00:00Z");
    }

    #[test]
    fn refuses_what_is_no_time() {
        for text in ["", "tomorrow", "12", "2026-13-01T00:00:00"] {
            assert_eq!(WireTime::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn writes_as_celery_does() {
        let at: Timestamp = "2026-11-20T14:29:13.3175761Z".parse().expect("a timestamp");
        assert_eq!(format_utc(at), "2026-11-20T14:29:13.317576+00:00");
    }
}
