//! The way of an event through its conversation: waiting -> in one batch with its neighbours -> committed -> projected.
//! At most one batch of a conversation is in flight, so numbers are given when a batch is sealed and never taken back.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use switchyard_cluster::home::Decision;
use switchyard_cluster::link::{AnnotateAsk, Ask, CreateAsk, SendAsk, UpdateAsk};
use switchyard_cluster::party::Asker;
use switchyard_protocol::id::UserId;
use switchyard_protocol::v1::{Quote, Role};
use switchyard_store::{ProjectionWrite, Seq};

use crate::annotation::AnnotationEvent;
use crate::decided::HomeEvent;
use crate::machine::conversation::recent::IdHash;
use crate::machine::writing::line::Line;
use crate::machine::writing::targets::Targets;
use crate::rules::{Rule, Rules};
use crate::stored::{ChangeEvent, Founding, MembersEvent};

/// Events that may wait in one conversation: ten batches, so that the last is stored within some tens of milliseconds.
pub(crate) const WAITING_MAX: usize = 1_000;

/// Bytes of what is asked that may wait in one conversation.
pub(crate) const WAITING_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Sessions that may wait for one message beside its sender: it is one user's, and few have more devices.
pub(crate) const ALSO_MAX: usize = 32;

/// An event that somebody asked for and that has no number yet.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) asker: Asker,
    /// Sessions that sent the same message again meanwhile.
    pub(crate) also: Vec<Asker>,
    pub(crate) user: UserId,
    pub(crate) since: Duration,
    /// Its asker was answered that the outcome is unknown, or waits for no answer of its own.
    pub(crate) told_unknown: bool,
    pub(crate) work: Work,
}

/// What is to become an event.
#[derive(Debug)]
pub(crate) enum Work {
    Message {
        send: SendAsk,
        hash: IdHash,
        /// The message that it answers, as that is shown.
        quote: Option<Box<Quote>>,
    },
    Create(Box<CreateAsk>),
    /// The same, where it had to be known what its members are.
    Found(Box<Founding>),
    Add(Vec<UserId>),
    /// The same, where it had to be known what they are; or staff who take part.
    Join(Vec<(UserId, Role)>),
    Remove(UserId),
    Leave,
    Update(Box<UpdateAsk>),
    Promote {
        member: UserId,
        role: Role,
    },
    Demote {
        member: UserId,
        role: Role,
    },
    Close,
    Reopen,
    Erase,
    /// The asker wants the direct conversation that another began, or not.
    Answer {
        accepted: bool,
    },
    Annotate(Box<AnnotateAsk>),
    Pin {
        target: u64,
        remove: bool,
    },
    /// In the log of a home.
    Decide(Decision),
}

impl Work {
    /// Whether its event has a batch for itself: who may do what may be another thing behind it.
    pub(in crate::machine) fn stands_alone(&self) -> bool {
        !matches!(self, Self::Message { .. } | Self::Annotate(_))
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Message { send, .. } => send.bytes(),
            Self::Create(create) => create_bytes(create),
            Self::Found(founding) => founding_bytes(founding),
            Self::Add(users) => users_bytes(users),
            Self::Join(users) => users.iter().map(|(user, _)| size_of::<UserId>() + user.as_str().len()).sum(),
            Self::Update(update) => update_bytes(update),
            Self::Annotate(ask) => ask.bytes(),
            Self::Remove(_) | Self::Leave | Self::Promote { .. } | Self::Demote { .. } => 0,
            Self::Close | Self::Reopen | Self::Erase | Self::Answer { .. } | Self::Pin { .. } | Self::Decide(_) => 0,
        }
    }
}

/// What a request holds, as far as a client decides how much that is.
pub(crate) fn ask_bytes(ask: &Ask) -> usize {
    match ask {
        Ask::Send(send) => send.bytes(),
        Ask::Create(create) => create_bytes(create),
        Ask::Add(users) => users_bytes(users),
        Ask::Update(update) => update_bytes(update),
        Ask::Annotate(ask) => ask.bytes(),
        Ask::History(_)
        | Ask::Subscribe(_)
        | Ask::Unsubscribe
        | Ask::Get
        | Ask::Members { .. }
        | Ask::Remove(_)
        | Ask::Leave
        | Ask::Promote { .. }
        | Ask::Demote { .. }
        | Ask::Close
        | Ask::Reopen
        | Ask::Erase
        | Ask::Accept
        | Ask::Decline
        | Ask::Pin { .. }
        | Ask::Show
        | Ask::Hide
        | Ask::Typing
        | Ask::TypingEnd
        | Ask::Mark(_)
        | Ask::Unread
        | Ask::Marks(_)
        | Ask::Watch(_)
        | Ask::Count
        | Ask::CountEnd
        | Ask::Presence(_)
        | Ask::Home(_) => 0,
    }
}

