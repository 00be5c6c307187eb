//! Message requests: whether the other one of a direct conversation wants it. Who made it may write at once, and the first
//! messages are the request; until the other accepts, or answers, nothing is told to its maker of how far the other has read,
//! nor of their typing. That a message of the other's accepts follows from the message itself, so replay finds the same.

use switchyard_cluster::link::Refusal;
use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::id::UserId;
use switchyard_protocol::v1::{ConversationState, RequestSide};

use crate::machine::conversation::State;
use crate::machine::rights::table::CLOSED;
use crate::machine::writing::control::Prepared;
use crate::stored::{ChangeEvent, StoredApproval};

const DECLINED: Refusal =
    Refusal::new(ErrorCode::Forbidden, "your request was declined: the other one writes first, if they want to");
const OWN_REQUEST: Refusal = Refusal::new(ErrorCode::Forbidden, "it is your own request: the other one answers it");
const ACCEPTED: Refusal = Refusal::new(ErrorCode::Conflict, "it is accepted already");
pub(in crate::machine) const NO_REQUEST: Refusal =
    Refusal::new(ErrorCode::Forbidden, "only a direct conversation is a request");

/// Which of the two made it, by their places among the members. Those of a direct conversation are there for good.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Maker {
    First,
    Second,
}

impl Maker {
    fn at(place: usize) -> Self {
        if place == 0 { Self::First } else { Self::Second }
    }
}

/// Whether a direct conversation is wanted. One that was never a request, and every group, is open and has no maker.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Approval {
    standing: StoredApproval,
    maker: Option<Maker>,
}

impl Approval {
    /// The member at this place asks.
    pub(crate) fn asked_by(place: usize) -> Self {
        Self::stored(StoredApproval::Pending, Some(place))
    }

    /// As it was stored.
    pub(crate) fn stored(standing: StoredApproval, maker: Option<usize>) -> Self {
        Self { standing, maker: maker.map(Maker::at) }
    }

    pub(crate) fn standing(self) -> StoredApproval {
        self.standing
    }

    /// The place of who made it.
    pub(crate) fn maker(self) -> Option<usize> {
        self.maker.map(|maker| usize::from(maker == Maker::Second))
    }

    /// Whether both may do everything.
    pub(crate) fn is_open(self) -> bool {
        self.standing == StoredApproval::Open
    }

    pub(crate) fn is_declined(self) -> bool {
        self.standing == StoredApproval::Declined
    }

    /// The other one said so.
    pub(crate) fn answered(&mut self, accepted: bool) {
        self.standing = if accepted { StoredApproval::Open } else { StoredApproval::Declined };
    }

    /// The member at this place has written: the other's message accepts.
    pub(crate) fn written(&mut self, place: usize) {
        if !self.is_open() && self.maker() != Some(place) {
            self.answered(true);
        }
    }

    /// Whose request it is, for the member at this place; nothing if it is none any more.
    pub(crate) fn side(self, place: usize) -> Option<RequestSide> {
        let mine = self.maker() == Some(place);
        (!self.is_open()).then_some(if mine { RequestSide::ByMe } else { RequestSide::ToMe })
    }
}

impl State {
    /// Why a member, by their place, may not send now; nothing if they may. What else says something to the others asks this, too.
    pub(in crate::machine) fn why_not_send(&self, place: usize) -> Option<Refusal> {
        if self.profile.closed {
            return Some(CLOSED);
        }
        let approval = self.profile.approval;
        (approval.is_declined() && approval.maker() == Some(place)).then_some(DECLINED)
    }

    /// Whether what the member at this place does without a word (typing, reading) is kept from the other one.
    pub(in crate::machine) fn is_unseen(&self, place: usize) -> bool {
        self.profile.approval.side(place) == Some(RequestSide::ToMe)
    }

    /// The member whose marks this user is not told, if there is one.
    pub(in crate::machine) fn hidden_from(&self, user: &UserId) -> Option<&UserId> {
        let place = self.members.place(user)?;
        let asks = self.profile.approval.side(place) == Some(RequestSide::ByMe);
        let others = self.members.after(None).iter().map(|member| &member.user);
        others.filter(|_| asks).find(|other| *other != user)
    }

    /// In which state a list has it.
    pub(in crate::machine) fn listed_as(&self) -> ConversationState {
        match self.profile.approval.standing() {
            _ if self.profile.closed => ConversationState::Closed,
            StoredApproval::Open => ConversationState::Open,
            StoredApproval::Pending => ConversationState::Pending,
            StoredApproval::Declined => ConversationState::Declined,
        }
    }

    /// The member at this place accepts or declines a direct conversation.
    pub(in crate::machine) fn prepare_answer(&self, place: usize, accepted: bool) -> Result<Prepared, Refusal> {
        let approval = self.profile.approval;
        if approval.maker() == Some(place) {
            return Err(OWN_REQUEST);
        }
        match approval.standing() {
            StoredApproval::Open if accepted => Ok(Prepared::Already),
            StoredApproval::Open => Err(ACCEPTED),
            StoredApproval::Declined if !accepted => Ok(Prepared::Already),
            // To decline is to go, which is always possible.
            _ if accepted && self.profile.closed => Err(CLOSED),
            _ => Ok(Prepared::Change(Box::new(ChangeEvent { accepted: Some(accepted), ..ChangeEvent::default() }))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_the_other_accepts_and_one_of_the_maker_does_not() {
        let mut approval = Approval::asked_by(1);
        approval.written(1);
        assert_eq!((approval.side(1), approval.side(0)), (Some(RequestSide::ByMe), Some(RequestSide::ToMe)));
        approval.answered(false);
        approval.written(1);
        assert!(approval.is_declined());
        approval.written(0);
        assert!(approval.is_open() && approval.side(0).is_none());
        assert_eq!(approval.maker(), Some(1), "whose it was is known");
        let mut open = Approval::default();
        open.written(0);
        assert_eq!((open, size_of::<Approval>()), (Approval::default(), 2));
    }
}
