//! The table of owners as this router has read it, cell by cell. Each cell is at one thing at a time: it is read, and what
//! may be claimed of it is claimed in one transaction. Whatever is refused or unknown is read as a transaction before
//! anything else is done with that cell.

use std::time::Duration;

use switchyard_protocol::owner::{CELL_SHARDS, CELLS, Cell, Epoch, Holder, Incarnation};
use switchyard_protocol::shard::Shard;

use super::calls::{Pace, Purpose};
use super::config::CELL_CALLS_MAX;
use super::event::{Call, Effect, Level};
use super::shards::Standing;
use super::{Ownership, Phase};

/// What is known of a shard, and since when nobody claims it though somebody should.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Known {
    pub(super) holder: Option<Holder>,
    pub(super) claimable_since: Option<Duration>,
    /// The last read said so. Older ones say what is no longer so.
    pub(super) is_fresh: bool,
}

#[derive(Debug)]
struct Work {
    known: Vec<Known>,
    busy: bool,
    /// How it is to be read next.
    wanted: Option<Level>,
    pace: Pace,
}

/// All cells.
#[derive(Debug)]
pub(super) struct Cells {
    cells: Vec<Work>,
    busy: usize,
    /// Where to go on, so that none waits for ever.
    next: u8,
    /// How many cells there are: all of them, but in tests.
    count: usize,
}

impl Cells {
    pub(super) fn new() -> Self {
        let work = || Work {
            known: vec![Known::default(); CELL_SHARDS.into()],
            busy: false,
            wanted: None,
            pace: Pace::default(),
        };
        Self { cells: (0..CELLS).map(|_| work()).collect(), busy: 0, next: 0, count: CELLS.into() }
    }

    #[cfg(feature = "test-rules")]
    pub(super) fn only(&mut self, count: usize) {
        self.count = count;
    }

    /// Wants all read.
    pub(super) fn want_all(&mut self, level: Level) {
        Cell::all().take(self.count).for_each(|cell| self.want(cell, level));
    }

    fn work(&mut self, cell: Cell) -> &mut Work {
        self.cells.get_mut(usize::from(cell.number())).expect("there is one for each cell")
    }

    /// What is known of a shard.
    pub(super) fn known(&mut self, shard: Shard) -> &mut Known {
        let place = usize::from(shard.number() % CELL_SHARDS);
        self.work(Cell::of(shard)).known.get_mut(place).expect("a cell has 64 shards")
    }

    /// Wants a cell read.
    pub(super) fn want(&mut self, cell: Cell, level: Level) {
        let wanted = &mut self.work(cell).wanted;
        *wanted = (*wanted).max(Some(level));
    }

    /// Its call has ended.
    pub(super) fn ended(&mut self, cell: Cell) {
        if std::mem::take(&mut self.work(cell).busy) {
            self.busy = self.busy.saturating_sub(1);
        }
    }

    /// How soon its next call may be made.
    pub(super) fn pace(&mut self, cell: Cell) -> &mut Pace {
        &mut self.work(cell).pace
    }

    /// How many shards there are.
    pub(super) fn shards(&self) -> usize {
        self.count * usize::from(CELL_SHARDS)
    }

    /// Whether any shard is held by this router, as far as is known.
    pub(super) fn names(&self, incarnation: Incarnation) -> bool {
        let holds = |known: &Known| known.holder.is_some_and(|holder| holder.incarnation == incarnation);
        self.cells.iter().any(|work| work.known.iter().any(holds))
    }

    /// When the next read is due.
    pub(super) fn due(&self) -> Duration {
        if self.busy >= CELL_CALLS_MAX {
            return Duration::MAX;
        }
        let waiting = self.cells.iter().filter(|work| work.wanted.is_some() && !work.busy);
        waiting.map(|work| work.pace.not_before()).min().unwrap_or(Duration::MAX)
    }

