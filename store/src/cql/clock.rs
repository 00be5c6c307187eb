//! How far this machine's clock is from those of the cluster's nodes. Every fence read tells what time it is at the node that
//! carries it out; a clock is off if most nodes say so, for then it is not theirs that is wrong.
//!
//! Those nodes are the ones that have the router's own row, three mostly, however many there are. To hear all of them would take a
//! statement to each, from each broker, again and again, for something that no promise rests on.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use uuid::Uuid;

/// By how much a clock may differ from those of most nodes.
const OFF_MAX: Duration = Duration::from_secs(5);

/// For how long what a node has said counts. Nodes that are gone are forgotten with it.
const HEARD_FOR: Duration = Duration::from_secs(60);

/// What nodes have said.
#[derive(Default)]
pub(super) struct Clocks(Mutex<HashMap<Uuid, Heard>>);

/// What one node has said last.
#[derive(Clone, Copy)]
struct Heard {
    at: Instant,
    /// Milliseconds by which the node was ahead of this machine, at least; below 0 if it was behind.
    ahead_ms: i64,
}

/// The time of this machine's clock, in milliseconds.
pub(super) fn wall_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

impl Clocks {
    /// A node said this time to a question that was under way between these two.
    pub(super) fn heard(&self, node: Uuid, (asked_ms, answered_ms): (i64, i64), said_ms: i64, now: Instant) {
        // Somewhere in between it was that time: what is within is right.
        let ahead_ms = said_ms.saturating_sub(said_ms.clamp(asked_ms.min(answered_ms), answered_ms.max(asked_ms)));
        let mut nodes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        nodes.retain(|_, heard| now.saturating_duration_since(heard.at) < HEARD_FOR);
        nodes.insert(node, Heard { at: now, ahead_ms });
    }

    /// By how many milliseconds most nodes are ahead of this machine, or behind it, if that is too much.
    pub(super) fn off_ms(&self, now: Instant) -> Option<i64> {
        let nodes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let heard = nodes.values().filter(|heard| now.saturating_duration_since(heard.at) < HEARD_FOR);
        let mut ahead: Vec<i64> = heard.map(|heard| heard.ahead_ms).collect();
        ahead.sort_unstable();
        let (least, most) = (ahead.get(ahead.len() / 2)?, ahead.get((ahead.len() - 1) / 2)?);
        // Of an even number both in the middle: half of the nodes are not most of them.
        if least.signum() != most.signum() {
            return None;
        }
        let off = if least.unsigned_abs() < most.unsigned_abs() { *least } else { *most };
        (u128::from(off.unsigned_abs()) > OFF_MAX.as_millis()).then_some(off)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_800_000_000_000;

    /// Tells clocks what nodes say that differ by this much.
    fn of(nodes_ms: &[i64]) -> (Clocks, Instant) {
        let (clocks, now) = (Clocks::default(), Instant::now());
        for (number, ahead_ms) in (0..).zip(nodes_ms) {
            clocks.heard(Uuid::from_u128(number), (NOW_MS, NOW_MS), NOW_MS + ahead_ms, now);
        }
        (clocks, now)
    }

    fn off(nodes_ms: &[i64]) -> Option<i64> {
        let (clocks, now) = of(nodes_ms);
        clocks.off_ms(now)
    }

    #[test]
    fn it_is_off_if_most_nodes_say_so() {
        let hour = 3_600_000;
        assert_eq!(off(&[]), None);
        assert_eq!(off(&[hour]), Some(hour));
        assert_eq!(off(&[-hour, -hour - 5, 40]), Some(-hour));
        assert_eq!(off(&[hour, 3, 40]), None, "that node's is");
        assert_eq!(off(&[hour, hour, 3, 40]), None, "nobody knows whose is");
        assert_eq!(off(&[hour, hour, hour + 1, 40]), Some(hour));
        assert_eq!(off(&[hour, -hour, 40]), None, "both of them are");
        assert_eq!(off(&[hour, -hour]), None, "half of them are ahead, half behind");
        assert_eq!(off(&[hour, hour, -hour, -hour]), None, "the same");
        assert_eq!(off(&[5_000, 4_900, -5_000]), None, "not by enough");
        assert_eq!(off(&[5_001]), Some(5_001));
    }

    #[test]
    fn a_slow_answer_is_right_at_any_time_between() {
        let (clocks, now) = of(&[]);
        let node = Uuid::from_u128(1);
        for said in [0, 10_000, 20_000] {
            clocks.heard(node, (NOW_MS, NOW_MS + 20_000), NOW_MS + said, now);
            assert_eq!(clocks.off_ms(now), None, "{said}");
        }
        clocks.heard(node, (NOW_MS, NOW_MS + 20_000), NOW_MS + 26_000, now);
        assert_eq!(clocks.off_ms(now), Some(6_000));
        // Our own clock was set back meanwhile.
        clocks.heard(node, (NOW_MS, NOW_MS - 60_000), NOW_MS - 30_000, now);
        assert_eq!(clocks.off_ms(now), None);
    }

    #[test]
    fn who_is_not_heard_from_any_more_does_not_count() {
        let (clocks, now) = of(&[9_000, 9_000, 9_000]);
        assert_eq!(clocks.off_ms(now + HEARD_FOR), None);
        clocks.heard(Uuid::from_u128(9), (NOW_MS, NOW_MS), NOW_MS, now + HEARD_FOR);
        assert_eq!(clocks.0.lock().expect("nobody else").len(), 1, "nor is it kept");
    }
}
