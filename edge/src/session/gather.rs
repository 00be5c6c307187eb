//! Requests that name many conversations: each conversation is asked for at its owner, and the client gets one reply
//! when all owners have answered, in the order in which it asked.

use std::time::Duration;

use prost::Message as _;
use switchyard_cluster::link::{Refusal, SubscribeAsk};
use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::frame;
use switchyard_protocol::id::ConversationId;
use switchyard_protocol::limits::{PAGE_BYTES_MAX, RESUME_EVENTS_MAX};
use switchyard_protocol::v1;

use super::kind::RequestKind;

/// Events that each conversation of a `resume` may bring at least, however many it names: so that one busy conversation
/// does not take a round trip for every few events. What is too much in sum is cut when all are in.
const RESUME_EVENTS_MIN: usize = 10;

/// The same in bytes.
const RESUME_BYTES_MIN: usize = 8 * 1024;

/// Conversations of a `resume` whose answers count as one page, for the limit on what a session may make the server hold.
const POSITIONS_PER_PAGE: usize = 16;

/// How long the client waits for all owners to answer, before it is told what is known: a thousand conversations that are
/// not in memory take a tenth of this.
pub(super) const ANSWERED_WITHIN: Duration = Duration::from_secs(3);

/// How long after the request it is answered that there is nothing to be seen: several times what reading a conversation takes,
/// in a cluster, too. What takes longer is answered late.
pub const UNSEEN_AFTER: Duration = Duration::from_millis(25);

/// Where one of the conversations stands.
#[derive(Debug)]
enum Outcome {
    Waiting,
    Subscribed { head: u64, missed: v1::ResumedConversation },
    Opened(v1::Typers),
    Unread(v1::UnreadConversation),
    Refused(Refusal),
}

impl Outcome {
    fn is_unseen(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.code == ErrorCode::NotFound)
    }
}

/// One of the conversations.
#[derive(Debug)]
struct Part {
    /// As the client wrote it, where that is no id.
    unknown: Option<Box<str>>,
    conversation: ConversationId,
    /// The client's position; of a `resume` alone.
    after: u64,
    /// The client has unsubscribed meanwhile.
    cancelled: bool,
    outcome: Outcome,
}

/// A request that waits for several answers.
#[derive(Debug)]
pub(super) struct Gathering {
    /// Its number in the session.
    pub(super) number: u32,
    /// The client's id of it.
    pub(super) id: u64,
    /// Hello, subscribe, resume, open or unread.
    pub(super) kind: RequestKind,
    waiting: u16,
    /// Owners said that there is nothing to be seen: when it is answered at the earliest.
    kept_until: Option<Duration>,
    parts: Vec<Part>,
    /// Of a wish for all conversations alone.
    pub(super) all: Option<Box<All>>,
    /// It waits until the user's home knows what the user is, too; not longer than this.
    pub(super) telling: Option<Duration>,
    /// What a resume holds until all is in.
    held: Held,
}

/// A wish for all conversations of the user: first the home says which they are.
#[derive(Clone, Debug)]
pub(super) struct All {
    /// When the client is told what is known by then.
    pub(super) until: Duration,
    /// The client was told; what still comes is told by itself.
    pub(super) told: bool,
    /// The session wanted none of it before.
    pub(super) first: bool,
    /// What the home has said; nothing yet.
    pub(super) home: Option<Result<u64, Refusal>>,
}

/// Events that wait for the others of their reply.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    events: usize,
    bytes: usize,
}

impl Held {
    fn of(events: &[v1::Event]) -> Self {
        Self { events: events.len(), bytes: events.iter().map(v1::Event::encoded_len).sum() }
    }
}

/// What to tell the client once all is in.
#[derive(Default)]
pub(super) struct Gathered {
    /// Notices of dropped history, to be told before the reply.
    pub(super) gaps: Vec<v1::Event>,
    /// The conversations of a `resume`.
    pub(super) resumed: Vec<v1::ResumedConversation>,
    /// The conversations of `subscribe` and `hello`.
    pub(super) subscribed: Vec<v1::SubscribedTo>,
    /// Those of `open`.
    pub(super) opened: Vec<v1::OpenedConversation>,
    /// Those of them that were granted.
    pub(super) shown: Vec<ConversationId>,
    /// Those of `unread`.
    pub(super) unread: Vec<v1::UnreadConversation>,
}

