//! The start of a router: a fresh incarnation, put into the table if there is none of its number.
//!
//! Of those that want to be alone each replaces all before it. So that of several that start at one moment one is left, each takes a
//! number above all that it finds: it fences those below, leaves those above alone, and ends when one of them has got shards before
//! it had all. The highest of all is fenced by nobody.

use switchyard_protocol::owner::{Incarnation, RouterRow, RouterState};

use super::calls::{Pace, Purpose};
use super::config::Config;
use super::event::{Answer, Call, Level};
use super::{Ownership, Phase};

/// What the start waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Starting {
    /// To know who is there, above whom it is to be: if it wants to be alone.
    List,
    /// To put the row.
    Insert,
    /// To know whether it was put.
    Read,
    /// The store.
    Answer,
}

/// How far above all others one begins that wants to be alone, by chance: two that start at one moment hardly ever choose the same.
const ABOVE_MAX: u64 = 1 << 32;

/// A row with a number and a nonce by chance.
pub(super) fn fresh_row(address: String, mut random: impl FnMut() -> u64) -> RouterRow {
    let (incarnation, nonce) = (Incarnation::of_random(random()), random());
    RouterRow { incarnation, state: RouterState::Live, address, nonce }
}

impl Ownership {
    /// Goes on with the start.
    pub(super) fn start(&mut self) {
        let Phase::Starting { next, pace } = &mut self.phase else { return };
        if self.now.mono < pace.not_before() {
            return;
        }
        match std::mem::replace(next, Starting::Answer) {
            Starting::List => self.call(Purpose::ListStart, Call::ListRouters),
            Starting::Insert => self.call(Purpose::Insert, Call::InsertRouter(self.own.clone())),
            Starting::Read => {
                let incarnation = self.own.incarnation;
                self.call(Purpose::ReadStart, Call::ReadRouter { incarnation, level: Level::Serial });
            }
            Starting::Answer => {}
        }
    }

    /// Who is there; nothing if that could not be read.
    pub(super) fn start_listed(&mut self, found: Option<Vec<RouterRow>>) {
        let Some(rows) = found else { return self.start_next(Starting::List, true) };
        if let Some(highest) = rows.iter().map(|row| row.incarnation).max() {
            let above = 1 + self.random.next() % ABOVE_MAX;
            // If there were no number above, the row would be another one's, and this would be begun anew.
            self.own.incarnation = Incarnation::new(highest.number().saturating_add(above)).unwrap_or(highest);
        }
        self.start_next(Starting::Insert, false);
    }

    /// The row was put, or was not, or that is not known.
    pub(super) fn inserted(&mut self, answer: &Answer) {
        match answer {
            Answer::Applied => self.started(),
            // One that is refused may have been put by an attempt before it.
            Answer::Refused => self.start_next(Starting::Read, false),
            _ => self.start_next(Starting::Read, true),
        }
    }

    /// The table says what became of it: the nonce tells whose row it is.
    pub(super) fn start_read(&mut self, found: Option<Option<RouterRow>>) {
        match found {
            Some(Some(row)) if row.nonce != self.own.nonce => {
                let address = std::mem::take(&mut self.own.address);
                self.own = fresh_row(address, || self.random.next());
                self.start_next(first_step(&self.config), false);
            }
            Some(Some(row)) if row.state == RouterState::Live => self.started(),
            Some(Some(_)) => self.end(),
            Some(None) => self.start_next(Starting::Insert, true),
            None => self.start_next(Starting::Read, true),
        }
    }

    fn start_next(&mut self, step: Starting, failed: bool) {
        if let Phase::Starting { next, pace } = &mut self.phase {
            *next = step;
            if failed {
                pace.failed(self.now.mono, &self.config, &mut self.random);
            }
        }
    }

    fn started(&mut self) {
        self.phase = Phase::Live;
        self.beat_at = self.now.mono;
        self.sweep.begin_at(self.now.mono);
    }

    /// The phase in which everything begins.
    pub(super) fn beginning(config: &Config) -> Phase {
        Phase::Starting { next: first_step(config), pace: Pace::default() }
    }
}

fn first_step(config: &Config) -> Starting {
    if config.alone { Starting::List } else { Starting::Insert }
}
