//! The door: counts handshakes and connections of addresses, users and tenants, and the requests of the latter two.
//!
//! A connection passes it twice: [`Door::knock`] with the client's address when it arrives, [`Door::enter`] when it is
//! known who it is. Both give a guard that counts it out when dropped, so that nothing is counted for ever.

use std::net::IpAddr;
use std::sync::Arc;

use switchyard_protocol::id::{TenantId, UserId};

use super::budget::{Limit, Moment, Rate, Refusal};
use super::config::{AddressBudgets, Budgets};
use super::places::Places;
use super::table::{Account, Table};

/// Addresses that are counted at once; at about 100 bytes each. More than one edge has connections.
const ADDRESSES_MAX: usize = 1 << 20;

/// Users that are counted at once, likewise.
const USERS_MAX: usize = 1 << 20;

/// Tenants that are counted at once.
const TENANTS_MAX: usize = 1 << 16;

/// Accounts of each table that one call of [`Door::sweep`] looks at: some 100 us.
const SWEEP_LOOK: usize = 4_096;

/// Counts who comes in. One for a process, shared by its workers.
#[derive(Debug)]
pub struct Door {
    address: AddressBudgets,
    handshakes: Rate,
    user_requests: Rate,
    user_connections: u32,
    user_changes: u32,
    tenant_requests: Rate,
    tenant_connections: u32,
    addresses: Table,
    users: Table,
    tenants: Table,
    places: Places,
}

/// A connection whose handshake is under way. It counts as a connection already.
#[derive(Debug)]
#[must_use = "dropping it counts the connection as gone"]
pub struct Knocking {
    half_open: HalfOpen,
    inside: Inside,
}

/// A connection whose handshake is over, counted for its address.
#[derive(Debug)]
#[must_use = "dropping it counts the connection as gone"]
pub struct Inside(Option<Arc<Account>>);

#[derive(Debug)]
struct HalfOpen(Option<Arc<Account>>);

/// A connection that belongs to a user.
#[derive(Debug)]
#[must_use = "dropping it counts the user's connection as gone"]
pub struct Entered {
    user: Arc<Account>,
    tenant: Option<Arc<Account>>,
}

/// A change of a conversation that its user waits for.
#[derive(Debug)]
#[must_use = "dropping it says that the change has its answer"]
pub struct Change {
    user: Arc<Account>,
    units: u32,
}

impl Door {
    /// With the configured budgets.
    pub fn new(budgets: &Budgets) -> Self {
        let rate = |per_second: u32, burst: u32| Rate::per_second(per_second.into(), burst.into());
        let Budgets { address, user, tenant, .. } = budgets;
        Self {
            handshakes: rate(address.handshakes_per_second, address.handshakes_burst),
            address: address.clone(),
            user_requests: rate(user.requests_per_second, user.requests_burst),
            user_connections: user.connections,
            user_changes: user.changes_in_flight,
            tenant_requests: rate(tenant.requests_per_second, tenant.requests_burst),
            tenant_connections: tenant.connections,
            addresses: Table::new(ADDRESSES_MAX),
            users: Table::new(USERS_MAX),
            tenants: Table::new(TENANTS_MAX),
            places: Places::default(),
        }
    }

    /// The process's connections.
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// A connection from this client address begins its handshake. For a trusted proxy's connection this is called once
    /// the proxy has told whom it speaks for; the proxy's own address has no budget.
    pub fn knock(&self, client: IpAddr, now: Moment) -> Result<Knocking, Refusal> {
        let client = client.to_canonical();
        if self.address.exempt_loopback && client.is_loopback() {
            return Ok(Knocking { half_open: HalfOpen(None), inside: Inside(None) });
        }
        let account = self.addresses.account(network_of(client), now)?;
        account.connections.enter(self.address.connections, Limit::AddressConnections)?;
        let inside = Inside(Some(Arc::clone(&account)));
        account.half_open.enter(self.address.half_open, Limit::AddressHalfOpen)?;
        let half_open = HalfOpen(Some(Arc::clone(&account)));
        account.bucket.take(&self.handshakes, Limit::AddressHandshakes, 1, now)?;
        Ok(Knocking { half_open, inside })
    }

