//! Who owns what: the words of the two tables by which routers agree. Shards lie in cells, a start of a router is an
//! incarnation, and each new owner of a shard has a higher epoch than all before.

use std::fmt;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::shard::{SHARDS, Shard};

/// Number of cells. Never changes.
pub const CELLS: u8 = 64;

/// Shards in a cell.
pub const CELL_SHARDS: u16 = SHARDS / CELLS as u16;

/// The highest epoch: a shard may change its owner a thousand million times. Rows are stored with the timestamp
/// `epoch << 20 | overwrites`, and above all of these there is room for marks of what is gone for good.
pub const EPOCH_MAX: u64 = (1 << 30) - 1;

/// Bytes of a router's address at most: a host name (253) with a port.
pub const ROUTER_ADDRESS_BYTES_MAX: usize = 260;

/// One of the [`CELLS`] parts of the table of owners: its shards are claimed together, in one transaction.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Cell(u8);

impl Cell {
    /// The cell with this number, or `None` from [`CELLS`] on.
    pub fn new(number: u8) -> Option<Self> {
        (number < CELLS).then_some(Self(number))
    }

    /// Its number, below [`CELLS`].
    pub fn number(self) -> u8 {
        self.0
    }

    /// The cell of a shard: neighbours share one. Fixed for ever, for it is a stored key.
    pub fn of(shard: Shard) -> Self {
        Self((shard.number() / CELL_SHARDS) as u8)
    }

    /// All cells, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..CELLS).map(Self)
    }

    /// Its shards, in order.
    pub fn shards(self) -> impl Iterator<Item = Shard> {
        let first = u16::from(self.0) * CELL_SHARDS;
        (first..first + CELL_SHARDS).filter_map(Shard::new)
    }
}

/// One start of a router: never used twice, and once it is fenced, fenced for good.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(u64);

impl Incarnation {
    /// From its number: 1 to 2^63 - 1, for stores know signed numbers.
    pub fn new(number: u64) -> Option<Self> {
        (1..=i64::MAX as u64).contains(&number).then_some(Self(number))
    }

    /// Of 64 random bits. Two starts with the same bits are told apart by the store, which takes one of them.
    pub fn of_random(bits: u64) -> Self {
        Self((bits >> 1).max(1))
    }

    /// Its number.
    pub fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How often a shard has changed hands: 1 for its first owner, and one more for each that follows, also if it is the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Epoch(u64);

impl Epoch {
    /// The first owner's.
    pub const FIRST: Self = Self(1);

    /// From its number: 1 to [`EPOCH_MAX`].
    pub fn new(number: u64) -> Option<Self> {
        (1..=EPOCH_MAX).contains(&number).then_some(Self(number))
    }

    /// Its number.
    pub fn number(self) -> u64 {
        self.0
    }

    /// The one that follows; `None` after [`EPOCH_MAX`].
    pub fn next(self) -> Option<Self> {
        Self::new(self.0 + 1)
    }
}

/// How much a router at this address should have this shard: of several, the one with the greatest weight. By its address, not
/// its incarnation, so that a router that starts again wants what it had. A wish alone, which versions may disagree on: the
/// truth is in the table.
pub fn weight(shard: Shard, address: &str) -> u64 {
    xxh3_64_with_seed(address.as_bytes(), u64::from(shard.number()))
}

/// What the table of owners says of a shard: whose it is, and since when. The pair is never had by two owners.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Holder {
    /// Whose.
    pub incarnation: Incarnation,
    /// In which epoch.
    pub epoch: Epoch,
}

/// One change of the table of owners, to be made only if the shard is held as it says.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Claim {
    /// Of which shard.
    pub shard: Shard,
    /// How it is held before; `None` if it was never held.
    pub from: Option<Holder>,
    /// For whom. The epoch is the one after [`from`](Self::from)'s.
    pub to: Incarnation,
}

impl Claim {
    /// How the shard is held when this was carried out; `None` if there is no further epoch, so it cannot be.
    pub fn held(&self) -> Option<Holder> {
        let epoch = match self.from {
            Some(holder) => holder.epoch.next()?,
            None => Epoch::FIRST,
        };
        Some(Holder { incarnation: self.to, epoch })
    }
}

/// Whether an incarnation may act.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RouterState {
    /// It may.
    Live,
    /// Never again.
    Fenced,
}

/// A row of the table of routers. It is never deleted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouterRow {
    /// Who.
    pub incarnation: Incarnation,
    /// Whether it may act.
    pub state: RouterState,
    /// Where others reach it, [`ROUTER_ADDRESS_BYTES_MAX`] at most; empty for one that was fenced before it was there.
    pub address: String,
    /// Random, of the attempt that made the row: so whoever made it knows it again.
    pub nonce: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_part_the_shards() {
        let shards: Vec<u16> = Cell::all().flat_map(Cell::shards).map(Shard::number).collect();
        assert_eq!(shards, (0..SHARDS).collect::<Vec<_>>());
        assert!(Cell::all().all(|cell| cell.shards().all(|shard| Cell::of(shard) == cell)));
        assert_eq!(Cell::of(Shard::new(130).expect("there are 4,096")).number(), 2, "a stored key, fixed for ever");
        assert_eq!(Cell::new(CELLS), None);
    }

    #[test]
    fn weights_share_the_shards_out_evenly_and_move_few() {
        let wish = |routers: &[&str], shard| {
            (0..routers.len()).max_by_key(|at| weight(Shard::new(shard).expect("below 4,096"), routers[*at]))
        };
        let (three, four) = (["a:1", "b:1", "c:1"], ["a:1", "b:1", "c:1", "d:1"]);
        let mut counts = [0; 4];
        for shard in 0..SHARDS {
            let (before, after) = (wish(&three, shard), wish(&four, shard));
            assert!(before == after || after == Some(3), "shards move to the new one alone");
            counts[after.expect("there are four")] += 1;
        }
        assert!(counts.iter().all(|count| (900..1_150).contains(count)), "{counts:?}");
    }

    #[test]
    fn numbers_have_limits() {
        assert_eq!(Epoch::new(0), None);
        assert_eq!(Epoch::new(EPOCH_MAX).and_then(Epoch::next), None);
        assert!(i64::try_from(EPOCH_MAX << 20 | 0xf_ffff).is_ok());
        assert_eq!(Incarnation::new(0), None);
        assert_eq!(Incarnation::new(1 << 63), None);
        assert_eq!(
            [0, u64::MAX].map(|bits| Incarnation::new(Incarnation::of_random(bits).number()).is_some()),
            [true; 2]
        );
    }
}
