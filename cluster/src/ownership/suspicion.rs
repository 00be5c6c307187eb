//! Whom this router takes for dead. Suspicion may be wrong, and then costs a restart; it is never what a promise rests on.
//!
//! A router is suspected when nothing was heard of it for a while *and* a probe that began after that failed. Heartbeats
//! come by Redis; where there is none, the table says who there may be and probes take their place. A probe names the
//! incarnation that it is for: another one that answers at its address proves its death. Who reaches neither Redis nor
//! any other router suspects nobody, for it is more likely to be the one that is cut off.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::time::Duration;

use switchyard_protocol::owner::{Incarnation, RouterRow, RouterState};

use super::Ownership;
use super::config::PEERS_MAX;
use super::event::{Effect, Heartbeat, Probed};

/// Another router.
#[derive(Debug)]
struct Peer {
    address: String,
    /// The table says that it lives; a heartbeat alone is only a word.
    listed: bool,
    /// When it was met.
    since: Duration,
    /// When something was heard of it last; at first, when it was met.
    heard: Duration,
    /// Its last heartbeat's number.
    beat: u64,
    draining: bool,
    /// When the probe under way began.
    probing: Option<Duration>,
    /// When the next one may.
    probe_at: Duration,
}

impl Peer {
    fn new(address: String, now: Duration) -> Self {
        let (listed, draining) = (false, false);
        Self { address, listed, since: now, heard: now, beat: 0, draining, probing: None, probe_at: now }
    }
}

/// All other routers, and what can be reached.
#[derive(Debug, Default)]
pub(super) struct Peers {
    peers: BTreeMap<Incarnation, Peer>,
    redis: bool,
    /// When any other router answered a probe last.
    answered: Option<Duration>,
}

impl Peers {
    /// Whether the table says that it lives.
    pub(super) fn is_listed(&self, incarnation: Incarnation) -> bool {
        self.peers.get(&incarnation).is_some_and(|peer| peer.listed)
    }

    /// Whether there are any that the table knows.
    pub(super) fn any_listed(&self) -> bool {
        self.peers.values().any(|peer| peer.listed)
    }

    /// Routers that may be given shards: the table says that they live, something was heard of them since `heard_since`,
    /// they were met at `met_until` or before, and they are not about to go.
    pub(super) fn candidates(
        &self,
        heard_since: Duration,
        met_until: Duration,
    ) -> impl Iterator<Item = (Incarnation, &str)> {
        let is_one =
            move |peer: &Peer| peer.listed && !peer.draining && peer.heard >= heard_since && peer.since <= met_until;
        let peers = self.peers.iter().filter(move |(_, peer)| is_one(peer));
        peers.map(|(incarnation, peer)| (*incarnation, peer.address.as_str()))
    }
}

impl Ownership {
    fn is_silent(&self, peer: &Peer) -> bool {
        self.now.mono.saturating_sub(peer.heard) > self.config.silence_max
    }

    /// The table says that this router lives.
    pub(super) fn met(&mut self, row: RouterRow) {
        if self.config.alone {
            // Who comes once this one has all shards is its successor, or will fence it before being one.
            if row.state == RouterState::Live && !self.has_all() {
                match row.incarnation.cmp(&self.own.incarnation) {
                    Ordering::Less => self.fence_off(row.incarnation),
                    Ordering::Equal => {}
                    // It has started since, and fences this one, if it did not die before.
                    Ordering::Greater if self.cells.names(row.incarnation) => self.end(),
                    Ordering::Greater => {}
                }
            }
        } else if row.state == RouterState::Live
            && let Some(peer) = self.peer(row.incarnation, row.address)
        {
            peer.listed = true;
        }
    }

    /// Those whom the table does not list any more are gone, unless they are only too new.
    pub(super) fn listed(&mut self, rows: Vec<RouterRow>) {
        let gone = |incarnation: &Incarnation| rows.iter().all(|row| row.incarnation != *incarnation);
        let silence_max = self.config.silence_max;
        let now = self.now.mono;
        self.peers.peers.retain(|incarnation, peer| {
            if gone(incarnation) {
                peer.listed = false;
            }
            peer.listed || now.saturating_sub(peer.heard) <= silence_max
        });
        rows.into_iter().for_each(|row| self.met(row));
    }

