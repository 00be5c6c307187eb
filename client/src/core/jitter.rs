//! Pauses before another attempt: full jitter, so that clients that failed together do not come again together.

use std::time::Duration;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};

/// The core's only source of chance. The same seed gives the same pauses.
#[derive(Debug)]
pub(crate) struct Jitter(Xoshiro256PlusPlus);

impl Jitter {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    /// Anything from nothing to `base` doubled `attempt` times, or to `cap` if that is less.
    pub(crate) fn pause(&mut self, base: Duration, cap: Duration, attempt: u32) -> Duration {
        let most = base.saturating_mul(1_u32.checked_shl(attempt).unwrap_or(u32::MAX)).min(cap);
        self.between(Duration::ZERO, most)
    }

    /// A time between two, both included, to the microsecond.
    pub(crate) fn between(&mut self, least: Duration, most: Duration) -> Duration {
        let least = u64::try_from(least.as_micros()).unwrap_or(u64::MAX);
        let most = u64::try_from(most.as_micros()).unwrap_or(u64::MAX).max(least);
        Duration::from_micros(self.0.random_range(least..=most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::limits::{RECONNECT_BASE, RECONNECT_CAP};

    #[test]
    fn pauses_stay_within_their_bounds_and_use_them() {
        let mut jitter = Jitter::new(7);
        for attempt in [0, 1, 5, 8, 31, 32, 200] {
            let most = RECONNECT_BASE.saturating_mul(2_u32.saturating_pow(attempt)).min(RECONNECT_CAP);
            let pauses: Vec<_> = (0..1_000).map(|_| jitter.pause(RECONNECT_BASE, RECONNECT_CAP, attempt)).collect();
            assert!(pauses.iter().all(|pause| *pause <= most), "attempt {attempt}");
            assert!(pauses.iter().any(|pause| *pause < most / 10), "attempt {attempt} never comes early");
            assert!(pauses.iter().any(|pause| *pause > most / 10 * 9), "attempt {attempt} never comes late");
        }
    }

    #[test]
    fn a_seed_decides_every_pause() {
        let pauses = |seed| {
            let mut jitter = Jitter::new(seed);
            (0..20).map(|attempt| jitter.pause(RECONNECT_BASE, RECONNECT_CAP, attempt)).collect::<Vec<_>>()
        };
        assert_eq!(pauses(1), pauses(1));
        assert_ne!(pauses(1), pauses(2));
    }
}
