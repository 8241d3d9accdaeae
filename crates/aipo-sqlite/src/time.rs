//! Moments and durations as the whole milliseconds that the tables keep.
//!
//! The present is rounded down and the future up, so nothing happens before its time.

use std::time::Duration;

use aipo_core::Clock;
use jiff::Timestamp;

/// The present moment.
pub(crate) fn now_ms(clock: &Clock) -> i64 {
    let now = clock.now();
    let ms = now.as_millisecond();
    if from_ms(ms) > now { ms - 1 } else { ms }
}

/// The first whole millisecond at or after `moment`.
pub(crate) fn ceil_ms(moment: Timestamp) -> i64 {
    let ms = moment.as_millisecond();
    if from_ms(ms) < moment { ms + 1 } else { ms }
}

/// The moment `delay` after `now_ms`; the end of time when that is later still.
pub(crate) fn after_ms(now_ms: i64, delay: Duration) -> i64 {
    let delay = delay.as_nanos().div_ceil(1_000_000);
    now_ms.saturating_add(i64::try_from(delay).unwrap_or(i64::MAX))
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
            (0, 0, 0),
            (1, 0, 1),
            (999_999, 0, 1),
            (1_000_000, 1, 1),
            (1_000_001, 1, 2),
            (-1, -1, 0),
            (-1_000_001, -2, -1),
        ] {
            assert_eq!(
                now_ms(&Clock::from_fn(move || nanos(ns))),
                down,
                "{ns} ns down"
            );
            assert_eq!(ceil_ms(nanos(ns)), up, "{ns} ns up");
        }
    }

    #[test]
    fn a_delay_is_rounded_up_and_never_overflows() {
        assert_eq!(after_ms(10, Duration::from_micros(1)), 11);
        assert_eq!(after_ms(10, Duration::from_millis(5)), 15);
        assert_eq!(after_ms(10, Duration::MAX), i64::MAX);
        assert_eq!(from_ms(i64::MAX), Timestamp::MAX);
        assert_eq!(from_ms(i64::MIN), Timestamp::MIN);
    }
}
