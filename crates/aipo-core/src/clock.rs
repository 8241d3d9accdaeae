//! The only place that reads the machine's clock.
//!
//! Wall-clock time (`Timestamp`) is what crosses processes: an ETA, an expiry, a lease's end.
//! Time that is only waited for inside one process goes through `tokio::time`.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

/// Tells the time. Shared by everything that belongs to one app or one store.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// The machine's clock.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the machine's clock"
    )]
    pub fn system() -> Self {
        Self(Arc::new(|| {
            Timestamp::try_from(std::time::SystemTime::now())
                .expect("the machine's clock is within the years -9999 to 9999")
        }))
    }

    /// A clock that starts at `start` and advances with `tokio::time`: in a test with paused time
    /// an hour's countdown passes at once, for everything that shares the clock.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn tokio(start: Timestamp) -> Self {
        let origin = tokio::time::Instant::now();
        Self(Arc::new(move || start + origin.elapsed()))
    }

    /// A clock that asks `now` each time.
    pub fn from_fn(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }

    /// The moment `delay` from now; the last representable moment when that is later still.
    pub fn after(&self, delay: Duration) -> Timestamp {
        after(self.now(), delay)
    }

    /// How long until `moment`; zero when it has passed.
    pub fn until(&self, moment: Timestamp) -> Duration {
        Duration::try_from(moment.duration_since(self.now())).unwrap_or(Duration::ZERO)
    }
}

/// `moment + delay`, clamped to the last representable moment.
pub fn after(moment: Timestamp, delay: Duration) -> Timestamp {
    moment.checked_add(delay).unwrap_or(Timestamp::MAX)
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Clock({})", self.now())
    }
}
