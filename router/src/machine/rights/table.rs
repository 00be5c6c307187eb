//! Who may do what in a conversation: the table of rights, and nothing else. What each of these things comes to, and what
//! else it needs, is decided where it is done.
//!
//! First comes what somebody is here ([`Standing`]), by membership and by what their token says; it tells whether they may
//! know of the conversation at all. Then whether one of that standing may do such a thing to a conversation of this
//! [`Shape`], then whether it is closed.

use switchyard_cluster::home::{Decision, HomeAsk};
use switchyard_cluster::link::{Annotation, Ask, Refusal};
use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::id::UserId;
use switchyard_protocol::roles::{Roles, needs_staff};
use switchyard_protocol::v1::{ConversationKind, MessageKind, Role};

use crate::machine::conversation::State;
use crate::machine::conversation::members::Member;
use crate::machine::rights::approval::NO_REQUEST;
use crate::machine::rights::kinds::Shape;
use crate::machine::writing::erasing::Erased;
use crate::machine::writing::pipeline::{Pending, Work};
use crate::machine::writing::targets::Known;

const PAIR_IS_TWO: Refusal = Refusal::new(ErrorCode::Forbidden, "a direct conversation has its two members for good");
const PAIR_STAYS: Refusal =
    Refusal::new(ErrorCode::Forbidden, "a direct conversation is the other one's, too: it is not erased for both");
const PAIR_HAS_NO_NAME: Refusal =
    Refusal::new(ErrorCode::Forbidden, "a direct conversation has no name of its own, and its context for good");
const THEIR_MATTER: Refusal =
    Refusal::new(ErrorCode::Forbidden, "a support conversation is of whose matter it is for good");
const DESK_HAS_NO_ROLES: Refusal =
    Refusal::new(ErrorCode::Forbidden, "in a support conversation only tokens say who is staff");
pub(in crate::machine) const NO_RIGHT: Refusal =
    Refusal::new(ErrorCode::Forbidden, "your role in this conversation does not allow it");
const SYSTEM_IS_SERVICES: Refusal =
    Refusal::new(ErrorCode::Forbidden, "services send SYSTEM messages, and nobody else does");
const SERVICE_ONLY_SENDS: Refusal =
    Refusal::new(ErrorCode::Forbidden, "a service sends SYSTEM messages and nothing else");
pub(in crate::machine) const CLOSED: Refusal =
    Refusal::new(ErrorCode::Closed, "the conversation is closed: it can be read, and reopened");

/// What somebody is in a conversation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::machine) enum Standing {
    /// A member with this role.
    Member(Role),
    /// Staff where there is support, whether they are a member or not.
    Staff,
    /// An administrator of the tenant, of a group that they are no member of: they end it, and see nothing of it.
    Overseer,
    /// Another service, of whatever conversation.
    Service,
    /// Nobody: as far as they may know, there is no such conversation.
    Stranger,
}

impl Standing {
    /// Whether they may read it.
    pub(in crate::machine) fn reads(self) -> bool {
        matches!(self, Self::Member(_) | Self::Staff)
    }

    /// Whether they may send to it.
    pub(in crate::machine) fn sends(self) -> bool {
        self.reads() || self == Self::Service
    }

    /// Whether they may know of the conversation what an answer to this tells.
    pub(in crate::machine) fn may_ask(self, ask: &Ask) -> bool {
        match self {
            Self::Member(_) | Self::Staff => true,
            Self::Overseer => matches!(ask, Ask::Close | Ask::Reopen | Ask::Erase),
            Self::Service => matches!(ask, Ask::Send(_) | Ask::Get),
            Self::Stranger => false,
        }
    }
}

/// What a service is told that asks for anything but to send, and how far a conversation goes.
pub(in crate::machine) fn refuse_service(roles: Roles, ask: &Ask) -> Option<Refusal> {
    match ask {
        _ if !roles.is_service() || !ask.is_answered() => None,
        Ask::Send(_) | Ask::Get | Ask::Home(HomeAsk::Roles { .. }) => None,
        Ask::Home(HomeAsk::Decide(Decision::Archive(_) | Decision::Unarchive(_))) => Some(Refusal::NOT_FOUND),
        Ask::Create(_) | Ask::Home(_) => Some(SERVICE_ONLY_SENDS),
        _ => Some(Refusal::NOT_FOUND),
    }
}

impl State {
    /// What this user is here, whose token gives them these roles.
    pub(in crate::machine) fn standing(&self, user: &UserId, roles: Roles) -> Standing {
        self.standing_of(self.members.get(user), roles)
    }

    /// The same of somebody who has been looked for among the members.
    pub(in crate::machine) fn standing_of(&self, member: Option<&Member>, roles: Roles) -> Standing {
        let kind = self.profile.kind;
        match member {
            _ if self.erased != Erased::No => Standing::Stranger,
            _ if roles.is_service() => Standing::Service,
            _ if roles.is_staff() && self.profile.shape() == Shape::Desk => Standing::Staff,
            Some(member) if roles.is_staff() || !needs_staff(kind, member.role) => Standing::Member(member.role),
            None if roles.is_admin() && kind == ConversationKind::Group => Standing::Overseer,
            _ => Standing::Stranger,
        }
    }

    /// Whether this member, or who is none, reads here for their token says that they are staff.
    pub(in crate::machine) fn reads_by_role(&self, user: &UserId) -> bool {
        self.members.get(user).is_none_or(|member| needs_staff(self.profile.kind, member.role))
    }