    fn peer(&mut self, incarnation: Incarnation, address: String) -> Option<&mut Peer> {
        let is_known = self.peers.peers.contains_key(&incarnation);
        let has_room = self.peers.peers.len() < PEERS_MAX;
        if incarnation == self.own.incarnation || self.fencing.is_under_way(incarnation) || !is_known && !has_room {
            return None;
        }
        let now = self.now.mono;
        Some(self.peers.peers.entry(incarnation).or_insert_with(|| Peer::new(address, now)))
    }

    /// Redis brought a heartbeat, perhaps again.
    pub(super) fn heard(&mut self, heartbeat: Heartbeat) {
        let Heartbeat { incarnation, address, beat, draining } = heartbeat;
        let now = self.now.mono;
        let Some(peer) = self.peer(incarnation, address) else { return };
        if beat > peer.beat {
            (peer.beat, peer.heard, peer.draining) = (beat, now, draining);
        }
        if !peer.listed {
            self.sweep.list_soon();
        }
    }

    /// Redis can be reached, or not.
    pub(super) fn redis(&mut self, reachable: bool) {
        self.peers.redis = reachable;
    }

    /// A link to it broke.
    pub(super) fn unreachable(&mut self, incarnation: Incarnation) {
        let now = self.now.mono;
        if let Some(peer) = self.peers.peers.get_mut(&incarnation)
            && peer.probing.is_none()
        {
            self.out.push(Effect::Probe { incarnation, address: peer.address.clone() });
            peer.probing = Some(now);
        }
    }

    /// Probes those of whom nothing is heard; without Redis all of them, for nothing is heard of any.
    pub(super) fn probe(&mut self) {
        let now = self.now.mono;
        let (redis, silence_max) = (self.peers.redis, self.config.silence_max);
        for (incarnation, peer) in &mut self.peers.peers {
            let is_wanted = !redis || now.saturating_sub(peer.heard) > silence_max;
            if is_wanted && peer.probing.is_none() && now >= peer.probe_at {
                (peer.probing, peer.probe_at) = (Some(now), now + self.config.probe_every);
                self.out.push(Effect::Probe { incarnation: *incarnation, address: peer.address.clone() });
            }
        }
    }

    /// When the next probe is due.
    pub(super) fn probe_due(&self) -> Duration {
        let due = |peer: &Peer| {
            // What is due a moment after the longest silence finds it longer.
            let silent = peer.heard + self.config.silence_max + Duration::from_millis(1);
            let wanted = if self.peers.redis { silent } else { Duration::ZERO };
            if peer.probing.is_some() { Duration::MAX } else { wanted.max(peer.probe_at) }
        };
        self.peers.peers.values().map(due).min().unwrap_or(Duration::MAX)
    }

    /// A probe has ended.
    pub(super) fn probed(&mut self, incarnation: Incarnation, probed: Probed) {
        let now = self.now.mono;
        let Some(peer) = self.peers.peers.get_mut(&incarnation) else { return };
        let Some(began) = peer.probing.take() else { return };
        match probed {
            Probed::Answered(who) if who == incarnation => {
                // It answered after it was asked; how long its answer was on its way is not known.
                peer.heard = peer.heard.max(began);
                self.peers.answered = Some(now);
            }
            Probed::Answered(_) => {
                self.peers.answered = Some(now);
                self.fence_off(incarnation);
            }
            Probed::Failed => {
                let was_silent = began.saturating_sub(peer.heard) > self.config.silence_max;
                let recent = |at: Duration| now.saturating_sub(at) <= self.config.silence_max;
                let reaches_any = self.peers.redis || self.peers.answered.is_some_and(recent);
                if was_silent && reaches_any {
                    self.fence_off(incarnation);
                }
            }
        }
    }

    /// It is fenced.
    pub(super) fn forget_peer(&mut self, incarnation: Incarnation) {
        self.peers.peers.remove(&incarnation);
    }

    /// Whether this router looks as if it were dead, or is about to go: nothing is moved to it.
    pub(super) fn is_worth_a_move(&self, incarnation: Incarnation) -> bool {
        self.peers.peers.get(&incarnation).is_some_and(|peer| peer.listed && !peer.draining && !self.is_silent(peer))
    }
}
