//! The conversations of one tenant that are read on this worker, and by whom. Most are read by one connection, and a user
//! may read a thousand: so what is kept of one is small, and so is the room that tables keep for more.
//!
//! | of each | bytes |
//! |---|---|
//! | conversation with one reader | 32, in a list that grows by an eighth: 36 at most |
//! | part of the index | 4 for two conversations at most, and for one at least: 2 to 4 |
//! | conversation with several | the same, and a crowd: 36 at most with two readers in it; further ones 12 each, doubling |
//! | reader, in its session | 4, in a list that grows by an eighth |
//!
//! Conversations lie in a list and never move by themselves: where one lies is a number, which sessions keep. Where many
//! have gone, the door has the rest [moved together](Table::close_up).

use std::hash::BuildHasher;

use smallvec::SmallVec;
use switchyard_protocol::id::ConversationId;

use crate::growth::growth;

/// A connection that reads a conversation. Twelve bytes, for there are very many.
#[derive(Clone, Copy, Debug)]
#[repr(C, packed(4))]
pub(crate) struct Reader {
    /// The number of the newest event that it was handed, or told of by its subscription: only later ones are for it.
    pub(crate) seen: u64,
    /// Where the connection lies. In a conversation of several: [`CROWD`], and the number of the crowd.
    pub(crate) slot: u32,
}

/// Readers of one conversation that are several.
type Crowd = SmallVec<[Reader; 2]>;

/// A conversation.
#[derive(Clone, Debug)]
struct Entry {
    conversation: ConversationId,
    only: Reader,
    /// The next conversation with the same place in the index, or [`END`].
    next: u32,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// Where those begin whose hashes have the same last bits. A power of two.
    index: Vec<u32>,
    entries: Pool<Entry>,
    crowds: Pool<Crowd>,
}

/// The mark of a crowd's number: as many connections do not fit into memory.
const CROWD: u32 = 1 << 31;

/// In place of a slot: this entry is free.
const FREE: u32 = u32::MAX;

const END: u32 = u32::MAX;

/// Conversations for each place of the index, before it grows.
const CHAINED: usize = 2;

/// A crowd gives memory back when it is less than this part full.
const SHRINK_BELOW: usize = 8;

/// A table of fewer conversations is not worth the trouble of moving them.
const CLOSE_UP_FROM: usize = 64;

impl Default for Entry {
    fn default() -> Self {
        Self { conversation: ConversationId::from_bytes([0; 16]), only: Reader { seen: 0, slot: FREE }, next: END }
    }
}

impl Entry {
    fn crowd(&self) -> Option<u32> {
        (self.only.slot & CROWD != 0 && self.only.slot != FREE).then_some(self.only.slot & !CROWD)
    }
}

impl Table {
    /// How many conversations there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Where a conversation lies.
    pub(crate) fn find(&self, conversation: &ConversationId, hasher: &impl BuildHasher) -> Option<u32> {
        let mut at = *self.index.get(self.place(conversation, hasher))?;
        while let Some(entry) = self.entries.get(at) {
            if entry.conversation == *conversation {
                return Some(at);
            }
            at = entry.next;
        }
        None
    }

    /// Which conversation lies there.
    pub(crate) fn name(&self, at: u32) -> Option<ConversationId> {
        self.entries.get(at).filter(|entry| entry.only.slot != FREE).map(|entry| entry.conversation)
    }

    /// Who reads the conversation that lies there.
    pub(crate) fn readers(&mut self, at: u32) -> &mut [Reader] {
        let Some(entry) = self.entries.get_mut(at) else { return &mut [] };
        match entry.crowd() {
            Some(crowd) => self.crowds.get_mut(crowd).map_or(&mut [], |crowd| &mut crowd[..]),
            None if entry.only.slot == FREE => &mut [],
            None => std::slice::from_mut(&mut entry.only),
        }
    }