    /// The connection's user is known. Its budgets are shared by all connections of the user and of the tenant.
    pub fn enter(&self, tenant: &TenantId, user: &UserId, now: Moment) -> Result<Entered, Refusal> {
        let account = self.users.account((tenant, user), now)?;
        account.connections.enter(self.user_connections, Limit::UserConnections)?;
        let mut entered = Entered { user: account, tenant: None };
        // A tenant without limits is not counted: all its connections would write to one word.
        if self.tenant_connections > 0 || !self.tenant_requests.is_unlimited() {
            let account = self.tenants.account(tenant, now)?;
            account.connections.enter(self.tenant_connections, Limit::TenantConnections)?;
            entered.tenant = Some(account);
        }
        Ok(entered)
    }

    /// A request of a user arrived that costs so much; its connection's own budget is asked before.
    pub fn request(&self, of: &Entered, cost: u64, now: Moment) -> Result<(), Refusal> {
        let user_cost = self.user_requests.at_most(cost);
        of.user.bucket.take(&self.user_requests, Limit::UserRequests, user_cost, now)?;
        let tenant_cost = self.tenant_requests.at_most(cost);
        match &of.tenant {
            Some(tenant) => tenant.bucket.take(&self.tenant_requests, Limit::TenantRequests, tenant_cost, now),
            None => Ok(()),
        }
    }

    /// A user asks for a change that means so much work. It counts until the guard is dropped, also when the user's
    /// connections are gone before.
    pub fn change(&self, of: &Entered, units: u32) -> Result<Change, Refusal> {
        of.user.changes.add(units, self.user_changes, Limit::UserChanges)?;
        Ok(Change { user: Arc::clone(&of.user), units })
    }

    /// Forgets some of those who are gone. Called about every second by one thread.
    pub fn sweep(&self, now: Moment) {
        for table in [&self.addresses, &self.users, &self.tenants] {
            table.sweep(SWEEP_LOOK, now);
        }
    }

    /// How many addresses, users and tenants are counted; for metrics.
    pub fn tracked(&self) -> [(&'static str, usize); 3] {
        [("address", self.addresses.len()), ("user", self.users.len()), ("tenant", self.tenants.len())]
    }
}

impl Knocking {
    /// The handshake is over.
    pub fn established(self) -> Inside {
        drop(self.half_open);
        self.inside
    }
}

impl Drop for HalfOpen {
    fn drop(&mut self) {
        if let Some(account) = &self.0 {
            account.half_open.leave();
        }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        if let Some(account) = &self.0 {
            account.connections.leave();
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.user.connections.leave();
        if let Some(tenant) = &self.tenant {
            tenant.connections.leave();
        }
    }
}

/// What an address is counted as: itself, or for IPv6 the network of 64 bits that one customer has whole.
fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        self.user.changes.subtract(self.units);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::config::{TenantBudgets, UserBudgets};

