//! What the machine is told, and what it says is to be done.

use switchyard_cluster::home::ListedNow;
use switchyard_cluster::link::{Answer, LiveEvent, MarksNow, Request, TypersNow};
use switchyard_cluster::party::{Asker, EdgeId, Home};
use switchyard_cluster::presence::{Parted, PresenceNow};
use switchyard_cluster::routers::RouterMessage;
use switchyard_protocol::id::{ConversationKey, UserId};
use switchyard_protocol::owner::Epoch;
use switchyard_protocol::shard::{SHARDS, Shard};
use switchyard_store::{Batch, Mark, ProjectionWrite};

use super::{HomeRead, ReadPlan, ReadResult, Replay, Stand, Ticket, ToldRoles};
use crate::config::Cutoffs;
use crate::rules::{Rule, Rules};

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// These shards are this router's from now on, each in its epoch.
    Owned(Vec<(Shard, Epoch)>),
    /// An edge asks something.
    Request(Request),
    /// An edge asks something while it is not known whether this router is still the owner: nothing that it says of what
    /// is stored would be certain.
    Unsure(Request),
    /// A batch has an outcome.
    Committed {
        /// Its conversation.
        key: ConversationKey,
        /// What became of it.
        outcome: CommitOutcome,
    },
    /// A `Project` is done, or not.
    Projected {
        /// Its conversation.
        key: ConversationKey,
        /// What is written now; `Err` gives the writes back.
        result: Result<Written, Box<Projection>>,
    },
    /// A `Load` is done: the conversation's state, nothing if it does not exist.
    Loaded {
        /// Its conversation.
        key: ConversationKey,
        /// The state, or why it could not be read.
        result: Result<Option<Box<Replay>>, LoadFailed>,
    },
    /// A `Read` is done.
    Read {
        /// What it was for.
        ticket: Box<Ticket>,
        /// What was read.
        result: Result<ReadResult, ReadFailed>,
    },
    /// A `Raise` is done, or not: then `Err` gives the marks back.
    Raised(Result<(), Vec<Mark>>),
    /// A `KeepRoles` is done, or not.
    RolesKept {
        /// What was to be written.
        told: Vec<ToldRoles>,
        /// Whether it is.
        result: Result<(), ReadFailed>,
    },
    /// A `Decoy` is done.
    Decoyed {
        /// Who asked.
        to: Asker,
        /// Whether a load would have failed, and how.
        failed: Option<ReadFailed>,
    },
    /// A `LoadHome` is done.
    HomeLoaded {
        /// Which.
        home: Home,
        /// What the user is in, and has decided.
        result: Result<Box<HomeRead>, ReadFailed>,
    },
    /// A `LoadSeen` is done.
    SeenLoaded {
        /// Whose home.
        home: Home,
        /// When the user was there last, if ever.
        result: Result<Option<u64>, ReadFailed>,
    },
    /// A router tells something.
    Told(RouterMessage),
}

impl Input {
    /// Whether it is what was read of what is stored: it may be from before another router changed it.
    pub(crate) fn is_read(&self) -> bool {
        matches!(self, Self::Loaded { .. } | Self::Read { .. } | Self::HomeLoaded { .. } | Self::SeenLoaded { .. })
    }

    /// The same as if the store had not answered.
    pub(crate) fn unread(self) -> Self {
        let failed = ReadFailed::Unavailable;
        match self {
            Self::Loaded { key, .. } => Self::Loaded { key, result: Err(LoadFailed { failed, members: Vec::new() }) },
            Self::Read { ticket, .. } => Self::Read { ticket, result: Err(failed) },
            Self::HomeLoaded { home, .. } => Self::HomeLoaded { home, result: Err(failed) },
            Self::SeenLoaded { home, .. } => Self::SeenLoaded { home, result: Err(failed) },
            other => other,
        }
    }

    /// All shards are this router's, in one epoch.
    pub fn owns_all(epoch: Epoch) -> Self {
        Self::Owned((0..SHARDS).filter_map(Shard::new).map(|shard| (shard, epoch)).collect())
    }
}

/// What became of a batch.
#[derive(Debug)]
pub enum CommitOutcome {
    /// Stored, and confirmed by a barrier that began afterwards.
    Committed,
    /// Definitely not stored by this attempt.
    Refused {
        /// Whether the disk is full.
        full: bool,
        /// The batch, to be repeated if an earlier attempt ended unknown.
        batch: Batch,
    },
    /// Nobody knows; here is the batch to repeat.
    Unknown(Batch),
}

impl CommitOutcome {
    /// What is made of it: what is not known is not taken for refused.
    pub(super) fn by(self, rules: Rules) -> Self {
        match self {
            Self::Unknown(batch) if !rules.has(Rule::SameBytes) => Self::Refused { full: false, batch },
            outcome => outcome,
        }
    }
}

/// A page or a look-up could not be read. It was logged where it happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReadFailed {
    /// What is stored is damaged.
    Corrupt,
    /// The store does not answer, or too many reads wait.
    Unavailable,
}

/// A conversation could not be read. It was logged where it happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoadFailed {
    /// What went wrong.
    pub failed: ReadFailed,
    /// Its members, as far as they were read before that.
    pub members: Vec<UserId>,
}