    /// A connection reads this conversation from `head` on, or from where it reads already if that is higher. Returns where
    /// it lies.
    pub(crate) fn put(&mut self, conversation: ConversationId, slot: u32, head: u64, hasher: &impl BuildHasher) -> u32 {
        debug_assert!(slot < CROWD, "more connections than memory holds");
        let new = Reader { seen: head, slot };
        let Some(at) = self.find(&conversation, hasher) else { return self.insert(conversation, new, hasher) };
        if let Some(reader) = self.readers(at).iter_mut().find(|reader| reader.slot == slot) {
            reader.seen = head.max(reader.seen);
            return at;
        }
        if let Some(entry) = self.entries.get_mut(at) {
            match entry.crowd().and_then(|crowd| self.crowds.get_mut(crowd)) {
                Some(crowd) => crowd.push(new),
                None => entry.only.slot = CROWD | self.crowds.put(SmallVec::from_buf([entry.only, new])),
            }
        }
        at
    }

    /// A connection reads the conversation that lies there no more. `true`: nobody does.
    pub(crate) fn remove(&mut self, at: u32, slot: u32, hasher: &impl BuildHasher) -> bool {
        let Some(entry) = self.entries.get_mut(at) else { return false };
        let Some(number) = entry.crowd() else {
            return entry.only.slot == slot && self.take(at, hasher);
        };
        let Some(crowd) = self.crowds.get_mut(number) else { return false };
        if let Some(place) = crowd.iter().position(|reader| reader.slot == slot) {
            crowd.swap_remove(place);
        }
        if let [only] = crowd[..] {
            entry.only = only;
            self.crowds.take(number);
        } else if crowd.len() * SHRINK_BELOW < crowd.capacity() {
            crowd.shrink_to_fit();
        }
        false
    }

    /// Whether more than half of it is empty, of some size.
    pub(crate) fn is_sparse(&self) -> bool {
        self.entries.items.len() >= CLOSE_UP_FROM && self.entries.free.len() * 2 > self.entries.items.len()
    }

    /// Moves all together, in the order in which they lie. Returns where each lies now, by where it lay.
    pub(crate) fn close_up(&mut self, hasher: &impl BuildHasher) -> Vec<u32> {
        let before = std::mem::take(&mut self.entries);
        let mut crowds = std::mem::take(&mut self.crowds);
        let mut moved = Vec::with_capacity(before.items.len());
        self.entries.items.reserve_exact(before.len());
        for mut entry in before.items {
            if entry.only.slot == FREE {
                moved.push(END);
                continue;
            }
            if let Some(crowd) = entry.crowd() {
                entry.only.slot = CROWD | self.crowds.put(crowds.take(crowd));
            }
            moved.push(self.entries.put(entry));
        }
        self.make_index(hasher);
        moved
    }

    /// Each connection that reads something here, once.
    pub(crate) fn slots(&self) -> Vec<u32> {
        let singles = self.entries.items.iter().map(|entry| entry.only.slot).filter(|slot| *slot < CROWD);
        let crowds = self.crowds.items.iter().flat_map(|crowd| crowd.iter().map(|reader| reader.slot));
        let mut slots: Vec<u32> = singles.chain(crowds).collect();
        slots.sort_unstable();
        slots.dedup();
        slots
    }

    fn place(&self, conversation: &ConversationId, hasher: &impl BuildHasher) -> usize {
        hasher.hash_one(conversation) as usize & self.index.len().wrapping_sub(1)
    }

    fn insert(&mut self, conversation: ConversationId, only: Reader, hasher: &impl BuildHasher) -> u32 {
        let at = self.entries.put(Entry { conversation, only, next: END });
        if self.len() > self.index.len() * CHAINED {
            self.make_index(hasher);
        } else {
            self.link(at, hasher);
        }
        at
    }

