//! The sweep: every few seconds the table of routers is listed and all cells are looked at, so that whatever was missed
//! (a router that died between two heartbeats, shards that were given away or never claimed) is found.

use std::time::Duration;

use switchyard_protocol::owner::RouterRow;

use super::Ownership;
use super::calls::{Pace, Purpose};
use super::event::Call;

/// When to look.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    /// The next sweep.
    at: Duration,
    listing: bool,
    /// A listing is wanted before the next sweep: a while after the last one, for heartbeats alone ask for it.
    list: bool,
    list_at: Duration,
    /// The cells are looked at once the listing is there.
    cells: bool,
    pace: Pace,
    /// From when on this router claims what is nobody's. Not before it knows who else there is.
    pub(super) claims_from: Option<Duration>,
}

impl Sweep {
    /// The first one.
    pub(super) fn begin_at(&mut self, now: Duration) {
        self.at = now;
    }

    /// Somebody is there whom the table did not list.
    pub(super) fn list_soon(&mut self) {
        self.list = true;
    }

    /// When something is due.
    pub(super) fn due(&self) -> Duration {
        if self.listing {
            return Duration::MAX;
        }
        let wanted = if self.cells { Duration::ZERO } else { self.at };
        let listing = if self.list { self.list_at } else { Duration::MAX };
        wanted.min(listing).max(self.pace.not_before())
    }
}

impl Ownership {
    /// Lists the routers if that is due; what follows waits for it.
    pub(super) fn sweep(&mut self) {
        if self.now.mono < self.sweep.due() {
            return;
        }
        if self.now.mono >= self.sweep.at {
            self.sweep.at = self.now.mono + self.random.about(self.config.sweep_every);
            self.sweep.cells = true;
        }
        self.sweep.list_at = self.now.mono + self.config.heartbeat_every;
        if self.config.alone && self.has_all() {
            // Whoever is there now is nothing to this router: see `met`. To list them walks over the table of all that ever were.
            return self.swept(Some(Vec::new()));
        }
        self.sweep.listing = true;
        self.call(Purpose::List, Call::ListRouters);
    }

    /// The list is there; nothing if it could not be read.
    pub(super) fn swept(&mut self, rows: Option<Vec<RouterRow>>) {
        self.sweep.listing = false;
        let Some(rows) = rows else {
            return self.sweep.pace.failed(self.now.mono, &self.config, &mut self.random);
        };
        self.sweep.pace.succeeded();
        self.listed(rows);
        if !self.is_live() {
            return;
        }
        if self.sweep.claims_from.is_none() {
            let from = self.now.mono + if self.peers.any_listed() { self.config.settle } else { Duration::ZERO };
            self.sweep.claims_from = Some(from);
            if from > self.now.mono {
                // What it does not claim yet is looked at again as soon as it may.
                self.sweep.at = self.sweep.at.min(from);
            }
        }
        self.sweep.list = false;
        if std::mem::take(&mut self.sweep.cells) {
            self.look_at_all_cells();
            self.rebalance = true;
            let cells = &self.cells;
            self.fencing.keep(|incarnation| cells.names(incarnation));
        }
    }
}
