//! Events other than messages: founding, members and their roles, name, avatar and context, close and reopen. What each
//! asks for, who may, and what it comes to.

use switchyard_cluster::link::{CreateAsk, Refusal, UpdateAsk};
use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::id::UserId;
use switchyard_protocol::limits::MEMBERS_MAX;
use switchyard_protocol::v1::{ConversationKind, Role};

use super::annotate::NO_MEMBER_MENTIONED;
use super::approval::NO_REQUEST;
use super::conversation::State;
use super::members::{may_add, may_change_roles, may_close, may_erase, may_remove, may_update};
use super::pipeline::{Pending, Work};
use super::targets::Targets;
use crate::annotation::AnnotationEvent;
use crate::stored::{ChangeEvent, Founding, MembersEvent, StoredMember};

/// What a piece of work comes to, now that its turn has come.
#[derive(Debug)]
pub(super) enum Prepared {
    /// A message: its sender is the member at this place, until anybody comes or goes.
    Message { sender: usize },
    /// A founding row.
    Founding(Box<Founding>),
    /// A membership event.
    Members(Box<MembersEvent>),
    /// A change of the conversation itself.
    Change(Box<ChangeEvent>),
    /// A change of a message.
    Annotation(Box<AnnotationEvent>),
    /// The conversation goes.
    Erase,
    /// It is so already: answered as done, nothing is written.
    Already,
}

const DIRECT_IS_TWO: Refusal = Refusal::new(ErrorCode::Forbidden, "a direct conversation has its two members for good");
const DIRECT_STAYS: Refusal =
    Refusal::new(ErrorCode::Forbidden, "a direct conversation is the other one's, too: it is not erased for both");
const DIRECT_HAS_NO_NAME: Refusal =
    Refusal::new(ErrorCode::Forbidden, "a direct conversation has no name of its own, and its context for good");
pub(super) const NO_RIGHT: Refusal =
    Refusal::new(ErrorCode::Forbidden, "your role in this conversation does not allow it");
const NO_SUCH_MEMBER: Refusal = Refusal::new(ErrorCode::NotFound, "no such member");
const LAST_ADMIN: Refusal = Refusal::new(ErrorCode::Conflict, "the last admin stays: promote another one first");
pub(super) const CLOSED: Refusal =
    Refusal::new(ErrorCode::Closed, "the conversation is closed: it can be read, and reopened");

impl State {
    /// Whether the work may be done as the conversation stands, and what it comes to. First comes whether the asker has
    /// the right to do such a thing at all, then whether anything is written here, then what it is about: so that nobody
    /// learns who is a member by asking for what they may not do.
    pub(super) fn prepare(&self, pending: &Pending, members_add: bool, targets: &Targets) -> Result<Prepared, Refusal> {
        if let Work::Create(ask) = &pending.work {
            return self.prepare_create(ask, &pending.user);
        }
        let Some(place) = self.members.place(&pending.user) else { return Err(Refusal::NOT_FOUND) };
        let Some(role) = self.members.at(place).map(|member| member.role) else { return Err(Refusal::NOT_FOUND) };
        if pending.work.target().is_some() {
            return self.prepare_on_message(pending, place, role, targets);
        }
        self.permit(role, &pending.work, members_add)?;
        if let Some(refusal) = self.blocked(place, &pending.work) {
            return Err(refusal);
        }
        if self.profile.closed && writes(pending) {
            return Err(CLOSED);
        }
        match &pending.work {
            Work::Message { send, .. } => match &send.extra {
                _ if let Some(refusal) = self.why_not_send(place) => Err(refusal),
                Some(extra) if !self.all_members(extra.mentions.iter()) => Err(NO_MEMBER_MENTIONED),
                _ => Ok(Prepared::Message { sender: place }),
            },
            // Of these two more must be known than how the conversation stands: see above.
            Work::Create(_) | Work::Annotate(_) | Work::Pin { .. } => Ok(Prepared::Already),
            // No conversation decides this.
            Work::Decide(_) => Err(Refusal::NOT_FOUND),
            Work::Add(users) => self.prepare_add(users),
            Work::Remove(user) => self.prepare_remove(role, user),
            Work::Leave => Ok(self.without(&pending.user)),
            Work::Update(update) => {
                let UpdateAsk { name, avatar, context } = (**update).clone();
                Ok(Prepared::Change(Box::new(ChangeEvent { name, avatar, context, ..ChangeEvent::default() })))
            }
            Work::Promote { member, role } => self.prepare_promote(member, *role),
            Work::Demote { member, role } => self.prepare_demote(member, *role),
            Work::Close => Ok(self.prepare_closed(true)),
            Work::Reopen => Ok(self.prepare_closed(false)),
            Work::Erase => Ok(Prepared::Erase),
            Work::Answer { accepted } => self.prepare_answer(place, *accepted),
        }
    }