    fn take(&mut self, at: u32, hasher: &impl BuildHasher) -> bool {
        let Entry { conversation, next, .. } = self.entries.take(at);
        let place = self.place(&conversation, hasher);
        let Some(first) = self.index.get_mut(place) else { return true };
        if *first == at {
            *first = next;
            return true;
        }
        let mut before = *first;
        while let Some(entry) = self.entries.get_mut(before) {
            if entry.next == at {
                entry.next = next;
                break;
            }
            before = entry.next;
        }
        true
    }

    /// Puts an entry first among those with its place in the index.
    fn link(&mut self, at: u32, hasher: &impl BuildHasher) {
        let Some(entry) = self.entries.get_mut(at) else { return };
        let place = hasher.hash_one(entry.conversation) as usize & self.index.len().wrapping_sub(1);
        if let Some(first) = self.index.get_mut(place) {
            entry.next = std::mem::replace(first, at);
        }
    }

    /// Makes an index of the right size.
    fn make_index(&mut self, hasher: &impl BuildHasher) {
        let places = self.len().div_ceil(CHAINED).next_power_of_two();
        self.index = vec![END; places];
        for at in 0..self.entries.items.len() as u32 {
            if self.name(at).is_some() {
                self.link(at, hasher);
            }
        }
    }
}

/// Things with numbers. Those of what is gone are given to what comes.
#[derive(Debug)]
struct Pool<T> {
    items: Vec<T>,
    free: Vec<u32>,
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self { items: Vec::new(), free: Vec::new() }
    }
}

impl<T: Default> Pool<T> {
    fn len(&self) -> usize {
        self.items.len() - self.free.len()
    }

    fn get(&self, at: u32) -> Option<&T> {
        self.items.get(at as usize)
    }

    fn get_mut(&mut self, at: u32) -> Option<&mut T> {
        self.items.get_mut(at as usize)
    }

    fn put(&mut self, item: T) -> u32 {
        if let Some(at) = self.free.pop()
            && let Some(place) = self.get_mut(at)
        {
            *place = item;
            return at;
        }
        if self.items.len() == self.items.capacity() {
            self.items.reserve_exact(growth(self.items.len()));
        }
        self.items.push(item);
        (self.items.len() - 1) as u32
    }

