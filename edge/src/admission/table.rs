//! A bounded table of accounts that workers share: one for each address, user or tenant that is here or was here so
//! lately that its bucket is not full again.
//!
//! Whoever holds an account uses it without looking it up. The lock is taken at handshakes and logins only.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::budget::{Limit, Moment, Refusal, SharedBucket};
use crate::growth::growth;

/// Accounts that are looked at for each new one, so that what is idle goes as fast as new ones come.
const SWEEP_STEP: usize = 4;

/// Accounts that are looked at to make room in a full table.
const EVICT_LOOK: usize = 64;

/// Accounts for which room is kept when there are fewer.
const ROOM_MIN: usize = 1_024;

/// What is counted for one address, user or tenant.
#[derive(Debug, Default)]
pub(super) struct Account {
    pub(super) bucket: SharedBucket,
    pub(super) connections: Counter,
    pub(super) half_open: Counter,
    pub(super) changes: Counter,
}

/// How many are here.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU32);

impl Counter {
    /// One more, unless there are `most` already; a `most` of 0 means no limit.
    pub(super) fn enter(&self, most: u32, limit: Limit) -> Result<(), Refusal> {
        // Relaxed: the number guards nothing but itself.
        let more = |count: u32| if most > 0 && count >= most { None } else { count.checked_add(1) };
        match self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more) {
            Ok(_) => Ok(()),
            Err(_) => Err(Refusal::full(limit)),
        }
    }

    /// So much more, if it is the only one or all together are at most `most`; a `most` of 0 means no limit.
    pub(super) fn add(&self, units: u32, most: u32, limit: Limit) -> Result<(), Refusal> {
        let more = |count: u32| {
            let sum = count.checked_add(units)?;
            if most > 0 && count > 0 && sum > most { None } else { Some(sum) }
        };
        match self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more) {
            Ok(_) => Ok(()),
            Err(_) => Err(Refusal::full(limit)),
        }
    }

    /// One less.
    pub(super) fn leave(&self) {
        self.subtract(1);
    }

    /// So much less.
    pub(super) fn subtract(&self, units: u32) {
        let before = self.0.fetch_sub(units, Ordering::Relaxed);
        debug_assert!(before >= units, "whoever leaves had entered");
    }
}

#[derive(Debug)]
pub(super) struct Table {
    capacity: usize,
    /// Secret to the process, so that nobody can aim at another's account.
    hasher: RandomState,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By the key's hash: two keys of one hash would share a budget, which 64 bits make a curiosity.
    places: HashMap<u64, usize, foldhash::fast::RandomState>,
    accounts: Vec<(u64, Arc<Account>)>,
    /// Where the next sweep begins.
    hand: usize,
}

