//! What one connection may do: three words of state in its session, no lock, no lookup.

use std::time::Duration;

use super::budget::{Bucket, Limit, Moment, Rate, Refusal};
use super::config::ConnectionBudgets;

/// Seconds over which control frames are counted, as the configuration's name says.
const CONTROL_SECONDS: u64 = 10;

/// Rates of all connections, made once from the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionRates {
    requests: Rate,
    bytes: Rate,
    control: Rate,
}

impl ConnectionRates {
    /// From the configuration.
    pub fn new(budgets: &ConnectionBudgets) -> Self {
        let control = u64::from(budgets.control_frames_per_10s);
        Self {
            requests: Rate::per_second(budgets.requests_per_second.into(), budgets.requests_burst.into()),
            bytes: Rate::per_second(budgets.bytes_per_second.into(), budgets.bytes_burst.into()),
            control: Rate::per_seconds(control, control, CONTROL_SECONDS),
        }
    }
}

/// One connection's account.
#[derive(Debug, Clone, Copy, Default)]
pub struct ConnectionBudget {
    requests: Bucket,
    bytes: Bucket,
    control: Bucket,
}

impl ConnectionBudget {
    /// A request arrived that costs so much. Refused, it is answered `RATE_LIMITED` and has no effect.
    pub fn request(&mut self, rates: &ConnectionRates, cost: u64, now: Moment) -> Result<(), Refusal> {
        let cost = rates.requests.at_most(cost);
        self.requests.take(&rates.requests, Limit::ConnectionRequests, cost, now)
    }

    /// A ping, a pong or a frame without content arrived. Refused, the connection is closed.
    pub fn control_frame(&mut self, rates: &ConnectionRates, now: Moment) -> Result<(), Refusal> {
        self.control.take(&rates.control, Limit::ConnectionControl, 1, now)
    }

    /// Bytes arrived. Returns for how long the connection should not be read.
    pub fn received(&mut self, rates: &ConnectionRates, bytes: usize, now: Moment) -> Option<Duration> {
        match self.bytes.charge(&rates.bytes, bytes as u64, now) {
            0 => None,
            wait_ns => Some(Duration::from_nanos(wait_ns)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::config::Budgets;

    fn seconds(n: u64) -> Moment {
        Moment::from_nanos(n * 1_000_000_000)
    }

    #[test]
    fn n24_a_flood_of_control_frames_is_cut_and_a_heartbeat_is_not() {
        for budgets in [Budgets::default(), Budgets::development()] {
            let rates = ConnectionRates::new(&budgets.connection);
            let mut flood = ConnectionBudget::default();
            let admitted = (0..1_000).take_while(|_| flood.control_frame(&rates, seconds(1)).is_ok()).count();
            assert_eq!(admitted, 60);
            assert_eq!(flood.control_frame(&rates, seconds(1)).map_err(|it| it.limit), Err(Limit::ConnectionControl));

            let mut honest = ConnectionBudget::default();
            assert!((0..3_600).all(|second| honest.control_frame(&rates, seconds(second)).is_ok()));
        }
    }

    #[test]
    fn requests_are_refused_beyond_the_rate_and_reading_pauses_beyond_the_bytes() {
        let rates = ConnectionRates::new(&ConnectionBudgets::default());
        let mut budget = ConnectionBudget::default();
        let admitted = (0..10_000).filter(|_| budget.request(&rates, 1, seconds(9)).is_ok()).count();
        assert_eq!(admitted, 500);
        let refusal = budget.request(&rates, 1, seconds(9)).expect_err("used up");
        assert_eq!(refusal.retry_after_ms, Some(10));

        assert_eq!(budget.received(&rates, 4 * 1024 * 1024, seconds(9)), None);
        assert_eq!(budget.received(&rates, 1024 * 1024, seconds(9)), Some(Duration::from_secs(1)));
    }

    #[test]
    fn development_lets_a_publisher_saturate() {
        let rates = ConnectionRates::new(&Budgets::development().connection);
        let mut budget = ConnectionBudget::default();
        for n in 0..2_000_000_u64 {
            let now = Moment::from_nanos(n * 10_000);
            assert!(budget.request(&rates, 1, now).is_ok(), "100,000 requests a second");
            assert_eq!(budget.received(&rates, 128 * 1024, now), None);
        }
    }
}
