//! A hashed timer wheel: one for each worker thread, for all deadlines of all its sessions.
//!
//! Coarse on purpose. A deadline fires at the first tick at or after it, so never early and at most one [`TICK`] late
//! by the wheel's own doing. Nothing is cancelled: a session keeps its real deadline, and an entry that fires while
//! that deadline has moved on is scheduled again by the caller. That makes moving a deadline, which every frame does,
//! cost nothing here. No clock is read.
//!
//! All entries lie in one `Vec`, linked by index, so that no slot holds memory of its own and nothing is allocated
//! when deadlines fire.

use std::time::{Duration, Instant};

use crate::growth::growth;

/// The distance of two ticks: no deadline here needs more precision than a tenth of a second.
pub const TICK: Duration = Duration::from_millis(100);

/// Slots, one for each tick of a turn: 51 s, so that a heartbeat's deadline is met within its first turn. Entries
/// further away stay where they are for as many turns as they need.
const SLOTS: usize = 512;

/// Bits of a word of the map of used slots.
const WORD_BITS: usize = u64::BITS as usize;

/// The end of a list.
const NONE: u32 = u32::MAX;

/// Entries of room that are kept when the wheel runs empty: what a list of 1,024 has at most.
const IDLE_CAPACITY: usize = 1_024 + 1_024 / 8;

#[derive(Debug, Clone, Copy)]
struct Entry<K> {
    tick: u32,
    next: u32,
    key: K,
}

/// Deadlines of keys. A key is what the caller finds its session by, best an index of 32 bits: an entry then has 12
/// bytes.
#[derive(Debug)]
pub struct Wheel<K> {
    origin: Instant,
    /// The last tick that was expired.
    done: u32,
    len: usize,
    entries: Vec<Entry<K>>,
    free: u32,
    slots: Box<[u32; SLOTS]>,
    used: [u64; SLOTS / WORD_BITS],
}

impl<K: Copy> Wheel<K> {
    /// An empty wheel whose time begins at `now`.
    pub fn new(now: Instant) -> Self {
        Self {
            origin: now,
            done: 0,
            len: 0,
            entries: Vec::new(),
            free: NONE,
            slots: Box::new([NONE; SLOTS]),
            used: [0; SLOTS / WORD_BITS],
        }
    }

    /// Entries that have not fired.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is scheduled.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Has `key` fire at the first tick at or after `at`. A time that has passed fires at the next tick.
    pub fn schedule(&mut self, at: Instant, key: K) {
        let tick = self.tick_at_or_after(at).max(self.done.saturating_add(1));
        let entry = Entry { tick, next: NONE, key };
        let index = match self.entries.get_mut(self.free as usize) {
            Some(vacant) => {
                let index = self.free;
                self.free = vacant.next;
                *vacant = entry;
                index
            }
            None => {
                if self.entries.len() == self.entries.capacity() {
                    self.entries.reserve_exact(growth(self.entries.len()));
                }
                self.entries.push(entry);
                u32::try_from(self.entries.len() - 1).expect("a worker has fewer than 2^32 sessions")
            }
        };
        self.len += 1;
        self.link(index, slot_of(tick));
    }

    /// Appends the keys of all deadlines up to `now` to `fired`, in no particular order.
    pub fn expire(&mut self, now: Instant, fired: &mut Vec<K>) {
        let now_tick = self.tick_at_or_before(now);
        if now_tick <= self.done {
            return;
        }
        let first = self.done + 1;
        self.done = now_tick;
        if self.len == 0 {
            return;
        }
        // After a long pause every slot is looked at once; each holds what is due and what is not.
        let passed = (now_tick - first) as usize + 1;
        let mut slot = slot_of(first);
        for _ in 0..passed.min(SLOTS) {
            if self.is_used(slot) {
                self.expire_slot(slot, now_tick, fired);
            }
            slot = (slot + 1) % SLOTS;
        }
        if self.len == 0 {
            self.forget_room();
        }
    }

