//! The numbers of all budgets, with their reasons. What is counted is counted on one edge; several edges each have
//! their own.

use serde::Deserialize;
use switchyard_protocol::limits::FRAME_BYTES_MAX;

/// All budgets. In every rate and count, 0 means no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Budgets {
    /// What one connection may do.
    pub connection: ConnectionBudgets,
    /// What one user may do over all connections.
    pub user: UserBudgets,
    /// What one client address may do. IPv6 addresses count by their network of 64 bits, as one customer has it whole.
    pub address: AddressBudgets,
    /// What all users of one tenant may do.
    pub tenant: TenantBudgets,
}

/// Of one connection.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConnectionBudgets {
    /// Requests a second. A person causes fewer than 10 with typing, marks and history; 100 leave room for small
    /// services. Beyond, a request is answered `RATE_LIMITED`. One that means much work counts as several: with members
    /// to put in, one more for each 16; with conversations to resume or to subscribe to, one more for each 16; a page,
    /// one more for each 100 rows.
    pub requests_per_second: u32,
    /// Requests at once after a quiet time: what an SDK sends again after a long tunnel.
    pub requests_burst: u32,
    /// Bytes received a second, on average. Beyond, the connection is not read for a while, and TCP slows the sender.
    pub bytes_per_second: u32,
    /// Bytes received at once after a quiet time; not below the largest frame.
    pub bytes_burst: u32,
    /// Pings, pongs and empty frames in 10 s. The heartbeat needs one in 25 s, eager clients one a second. Beyond, the
    /// connection is closed: such a flood has no honest reason.
    pub control_frames_per_10s: u32,
}

impl Default for ConnectionBudgets {
    fn default() -> Self {
        Self {
            requests_per_second: 100,
            requests_burst: 500,
            bytes_per_second: 1024 * 1024,
            bytes_burst: 4 * 1024 * 1024,
            control_frames_per_10s: 60,
        }
    }
}

/// Of one user.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UserBudgets {
    /// Requests a second over all connections: two busy ones.
    pub requests_per_second: u32,
    /// Requests at once after a quiet time.
    pub requests_burst: u32,
    /// Connections at once: devices and tabs, with those that died unnoticed.
    pub connections: u32,
    /// Changes of conversations that may wait for their answers at once, over all connections, in the work they mean for
    /// the store: a creation or addition counts 1 and one more for each 16 members; a change that all members' lists
    /// show, 8. One is always taken, however large. Beyond, a request is answered `OVERLOADED`: everybody's requests
    /// wait for the same store.
    pub changes_in_flight: u32,
}

impl Default for UserBudgets {
    fn default() -> Self {
        Self { requests_per_second: 200, requests_burst: 1_000, connections: 50, changes_in_flight: 64 }
    }
}

/// Of one address. Many users may be behind one, so these are wide; they stop a single machine.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AddressBudgets {
    /// Handshakes a second.
    pub handshakes_per_second: u32,
    /// Handshakes at once after a quiet time: an office that comes back after its line was cut.
    pub handshakes_burst: u32,
    /// Handshakes under way at once. Honest ones take a few round trips, so that few are ever open together.
    pub half_open: u32,
    /// Connections at once.
    pub connections: u32,
    /// Development only, not configurable: loopback addresses have no budget, as load tests open tens of thousands of
    /// connections from there. Behind a trusted proxy it is the client's address that counts, not the proxy's.
    #[serde(skip)]
    pub exempt_loopback: bool,
}

impl Default for AddressBudgets {
    fn default() -> Self {
        Self {
            handshakes_per_second: 50,
            handshakes_burst: 500,
            half_open: 200,
            connections: 2_000,
            exempt_loopback: false,
        }
    }
}

/// Of one tenant. Without limits unless configured: an installation often has one tenant, whose limit is the machine.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TenantBudgets {
    /// Requests a second.
    pub requests_per_second: u32,
    /// Requests at once after a quiet time.
    pub requests_burst: u32,
    /// Connections at once.
    pub connections: u32,
}

impl Default for TenantBudgets {
    fn default() -> Self {
        Self { requests_per_second: 0, requests_burst: 10_000, connections: 0 }
    }
}

/// A number that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct BudgetError {
    /// The key below the section of the budgets.
    pub key: &'static str,
    /// What is wrong.
    pub problem: String,
}

impl Budgets {
    /// Development: budgets of connections and users are so wide that one publisher can saturate the machine, and
    /// loopback addresses have none. Control frames keep their limit, as a flood of them is never a test of speed.
    pub fn development() -> Self {
        Self {
            connection: ConnectionBudgets {
                requests_per_second: 200_000,
                requests_burst: 400_000,
                bytes_per_second: 0,
                ..ConnectionBudgets::default()
            },
            user: UserBudgets {
                requests_per_second: 400_000,
                requests_burst: 800_000,
                connections: 0,
                changes_in_flight: 0,
            },
            address: AddressBudgets { exempt_loopback: true, ..AddressBudgets::default() },
            tenant: TenantBudgets::default(),
        }
    }

    /// Everything that cannot work.
    pub fn errors(&self) -> Vec<BudgetError> {
        let mut errors = Vec::new();
        let bursts = [
            ("connection.requests_burst", self.connection.requests_per_second, self.connection.requests_burst),
            ("connection.bytes_burst", self.connection.bytes_per_second, self.connection.bytes_burst),
            ("user.requests_burst", self.user.requests_per_second, self.user.requests_burst),
            ("address.handshakes_burst", self.address.handshakes_per_second, self.address.handshakes_burst),
            ("tenant.requests_burst", self.tenant.requests_per_second, self.tenant.requests_burst),
        ];
        for (key, rate, burst) in bursts {
            let least = if key == "connection.bytes_burst" { FRAME_BYTES_MAX } else { 1 };
            if rate > 0 && (burst as usize) < least {
                errors.push(BudgetError { key, problem: format!("{burst} is below {least}, nothing would pass") });
            }
        }
        errors
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_work_and_what_cannot_is_named() {
        assert_eq!(Budgets::default().errors(), []);
        assert_eq!(Budgets::development().errors(), []);
        let mut budgets = Budgets::default();
        budgets.connection.bytes_burst = 10;
        budgets.user.requests_burst = 0;
        budgets.tenant.requests_burst = 0;
        let keys: Vec<&str> = budgets.errors().iter().map(|error| error.key).collect();
        assert_eq!(keys, ["connection.bytes_burst", "user.requests_burst"]);
    }

    #[test]
    fn unknown_keys_are_refused_and_missing_ones_have_defaults() {
        let budgets: Budgets = serde_json::from_str(r#"{"user":{"connections":3}}"#).expect("known keys");
        assert_eq!(budgets.user, UserBudgets { connections: 3, ..UserBudgets::default() });
        assert_eq!(budgets.address, AddressBudgets::default());
        for unknown in [r#"{"users":{}}"#, r#"{"user":{"conections":3}}"#, r#"{"address":{"exempt_loopback":true}}"#] {
            assert!(serde_json::from_str::<Budgets>(unknown).is_err(), "{unknown}");
        }
    }
}
