//! Events other than messages: founding, members, name and avatar. What each asks for, who may, and what it comes to.

use switchyard_cluster::link::{CreateAsk, Refusal};
use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::id::UserId;
use switchyard_protocol::limits::MEMBERS_MAX;
use switchyard_protocol::v1::{ConversationKind, Role};

use super::conversation::State;
use super::members::{may_add, may_remove, may_update};
use super::pipeline::{Pending, Work};
use crate::stored::{ChangeEvent, Founding, MembersEvent, StoredMember};

/// What a piece of work comes to, now that its turn has come.
#[derive(Debug)]
pub(super) enum Prepared {
    /// A message: its sender is a member.
    Message,
    /// A founding row.
    Founding(Box<Founding>),
    /// A membership event.
    Members(Box<MembersEvent>),
    /// A change of name or avatar.
    Change(Box<ChangeEvent>),
    /// It is so already: answered as done, nothing is written.
    Already,
}

const DIRECT_IS_TWO: Refusal = Refusal::new(ErrorCode::Forbidden, "a direct conversation has its two members for good");
const NO_RIGHT: Refusal = Refusal::new(ErrorCode::Forbidden, "your role in this conversation does not allow it");

impl State {
    /// Whether the work may be done as the conversation stands, and what it comes to.
    pub(super) fn prepare(&self, pending: &Pending, members_add: bool) -> Result<Prepared, Refusal> {
        if let Work::Create(ask) = &pending.work {
            return self.prepare_create(ask, &pending.user);
        }
        let Some(member) = self.members.get(&pending.user) else { return Err(Refusal::NOT_FOUND) };
        let direct = self.profile.kind == ConversationKind::Direct;
        match &pending.work {
            Work::Message { .. } => Ok(Prepared::Message),
            Work::Create(_) => Ok(Prepared::Already),
            Work::Add(_) | Work::Remove(_) | Work::Leave if direct => Err(DIRECT_IS_TWO),
            Work::Update { .. } if direct => {
                Err(Refusal::new(ErrorCode::Forbidden, "a direct conversation has no name of its own"))
            }
            Work::Add(_) if !may_add(member.role, members_add) => Err(NO_RIGHT),
            Work::Add(users) => self.prepare_add(users),
            Work::Remove(user) => self.prepare_remove(member.role, user),
            Work::Leave => {
                let removed = vec![pending.user.to_string()];
                let promoted = self.members.successor(&pending.user).into_iter().collect();
                Ok(Prepared::Members(Box::new(MembersEvent { added: Vec::new(), removed, promoted })))
            }
            Work::Update { .. } if !may_update(member.role) => Err(NO_RIGHT),
            Work::Update { name, avatar } => {
                Ok(Prepared::Change(Box::new(ChangeEvent { name: name.clone(), avatar: avatar.clone() })))
            }
        }
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
        // The right to remove anybody comes first: a plain member does not learn who is in by trying.
        if role == Role::Member {
            return Err(NO_RIGHT);
        }
        let Some(other) = self.members.get(user) else {
            return Err(Refusal::new(ErrorCode::NotFound, "no such member"));
        };
        if !may_remove(role, other.role) {
            return Err(NO_RIGHT);
        }
        let promoted = self.members.successor(user).into_iter().collect();
        let removed = vec![user.to_string()];
        Ok(Prepared::Members(Box::new(MembersEvent { added: Vec::new(), removed, promoted })))
    }
}