pub(crate) fn create_bytes(create: &CreateAsk) -> usize {
    let texts = text_bytes(&create.name) + text_bytes(&create.avatar) + text_bytes(&create.context);
    users_bytes(&create.members) + texts
}

fn founding_bytes(founding: &Founding) -> usize {
    let members = founding.members.iter().map(|member| size_of::<UserId>() + member.user.len()).sum::<usize>();
    members + text_bytes(&founding.name) + text_bytes(&founding.avatar) + text_bytes(&founding.context)
}

fn update_bytes(update: &UpdateAsk) -> usize {
    text_bytes(&update.name) + text_bytes(&update.avatar) + text_bytes(&update.context)
}

pub(crate) fn users_bytes(users: &[UserId]) -> usize {
    users.iter().map(|user| size_of::<UserId>() + user.as_str().len()).sum()
}

fn text_bytes(text: &Option<String>) -> usize {
    text.as_ref().map_or(0, String::len)
}

/// An event in the batch under way.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) pending: Pending,
    pub(crate) event: SealedEvent,
}

/// What is told once the event is committed.
#[derive(Debug)]
pub(crate) enum SealedEvent {
    /// The frame for subscribers; the message itself begins at `message_at`.
    Message {
        frame: Bytes,
        message_at: usize,
        /// Where its sender stands among the members, if it is one: nobody comes or goes while the batch is under way.
        sender: Option<u32>,
    },
    Founding(Box<Founding>),
    Members(Box<MembersEvent>),
    Change(Box<ChangeEvent>),
    Annotation(Box<AnnotationEvent>),
    Decided(Box<HomeEvent>),
    Erase,
}

/// The batch under way.
#[derive(Debug)]
pub(crate) struct InFlight {
    /// The time that all its events carry.
    pub(crate) time_ms: u64,
    pub(crate) events: Vec<Sealed>,
    /// Whether an attempt ended unknown: from then on a refusal proves nothing.
    pub(crate) unknown: bool,
    pub(crate) rules: Rules,
}

/// A projection under way. Until it is written, the conversation stays in memory and nothing else is projected.
#[derive(Debug)]
pub(crate) struct Projecting {
    /// The number that it reaches.
    pub(crate) seq: u64,
    /// Who waits for it.
    pub(crate) asker: Option<(Asker, UserId)>,
    /// Whether the event founded the conversation.
    pub(crate) created: bool,
    /// Whose homes are told once it is written: who came or went with which event.
    pub(crate) homes: Vec<(UserId, Seq, bool)>,
    /// Whether nothing is left of an erased conversation once it is written.
    pub(crate) clears: bool,
}

impl Projecting {
    /// Nobody waits for it.
    pub(crate) fn of_nothing(seq: u64) -> Self {
        Self { seq, asker: None, created: false, homes: Vec::new(), clears: false }
    }

    /// Those whom these writes list, or no longer do.
    pub(crate) fn homes_of(members: &[ProjectionWrite]) -> Vec<(UserId, Seq, bool)> {
        let touched = members.iter().filter_map(|write| match write {
            ProjectionWrite::Member { user, at, value, .. } => Some((user.clone(), *at, value.is_some())),
            _ => None,
        });
        touched.collect()
    }
}

/// The work under way in one conversation.
#[derive(Debug, Default)]
pub(crate) struct Pipeline {
    waiting: VecDeque<Pending>,
    waiting_bytes: usize,
    pub(crate) in_flight: Option<InFlight>,
    pub(crate) projecting: Vec<Projecting>,
    /// What the last commit has to tell, if that waits for the next one; see `cork.rs`.
    pub(crate) corked: Vec<crate::machine::Effect>,
    /// Whether this conversation is among those that are sealed at the end of the turn.
    queued: bool,
    /// Sends whose client id is being looked for in the log, and what waits behind them.
    pub(crate) line: Line,
    /// Subscribers whose missed events are being read. An edge that gives the conversation up meanwhile is taken out.
    pub(crate) subscribing: Vec<Asker>,
    /// Messages that are being changed.
    pub(crate) targets: Targets,
    /// Requests of which something is read first, and that are then judged.
    reading: usize,
    /// Bytes of what those ask.
    reading_bytes: usize,
    /// Surveys that wait for the batch under way, which did not know of them.
    pub(crate) surveys: Vec<u64>,
    /// What waits until it is known what users are; see `admission.rs`.
    pub(crate) admissions: Admissions,
}

