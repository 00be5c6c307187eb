//! Whether what a router says of what is stored may still be true: its fence was read lately and was not there. One thread sees to
//! ownership and tells of each read; many ask, and nobody waits for anybody.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::rules::{Rule, Rules};
use crate::now::Now;

/// No read of the fence has said anything yet.
const NEVER: u64 = u64::MAX;

/// See the module.
#[derive(Debug)]
pub struct Sight {
    age_max: Duration,
    rules: Rules,
    /// When the last read of the fence that said `live` began, by both clocks. Each is written by itself: of an older and a
    /// newer one the older counts.
    seen_mono_ms: AtomicU64,
    seen_wall_ms: AtomicU64,
    ended: AtomicBool,
}

impl Sight {
    /// Of a router that has read nothing yet. Whatever is answered while the last read of the fence began longer ago than `age_max`
    /// ([`Config::fence_age_max`](super::Config)) is not certain.
    pub fn new(age_max: Duration) -> Self {
        Self {
            age_max,
            rules: Rules::default(),
            seen_mono_ms: AtomicU64::new(NEVER),
            seen_wall_ms: AtomicU64::new(NEVER),
            ended: AtomicBool::new(false),
        }
    }

    /// The same with one rule taken away, to see what breaks. For test builds alone.
    #[cfg(feature = "test-rules")]
    pub fn without(mut self, rule: Option<Rule>) -> Self {
        self.rules.without = rule;
        self
    }

    /// A read of the fence that began then said `live`.
    pub fn seen(&self, began: Now) {
        self.seen_wall_ms.store(began.wall_ms, Ordering::Release);
        self.seen_mono_ms.store(millis(began.mono), Ordering::Release);
    }

    /// This router owns nothing any more, for good.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    /// Whether it is known at this moment that what is owned is owned. The two clocks of a machine may stand still, or
    /// be set, one without the other: the one by which it is longer ago counts.
    pub fn is_sure(&self, now: Now) -> bool {
        if self.ended.load(Ordering::Acquire) {
            return false;
        }
        let (mono, wall) = (self.seen_mono_ms.load(Ordering::Acquire), self.seen_wall_ms.load(Ordering::Acquire));
        let is_seen = mono != NEVER && wall != NEVER;
        let age = millis(now.mono).saturating_sub(mono).max(now.wall_ms.saturating_sub(wall));
        is_seen && age <= millis(self.age_max) || !self.rules.has(Rule::FreshReads)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(NEVER)
}
