//! Ends of leases and of times to live, in the milliseconds that the tables keep.

use std::time::Duration;

pub(crate) use aipo_core::millis::{ceil_ms, from_ms, now_ms};

/// The moment `delay` after `now_ms`; the end of time when that is later still.
pub(crate) fn after_ms(now_ms: i64, delay: Duration) -> i64 {
    let delay = delay.as_nanos().div_ceil(1_000_000);
    now_ms.saturating_add(i64::try_from(delay).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_rounded_up_and_never_overflows() {
        assert_eq!(after_ms(10, Duration::from_micros(1)), 11);
        assert_eq!(after_ms(10, Duration::from_millis(5)), 15);
        assert_eq!(after_ms(10, Duration::MAX), i64::MAX);
    }
}