    /// When to call [`expire`](Self::expire) next: not after the earliest deadline's tick, sometimes before it. `None`
    /// when nothing is scheduled.
    pub fn next(&self, now: Instant) -> Option<Instant> {
        if self.len == 0 {
            return None;
        }
        let ahead = self.slots_to_next_used(slot_of(self.done.saturating_add(1)))?;
        let tick = self.done.saturating_add(1).saturating_add(ahead);
        Some((self.origin + TICK.saturating_mul(tick)).max(now))
    }

    fn expire_slot(&mut self, slot: usize, now_tick: u32, fired: &mut Vec<K>) {
        let mut index = self.unlink_all(slot);
        while let Some(entry) = self.entries.get_mut(index as usize) {
            let following = entry.next;
            if entry.tick <= now_tick {
                fired.push(entry.key);
                entry.next = self.free;
                self.free = index;
                self.len -= 1;
            } else {
                self.link(index, slot);
            }
            index = following;
        }
    }

    fn link(&mut self, index: u32, slot: usize) {
        let (Some(head), Some(entry)) = (self.slots.get_mut(slot), self.entries.get_mut(index as usize)) else {
            return;
        };
        entry.next = std::mem::replace(head, index);
        if let Some(word) = self.used.get_mut(slot / WORD_BITS) {
            *word |= 1 << (slot % WORD_BITS);
        }
    }

    fn unlink_all(&mut self, slot: usize) -> u32 {
        if let Some(word) = self.used.get_mut(slot / WORD_BITS) {
            *word &= !(1 << (slot % WORD_BITS));
        }
        self.slots.get_mut(slot).map_or(NONE, |head| std::mem::replace(head, NONE))
    }

    fn is_used(&self, slot: usize) -> bool {
        self.used.get(slot / WORD_BITS).is_some_and(|word| word >> (slot % WORD_BITS) & 1 == 1)
    }

    /// How many slots after `from` the first used one lies.
    fn slots_to_next_used(&self, from: usize) -> Option<u32> {
        let words = self.used.len();
        let (first, bit) = (from / WORD_BITS, from % WORD_BITS);
        // The word of `from` is looked at twice: first from its bit on, last below its bit.
        for step in 0..=words {
            let mut word = *self.used.get((first + step) % words)?;
            if step == 0 {
                word &= u64::MAX << bit;
            }
            if word != 0 {
                let distance = step * WORD_BITS + word.trailing_zeros() as usize - bit;
                return u32::try_from(distance).ok();
            }
        }
        None
    }

    /// Gives memory back after a storm. Only when no entry is in use, as the free list runs through all of them.
    fn forget_room(&mut self) {
        if self.entries.capacity() > IDLE_CAPACITY {
            self.entries = Vec::new();
            self.free = NONE;
        }
    }

    fn tick_at_or_before(&self, at: Instant) -> u32 {
        let ticks = at.saturating_duration_since(self.origin).as_millis() / TICK.as_millis();
        // 13 years; what is further away would fire then and be scheduled again.
        u32::try_from(ticks).unwrap_or(u32::MAX - 1)
    }

    fn tick_at_or_after(&self, at: Instant) -> u32 {
        let ticks = at.saturating_duration_since(self.origin).as_nanos().div_ceil(TICK.as_nanos());
        u32::try_from(ticks).unwrap_or(u32::MAX - 1)
    }
}

