//! What an operator may set about timelines. Limits that nobody needs to change are constants beside the code they bound.

use std::time::Duration;

use switchyard_protocol::v1::ConversationKind;

use crate::rules::Rules;

/// Settings of a router.
#[derive(Clone, Debug)]
pub struct RouterConfig {
    /// A conversation that nobody touched for this long leaves memory.
    pub idle_after: Duration,
    /// What is dropped from timelines, per kind of conversation.
    pub retention: Retention,
    /// Whether plain members may add others to a group.
    pub members_add: bool,
    /// Whether a direct conversation is a request to the other one until they accept it.
    pub requests: bool,
    /// After how long without an outcome a request is answered `UNKNOWN_OUTCOME`.
    pub unknown_after: Duration,
    /// How long after a user's last session has ended others are told: a reconnect within that time is no news. As often is
    /// counted how many members of a conversation are online, while somebody wants to know.
    pub offline_after: Duration,
    /// Threads that read the store: those that a disk keeps busy, or for a store in a cluster [`READERS_SHARED`].
    pub readers: usize,
    /// All of them hold, but for a test.
    pub rules: Rules,
}

/// Threads that read a store in a cluster. Each waits for other machines most of the time; after a take-over all that is
/// in use is loaded anew, by six or seven statements, three of them one after the other, and its users wait for it.
pub const READERS_SHARED: usize = 64;

impl Default for RouterConfig {
    fn default() -> Self {
        Self {
            idle_after: Duration::from_secs(120),
            retention: Retention::default(),
            members_add: false,
            requests: true,
            unknown_after: Duration::from_secs(8),
            offline_after: Duration::from_secs(15),
            readers: 2,
            rules: Rules::default(),
        }
    }
}

/// How much of a timeline is kept; off by default.
#[derive(Clone, Copy, Debug, Default)]
pub struct Retention {
    /// For direct conversations, and those of customers and sellers.
    pub direct: RetentionRule,
    /// For groups, and what is internal.
    pub group: RetentionRule,
}

/// How much of one conversation is kept. Both limits round in favour of keeping: whole runs of 1,000 events go, and no run
/// goes that holds one of the newest 1,000: without them a message that is sent again could be stored again.
#[derive(Clone, Copy, Debug, Default)]
pub struct RetentionRule {
    /// At least the newest so many events stay.
    pub events_max: Option<u64>,
    /// Events younger than this stay, unless there are more than `events_max` of them.
    pub age_max: Option<Duration>,
}

impl Retention {
    /// The rule for this kind.
    pub fn of(&self, kind: ConversationKind) -> RetentionRule {
        if is_groups(kind) { self.group } else { self.direct }
    }

    /// What is too old at this time.
    pub fn cutoffs(&self, wall_ms: u64) -> Cutoffs {
        let before = |rule: &RetentionRule| {
            let age = rule.age_max?;
            Some(wall_ms.saturating_sub(u64::try_from(age.as_millis()).unwrap_or(u64::MAX)))
        };
        Cutoffs { direct: before(&self.direct), group: before(&self.group) }
    }
}

/// Times before which events are too old, for each kind of conversation that has a limit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cutoffs {
    direct: Option<u64>,
    group: Option<u64>,
}

impl Cutoffs {
    /// For this kind.
    pub fn of(&self, kind: ConversationKind) -> Option<u64> {
        if is_groups(kind) { self.group } else { self.direct }
    }
}

/// Whether what is said of groups holds for this kind: those of people who work together. What a customer or seller has, with
/// each other or with the support, is theirs as a direct conversation is.
fn is_groups(kind: ConversationKind) -> bool {
    matches!(kind, ConversationKind::Group | ConversationKind::Internal)
}
