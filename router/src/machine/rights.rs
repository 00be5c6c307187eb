//! Who may do what in a conversation: the table of rights, and nothing else.

use switchyard_cluster::link::{Annotation, Refusal};
use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::v1::{ConversationKind, Role};

use super::conversation::State;
use super::pipeline::{Pending, Work};
use super::targets::Known;

const DIRECT_IS_TWO: Refusal = Refusal::new(ErrorCode::Forbidden, "a direct conversation has its two members for good");
const DIRECT_HAS_NO_NAME: Refusal =
    Refusal::new(ErrorCode::Forbidden, "a direct conversation has no name of its own, and its context for good");
pub(super) const NO_RIGHT: Refusal =
    Refusal::new(ErrorCode::Forbidden, "your role in this conversation does not allow it");
pub(super) const CLOSED: Refusal =
    Refusal::new(ErrorCode::Closed, "the conversation is closed: it can be read, and reopened");

impl State {
    /// Whether a member of this role may do such a thing here.
    pub(super) fn permit(&self, role: Role, work: &Work, members_add: bool) -> Result<(), Refusal> {
        let direct = self.profile.kind == ConversationKind::Direct;
        let may = match work {
            Work::Message { .. } | Work::Create(_) | Work::Annotate(_) | Work::Pin { .. } => true,
            Work::Close | Work::Reopen => direct || may_close(role),
            Work::Update(_) if direct => return Err(DIRECT_HAS_NO_NAME),
            _ if direct => return Err(DIRECT_IS_TWO),
            Work::Add(_) => may_add(role, members_add),
            Work::Remove(_) => may_remove(role, Role::Member),
            Work::Leave => true,
            Work::Update(_) => may_update(role),
            Work::Promote { .. } | Work::Demote { .. } => may_change_roles(role),
        };
        if may { Ok(()) } else { Err(NO_RIGHT) }
    }

    /// Whether a member of this role may do such a thing to this message.
    pub(super) fn permit_on_message(&self, pending: &Pending, role: Role, known: &Known) -> Result<(), Refusal> {
        let own = known.sender() == pending.user.as_str();
        let direct = self.profile.kind == ConversationKind::Direct;
        let may = match &pending.work {
            Work::Pin { .. } => direct || may_pin(role),
            Work::Annotate(ask) => match ask.change {
                Annotation::Edit { .. } => own,
                Annotation::Delete => own || !direct && may_delete_others(role),
                Annotation::React { .. } => true,
            },
            _ => false,
        };
        if may { Ok(()) } else { Err(NO_RIGHT) }
    }
}

/// Whether this is among what a closed conversation does not take. Going is always possible.
pub(super) fn writes(pending: &Pending) -> bool {
    match &pending.work {
        Work::Message { .. } | Work::Add(_) | Work::Update(_) | Work::Promote { .. } | Work::Demote { .. } => true,
        Work::Annotate(_) | Work::Pin { .. } => true,
        Work::Remove(user) => *user != pending.user,
        Work::Create(_) | Work::Leave | Work::Close | Work::Reopen => false,
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
pub(super) fn may_remove(role: Role, other: Role) -> bool {
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