    /// A cell whose read is due, and how. It is busy from now on.
    fn take_due(&mut self, now: Duration) -> Option<(Cell, Level)> {
        for step in 0..CELLS {
            let Some(cell) = Cell::new((self.next + step) % CELLS) else { continue };
            let work = self.work(cell);
            if !work.busy
                && work.pace.not_before() <= now
                && let Some(level) = work.wanted.take()
            {
                work.busy = true;
                self.busy += 1;
                self.next = (cell.number() + 1) % CELLS;
                return Some((cell, level));
            }
        }
        None
    }

    /// Goes on with a cell that has just been read.
    fn stay_busy(&mut self, cell: Cell) {
        if !std::mem::replace(&mut self.work(cell).busy, true) {
            self.busy += 1;
        }
    }
}

impl Ownership {
    /// Wants all cells read.
    pub(super) fn look_at_all_cells(&mut self) {
        self.cells.want_all(Level::Quorum);
    }

    /// Makes the reads that are due.
    pub(super) fn go_on_with_cells(&mut self) {
        while self.now.mono >= self.cells.due() {
            let Some((cell, level)) = self.cells.take_due(self.now.mono) else { return };
            self.call(Purpose::ReadCell(cell, level), Call::ReadCell { cell, level });
        }
    }

    /// A cell was read; nothing if that failed. What may be claimed is.
    pub(super) fn cell_read(&mut self, cell: Cell, level: Level, rows: Option<Vec<(Shard, Holder)>>) {
        self.cells.ended(cell);
        let Some(rows) = rows else {
            self.cells.want(cell, level);
            return self.cells.pace(cell).failed(self.now.mono, &self.config, &mut self.random);
        };
        self.note(cell, level, &rows);
        let claims = self.claims(cell);
        if claims.is_empty() {
            return self.cells.pace(cell).succeeded();
        }
        self.cells.stay_busy(cell);
        self.call(Purpose::Claim(cell, claims.clone()), Call::Claim { cell, claims });
    }

    /// What the table says now. Rows that say what was before, or that have no place there, are not believed.
    fn note(&mut self, cell: Cell, level: Level, rows: &[(Shard, Holder)]) {
        cell.shards().for_each(|shard| self.cells.known(shard).is_fresh = false);
        for (shard, holder) in rows.iter().filter(|(shard, _)| Cell::of(*shard) == cell) {
            let known = self.cells.known(*shard);
            if known.holder.is_some_and(|before| before.epoch > holder.epoch) {
                continue;
            }
            if known.holder != Some(*holder) {
                *known = Known { holder: Some(*holder), ..Known::default() };
            }
            known.is_fresh = true;
            self.reconcile(*shard, *holder, level);
        }
        for shard in cell.shards() {
            let known = self.cells.known(shard);
            // Never held, as it was before: rows are not deleted.
            known.is_fresh |= known.holder.is_none();
        }
    }

    /// Holds what the table says against what this router believes.
    fn reconcile(&mut self, shard: Shard, holder: Holder, level: Level) {
        let believed = self.shards.standing(shard).epoch();
        if believed.is_some_and(|epoch| epoch >= holder.epoch) {
            return;
        }
        if holder.incarnation != self.own.incarnation {
            return self.release(shard);
        }
        // Won, by a claim whose outcome was not known, or given by another: believed when it is read as a transaction.
        match level {
            Level::Serial => self.take(shard, holder.epoch),
            Level::Quorum => self.cells.want(Cell::of(shard), Level::Serial),
        }
    }

    /// The shard is this router's.
    pub(super) fn take(&mut self, shard: Shard, epoch: Epoch) {
        if !matches!(self.phase, Phase::Live) || self.shards.standing(shard).epoch().is_some_and(|had| had >= epoch) {
            return;
        }
        self.release(shard);
        self.shards.set(self.now.mono, shard, Standing::Owned(epoch));
        self.balanced = None;
        self.out.push(Effect::Owned { shard, epoch });
    }

    /// It is not any more.
    pub(super) fn release(&mut self, shard: Shard) {
        if let Some(epoch) = self.shards.standing(shard).epoch() {
            self.shards.set(self.now.mono, shard, Standing::Other);
            self.out.push(Effect::Released { shard, epoch });
        }
    }
}
