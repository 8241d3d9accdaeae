//! Moments as whole milliseconds since 1970, which is how stores keep them.
//!
//! The present is rounded down and the future up, so nothing happens before its time.

use jiff::Timestamp;

use crate::Clock;

/// The present moment.
pub fn now_ms(clock: &Clock) -> i64 {
    let now = clock.now();
    let ms = now.as_millisecond();
    if from_ms(ms) > now { ms - 1 } else { ms }
}

/// The first whole millisecond at or after `moment`.
pub fn ceil_ms(moment: Timestamp) -> i64 {
    let ms = moment.as_millisecond();
    if from_ms(ms) < moment { ms + 1 } else { ms }
}

/// The moment that `ms` stands for; the first or last one there is when it lies beyond.
pub fn from_ms(ms: i64) -> Timestamp {
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
            let clock = Clock::from_fn(move || nanos(ns));
            assert_eq!(now_ms(&clock), down, "{ns} ns down");
            assert_eq!(ceil_ms(nanos(ns)), up, "{ns} ns up");
        }
    }

    #[test]
    fn what_lies_beyond_is_the_end() {
        assert_eq!(from_ms(i64::MAX), Timestamp::MAX);
        assert_eq!(from_ms(i64::MIN), Timestamp::MIN);
    }
}