/// How much waits until it is known what users are.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Admissions {
    pub(in crate::machine) count: usize,
    pub(in crate::machine) bytes: usize,
}

impl Pipeline {
    /// Whether there is nothing to do.
    pub(crate) fn idle(&self) -> bool {
        self.waiting.is_empty()
            && self.in_flight.is_none()
            && self.projecting.is_empty()
            && self.line.is_empty()
            && self.subscribing.is_empty()
            && self.targets.is_empty()
            && self.admissions.count == 0
            && self.reading == 0
            && self.surveys.is_empty()
    }

    /// Whether a batch is under way for which the next one has to wait.
    pub(crate) fn writes(&self) -> bool {
        self.in_flight.as_ref().is_some_and(|batch| batch.rules.has(Rule::OneInFlight))
    }

    /// Whether a batch is to be made at the end of the turn and is not yet known to be.
    pub(crate) fn may_seal(&mut self) -> bool {
        if self.queued || self.writes() || self.waiting.is_empty() {
            return false;
        }
        self.queued = true;
        true
    }

    /// The end of the turn has come for this conversation.
    pub(crate) fn unqueue(&mut self) {
        self.queued = false;
    }

    /// Whether one more may wait.
    pub(crate) fn full(&self) -> bool {
        let mut events = self.waiting.len() + self.line.len() + self.reading + self.admissions.count;
        let mut bytes = self.waiting_bytes + self.line.bytes() + self.reading_bytes + self.admissions.bytes;
        for pending in self.targets.waiting() {
            events += 1;
            bytes += pending.work.bytes();
        }
        events >= WAITING_MAX || bytes >= WAITING_BYTES_MAX
    }

    /// Something is read for this request before it is judged.
    pub(crate) fn begin_reading(&mut self, ask: &Ask) {
        self.reading += 1;
        self.reading_bytes += ask_bytes(ask);
    }

    /// It was read.
    pub(crate) fn end_reading(&mut self, ask: &Ask) {
        self.reading = self.reading.saturating_sub(1);
        self.reading_bytes = self.reading_bytes.saturating_sub(ask_bytes(ask));
    }

    pub(crate) fn push(&mut self, pending: Pending) {
        self.waiting_bytes += pending.work.bytes();
        self.waiting.push_back(pending);
    }

    /// The next to get a number.
    pub(crate) fn front(&self) -> Option<&Pending> {
        self.waiting.front()
    }

    /// All that has no number yet or is in the batch under way.
    pub(crate) fn pending(&self) -> impl Iterator<Item = &Pending> {
        let sealed = self.in_flight.iter().flat_map(|batch| &batch.events).map(|sealed| &sealed.pending);
        sealed.chain(&self.waiting)
    }

    pub(crate) fn pop(&mut self) -> Option<Pending> {
        let pending = self.waiting.pop_front()?;
        self.waiting_bytes -= pending.work.bytes();
        Some(pending)
    }

    /// What has to come before everything that waits.
    pub(crate) fn push_front(&mut self, pending: Pending) {
        self.waiting_bytes += pending.work.bytes();
        self.waiting.push_front(pending);
    }

    /// The next to get a number, if it is this user's message.
    pub(crate) fn pop_message_of(&mut self, user: &UserId) -> Option<Pending> {
        let front = self.waiting.front()?;
        if front.user == *user && matches!(front.work, Work::Message { .. }) { self.pop() } else { None }
    }

    /// The same message of the same sender, if it is under way.
    pub(crate) fn find(&mut self, user: &UserId, client_id: &str, wanted: IdHash) -> Option<&mut Pending> {
        let sealed = self.in_flight.iter_mut().flat_map(|batch| &mut batch.events).map(|sealed| &mut sealed.pending);
        sealed.chain(&mut self.waiting).find(|pending| match &pending.work {
            Work::Message { send, hash, .. } => {
                *hash == wanted && pending.user == *user && send.client_id() == client_id
            }
            _ => false,
        })
    }

    /// Takes out what has waited since before `then`, in order.
    pub(crate) fn take_older(&mut self, then: Duration) -> Vec<Pending> {
        let mut older = Vec::new();
        while self.front().is_some_and(|pending| pending.since < then) {
            older.extend(self.pop());
        }
        older
    }
}
