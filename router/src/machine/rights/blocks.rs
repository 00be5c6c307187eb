//! Who of the two in a conversation of two has blocked the other, so that a send is judged by what the conversation knows: in a
//! direct one, one of a customer and a seller, and an internal one that is between two for good. Groups go on as they are, and
//! so do conversations with the support, where nobody speaks for oneself alone.
//!
//! The truth is the log of each one's home, and rows of the store follow from it. A conversation reads the rows of its pair when
//! it is loaded, and again once it is founded and listed: for the home that changes such a row asks the listings, after it
//! was written, which conversations are to know. So of the two at least one sees what the other wrote. Until the rows are
//! read nothing is stored there.

use switchyard_cluster::home::BlockNow;
use switchyard_cluster::link::{Annotation, Ask, Refusal, Request};
use switchyard_cluster::now::Now;
use switchyard_cluster::party::Asker;
use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::id::{ConversationKey, UserId};
use switchyard_store::{ProjectionWrite, Seq};

use crate::machine::conversation::{Conversation, State};
use crate::machine::rights::admission::Admission;
use crate::machine::rights::kinds::{self, Shape};
use crate::machine::ticket::Ticket;
use crate::machine::writing::annotate::pending_change;
use crate::machine::writing::pipeline::Work;
use crate::machine::{Effect, Machine, ReadFailed, ReadPlan, busy, read_refusal, refuse};

/// What somebody hears whom the other one has blocked.
const BLOCKED: Refusal = Refusal::new(ErrorCode::Forbidden, "this user does not take messages from you");

/// What the one hears who did.
const BLOCKING: Refusal = Refusal::new(ErrorCode::Forbidden, "you have blocked this user: unblock them first");

/// What somebody hears who invites others, of whom one has blocked them. Which one is nobody's business.
const UNINVITED: Refusal = Refusal::new(ErrorCode::Forbidden, "not all of these users take invitations from you");

/// Whether one of the two has blocked the other, and the number of the event in their home that says so.
pub(crate) type Stand = Option<(Seq, bool)>;

/// See the module. Most pairs never blocked each other: that is one word.
#[derive(Debug, Default)]
pub(crate) struct Blocks(Option<Box<Known>>);

#[derive(Debug, Default)]
struct Known {
    /// By the first of the two members, and by the second.
    by: [Stand; 2],
    /// The rows are still to be read.
    unread: bool,
}

impl Blocks {
    /// The rows are to be read before anything is stored.
    pub(crate) fn doubt(&mut self) {
        self.0.get_or_insert_default().unread = true;
    }

    /// Whether nothing may be stored yet.
    pub(crate) fn is_unread(&self) -> bool {
        self.0.as_ref().is_some_and(|known| known.unread)
    }

    /// Whether anybody ever blocked the other, or it is not known yet.
    fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Whether the member at this place has blocked the other one.
    pub(crate) fn by(&self, place: usize) -> bool {
        let stand = self.0.as_ref().and_then(|known| known.by.get(place).copied().flatten());
        stand.is_some_and(|(_, blocked)| blocked)
    }

    /// Whether either has blocked the other one.
    pub(in crate::machine) fn any(&self) -> bool {
        self.by(0) || self.by(1)
    }

    /// What a home says of the member at this place, unless something newer is known.
    pub(crate) fn note(&mut self, place: usize, at: Seq, blocked: bool) {
        let known = self.0.get_or_insert_default();
        if let Some(stand) = known.by.get_mut(place)
            && stand.is_none_or(|(newest, _)| newest <= at)
        {
            *stand = Some((at, blocked));
        }
    }

    /// The rows were read; a home may have said something newer meanwhile.
    pub(crate) fn read(&mut self, rows: [Stand; 2]) {
        for (place, row) in rows.into_iter().enumerate() {
            if let Some((at, blocked)) = row {
                self.note(place, at, blocked);
            }
        }
        if let Some(known) = &mut self.0 {
            known.unread = false;
            if known.by == [None; 2] {
                self.0 = None;
            }
        }
    }
}

/// Whether somebody who invites others, or wants to write to one, may.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Welcome {
    /// Nobody has blocked anybody.
    Free,
    /// The asker has blocked the other one of a conversation of two.
    Blocking,
    /// Somebody has blocked the asker.
    Blocked,
}

impl State {
    /// Why a block does not let the member at this place do this; nothing if it does. What is taken away may always be: one's
    /// own messages. The one who blocked may close the conversation and reopen it.
    pub(in crate::machine) fn blocked(&self, place: usize, work: &Work) -> Option<Refusal> {
        if self.blocks.is_empty() {
            return None;
        }
        let (writes, closes) = match work {
            Work::Message { .. } => (true, false),
            Work::Annotate(ask) => (!matches!(ask.change, Annotation::Delete), false),
            Work::Pin { .. } => (true, false),
            Work::Close | Work::Reopen => (false, true),
            _ => (false, false),
        };
        if writes && self.blocks.by(place) {
            return Some(BLOCKING);
        }
        ((writes || closes) && self.blocks.by(1 - place.min(1))).then_some(BLOCKED)
    }

    /// Why a block does not let the member at this place be seen typing; nothing if it does.
    pub(in crate::machine) fn blocked_typing(&self, place: usize) -> Option<Refusal> {
        if self.blocks.is_empty() {
            return None;
        }
        if self.blocks.by(place) {
            return Some(BLOCKING);
        }
        self.blocks.by(1 - place.min(1)).then_some(BLOCKED)
    }