impl Gathering {
    /// A request without conversations yet.
    pub(super) fn new(number: u32, id: u64, kind: RequestKind, size: usize) -> Self {
        let (parts, held) = (Vec::with_capacity(size), Held::default());
        Self { number, id, kind, waiting: 0, kept_until: None, parts, all: None, telling: None, held }
    }

    /// A conversation to ask for. Returns its place.
    pub(super) fn ask(&mut self, conversation: ConversationId, after: u64) -> u16 {
        self.waiting += 1;
        self.push(None, conversation, after, Outcome::Waiting)
    }

    /// A conversation that need not be asked for; `text` is what the client called it.
    pub(super) fn refuse(&mut self, text: &str, refusal: Refusal) {
        self.push(Some(text.into()), ConversationId::from_bytes([0; 16]), 0, Outcome::Refused(refusal));
    }

    fn push(&mut self, unknown: Option<Box<str>>, conversation: ConversationId, after: u64, outcome: Outcome) -> u16 {
        self.parts.push(Part { unknown, conversation, after, cancelled: false, outcome });
        u16::try_from(self.parts.len() - 1).expect("a request names at most POSITIONS_MAX conversations")
    }

    /// What to ask an owner for: the budgets of one reply, shared.
    pub(super) fn subscribe_ask(kind: RequestKind, after: u64, positions: usize) -> SubscribeAsk {
        let share = |all: usize, least: usize| (all / positions.max(1)).max(least);
        let resume = kind == RequestKind::Resume;
        SubscribeAsk {
            after: resume.then_some(after),
            events_max: share(RESUME_EVENTS_MAX, RESUME_EVENTS_MIN),
            bytes_max: share(PAGE_BYTES_MAX, RESUME_BYTES_MIN),
        }
    }

    /// Pages that its answer may be; see [`RequestKind::pages`].
    pub(super) fn pages(kind: RequestKind, positions: usize) -> u16 {
        match kind {
            RequestKind::Resume => u16::try_from(positions.div_ceil(POSITIONS_PER_PAGE)).unwrap_or(u16::MAX),
            _ => 0,
        }
    }

    /// How many conversations it names.
    pub(super) fn len(&self) -> usize {
        self.parts.len()
    }

    /// Whether nothing is waited for.
    pub(super) fn is_complete(&self, now: Duration) -> bool {
        let all = self.all.as_ref().is_none_or(|all| all.home.is_some());
        self.waiting == 0 && self.telling.is_none() && all && self.kept_until().is_none_or(|until| until <= now)
    }

    /// Whether it is only kept until its time has come.
    pub(super) fn is_kept(&self, now: Duration) -> bool {
        self.waiting == 0 && self.telling.is_none() && self.kept_until().is_some_and(|until| until > now)
    }

    /// When it is answered at the earliest, if something that it names is not to be seen: how long it took to find that out
    /// tells nothing. What a user has is no secret from them.
    fn kept_until(&self) -> Option<Duration> {
        self.kept_until.filter(|_| self.all.is_none())
    }

    /// The owner of one of its conversations, which was asked then, says that there is nothing to be seen.
    fn keep(&mut self, asked: Duration) {
        self.kept_until = self.kept_until.max(Some(asked + UNSEEN_AFTER));
    }

    /// A conversation for which there was nothing to be seen is read from this number on, by another way. A `resume` has to be
    /// gone on with from where it began.
    pub(super) fn settle_again(&mut self, conversation: ConversationId, head: u64) {
        if !matches!(self.kind, RequestKind::Hello | RequestKind::Subscribe | RequestKind::Resume) {
            return;
        }
        for part in self.parts.iter_mut().filter(|part| part.conversation == conversation && part.outcome.is_unseen()) {
            let more = part.after < head;
            let missed = v1::ResumedConversation { head, more, first_available: 1, ..Default::default() };
            part.outcome = Outcome::Subscribed { head, missed };
        }
    }