const fn slot_of(tick: u32) -> usize {
    tick as usize % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn fired(wheel: &mut Wheel<u32>, now: Instant) -> Vec<u32> {
        let mut keys = Vec::new();
        wheel.expire(now, &mut keys);
        keys
    }

    #[test]
    fn a_deadline_fires_at_its_tick_and_not_before() {
        let start = Instant::now();
        let mut wheel = Wheel::new(start);
        wheel.schedule(start + ms(250), 1);
        assert_eq!(wheel.next(start), Some(start + ms(300)));
        assert!(fired(&mut wheel, start + ms(299)).is_empty());
        assert_eq!(fired(&mut wheel, start + ms(300)), [1]);
        assert_eq!(wheel.next(start), None);
        assert!(wheel.is_empty());
    }

    #[test]
    fn what_is_overdue_fires_at_the_next_tick() {
        let start = Instant::now();
        let mut wheel = Wheel::new(start);
        let now = start + Duration::from_secs(1);
        assert!(fired(&mut wheel, now).is_empty());
        wheel.schedule(start, 7);
        assert_eq!(wheel.next(now), Some(now + TICK));
        assert_eq!(fired(&mut wheel, now + TICK), [7]);
    }

    #[test]
    fn deadlines_of_later_turns_wait_for_their_turn() {
        let start = Instant::now();
        let mut wheel = Wheel::new(start);
        let quarter = Duration::from_secs(15 * 60);
        wheel.schedule(start + quarter, 1);
        let mut now = start;
        let mut wakes = 0;
        while !wheel.is_empty() {
            let next = wheel.next(now).expect("an entry waits");
            assert!(next > now && next <= start + quarter);
            now = next;
            wakes += 1;
            if now < start + quarter {
                assert!(fired(&mut wheel, now).is_empty());
            } else {
                assert_eq!(fired(&mut wheel, now), [1]);
            }
        }
        assert_eq!(now, start + quarter);
        assert_eq!(wakes, 18, "one wake for each turn of 51.2 s");
    }

    #[test]
    fn entries_are_small_and_room_is_used_again() {
        assert_eq!(size_of::<Entry<u32>>(), 12);
        let start = Instant::now();
        let mut wheel = Wheel::new(start);
        let mut keys = Vec::new();
        for round in 0..100 {
            for key in 0..1_000 {
                wheel.schedule(start + TICK * (round + 1), key);
            }
            wheel.expire(start + TICK * (round + 1), &mut keys);
            assert_eq!(keys.len(), 1_000);
            keys.clear();
        }
        assert_eq!(wheel.entries.len(), 1_000);
        for key in 0..100_000 {
            wheel.schedule(start, key);
        }
        wheel.expire(start + TICK * 101, &mut keys);
        assert_eq!((keys.len(), wheel.entries.capacity()), (100_000, 0), "a storm's memory is given back");
    }

    #[derive(Debug, Clone)]
    enum Step {
        Schedule(u64),
        Advance(u64),
        ToNext,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0..200_000_u64).prop_map(Step::Schedule),
            2 => (0..3_000_u64).prop_map(Step::Schedule),
            2 => (0..1_000_u64).prop_map(Step::Advance),
            1 => (0..150_000_u64).prop_map(Step::Advance),
            2 => Just(Step::ToNext),
        ];
        proptest::collection::vec(step, 1..200)
    }

    proptest! {
        /// The wheel against a sorted list: the same keys at the same ticks, and the next wake is never too late.
        #[test]
        fn behaves_as_a_sorted_list(steps in steps()) {
            let start = Instant::now();
            let mut wheel = Wheel::new(start);
            let mut model: Vec<(u64, u32)> = Vec::new();
            let (mut now_ms, mut done_tick, mut key) = (0_u64, 0_u64, 0_u32);
            for step in steps {
                match step {
                    Step::Schedule(in_ms) => {
                        // Up to 50 s in the past, up to 150 s ahead.
                        let at_ms = (now_ms + in_ms).saturating_sub(50_000);
                        wheel.schedule(start + ms(at_ms), key);
                        model.push((at_ms.div_ceil(100).max(done_tick + 1), key));
                        key += 1;
                        continue;
                    }
                    Step::Advance(by_ms) => now_ms += by_ms,
                    Step::ToNext => match wheel.next(start + ms(now_ms)) {
                        None => prop_assert!(model.is_empty()),
                        Some(next) => {
                            let next_ms = (next - start).as_millis() as u64;
                            let earliest = model.iter().map(|(tick, _)| tick * 100).min().expect("an entry waits");
                            prop_assert!(next_ms >= now_ms && next_ms <= earliest.max(now_ms));
                            now_ms = next_ms;
                        }
                    },
                }
                done_tick = now_ms / 100;
                let mut expected: Vec<u32> =
                    model.iter().filter(|(tick, _)| *tick <= done_tick).map(|(_, key)| *key).collect();
                model.retain(|(tick, _)| *tick > done_tick);
                let mut keys = fired(&mut wheel, start + ms(now_ms));
                keys.sort_unstable();
                expected.sort_unstable();
                prop_assert_eq!(keys, expected);
                prop_assert_eq!(wheel.len(), model.len());
            }
        }
    }
}
