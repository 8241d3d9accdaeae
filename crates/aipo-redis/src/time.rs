//! Moments and durations as the whole milliseconds that are kept on the server.
//!
//! The present is rounded down and the future up, so nothing happens before its time.

use std::time::Duration;

use aipo_core::Clock;
use jiff::Timestamp;

/// A longer time counts as for ever: beyond it a number of milliseconds is no longer exact in a script,
/// where every number is a double. It is more than a hundred thousand years.
pub(crate) const FOR_EVER_MS: i64 = 1 << 52;

/// The present for a script: what `clock` says, or nothing, and the script asks the server.
pub(crate) fn now_argument(clock: Option<&Clock>) -> String {
    clock.map_or_else(String::new, |clock| now_ms(clock).to_string())
}

fn now_ms(clock: &Clock) -> i64 {
    let now = clock.now();
    let ms = now.as_millisecond();
    if from_ms(ms) > now { ms - 1 } else { ms }
}

/// The first whole millisecond at or after `moment`.
pub(crate) fn ceil_ms(moment: Timestamp) -> i64 {
    let ms = moment.as_millisecond();
    if from_ms(ms) < moment { ms + 1 } else { ms }
}

/// A duration in milliseconds, rounded up; at most [`FOR_EVER_MS`].
pub(crate) fn duration_ms(duration: Duration) -> i64 {
    let ms = duration.as_nanos().div_ceil(1_000_000);
    i64::try_from(ms).unwrap_or(FOR_EVER_MS).min(FOR_EVER_MS)
}

/// The moment that `ms` stands for; the first or last one there is when it lies beyond.
pub(crate) fn from_ms(ms: i64) -> Timestamp {
    let end = if ms < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    };
    Timestamp::from_millisecond(ms).unwrap_or(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nanos(nanos: i128) -> Timestamp {
        Timestamp::from_nanosecond(nanos).expect("a moment near 1970")
    }

    #[test]
    fn the_present_is_rounded_down_and_the_future_up() {
        for (ns, down, up) in [
            (0, "0", 0),
            (1, "0", 1),
            (999_999, "0", 1),
            (1_000_000, "1", 1),
            (1_000_001, "1", 2),
            (-1, "-1", 0),
            (-1_000_001, "-2", -1),
        ] {
            let clock = Clock::from_fn(move || nanos(ns));
            assert_eq!(now_argument(Some(&clock)), down, "{ns} ns down");
            assert_eq!(ceil_ms(nanos(ns)), up, "{ns} ns up");
        }
        assert_eq!(now_argument(None), "");
    }

    #[test]
    fn a_duration_is_rounded_up_and_bounded() {
        assert_eq!(duration_ms(Duration::from_micros(1)), 1);
        assert_eq!(duration_ms(Duration::from_millis(5)), 5);
        assert_eq!(duration_ms(Duration::MAX), FOR_EVER_MS);
        assert_eq!(from_ms(i64::MAX), Timestamp::MAX);
        assert_eq!(from_ms(i64::MIN), Timestamp::MIN);
    }
}