    /// When the client is told what is known by then, whatever is missing.
    pub(super) fn due(&self) -> Option<Duration> {
        match &self.all {
            Some(all) => (!all.told).then_some(all.until),
            None => self.telling.or_else(|| self.kept_until().filter(|_| self.waiting == 0)),
        }
    }

    /// What became of the conversations so far, and `otherwise` of those whose owners have not answered.
    pub(super) fn subscribed_so_far(&self, otherwise: &Refusal) -> Vec<v1::SubscribedTo> {
        let subscribed = self.parts.iter().map(|part| {
            let (head, error) = match &part.outcome {
                Outcome::Subscribed { head, .. } => (*head, None),
                Outcome::Refused(refusal) => (0, Some(told(refusal))),
                Outcome::Waiting | Outcome::Opened(_) | Outcome::Unread(_) => (0, Some(told(otherwise))),
            };
            let conversation = match &part.unknown {
                Some(text) => text.to_string(),
                None => part.conversation.to_string(),
            };
            v1::SubscribedTo { conversation, head, error }
        });
        subscribed.collect()
    }

    /// Takes an owner's answer. Returns the conversation and the head from which live events are wanted, if the part
    /// was waiting.
    pub(super) fn settle(
        &mut self,
        part: u16,
        asked: Duration,
        answer: Result<(u64, v1::ResumedConversation), Refusal>,
    ) -> Option<(ConversationId, Option<u64>)> {
        let part = self.parts.get_mut(usize::from(part)).filter(|part| matches!(part.outcome, Outcome::Waiting))?;
        self.waiting -= 1;
        let mut wanted = None;
        part.outcome = match answer {
            Ok((head, missed)) => {
                wanted = Some(head).filter(|_| !part.cancelled);
                let more = Held::of(&missed.events);
                self.held.events += more.events;
                self.held.bytes += more.bytes;
                Outcome::Subscribed { head, missed }
            }
            Err(refusal) => Outcome::Refused(refusal),
        };
        let unseen = part.outcome.is_unseen();
        let conversation = part.conversation;
        if unseen {
            self.keep(asked);
        }
        self.hold_one_reply();
        Some((conversation, wanted))
    }

    /// Takes an owner's answer to `Ask::Show`. Returns the conversation, if the part was waiting.
    pub(super) fn opened(&mut self, part: u16, answer: Result<v1::Typers, Refusal>) -> Option<ConversationId> {
        let part = self.parts.get_mut(usize::from(part)).filter(|part| matches!(part.outcome, Outcome::Waiting))?;
        self.waiting -= 1;
        part.outcome = answer.map_or_else(Outcome::Refused, Outcome::Opened);
        Some(part.conversation)
    }

    /// Takes an owner's answer to `Ask::Unread`. Whether the part was waiting.
    pub(super) fn counted(
        &mut self,
        part: u16,
        asked: Duration,
        answer: Result<v1::UnreadConversation, Refusal>,
    ) -> bool {
        let part = self.parts.get_mut(usize::from(part)).filter(|part| matches!(part.outcome, Outcome::Waiting));
        let Some(part) = part else { return false };
        self.waiting -= 1;
        part.outcome = answer.map_or_else(Outcome::Refused, Outcome::Unread);
        if part.outcome.is_unseen() {
            self.keep(asked);
        }
        true
    }

    /// Lets go what the reply will have no room for, whatever the others bring: each owner may answer with one large
    /// event, and together they would be many replies.
    fn hold_one_reply(&mut self) {
        if self.held.events <= RESUME_EVENTS_MAX && self.held.bytes <= PAGE_BYTES_MAX {
            return;
        }
        let mut room = Room::of_one_reply();
        self.held = Held::default();
        for part in &mut self.parts {
            if let Outcome::Subscribed { missed, .. } = &mut part.outcome {
                room.cut(missed);
                let kept = Held::of(&missed.events);
                self.held.events += kept.events;
                self.held.bytes += kept.bytes;
            }
        }
    }

    /// The client wants no live events of this conversation any more, whatever its owner will say.
    pub(super) fn cancel(&mut self, conversation: ConversationId) {
        for part in &mut self.parts {
            part.cancelled |= part.conversation == conversation;
        }
    }

