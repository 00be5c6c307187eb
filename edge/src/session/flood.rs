//! Counts what should be rare, over windows of time, in two words. Knows nothing of what it counts.

use std::time::Duration;

/// How often something happened in the present window.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flood {
    /// When the window began, in whole seconds of the monotonic clock.
    since_s: u32,
    count: u32,
}

impl Flood {
    /// Counts one more; `false` when that is more than `most` within `window`.
    pub(super) fn count(&mut self, now: Duration, window: Duration, most: u32) -> bool {
        let now_s = now.as_secs() as u32;
        if u64::from(now_s.wrapping_sub(self.since_s)) >= window.as_secs() {
            *self = Self { since_s: now_s, count: 0 };
        }
        self.count = self.count.saturating_add(1);
        self.count <= most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_holds_so_many_and_the_next_begins_anew() {
        let window = Duration::from_secs(60);
        let mut flood = Flood::default();
        let at = Duration::from_secs;
        assert!((0..3).all(|_| flood.count(at(100), window, 3)));
        assert!(!flood.count(at(159), window, 3));
        assert!(flood.count(at(160), window, 3));
    }
}
