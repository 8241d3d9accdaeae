//! Rate limits: how often a task may start.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// So many starts in a second, a minute or an hour, evenly spread: `10/s`, `100/m`, `5/h`, or a number a second.
///
/// Celery's `rate_limit`, which counts per worker and per task.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateLimit {
    count: f64,
    per: Per,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Per {
    Second,
    Minute,
    Hour,
}

impl Per {
    fn seconds(self) -> f64 {
        match self {
            Self::Second => 1.0,
            Self::Minute => 60.0,
            Self::Hour => 3600.0,
        }
    }
}

/// The longest time between two starts that a limit can ask for: ten years.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

impl RateLimit {
    /// Reads a limit; `None` for zero, which means no limit.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Option<Self>, String> {
        let (count, per) = match text.split_once('/') {
            None => (text, Per::Second),
            Some((count, "s")) => (count, Per::Second),
            Some((count, "m")) => (count, Per::Minute),
            Some((count, "h")) => (count, Per::Hour),
            Some((_, unit)) => return Err(format!("{unit:?} is not one of s, m, h")),
        };
        let number: f64 = count
            .trim()
            .parse()
            .map_err(|_| format!("{count:?} is no number"))?;
        if number == 0.0 {
            return Ok(None);
        }
        let limit = Self { count: number, per };
        let interval = per.seconds() / number;
        if !number.is_finite() || number < 0.0 || interval > LONGEST.as_secs_f64() {
            return Err(format!("{text:?} is no rate"));
        }
        Ok(Some(limit))
    }

    /// The time from one start to the next.
    pub fn interval(&self) -> Duration {
        Duration::from_secs_f64(self.per.seconds() / self.count)
    }
}

impl FromStr for RateLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse(text)?.ok_or_else(|| format!("{text:?} is no rate"))
    }
}

impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.per {
            Per::Second => "s",
            Per::Minute => "m",
            Per::Hour => "h",
        };
        write!(f, "{}/{unit}", self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_celery_reads() {
        #[track_caller]
        fn check(text: &str, millis: u64, shown: &str) {
            let limit: RateLimit = text.parse().expect(text);
            assert_eq!(limit.interval(), Duration::from_millis(millis));
            assert_eq!(limit.to_string(), shown);
            assert_eq!(shown.parse(), Ok(limit));
        }
        check("10/s", 100, "10/s");
        check("10", 100, "10/s");
        check("0.5", 2000, "0.5/s");
        check("10/m", 6000, "10/m");
        check("5/h", 720_000, "5/h");
    }

    #[test]
    fn zero_is_no_limit_and_the_rest_is_no_rate() {
        assert_eq!(RateLimit::parse("0"), Ok(None));
        assert_eq!(RateLimit::parse("0/m"), Ok(None));
        for bad in ["", "fast", "10/d", "-1/s", "inf", "nan", "1e-300/h", "/s"] {
            assert!(RateLimit::parse(bad).is_err(), "{bad}");
        }
    }
}