    /// The user was put out of this conversation after its owner answered: what that answer brought is not told any more.
    pub(super) fn take_back(&mut self, conversation: ConversationId) {
        for part in self.parts.iter_mut().filter(|part| part.conversation == conversation) {
            if let Outcome::Subscribed { missed, .. } = &part.outcome {
                let held = Held::of(&missed.events);
                self.held.events -= held.events;
                self.held.bytes -= held.bytes;
                part.outcome = Outcome::Refused(Refusal::NOT_FOUND);
            }
        }
    }

    /// Conversations whose owners have not answered.
    pub(super) fn waiting(&self) -> impl Iterator<Item = ConversationId> + '_ {
        self.parts.iter().filter(|part| matches!(part.outcome, Outcome::Waiting)).map(|part| part.conversation)
    }

    /// The reply, when all is in.
    pub(super) fn finish(self) -> Gathered {
        let mut gathered = Gathered::default();
        let mut room = Room::of_one_reply();
        for part in self.parts {
            let conversation = match part.unknown {
                Some(text) => text.into_string(),
                None => part.conversation.to_string(),
            };
            let (head, mut missed, error) = match part.outcome {
                Outcome::Opened(v1::Typers { users, more }) => {
                    gathered.opened.push(v1::OpenedConversation { conversation, users, more, error: None });
                    gathered.shown.push(part.conversation);
                    continue;
                }
                Outcome::Refused(refusal) if self.kind == RequestKind::Open => {
                    let error = Some(told(&refusal));
                    gathered.opened.push(v1::OpenedConversation { conversation, error, ..Default::default() });
                    continue;
                }
                Outcome::Unread(counted) => {
                    gathered.unread.push(v1::UnreadConversation { conversation, ..counted });
                    continue;
                }
                Outcome::Refused(refusal) if self.kind == RequestKind::Unread => {
                    let error = Some(told(&refusal));
                    gathered.unread.push(v1::UnreadConversation { conversation, error, ..Default::default() });
                    continue;
                }
                Outcome::Subscribed { head, missed } => (head, missed, None),
                Outcome::Refused(refusal) => (0, v1::ResumedConversation::default(), Some(told(&refusal))),
                Outcome::Waiting => continue,
            };
            if self.kind != RequestKind::Resume {
                gathered.subscribed.push(v1::SubscribedTo { conversation, head, error });
                continue;
            }
            if missed.first_available > part.after.saturating_add(1) {
                let gap = v1::Gap { first_available: missed.first_available, head: missed.head };
                let body = Some(v1::event::Body::Gap(gap));
                gathered.gaps.push(v1::Event { conversation: conversation.clone(), seq: 0, body });
            }
            room.cut(&mut missed);
            missed.conversation = conversation;
            missed.error = missed.error.or(error);
            gathered.resumed.push(missed);
        }
        gathered
    }
}

/// A refusal as it goes to a client.
pub(super) fn told(refusal: &Refusal) -> v1::Error {
    frame::error(refusal.code, refusal.message, refusal.retry_after_ms)
}

/// An answer that does not fit its request is a fault of the server's.
pub(super) fn unexpected() -> Refusal {
    Refusal::new(ErrorCode::Internal, "the owner's answer was not understood")
}

/// What one reply to `resume` still has room for.
struct Room {
    events: usize,
    bytes: usize,
    used: bool,
}

impl Room {
    fn of_one_reply() -> Self {
        Self { events: RESUME_EVENTS_MAX, bytes: PAGE_BYTES_MAX, used: false }
    }

    /// Leaves what fits; at least one event of the whole reply always does, so that a client gets on.
    fn cut(&mut self, missed: &mut v1::ResumedConversation) {
        let mut kept = 0;
        for event in &missed.events {
            let bytes = event.encoded_len();
            if self.used && (self.events == 0 || self.bytes < bytes) {
                break;
            }
            self.used = true;
            self.events -= 1;
            self.bytes = self.bytes.saturating_sub(bytes);
            kept += 1;
        }
        if kept < missed.events.len() {
            missed.events.truncate(kept);
            missed.more = true;
            // What comes behind in the order asked would only make the reply longer: it waits for the next.
            self.events = 0;
        }
    }
}