    /// Whether a member of this role may do such a thing here.
    fn permit(&self, role: Role, work: &Work, members_add: bool) -> Result<(), Refusal> {
        let direct = self.profile.kind == ConversationKind::Direct;
        let may = match work {
            Work::Message { .. } | Work::Create(_) | Work::Annotate(_) | Work::Pin { .. } => true,
            Work::Decide(_) => true,
            Work::Close | Work::Reopen => direct || may_close(role),
            Work::Answer { .. } if !direct => return Err(NO_REQUEST),
            Work::Answer { .. } => true,
            Work::Erase if direct => return Err(DIRECT_STAYS),
            Work::Erase => may_erase(role),
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

    fn prepare_create(&self, ask: &CreateAsk, asker: &UserId) -> Result<Prepared, Refusal> {
        if self.born() {
            return match self.members.get(asker) {
                Some(_) => Ok(Prepared::Already),
                None => Err(Refusal::NOT_FOUND),
            };
        }
        let role = |user: &UserId| match ask.kind {
            ConversationKind::Group if user == asker => Role::Admin,
            _ => Role::Member,
        };
        let members = ask.members.iter().map(|user| StoredMember { user: user.to_string(), role: role(user).into() });
        Ok(Prepared::Founding(Box::new(Founding {
            kind: ask.kind.into(),
            members: members.collect(),
            name: ask.name.clone(),
            avatar: ask.avatar.clone(),
            context: ask.context.clone(),
            // Whether it is a request is the operator's to say.
            requested: false,
        })))
    }

    fn prepare_add(&self, users: &[UserId]) -> Result<Prepared, Refusal> {
        let mut added: Vec<StoredMember> = users
            .iter()
            .filter(|user| self.members.get(user).is_none())
            .map(|user| StoredMember { user: user.to_string(), role: Role::Member.into() })
            .collect();
        added.sort_by(|a, b| a.user.cmp(&b.user));
        added.dedup_by(|a, b| a.user == b.user);
        if added.is_empty() {
            return Ok(Prepared::Already);
        }
        if self.members.len() + added.len() > MEMBERS_MAX {
            return Err(Refusal::new(ErrorCode::Conflict, "a conversation has at most 10,000 members"));
        }
        Ok(Prepared::Members(Box::new(MembersEvent { added, ..MembersEvent::default() })))
    }

    fn prepare_remove(&self, role: Role, user: &UserId) -> Result<Prepared, Refusal> {
        let Some(other) = self.members.get(user) else { return Err(NO_SUCH_MEMBER) };
        if !may_remove(role, other.role) {
            return Err(NO_RIGHT);
        }
        Ok(self.without(user))
    }

    /// The conversation without this member, and with an admin.
    fn without(&self, user: &UserId) -> Prepared {
        let promoted = self.members.successor(user).into_iter().collect();
        let removed = vec![user.to_string()];
        Prepared::Members(Box::new(MembersEvent { added: Vec::new(), removed, promoted }))
    }

    fn prepare_promote(&self, user: &UserId, role: Role) -> Result<Prepared, Refusal> {
        match self.members.get(user) {
            None => Err(NO_SUCH_MEMBER),
            Some(member) if member.role >= role => Ok(Prepared::Already),
            Some(_) => Ok(with_role(user, role)),
        }
    }

    fn prepare_demote(&self, user: &UserId, role: Role) -> Result<Prepared, Refusal> {
        match self.members.get(user) {
            None => Err(NO_SUCH_MEMBER),
            Some(member) if member.role <= role => Ok(Prepared::Already),
            Some(_) if self.members.is_last_admin(user) => Err(LAST_ADMIN),
            Some(_) => Ok(with_role(user, role)),
        }
    }

    fn prepare_closed(&self, closed: bool) -> Prepared {
        if self.profile.closed == closed {
            return Prepared::Already;
        }
        Prepared::Change(Box::new(ChangeEvent { closed: Some(closed), ..ChangeEvent::default() }))
    }
}

/// Whether this is among what a closed conversation does not take. Going is always possible.
fn writes(pending: &Pending) -> bool {
    match &pending.work {
        Work::Message { .. } | Work::Add(_) | Work::Update(_) | Work::Promote { .. } | Work::Demote { .. } => true,
        Work::Annotate(_) | Work::Pin { .. } => true,
        Work::Remove(user) => *user != pending.user,
        Work::Create(_) | Work::Leave | Work::Close | Work::Reopen => false,
        Work::Erase | Work::Answer { .. } | Work::Decide(_) => false,
    }
}

/// A member with another role.
fn with_role(user: &UserId, role: Role) -> Prepared {
    let promoted = vec![StoredMember { user: user.to_string(), role: role.into() }];
    Prepared::Members(Box::new(MembersEvent { promoted, ..MembersEvent::default() }))
}
