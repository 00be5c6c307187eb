//! Chance for pauses and for the numbers of incarnations: SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number
//! generators", 2014) over a seed that is given.

use std::time::Duration;

/// A stream of numbers that its seed determines.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// This time, a fifth more or less: lest routers do everything at the same moment.
    pub(super) fn about(&mut self, time: Duration) -> Duration {
        let percent = 80 + (self.next() % 41) as u32;
        time * percent / 100
    }
}