impl Table {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, hasher: RandomState::new(), state: Mutex::default() }
    }

    /// The key's account, a new one if there is none. Fails only when the table is full of accounts in use.
    pub(super) fn account(&self, key: impl Hash, now: Moment) -> Result<Arc<Account>, Refusal> {
        let hash = self.hasher.hash_one(key);
        let mut state = self.lock();
        if let Some(account) = state.get(hash) {
            return Ok(account);
        }
        state.sweep(SWEEP_STEP, now);
        if state.accounts.len() >= self.capacity && !state.evict() {
            return Err(Refusal::full(Limit::TableFull));
        }
        Ok(state.insert(hash))
    }

    /// Forgets idle accounts among the next `look` ones; called now and then, for when nobody new comes.
    pub(super) fn sweep(&self, look: usize, now: Moment) {
        self.lock().sweep(look, now);
    }

    pub(super) fn len(&self) -> usize {
        self.lock().accounts.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn get(&self, hash: u64) -> Option<Arc<Account>> {
        let place = *self.places.get(&hash)?;
        self.accounts.get(place).map(|(_, account)| Arc::clone(account))
    }

    fn insert(&mut self, hash: u64) -> Arc<Account> {
        let account = Arc::<Account>::default();
        self.places.insert(hash, self.accounts.len());
        if self.accounts.len() == self.accounts.capacity() {
            self.accounts.reserve_exact(growth(self.accounts.len()));
        }
        self.accounts.push((hash, Arc::clone(&account)));
        account
    }

    /// Under the lock, an account that the table alone holds can get no new holder.
    fn sweep(&mut self, look: usize, now: Moment) {
        for _ in 0..look.min(self.accounts.len()) {
            match self.at_hand() {
                Some(account) if Arc::strong_count(account) == 1 && account.bucket.is_full(now) => {
                    self.remove_at_hand();
                }
                Some(_) => self.hand += 1,
                None => break,
            }
        }
        let room = (self.accounts.len() * 2).max(ROOM_MIN);
        if self.accounts.capacity() > room * 2 {
            self.accounts.shrink_to(room);
            self.places.shrink_to(room);
        }
    }

    /// Makes room by forgetting an account that nobody holds, though its bucket is not full: that gives its key one
    /// more burst, which is less harm than turning newcomers away.
    fn evict(&mut self) -> bool {
        for _ in 0..EVICT_LOOK {
            match self.at_hand() {
                Some(account) if Arc::strong_count(account) == 1 => {
                    self.remove_at_hand();
                    return true;
                }
                Some(_) => self.hand += 1,
                None => break,
            }
        }
        false
    }

    /// The account under the hand, which begins again at the end.
    fn at_hand(&mut self) -> Option<&Arc<Account>> {
        if self.hand >= self.accounts.len() {
            self.hand = 0;
        }
        self.accounts.get(self.hand).map(|(_, account)| account)
    }

    fn remove_at_hand(&mut self) {
        let (hash, _) = self.accounts.swap_remove(self.hand);
        self.places.remove(&hash);
        if let Some((moved, _)) = self.accounts.get(self.hand) {
            self.places.insert(*moved, self.hand);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::budget::Rate;
    use proptest::prelude::*;

    fn seconds(n: u64) -> Moment {
        Moment::from_nanos(n * 1_000_000_000)
    }

    #[test]
    fn a_key_has_one_account_while_it_matters() {
        let table = Table::new(10);
        let rate = Rate::per_second(1, 10);
        let account = table.account("a", seconds(1)).expect("there is room");
        account.bucket.take(&rate, Limit::UserRequests, 10, seconds(1)).expect("a full bucket");
        drop(account);
        table.sweep(10, seconds(5));
        let again = table.account("a", seconds(5)).expect("there is room");
        assert!(again.bucket.take(&rate, Limit::UserRequests, 10, seconds(5)).is_err(), "it was not forgotten");
        drop(again);
        table.sweep(10, seconds(11));
        assert_eq!(table.len(), 0);
    }

    #[test]
    fn a_full_table_forgets_the_idle_and_keeps_those_in_use() {
        let table = Table::new(4);
        let held: Vec<_> = (0..3).map(|key| table.account(key, seconds(1)).expect("there is room")).collect();
        for key in 100..200 {
            table.account(key, seconds(1)).expect("the last newcomer goes");
            assert!(table.len() <= 4);
        }
        for (key, account) in held.iter().enumerate() {
            assert!(Arc::ptr_eq(account, &table.account(key as i32, seconds(1)).expect("it is known")));
        }
        let _fourth = table.account(300, seconds(1)).expect("there is room");
        assert_eq!(table.account(301, seconds(1)).err(), Some(Refusal::full(Limit::TableFull)));
    }

    #[test]
    fn memory_goes_back_after_a_storm() {
        let table = Table::new(1_000_000);
        let held: Vec<_> = (0..100_000).map(|key| table.account(key, seconds(1)).expect("there is room")).collect();
        drop(held);
        table.sweep(usize::MAX, seconds(2));
        let state = table.lock();
        assert_eq!((state.accounts.len(), state.places.len()), (0, 0));
        assert!(state.accounts.capacity() <= 2 * ROOM_MIN && state.places.capacity() <= 4 * ROOM_MIN);
    }

    proptest! {
        /// Places and accounts agree whatever comes and goes, and the table keeps within its capacity.
        #[test]
        fn places_agree_with_accounts(keys in proptest::collection::vec((0..40_u32, any::<bool>()), 1..300)) {
            let table = Table::new(16);
            let mut held = Vec::new();
            for (at, (key, hold)) in keys.into_iter().enumerate() {
                match table.account(key, seconds(at as u64)) {
                    Ok(account) if hold => held.push((key, account)),
                    Ok(_) => {}
                    Err(_) => {
                        prop_assert!(table.len() == 16);
                        held.clear();
                    }
                }
                let state = table.lock();
                prop_assert!(state.accounts.len() <= 16);
                prop_assert_eq!(state.accounts.len(), state.places.len());
                for (place, (hash, _)) in state.accounts.iter().enumerate() {
                    prop_assert_eq!(state.places.get(hash), Some(&place));
                }
            }
            for (key, account) in &held {
                prop_assert!(Arc::ptr_eq(account, &table.account(*key, seconds(0)).expect("it is known")));
            }
        }
    }
}