impl LoadFailed {
    /// Before anything was read.
    pub fn unavailable() -> Self {
        Self { failed: ReadFailed::Unavailable, members: Vec::new() }
    }
}

/// Projection writes that follow from committed events.
#[derive(Debug)]
pub struct Projection {
    /// Members, or what a home has decided, first, in one call.
    pub members: Vec<ProjectionWrite>,
    /// Then what became of messages.
    pub overlays: Vec<ProjectionWrite>,
    /// Then the texts of these rows are overwritten: the overlays say that they are gone. That is confirmed before the record
    /// is written.
    pub erase: Vec<u64>,
    /// Then, with the record, the marks that follow from the log up to it.
    pub marks: Vec<Mark>,
    /// Then the record, if it is due, which says that all of that is there.
    pub record: Option<ProjectionWrite>,
    /// The number that the record reaches.
    pub through: u64,
    /// Afterwards rows below this number may go.
    pub trim_below: Option<u64>,
    /// Lists of members that nobody reads from then on.
    pub dropped: Vec<ConversationKey>,
    /// Last, whether one of these two has blocked the other is read: they are listed only now.
    pub pair: Option<Box<[UserId; 2]>>,
    /// All that is left of the conversation goes: it was erased by its last event, whose number is `through`.
    pub clear: bool,
}

impl Projection {
    /// Writes nothing.
    pub(super) fn of_nothing(through: u64) -> Self {
        let (members, overlays, erase, marks, dropped) = Default::default();
        let (record, trim_below, pair) = Default::default();
        Self { members, overlays, erase, marks, record, through, trim_below, dropped, pair, clear: false }
    }
}

/// Projections that are written.
#[derive(Debug)]
pub struct Written {
    /// The number up to which they now are.
    pub through: u64,
    /// How the two stand to each other who were asked about.
    pub(crate) blocks: Option<[Stand; 2]>,
}

impl Written {
    /// Up to this number, where nobody was asked about.
    pub fn up_to(through: u64) -> Self {
        Self { through, blocks: None }
    }
}

/// What to do.
#[derive(Debug)]
pub enum Effect {
    /// Append the batch and confirm it; answered by `Committed`.
    Append(Batch),
    /// Write projections; answered by `Projected`.
    Project {
        /// Their conversation.
        key: ConversationKey,
        /// What to write.
        projection: Box<Projection>,
    },
    /// Write marks of members of any conversations and confirm them; answered by `Raised`.
    Raise(Vec<Mark>),
    /// Write what users are, where that is news, and confirm it; answered by `RolesKept`.
    KeepRoles(Vec<ToldRoles>),
    /// Read a conversation's record, members and newest rows; answered by `Loaded`.
    Load {
        /// Which.
        key: ConversationKey,
        /// What of it is too old.
        cutoffs: Cutoffs,
    },
    /// Read rows; answered by `Read`.
    Read {
        /// Which conversation.
        key: ConversationKey,
        /// Given back with the result.
        ticket: Box<Ticket>,
        /// What to read.
        plan: ReadPlan,
    },
    /// Do what a load of this conversation does and throw it away, so that a stranger's answer takes as long as the one
    /// about a conversation that does not exist, and fails as often; answered by `Decoyed`.
    Decoy {
        /// One that does not exist.
        key: ConversationKey,
        /// Who asked.
        to: Asker,
    },
    /// Somebody who has something to say waits for this `Load`, or this `Decoy`, which may have been asked for long before: it
    /// goes before those that only readers wait for. Not answered.
    Hurry(ConversationKey),
    /// Answer a request.
    Answer {
        /// Who asked.
        to: Asker,
        /// What came of it.
        answer: Answer,
    },
    /// Send a committed event to an edge that has readers.
    Publish {
        /// Which edge.
        edge: EdgeId,
        /// The event.
        event: LiveEvent,
    },
    /// Tell an edge that has a conversation open who types there.
    Typing {
        /// Which edge.
        edge: EdgeId,
        /// What to tell.
        now: Box<TypersNow>,
    },
    /// Tell an edge that has readers of a conversation whose marks have risen.
    Marks {
        /// Which edge.
        edge: EdgeId,
        /// What to tell.
        now: Box<MarksNow>,
    },
    /// Read which conversations a user is in; answered by `HomeLoaded`.
    LoadHome {
        /// Whose.
        home: Home,
        /// And what the user has decided.
        own: bool,
    },
    /// Read when a user was there last; answered by `SeenLoaded`.
    LoadSeen {
        /// The user's home.
        home: Home,
        /// The number of this process.
        process: u64,
        /// When it began.
        began_ms: u64,
    },
    /// Tell an edge that watches somebody or something of it.
    Presence {
        /// Which edge.
        edge: EdgeId,
        /// What to tell.
        now: Box<PresenceNow>,
    },
    /// Tell an edge that watches a user that somebody is to watch them no more.
    Parted {
        /// Which edge.
        edge: EdgeId,
        /// Who, and whom.
        parted: Box<Parted>,
    },
    /// Tell a router, perhaps this one.
    Tell(Box<RouterMessage>),
    /// Tell an edge with sessions that want all of a user's conversations that one came or went.
    Listed {
        /// Which edge.
        edge: EdgeId,
        /// What to tell.
        now: Box<ListedNow>,
    },
}
