//! The present and durations as arguments of scripts, in milliseconds.

use std::time::Duration;

use aipo_core::Clock;
use aipo_core::millis::now_ms;
pub(crate) use aipo_core::millis::{ceil_ms, from_ms};

/// A longer time counts as for ever: beyond it a number of milliseconds is no longer exact in a script,
/// where every number is a double. It is more than a hundred thousand years.
pub(crate) const FOR_EVER_MS: i64 = 1 << 52;

/// The present for a script: what `clock` says, or nothing, and the script asks the server.
pub(crate) fn now_argument(clock: Option<&Clock>) -> String {
    clock.map_or_else(String::new, |clock| now_ms(clock).to_string())
}

/// A duration in milliseconds, rounded up; at most [`FOR_EVER_MS`].
pub(crate) fn duration_ms(duration: Duration) -> i64 {
    let ms = duration.as_nanos().div_ceil(1_000_000);
    i64::try_from(ms).unwrap_or(FOR_EVER_MS).min(FOR_EVER_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_rounded_up_and_bounded() {
        assert_eq!(duration_ms(Duration::from_micros(1)), 1);
        assert_eq!(duration_ms(Duration::from_millis(5)), 5);
        assert_eq!(duration_ms(Duration::MAX), FOR_EVER_MS);
    }
}
