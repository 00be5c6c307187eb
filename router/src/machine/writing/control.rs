//! Events other than messages: founding, members and their roles, name, avatar and context, close and reopen. What each
//! asks for, and what it comes to; who may is in `rights/table.rs`.

use switchyard_cluster::link::{Refusal, UpdateAsk};
use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::id::UserId;
use switchyard_protocol::limits::MEMBERS_MAX;
use switchyard_protocol::roles::Roles;
use switchyard_protocol::v1::Role;

use crate::annotation::AnnotationEvent;
use crate::machine::conversation::State;
use crate::machine::rights::kinds;
use crate::machine::rights::table::{CLOSED, NO_RIGHT, Standing, writes};
use crate::machine::writing::annotate::NO_MEMBER_MENTIONED;
use crate::machine::writing::pipeline::{Pending, Work};
use crate::machine::writing::targets::Targets;
use crate::stored::{ChangeEvent, Founding, MembersEvent, StoredMember};

/// What a piece of work comes to, now that its turn has come.
#[derive(Debug)]
pub(in crate::machine) enum Prepared {
    /// A message: its sender is the member at this place, until anybody comes or goes; nothing if they are none.
    Message { sender: Option<usize> },
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

const NO_SUCH_MEMBER: Refusal = Refusal::new(ErrorCode::NotFound, "no such member");
const LAST_ADMIN: Refusal = Refusal::new(ErrorCode::Conflict, "the last admin stays: promote another one first");

impl State {
    /// Whether the work may be done as the conversation stands, and what it comes to. First comes whether the asker has
    /// the right to do such a thing at all, then whether anything is written here, then what it is about: so that nobody
    /// learns who is a member by asking for what they may not do.
    pub(in crate::machine) fn prepare(
        &self,
        pending: &Pending,
        members_add: bool,
        targets: &Targets,
    ) -> Result<Prepared, Refusal> {
        if let Work::Create(_) | Work::Found(_) = &pending.work {
            return self.prepare_create(pending);
        }
        let place = self.members.place(&pending.user);
        let standing = self.standing_of(place.and_then(|at| self.members.at(at)), pending.asker.roles);
        if pending.work.target().is_some() {
            return self.prepare_on_message(pending, standing, targets);
        }
        self.permit(standing, pending, members_add)?;
        // Who is no member is nobody whom one of two can have blocked, nor whose request it is.
        if let Some(refusal) = place.and_then(|place| self.blocked(place, &pending.work)) {
            return Err(refusal);
        }
        if self.profile.closed && writes(pending) {
            return Err(CLOSED);
        }
        match &pending.work {
            Work::Message { send, .. } => match &send.extra {
                _ if let Some(refusal) = self.why_not_send(place.unwrap_or(usize::MAX)) => Err(refusal),
                Some(extra) if !self.all_members(extra.mentions.iter()) => Err(NO_MEMBER_MENTIONED),
                _ => Ok(Prepared::Message { sender: place }),
            },
            // Of these two more must be known than how the conversation stands: see above.
            Work::Create(_) | Work::Found(_) | Work::Annotate(_) | Work::Pin { .. } => Ok(Prepared::Already),
            // No conversation decides this.
            Work::Decide(_) => Err(Refusal::NOT_FOUND),
            Work::Add(users) => self.prepare_add(users.iter().map(|user| (user, Role::Member))),
            Work::Join(users) => self.prepare_add(users.iter().map(|(user, role)| (user, *role))),
            Work::Remove(user) => self.prepare_remove(standing, user),
            Work::Leave if place.is_none() => Err(NO_SUCH_MEMBER),
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
            Work::Answer { accepted } => match place {
                Some(place) => self.prepare_answer(place, *accepted),
                None => Err(Refusal::NOT_FOUND),
            },
        }
    }

    fn prepare_create(&self, pending: &Pending) -> Result<Prepared, Refusal> {
        let roles = pending.asker.roles;
        if self.born() {
            let known = self.standing(&pending.user, roles).reads();
            return if known { Ok(Prepared::Already) } else { Err(Refusal::NOT_FOUND) };
        }
        match &pending.work {
            Work::Found(founding) => Ok(Prepared::Founding(founding.clone())),
            Work::Create(ask) => {
                let others = ask.members.iter().filter(|user| **user != pending.user);
                let others: Vec<_> = others.map(|user| (user.clone(), Roles::NONE)).collect();
                kinds::found(ask, &pending.user, roles, &others).map(|founding| Prepared::Founding(Box::new(founding)))
            }
            _ => Err(Refusal::NOT_FOUND),
        }
    }

    fn prepare_add<'a>(&self, users: impl Iterator<Item = (&'a UserId, Role)>) -> Result<Prepared, Refusal> {
        let mut added: Vec<StoredMember> = users
            .filter(|(user, _)| self.members.get(user).is_none())
            .map(|(user, role)| StoredMember { user: user.to_string(), role: role.into() })
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

    fn prepare_remove(&self, standing: Standing, user: &UserId) -> Result<Prepared, Refusal> {
        let Some(other) = self.members.get(user) else { return Err(NO_SUCH_MEMBER) };
        if !Self::may_put_out(standing, other.role) {
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

/// A member with another role.
fn with_role(user: &UserId, role: Role) -> Prepared {
    let promoted = vec![StoredMember { user: user.to_string(), role: role.into() }];
    Prepared::Members(Box::new(MembersEvent { promoted, ..MembersEvent::default() }))
}
