//! How often and when a task is retried.

use std::time::Duration;

/// Celery's `max_retries`.
pub const DEFAULT_MAX_RETRIES: u32 = 3;
/// Celery's `default_retry_delay`.
pub const DEFAULT_RETRY_DELAY: Duration = Duration::from_secs(180);
/// Celery's `retry_backoff_max`.
pub const DEFAULT_BACKOFF_MAX: Duration = Duration::from_secs(600);

/// The retry options of a task.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Retries {
    /// How many retries there are; `None` for no limit. Default 3. Celery's `max_retries`.
    pub max: Option<u32>,
    /// The delay before each. Default 180 s. Celery's `default_retry_delay`.
    pub delay: Duration,
    /// Instead of `delay`: this long before the first, then twice as long each time. Default: none.
    /// Celery's `retry_backoff`.
    pub backoff: Option<Duration>,
    /// The longest that the backoff comes to. Default 600 s. Celery's `retry_backoff_max`.
    pub backoff_max: Duration,
    /// Whether the backoff is replaced by a random time between zero and itself ("full jitter"), so
    /// that tasks which failed together do not return together. Default true. Celery's `retry_jitter`.
    pub jitter: bool,
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            max: Some(DEFAULT_MAX_RETRIES),
            delay: DEFAULT_RETRY_DELAY,
            backoff: None,
            backoff_max: DEFAULT_BACKOFF_MAX,
            jitter: true,
        }
    }
}

impl Retries {
    /// Whether a task that was retried so often may be retried again.
    pub fn allow(&self, retries: u32) -> bool {
        self.max.is_none_or(|max| retries < max)
    }

    /// The delay before the next retry of a task that was retried so often. `random` is from 0 up
    /// to 1.
    pub fn delay_after(&self, retries: u32, random: f64) -> Duration {
        let Some(first) = self.backoff else {
            return self.delay;
        };
        let factor = 2_u32.saturating_pow(retries);
        let backoff = first.saturating_mul(factor).min(self.backoff_max);
        if !self.jitter {
            return backoff;
        }
        let jittered = backoff.as_secs_f64() * random.clamp(0.0, 1.0);
        Duration::try_from_secs_f64(jittered).map_or(backoff, |delay| delay.min(backoff))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BACKOFF: Retries = Retries {
        max: Some(3),
        delay: DEFAULT_RETRY_DELAY,
        backoff: Some(Duration::from_secs(1)),
        backoff_max: Duration::from_secs(600),
        jitter: false,
    };

    #[test]
    fn doubles_up_to_the_cap() {
        let delays = [0, 1, 2, 9, 10, 40, u32::MAX].map(|n| BACKOFF.delay_after(n, 0.5).as_secs());
        assert_eq!(delays, [1, 2, 4, 512, 600, 600, 600]);
    }

    #[test]
    fn without_backoff_every_delay_is_the_same() {
        let retries = Retries::default();
        assert_eq!(retries.delay_after(7, 0.1), DEFAULT_RETRY_DELAY);
    }

    proptest! {
        #[test]
        fn jitter_stays_between_zero_and_the_backoff(n: u32, random in 0.0..1.0, max in 0_u64..u64::MAX) {
            let plain = Retries { backoff_max: Duration::from_secs(max), ..BACKOFF };
            let jittered = Retries { jitter: true, ..plain };
            prop_assert!(jittered.delay_after(n, random) <= plain.delay_after(n, random));
        }
    }
}