    /// Whether this member has blocked the other one.
    pub(in crate::machine) fn is_blocking(&self, user: &UserId) -> bool {
        !self.blocks.is_empty() && self.members.place(user).is_some_and(|place| self.blocks.by(place))
    }

    /// The two of a conversation of two, in their order.
    pub(crate) fn pair(&self) -> Option<[UserId; 2]> {
        match self.members.after(None) {
            [a, b] if self.profile.shape() == Shape::Pair => Some([a.user.clone(), b.user.clone()]),
            _ => None,
        }
    }
}

impl Conversation {
    /// Members are about to be listed: of a conversation of two it is read again then who has blocked whom.
    pub(in crate::machine) fn list(&mut self, members: &[ProjectionWrite]) -> Option<Box<[UserId; 2]>> {
        let pair = self.state.pair().filter(|_| !members.is_empty())?;
        self.state.blocks.doubt();
        Some(Box::new(pair))
    }

    /// A home says whom its user, who is a member, has blocked or unblocked. Whether that is for this conversation.
    pub(in crate::machine) fn know(&mut self, user: &UserId, now: &BlockNow) -> bool {
        let State { blocks, members, profile, .. } = &mut self.state;
        if profile.shape() != Shape::Pair || members.get(&now.user).is_none() || *user == now.user {
            return false;
        }
        if let Some(place) = members.place(user) {
            blocks.note(place, now.at, now.blocked);
        }
        true
    }
}

impl Machine {
    /// Somebody brings others into a conversation: first it is read whether all of them let themselves be brought.
    pub(in crate::machine) fn invite(&mut self, request: Request, out: &mut Vec<Effect>) {
        let Some(conversation) = self.loaded_mut(&request.key) else { return };
        let (users, of_two) = match &request.ask {
            Ask::Create(create) => (&create.members, kinds::founds_pair(create)),
            Ask::Add(users) => (users, false),
            _ => return,
        };
        if conversation.full() {
            return refuse(request.from, busy("too many events wait in this conversation"), out);
        }
        let others = users.iter().filter(|user| **user != request.user).cloned().collect();
        let plan = ReadPlan::Welcome { user: request.user.clone(), others, of_two };
        conversation.pipeline().begin_reading(&request.ask);
        let key = request.key.clone();
        out.push(Effect::Read { key, ticket: Box::new(Ticket::Invite(request)), plan });
    }

    /// Whether they do was read.
    pub(in crate::machine) fn invited(
        &mut self,
        now: Now,
        request: Request,
        welcome: Result<Welcome, ReadFailed>,
        out: &mut Vec<Effect>,
    ) {
        let Request { from, key, user, ask } = request;
        let Some(conversation) = self.loaded_mut(&key) else {
            return refuse(from, read_refusal(ReadFailed::Unavailable), out);
        };
        conversation.pipeline().end_reading(&ask);
        let member = conversation.state.standing(&user, from.roles).reads();
        let born = conversation.state.born();
        let refusal = match welcome {
            _ if born && !member => Some(Refusal::NOT_FOUND),
            // It was created meanwhile: it is there, as it is.
            _ if born && matches!(ask, Ask::Create(_)) => None,
            Err(failed) => Some(read_refusal(failed)),
            Ok(Welcome::Free) => None,
            Ok(Welcome::Blocking) => Some(BLOCKING),
            Ok(Welcome::Blocked) if matches!(&ask, Ask::Create(ask) if kinds::founds_pair(ask)) => Some(BLOCKED),
            Ok(Welcome::Blocked) => Some(UNINVITED),
        };
        match (refusal, ask) {
            (None, Ask::Create(ask)) if !born && kinds::founding_asks_for_roles(ask.kind) => {
                self.admit(now, from, &key, user, Admission::Create(ask), out);
            }
            (None, Ask::Add(users)) if conversation.state.profile.asks_for_roles() => {
                self.admit(now, from, &key, user, Admission::Add(users), out);
            }
            (None, Ask::Create(ask)) => self.enter(now, from, key, user, Work::Create(ask), out),
            (None, Ask::Add(users)) => self.enter(now, from, key, user, Work::Add(users), out),
            (refusal, _) => {
                if let Some(refusal) = refusal {
                    refuse(from, refusal, out);
                }
                conversation.rest();
                self.drop_unborn(&key);
            }
        }
    }

    fn enter(&mut self, now: Now, from: Asker, key: ConversationKey, user: UserId, work: Work, out: &mut Vec<Effect>) {
        if let Some(crate::machine::Slot::Loaded(conversation)) = self.slots.get_mut(&key) {
            conversation.enqueue(&key, pending_change(now, from, user, work), &mut self.ready, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_word_counts_whoever_brings_it() {
        let mut blocks = Blocks::default();
        blocks.doubt();
        assert!(blocks.is_unread());
        blocks.note(1, 4, true);
        blocks.read([Some((7, true)), Some((3, false))]);
        assert!(!blocks.is_unread() && blocks.by(0) && blocks.by(1));
        blocks.note(0, 6, false);
        assert!(blocks.by(0), "that was before");
        blocks.note(0, 8, false);
        assert!(!blocks.by(0) && !blocks.by(2));
    }

    #[test]
    fn a_pair_that_never_blocked_each_other_is_one_word() {
        let mut blocks = Blocks::default();
        blocks.doubt();
        blocks.read([None, None]);
        assert!(blocks.is_empty());
        assert_eq!(size_of::<Blocks>(), size_of::<usize>());
    }
}
