//! Budgets in plain words: a bucket that refills at a steady rate is one number, the moment at which it will be full
//! again (the generic cell rate algorithm). Nothing ticks, nothing is allocated, `now` is an argument.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Nanoseconds of a second.
const SECOND_NS: u64 = 1_000_000_000;

/// A moment of a process, in nanoseconds since an origin that all its threads share: 584 years fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

impl Moment {
    /// From the clock's reading and the process's origin.
    pub fn new(origin: Instant, now: Instant) -> Self {
        Self(u64::try_from(now.saturating_duration_since(origin).as_nanos()).unwrap_or(u64::MAX))
    }

    /// From nanoseconds since the origin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }
}

/// Which limit was met. Its label is for metrics; a client learns a code and when to come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limit {
    /// Requests of one connection.
    ConnectionRequests,
    /// Ping, pong and empty frames of one connection.
    ConnectionControl,
    /// Requests of one user over all connections here.
    UserRequests,
    /// Connections of one user here.
    UserConnections,
    /// Changes of conversations that one user waits for.
    UserChanges,
    /// Requests of one tenant here.
    TenantRequests,
    /// Connections of one tenant here.
    TenantConnections,
    /// Handshakes from one address.
    AddressHandshakes,
    /// Handshakes from one address that are not finished.
    AddressHalfOpen,
    /// Connections from one address.
    AddressConnections,
    /// There is no room to keep count of one more; somebody must go first.
    TableFull,
}

impl Limit {
    /// Every value, so that each label of the metric exists before its first event.
    pub const ALL: [Self; 11] = [
        Self::ConnectionRequests,
        Self::ConnectionControl,
        Self::UserRequests,
        Self::UserConnections,
        Self::UserChanges,
        Self::TenantRequests,
        Self::TenantConnections,
        Self::AddressHandshakes,
        Self::AddressHalfOpen,
        Self::AddressConnections,
        Self::TableFull,
    ];

    /// The value of the label `limit` in metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::ConnectionRequests => "connection_requests",
            Self::ConnectionControl => "connection_control",
            Self::UserRequests => "user_requests",
            Self::UserConnections => "user_connections",
            Self::UserChanges => "user_changes",
            Self::TenantRequests => "tenant_requests",
            Self::TenantConnections => "tenant_connections",
            Self::AddressHandshakes => "address_handshakes",
            Self::AddressHalfOpen => "address_half_open",
            Self::AddressConnections => "address_connections",
            Self::TableFull => "table_full",
        }
    }
}

/// A refusal for want of budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the limit {} is reached", limit.label())]
pub struct Refusal {
    /// Which limit.
    pub limit: Limit,
    /// When the same would be admitted, for limits that time alone mends.
    pub retry_after_ms: Option<u64>,
}

impl Refusal {
    /// Refused until somebody goes.
    pub(super) const fn full(limit: Limit) -> Self {
        Self { limit, retry_after_ms: None }
    }

    fn until(limit: Limit, wait_ns: u64) -> Self {
        Self { limit, retry_after_ms: Some(wait_ns.div_ceil(SECOND_NS / 1_000)) }
    }
}

/// How fast a bucket refills and how much it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Units in each `period_ns`; none means no limit.
    units: u64,
    period_ns: u64,
    /// How long an empty bucket takes to be full.
    full_ns: u64,
    /// What a full bucket holds.
    burst: u64,
}

impl Rate {
    /// Takes everything.
    pub const UNLIMITED: Self = Self { units: 0, period_ns: SECOND_NS, full_ns: u64::MAX, burst: u64::MAX };

    /// So many units a second, and `burst` at once when it was quiet. Zero a second means no limit.
    pub const fn per_second(units: u64, burst: u64) -> Self {
        Self::per_seconds(units, burst, 1)
    }

    /// So many units in each stretch of `seconds`, and `burst` at once when it was quiet. Zero units mean no limit.
    pub const fn per_seconds(units: u64, burst: u64, seconds: u64) -> Self {
        if units == 0 {
            return Self::UNLIMITED;
        }
        let mut rate = Self { units, period_ns: seconds.saturating_mul(SECOND_NS), full_ns: 0, burst };
        rate.full_ns = rate.cost_ns(burst);
        rate
    }

    /// Whether it takes everything.
    pub const fn is_unlimited(&self) -> bool {
        self.units == 0
    }

    /// As much of this cost as a full bucket holds, so that what costs more passes after a quiet time, and not never.
    pub const fn at_most(&self, units: u64) -> u64 {
        if units < self.burst { units } else { self.burst }
    }

    const fn cost_ns(&self, units: u64) -> u64 {
        // Requests and frames are far below the 2^34 units from which the product would not fit.
        units.saturating_mul(self.period_ns) / self.units
    }

    /// What the bucket's word becomes by taking `units`, or for how long that would be too early.
    const fn after(&self, full_at: u64, units: u64, now: Moment) -> Result<u64, u64> {
        let base = if full_at > now.0 { full_at } else { now.0 };
        let after = base.saturating_add(self.cost_ns(units));
        let ahead = after - now.0;
        if ahead > self.full_ns { Err(ahead - self.full_ns) } else { Ok(after) }
    }
}

/// A bucket of one thread: the moment at which it will be full. A new one is full.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bucket(u64);

impl Bucket {
    /// Takes `units` if there are as many; otherwise takes nothing and says when to come again.
    pub fn take(&mut self, rate: &Rate, limit: Limit, units: u64, now: Moment) -> Result<(), Refusal> {
        if rate.is_unlimited() {
            return Ok(());
        }
        match rate.after(self.0, units, now) {
            Ok(after) => {
                self.0 = after;
                Ok(())
            }
            Err(wait_ns) => Err(Refusal::until(limit, wait_ns)),
        }
    }

