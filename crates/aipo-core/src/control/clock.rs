//! A logical clock, by which what different processes tell can be put in order.

use std::sync::atomic::{AtomicU64, Ordering};

/// Lamport's clock, as kombu keeps it: it goes up with everything that is sent, and beyond every clock
/// that is received.
///
/// Source: L. Lamport, "Time, Clocks, and the Ordering of Events in a Distributed System", 1978.
#[derive(Debug, Default)]
pub struct LamportClock(AtomicU64);

impl LamportClock {
    /// Its value.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// One further, for something to be sent; the new value goes with it.
    pub fn forward(&self) -> u64 {
        let before = self.0.fetch_add(1, Ordering::Relaxed);
        before + 1
    }

    /// Beyond `received`, which came with something.
    pub fn adjust(&self, received: u64) {
        // A clock from elsewhere may be any number; ours must be able to go on.
        let received = received.min(u64::MAX / 2);
        let beyond = |own: u64| Some(own.max(received) + 1);
        // It can't fail: the function always gives a value.
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, beyond);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_up_with_what_is_sent_and_beyond_what_is_received() {
        let clock = LamportClock::default();
        assert_eq!(clock.forward(), 1);
        clock.adjust(41);
        assert_eq!(clock.value(), 42);
        clock.adjust(7);
        assert_eq!(clock.value(), 43);
        assert_eq!(clock.forward(), 44);
    }

    #[test]
    fn a_clock_that_makes_no_sense_does_not_stop_it() {
        let clock = LamportClock::default();
        clock.adjust(u64::MAX);
        let before = clock.value();
        assert!(clock.forward() > before);
    }
}