    /// Whether somebody of this standing may do such a thing here.
    pub(in crate::machine) fn permit(
        &self,
        standing: Standing,
        pending: &Pending,
        members_add: bool,
    ) -> Result<(), Refusal> {
        let shape = self.profile.shape();
        let role = match (standing, &pending.work) {
            (Standing::Service, Work::Message { send, .. }) if send.kind == MessageKind::System => return Ok(()),
            (Standing::Service, Work::Message { .. }) => return Err(SERVICE_ONLY_SENDS),
            (Standing::Overseer, Work::Close | Work::Reopen | Work::Erase) => return Ok(()),
            (Standing::Service | Standing::Overseer | Standing::Stranger, _) => return Err(Refusal::NOT_FOUND),
            (_, Work::Message { send, .. }) if send.kind == MessageKind::System => return Err(SYSTEM_IS_SERVICES),
            (Standing::Staff, _) => None,
            (Standing::Member(role), _) => Some(role),
        };
        let may = match &pending.work {
            Work::Message { .. } | Work::Create(_) | Work::Found(_) | Work::Annotate(_) | Work::Pin { .. } => true,
            Work::Decide(_) => true,
            Work::Answer { .. } if self.profile.kind != ConversationKind::Direct => return Err(NO_REQUEST),
            Work::Answer { .. } => true,
            Work::Erase if shape == Shape::Pair => return Err(PAIR_STAYS),
            // In a support conversation it is the administrators'.
            Work::Erase => role.map_or(pending.asker.roles.is_admin(), |role| shape == Shape::Group && may_erase(role)),
            Work::Close | Work::Reopen => shape != Shape::Group || role.is_none_or(may_close),
            Work::Update(_) if shape == Shape::Pair => return Err(PAIR_HAS_NO_NAME),
            _ if shape == Shape::Pair => return Err(PAIR_IS_TWO),
            Work::Promote { .. } | Work::Demote { .. } if shape == Shape::Desk => return Err(DESK_HAS_NO_ROLES),
            Work::Promote { .. } | Work::Demote { .. } => role.is_none_or(may_change_roles),
            Work::Leave if shape == Shape::Desk && role.is_some() && self.is_founder(&pending.user) => {
                return Err(THEIR_MATTER);
            }
            Work::Leave => true,
            // What a group lets its members do is not for whose matter it is.
            Work::Add(_) | Work::Join(_) => role.is_none_or(|role| may_add(role, members_add && shape == Shape::Group)),
            Work::Remove(_) => role.is_none_or(|role| may_remove(role, Role::Member)),
            Work::Update(_) => role.is_none_or(may_update),
        };
        if may { Ok(()) } else { Err(NO_RIGHT) }
    }

    fn is_founder(&self, user: &UserId) -> bool {
        self.members.get(user).is_some_and(|member| member.joined == 0)
    }

    /// Whether somebody of this standing may put out a member of that role.
    pub(in crate::machine) fn may_put_out(standing: Standing, other: Role) -> bool {
        match standing {
            Standing::Staff => true,
            Standing::Member(role) => may_remove(role, other),
            Standing::Overseer | Standing::Service | Standing::Stranger => false,
        }
    }

    /// Whether somebody of this standing may do such a thing to this message.
    pub(in crate::machine) fn permit_on_message(
        &self,
        standing: Standing,
        pending: &Pending,
        known: &Known,
    ) -> Result<(), Refusal> {
        let own = known.sender() == pending.user.as_str();
        let above = |may: fn(Role) -> bool| match standing {
            Standing::Member(role) => may(role),
            _ => standing == Standing::Staff,
        };
        let pair = self.profile.shape() == Shape::Pair;
        let may = match &pending.work {
            Work::Pin { .. } => pair || above(may_pin),
            Work::Annotate(ask) => match ask.change {
                Annotation::Edit { .. } => own,
                Annotation::Delete => own || !pair && above(may_delete_others),
                Annotation::React { .. } => true,
            },
            _ => false,
        };
        if may { Ok(()) } else { Err(NO_RIGHT) }
    }
}

/// Whether this is among what a closed conversation does not take. Going is always possible.
pub(in crate::machine) fn writes(pending: &Pending) -> bool {
    match &pending.work {
        Work::Message { .. } | Work::Add(_) | Work::Update(_) | Work::Promote { .. } | Work::Demote { .. } => true,
        Work::Annotate(_) | Work::Pin { .. } | Work::Join(_) => true,
        Work::Remove(user) => *user != pending.user,
        Work::Create(_) | Work::Found(_) | Work::Leave | Work::Close | Work::Reopen => false,
        Work::Erase | Work::Answer { .. } | Work::Decide(_) => false,
    }
}

/// Whether a member of this role may add others. For plain members the group's policy decides.
fn may_add(role: Role, members_add: bool) -> bool {
    match role {
        Role::Admin | Role::Moderator => true,
        Role::Member => members_add,
    }
}

/// Whether a member of this role may put out one of that role.
fn may_remove(role: Role, other: Role) -> bool {
    match role {
        Role::Admin => true,
        Role::Moderator => other != Role::Admin,
        Role::Member => false,
    }
}

/// Whether a member of this role may change name, avatar and context.
fn may_update(role: Role) -> bool {
    matches!(role, Role::Admin | Role::Moderator)
}

/// Whether a member of this role may delete other people's messages.
fn may_delete_others(role: Role) -> bool {
    matches!(role, Role::Admin | Role::Moderator)
}

/// Whether a member of this role may pin messages of a group.
fn may_pin(role: Role) -> bool {
    matches!(role, Role::Admin | Role::Moderator)
}

/// Whether a member of this role may promote and demote.
fn may_change_roles(role: Role) -> bool {
    role == Role::Admin
}

/// Whether a member of this role may close and reopen a group.
fn may_close(role: Role) -> bool {
    role == Role::Admin
}

/// Whether a member of this role may erase a group for all.
fn may_erase(role: Role) -> bool {
    role == Role::Admin
}