    fn take(&mut self, at: u32) -> T {
        self.free.push(at);
        self.get_mut(at).map(std::mem::take).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    type Hasher = foldhash::fast::RandomState;

    fn id(n: u64) -> ConversationId {
        ConversationId::from_bytes(u128::from(n).to_be_bytes())
    }

    impl Table {
        /// What it has on the heap.
        fn bytes(&self) -> usize {
            let crowds = self.crowds.items.iter().filter(|crowd| crowd.spilled());
            let spilled: usize = crowds.map(|crowd| crowd.capacity() * size_of::<Reader>()).sum();
            let free = (self.entries.free.capacity() + self.crowds.free.capacity()) * size_of::<u32>();
            let entries = self.entries.items.capacity() * size_of::<Entry>();
            let crowds = self.crowds.items.capacity() * size_of::<Crowd>();
            self.index.capacity() * size_of::<u32>() + entries + crowds + spilled + free
        }

        fn all(&mut self) -> BTreeMap<(ConversationId, u32), u64> {
            let mut all = BTreeMap::new();
            for at in 0..self.entries.items.len() as u32 {
                if let Some(name) = self.name(at) {
                    let readers = self.readers(at).to_vec();
                    assert!(!readers.is_empty(), "somebody reads what is there");
                    all.extend(readers.into_iter().map(|reader| ((name, reader.slot), reader.seen)));
                }
            }
            all
        }
    }

    /// A list as a session's, of so many: what it has on the heap.
    fn list_bytes(len: usize) -> usize {
        let mut list: SmallVec<[u32; 4]> = SmallVec::new();
        for at in 0..len {
            if list.len() == list.capacity() {
                list.reserve_exact(growth(list.len()));
            }
            list.push(at as u32);
        }
        if list.spilled() { list.capacity() * size_of::<u32>() } else { 0 }
    }

    /// The most bytes that a subscription takes, and the mean, while conversations come that each have so many readers. A
    /// connection reads a thousand of them.
    fn bytes_of_each(readers: u32) -> (f64, f64) {
        let (mut table, hasher) = (Table::default(), Hasher::default());
        let (mut most, mut sum, mut times) = (0_f64, 0_f64, 0_f64);
        let mut size = 0;
        let lists: Vec<usize> = (0..=1_000).map(list_bytes).collect();
        for n in 0..40_000_u32 {
            for reader in 0..readers {
                table.put(id(n.into()), n / 1_000 * readers + reader, 0, &hasher);
            }
            let grown = table.entries.items.capacity() + table.crowds.items.capacity() + table.index.len();
            if n >= 1_000 && (std::mem::replace(&mut size, grown) != grown || n % 200 == 0) {
                let (whole, rest) = (n as usize / 1_000, n as usize % 1_000 + 1);
                let lists = (whole * lists[1_000] + lists[rest]) * readers as usize;
                let each = (table.bytes() + lists) as f64 / f64::from((n + 1) * readers);
                (most, sum, times) = (most.max(each), sum + each, times + 1.0);
            }
        }
        (most, sum / times)
    }

    #[test]
    fn a_subscription_takes_at_most_48_bytes_however_many_read_a_conversation() {
        let all: Vec<(u32, (f64, f64))> =
            [1, 2, 3, 4, 5, 8, 9, 17].map(|readers| (readers, bytes_of_each(readers))).into();
        println!("readers of each conversation, (bytes of a subscription at most, and on average): {all:.1?}");
        assert!(all.iter().all(|(_, (most, _))| *most <= 48.0), "{all:?}");
    }

    #[test]
    fn readers_come_and_go_in_any_order_and_each_reads_from_its_own_number() {
        let (mut table, hasher) = (Table::default(), Hasher::default());
        let mut model = BTreeMap::new();
        let mut state = 1_u64;
        let mut chance = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let (mut shared, mut crowded, mut closed_up) = (0, 0, 0);
        for step in 0..40_000 {
            // They come for a while, and go for a while.
            let coming = if step / 4_000 % 2 == 0 { 90 } else { 5 };
            let (name, slot, head) = (id(chance(300)), chance(4) as u32, chance(50));
            if chance(100) < coming {
                let at = table.put(name, slot, head, &hasher);
                assert_eq!((table.find(&name, &hasher), table.name(at)), (Some(at), Some(name)));
                let seen: &mut u64 = model.entry((name, slot)).or_default();
                *seen = head.max(*seen);
            } else if let Some(at) = table.find(&name, &hasher) {
                model.remove(&(name, slot));
                let left = model.range((name, 0)..=(name, u32::MAX)).count();
                assert_eq!(table.remove(at, slot, &hasher), left == 0);
                shared += u32::from(left == 1);
                crowded += u32::from(left > 2);
            }
            if table.is_sparse() {
                closed_up += 1;
                let before: Vec<_> = (0..table.entries.items.len() as u32).map(|at| table.name(at)).collect();
                let moved = table.close_up(&hasher);
                let told = before.iter().zip(&moved).filter_map(|(name, at)| Some(((*name)?, *at)));
                told.for_each(|(name, at)| assert_eq!(table.find(&name, &hasher), Some(at)));
                let slots: std::collections::BTreeSet<u32> = model.keys().map(|(_, slot)| *slot).collect();
                assert_eq!(table.slots(), slots.into_iter().collect::<Vec<_>>());
            }
            if step % 500 == 0 {
                assert_eq!(table.all(), model);
            }
        }
        assert!(shared > 100 && crowded > 100 && closed_up > 3, "{shared} {crowded} {closed_up}");
        for (name, slot) in model.into_keys() {
            let at = table.find(&name, &hasher).expect("it is read");
            table.remove(at, slot, &hasher);
        }
        assert_eq!(table.len(), 0);
    }
}