    /// Takes `units` even if there are fewer: for what has been received already. Returns for how many nanoseconds
    /// nothing more should be taken, zero when there was enough.
    pub fn charge(&mut self, rate: &Rate, units: u64, now: Moment) -> u64 {
        if rate.is_unlimited() {
            return 0;
        }
        self.0 = self.0.max(now.0).saturating_add(rate.cost_ns(units));
        (self.0 - now.0).saturating_sub(rate.full_ns)
    }
}

/// A bucket of several threads.
#[derive(Debug, Default)]
pub(super) struct SharedBucket(AtomicU64);

impl SharedBucket {
    /// As [`Bucket::take`].
    pub(super) fn take(&self, rate: &Rate, limit: Limit, units: u64, now: Moment) -> Result<(), Refusal> {
        if rate.is_unlimited() {
            return Ok(());
        }
        // Relaxed: the word guards nothing but itself.
        let mut full_at = self.0.load(Ordering::Relaxed);
        loop {
            let after = rate.after(full_at, units, now).map_err(|wait_ns| Refusal::until(limit, wait_ns))?;
            match self.0.compare_exchange_weak(full_at, after, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(current) => full_at = current,
            }
        }
    }

    /// Whether forgetting it would change nothing.
    pub(super) fn is_full(&self, now: Moment) -> bool {
        self.0.load(Ordering::Relaxed) <= now.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(n: u64) -> Moment {
        Moment::from_nanos(n * 1_000_000)
    }

    #[test]
    fn a_burst_then_a_steady_rate() {
        let rate = Rate::per_second(10, 3);
        let mut bucket = Bucket::default();
        let mut take = |now| bucket.take(&rate, Limit::UserRequests, 1, now);
        for _ in 0..3 {
            assert_eq!(take(ms(5_000)), Ok(()));
        }
        let refusal = take(ms(5_000)).expect_err("the burst is used up");
        assert_eq!(refusal, Refusal { limit: Limit::UserRequests, retry_after_ms: Some(100) });
        assert_eq!(take(ms(5_099)).expect_err("too early").retry_after_ms, Some(1));
        assert_eq!(take(ms(5_100)), Ok(()));
        assert!(take(ms(5_100)).is_err());
    }

    #[test]
    fn what_was_received_is_charged_and_paid_off() {
        let rate = Rate::per_second(1_000, 500);
        let mut bucket = Bucket::default();
        assert_eq!(bucket.charge(&rate, 500, ms(0)), 0);
        assert_eq!(bucket.charge(&rate, 2_000, ms(0)), 2 * SECOND_NS);
        assert_eq!(bucket.charge(&rate, 0, ms(1_000)), SECOND_NS);
        assert_eq!(bucket.charge(&rate, 0, ms(2_000)), 0);
        assert_eq!(bucket.charge(&Rate::UNLIMITED, u64::MAX, ms(0)), 0);
    }

    #[test]
    fn no_limit_takes_everything() {
        let mut bucket = Bucket::default();
        let shared = SharedBucket::default();
        for rate in [Rate::UNLIMITED, Rate::per_second(0, 0)] {
            for _ in 0..1_000 {
                assert_eq!(bucket.take(&rate, Limit::UserRequests, u64::MAX, ms(0)), Ok(()));
                assert_eq!(shared.take(&rate, Limit::UserRequests, u64::MAX, ms(0)), Ok(()));
            }
        }
    }

    #[test]
    fn threads_share_one_bucket() {
        let rate = Rate::per_second(1, 1_000);
        let bucket = SharedBucket::default();
        let taken: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        (0..1_000).filter(|_| bucket.take(&rate, Limit::UserRequests, 1, ms(1)).is_ok()).count()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
        });
        assert_eq!(taken, 1_000);
        assert!(!bucket.is_full(ms(999_000)) && bucket.is_full(ms(1_000_001)));
    }

    proptest! {
        /// Never more than the burst and the rate allow over the whole time, and whoever waits as told is admitted.
        #[test]
        fn keeps_to_its_rate(
            per_second in 1..50_000_u64,
            burst in 1..10_000_u64,
            gaps in proptest::collection::vec((0..50_000_000_u64, 1..20_u64), 1..300),
        ) {
            let rate = Rate::per_second(per_second, burst);
            let shared = SharedBucket::default();
            let (mut bucket, mut now_ns, mut taken) = (Bucket::default(), 0_u64, 0_u64);
            for (gap_ns, units) in gaps {
                now_ns += gap_ns;
                let now = Moment::from_nanos(now_ns);
                let result = bucket.take(&rate, Limit::UserRequests, units, now);
                prop_assert_eq!(shared.take(&rate, Limit::UserRequests, units, now), result);
                match result {
                    Ok(()) => taken += units,
                    Err(refusal) if units <= burst => {
                        let wait_ms = refusal.retry_after_ms.expect("time mends it");
                        // A bucket that is full after rounding may lack a nanosecond for each unit.
                        let later = Moment::from_nanos(now_ns + wait_ms * 1_000_000 + burst);
                        prop_assert!(bucket.clone().take(&rate, Limit::UserRequests, units, later).is_ok());
                    }
                    Err(_) => {}
                }
                // Costs are rounded down by less than a nanosecond for each take.
                let allowed = burst as u128 + u128::from(now_ns + 400) * u128::from(per_second) / 1_000_000_000 + 1;
                prop_assert!(u128::from(taken) <= allowed);
            }
        }
    }
}
