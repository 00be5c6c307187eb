//! Times and limits of ownership, with what they are good for.

use std::time::Duration;

/// Calls about cells that are on their way at once, one for each cell: so a dead owner's shards are all claimed in the time
/// of a few transactions.
pub const CELL_CALLS_MAX: usize = 64;

/// Routers that are looked at or fenced at once.
pub const FENCING_CALLS_MAX: usize = 16;

/// Other routers that are kept track of. Further ones own what they own, and come up when these are gone.
pub const PEERS_MAX: usize = 1_024;

/// Shards that are being moved at once: the intake of a sixteenth of all conversations stands still at most, and a router
/// that goes is empty after a few rounds.
pub const MOVES_MAX: usize = 256;

/// Times. The defaults are what the promises speak of.
#[derive(Clone, Debug)]
pub struct Config {
    /// One router has all shards: it fences every other that it finds when it starts, and gives nothing away. Two that
    /// start so one after the other are an old one and its successor, never two that share; of several that start at one
    /// moment one is left.
    pub alone: bool,
    /// The own fence is read this long after the last read began, also if nobody waits for it.
    pub fence_every: Duration,
    /// Nothing is answered when the last read that said `live` began longer ago.
    pub fence_age_max: Duration,
    /// Others are told so often, by Redis, that this router is there.
    pub heartbeat_every: Duration,
    /// A router of which nothing was heard for so long is probed, and suspected if the probe fails.
    pub silence_max: Duration,
    /// A router is probed no more often.
    pub probe_every: Duration,
    /// All cells are looked at so often for shards whose owner is fenced. Also after how long one that another router
    /// should have claimed is claimed all the same.
    pub sweep_every: Duration,
    /// How long a router waits with its first claims for what it hears of others, if the table knows others.
    pub settle: Duration,
    /// Shards are moved to a router only when it was there for so long.
    pub newcomer: Duration,
    /// What is in flight in a shard that is moved is given so long; then it is told as unknown.
    pub finish_max: Duration,
    /// A move that is not known to have been carried out after so long is given up: the shard is claimed anew.
    pub move_max: Duration,
    /// The pause after the first call that failed; it doubles with each that follows.
    pub retry_first: Duration,
    /// The longest pause.
    pub retry_max: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            alone: false,
            fence_every: Duration::from_millis(500),
            fence_age_max: Duration::from_secs(2),
            heartbeat_every: Duration::from_secs(1),
            silence_max: Duration::from_secs(3),
            probe_every: Duration::from_secs(1),
            sweep_every: Duration::from_secs(5),
            settle: Duration::from_secs(2),
            newcomer: Duration::from_secs(10),
            finish_max: Duration::from_secs(2),
            move_max: Duration::from_secs(5),
            retry_first: Duration::from_millis(20),
            retry_max: Duration::from_secs(1),
        }
    }
}