    fn seconds(n: u64) -> Moment {
        Moment::from_nanos(n * 1_000_000_000)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn ids(tenant: &str, user: &str) -> (TenantId, UserId) {
        (TenantId::new(tenant).expect("a valid id"), UserId::new(user).expect("a valid id"))
    }

    fn door(address: AddressBudgets) -> Door {
        Door::new(&Budgets { address, ..Budgets::default() })
    }

    fn limit<T>(result: Result<T, Refusal>) -> Option<Limit> {
        result.err().map(|refusal| refusal.limit)
    }

    #[test]
    fn half_open_handshakes_of_one_address_have_an_end() {
        let door = door(AddressBudgets { half_open: 3, ..AddressBudgets::default() });
        let stuck: Vec<_> = (0..3).map(|_| door.knock(ip("203.0.113.9"), seconds(1)).expect("within")).collect();
        assert_eq!(limit(door.knock(ip("203.0.113.9"), seconds(1))), Some(Limit::AddressHalfOpen));
        let honest = door.knock(ip("203.0.113.10"), seconds(1)).expect("another address is not delayed");
        drop(honest);
        let inside: Vec<_> = stuck.into_iter().map(Knocking::established).collect();
        assert!(door.knock(ip("203.0.113.9"), seconds(1)).is_ok(), "those are not half open any more");
        drop(inside);
    }

    #[test]
    fn connections_of_one_address_have_an_end_and_are_counted_out() {
        let door = door(AddressBudgets { connections: 2, ..AddressBudgets::default() });
        let knock = || door.knock(ip("203.0.113.9"), seconds(1)).map(Knocking::established);
        let (first, _second) = (knock().expect("within"), knock().expect("within"));
        for _ in 0..100 {
            assert_eq!(limit(knock()), Some(Limit::AddressConnections), "a refusal counts for nothing");
        }
        drop(first);
        let third = knock().expect("one has gone");
        assert_eq!(limit(knock()), Some(Limit::AddressConnections));
        drop(third);
    }

    #[test]
    fn handshakes_of_one_address_have_a_rate() {
        let budgets = AddressBudgets { handshakes_per_second: 10, handshakes_burst: 5, ..AddressBudgets::default() };
        let door = door(budgets);
        let knock = |address: &str, now| limit(door.knock(ip(address), now));
        assert!((0..5).all(|_| knock("203.0.113.9", seconds(1)).is_none()));
        assert_eq!(knock("203.0.113.9", seconds(1)), Some(Limit::AddressHandshakes));
        assert_eq!(
            knock("::ffff:203.0.113.9", seconds(1)),
            Some(Limit::AddressHandshakes),
            "the same in other clothes"
        );
        assert_eq!(knock("203.0.113.9", seconds(2)), None);

        assert!((0..5).all(|n| knock(&format!("2001:db8:0:1::{n}"), seconds(1)).is_none()));
        assert_eq!(knock("2001:db8:0:1:ffff::1", seconds(1)), Some(Limit::AddressHandshakes), "one network");
        assert_eq!(knock("2001:db8:0:2::1", seconds(1)), None);
    }

    #[test]
    fn development_lifts_the_budgets_of_loopback_alone() {
        let tight = AddressBudgets { connections: 1, half_open: 1, handshakes_burst: 1, ..AddressBudgets::default() };
        let development = door(AddressBudgets { exempt_loopback: true, ..tight.clone() });
        for address in ["127.0.0.1", "127.0.0.9", "::1", "::ffff:127.0.0.1"] {
            let many: Result<Vec<_>, _> = (0..10_000).map(|_| development.knock(ip(address), seconds(1))).collect();
            assert!(many.is_ok(), "{address}");
        }
        for (door, address) in [(&development, "192.168.1.5"), (&door(tight), "127.0.0.1")] {
            let _first = door.knock(ip(address), seconds(1)).expect("within");
            assert!(door.knock(ip(address), seconds(1)).is_err());
        }
    }

    #[test]
    fn users_share_one_budget_over_their_connections() {
        let user = UserBudgets { requests_per_second: 1, requests_burst: 10, connections: 2, changes_in_flight: 64 };
        let door = Door::new(&Budgets { user, ..Budgets::default() });
        let (tenant, alice) = ids("t", "alice");
        let phone = door.enter(&tenant, &alice, seconds(1)).expect("within");
        let laptop = door.enter(&tenant, &alice, seconds(1)).expect("within");
        assert_eq!(limit(door.enter(&tenant, &alice, seconds(1))), Some(Limit::UserConnections));
        assert!(
            (0..5).all(|_| door.request(&phone, 1, seconds(1)).is_ok() && door.request(&laptop, 1, seconds(1)).is_ok())
        );
        let refusal = door.request(&laptop, 1, seconds(1)).expect_err("used up");
        assert_eq!(refusal, Refusal { limit: Limit::UserRequests, retry_after_ms: Some(1_000) });

        // Going and coming again does not fill the bucket.
        drop((phone, laptop));
        let again = door.enter(&tenant, &alice, seconds(1)).expect("both have gone");
        assert!(door.request(&again, 1, seconds(1)).is_err());

        let (other_tenant, _) = ids("t2", "alice");
        let namesake = door.enter(&other_tenant, &alice, seconds(1)).expect("another user");
        assert!(door.request(&namesake, 1, seconds(1)).is_ok());
    }

    #[test]
    fn changes_under_way_have_an_end_and_one_is_always_taken() {
        let door = Door::new(&Budgets::default());
        let (tenant, user) = ids("t", "a");
        let entered = door.enter(&tenant, &user, seconds(1)).expect("within");
        let huge = door.change(&entered, 1_000).expect("the only one");
        let refusal = door.change(&entered, 1).expect_err("beside a huge one");
        assert_eq!(refusal.limit, Limit::UserChanges);
        drop(huge);
        let some: Vec<_> = (0..8).map(|_| door.change(&entered, 8).expect("within")).collect();
        drop(entered);
        let again = door.enter(&tenant, &user, seconds(1)).expect("within");
        assert!(door.change(&again, 1).is_err(), "going and coming again does not end them");
        drop(some);
        assert!(door.change(&again, 64).is_ok());
    }

    #[test]
    fn a_request_that_costs_more_than_a_bucket_holds_takes_a_full_one() {
        let user = UserBudgets { requests_per_second: 1, requests_burst: 10, ..UserBudgets::default() };
        let door = Door::new(&Budgets { user, ..Budgets::default() });
        let (tenant, user) = ids("t", "a");
        let entered = door.enter(&tenant, &user, seconds(1)).expect("within");
        assert!(door.request(&entered, 63, seconds(1)).is_ok());
        assert_eq!(door.request(&entered, 63, seconds(1)).expect_err("empty").retry_after_ms, Some(10_000));
    }

    #[test]
    fn tenants_have_budgets_when_configured() {
        let tenant = TenantBudgets { requests_per_second: 1, requests_burst: 3, connections: 2 };
        let door = Door::new(&Budgets { tenant, ..Budgets::default() });
        let enter = |tenant: &str, user: &str| {
            let (tenant, user) = ids(tenant, user);
            door.enter(&tenant, &user, seconds(1))
        };
        let (a, b) = (enter("t", "a").expect("within"), enter("t", "b").expect("within"));
        for _ in 0..100 {
            assert_eq!(limit(enter("t", "c")), Some(Limit::TenantConnections));
        }
        assert!(enter("t2", "c").is_ok());
        assert!([&a, &b, &a].iter().all(|of| door.request(of, 1, seconds(1)).is_ok()));
        assert_eq!(limit(door.request(&b, 1, seconds(1))), Some(Limit::TenantRequests));
        drop(a);
        assert!(enter("t", "c").is_ok());
    }

    #[test]
    fn those_who_are_gone_are_forgotten() {
        let door = Door::new(&Budgets::default());
        let (tenant, user) = ids("t", "a");
        let knocking = door.knock(ip("203.0.113.9"), seconds(1)).expect("within");
        let entered = door.enter(&tenant, &user, seconds(1)).expect("within");
        door.sweep(seconds(100));
        assert_eq!(door.tracked(), [("address", 1), ("user", 1), ("tenant", 0)]);
        drop((knocking, entered));
        door.sweep(seconds(100));
        assert_eq!(door.tracked(), [("address", 0), ("user", 0), ("tenant", 0)]);
    }
}
