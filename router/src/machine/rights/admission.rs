//! Who may be in a conversation with whom, where that depends on what they are in the tenant: it is read first what is known
//! of them, and then judged. Also how staff take part in a conversation with support.

use switchyard_cluster::link::{CreateAsk, Refusal};
use switchyard_cluster::now::Now;
use switchyard_cluster::party::Asker;
use switchyard_protocol::id::{ConversationKey, UserId};
use switchyard_protocol::roles::Roles;
use switchyard_protocol::v1::Role;

use crate::machine::conversation::State;
use crate::machine::rights::kinds;
use crate::machine::ticket::Ticket;
use crate::machine::writing::pipeline::{Admissions, Pending, Work, create_bytes, users_bytes};
use crate::machine::{Effect, Machine, ReadFailed, ReadPlan, Slot, busy, read_refusal, refuse};

/// What waits until it is known what users are.
#[derive(Debug)]
pub enum Admission {
    /// A conversation to be founded.
    Create(Box<CreateAsk>),
    /// Members to be added.
    Add(Vec<UserId>),
}

impl Admission {
    fn bytes(&self) -> usize {
        match self {
            Self::Create(ask) => create_bytes(ask),
            Self::Add(users) => users_bytes(users),
        }
    }

    /// Those of whom it must be known what they are: what the asker is, the token says.
    fn users(&self, asker: &UserId) -> Vec<UserId> {
        let users = match self {
            Self::Create(ask) => &ask.members,
            Self::Add(users) => users,
        };
        users.iter().filter(|user| *user != asker).cloned().collect()
    }
}

impl Machine {
    /// Somebody asks for what depends on what users are: that is read.
    pub(in crate::machine) fn admit(
        &mut self,
        now: Now,
        to: Asker,
        key: &ConversationKey,
        user: UserId,
        admission: Admission,
        out: &mut Vec<Effect>,
    ) {
        let Some(conversation) = self.loaded_mut(key) else { return };
        if conversation.full() {
            return refuse(to, busy("too many events wait in this conversation"), out);
        }
        let users = admission.users(&user);
        let Admissions { count, bytes } = &mut conversation.pipeline().admissions;
        (*count, *bytes) = (*count + 1, *bytes + admission.bytes());
        if users.is_empty() {
            return self.admitted(now, to, key, user, admission, Ok(Vec::new()), out);
        }
        let ticket = Box::new(Ticket::Admission { to, key: key.clone(), user, admission });
        out.push(Effect::Read { key: key.clone(), ticket, plan: ReadPlan::Roles { users } });
    }

    /// It is known what the users are, or cannot be known now.
    #[allow(clippy::too_many_arguments, reason = "who asked for what, and what came of it")]
    pub(in crate::machine) fn admitted(
        &mut self,
        now: Now,
        to: Asker,
        key: &ConversationKey,
        user: UserId,
        admission: Admission,
        read: Result<Vec<(UserId, Roles)>, ReadFailed>,
        out: &mut Vec<Effect>,
    ) {
        let Some(Slot::Loaded(conversation)) = self.slots.get_mut(key) else { return };
        let Admissions { count, bytes } = &mut conversation.pipeline().admissions;
        (*count, *bytes) = (count.saturating_sub(1), bytes.saturating_sub(admission.bytes()));
        let state = &conversation.state;
        let work = match (admission, read) {
            // Who was put out meanwhile learns nothing.
            (Admission::Add(_), _) if !state.standing(&user, to.roles).reads() => Err(Refusal::NOT_FOUND),
            (_, Err(failed)) => Err(read_refusal(failed)),
            (Admission::Create(ask), Ok(others)) => {
                kinds::found(&ask, &user, to.roles, &others).map(|founding| Work::Found(Box::new(founding)))
            }
            (Admission::Add(users), Ok(mut known)) => {
                if users.contains(&user) {
                    known.push((user.clone(), to.roles));
                }
                state.profile.admit(known).map(Work::Join)
            }
        };
        match work {
            Ok(work) => {
                let pending = Pending { asker: to, also: Vec::new(), user, since: now.mono, told_unknown: false, work };
                conversation.line_up(key, pending, &mut self.ready);
            }
            // It may have been founded meanwhile: then the two are one.
            Err(refusal) => {
                refuse(to, refusal, out);
                conversation.rest();
                self.drop_unborn(key);
            }
        }
    }
}

impl State {
    /// What comes before a message of staff where there is support, if they are no members: they become so, for the others see
    /// then who is there for them, and it is in their own list. It is an event of its own, and nobody waits for its answer.
    pub(in crate::machine) fn joining(&self, message: &Pending) -> Option<Pending> {
        let Pending { user, asker, since, work: Work::Message { .. }, .. } = message else { return None };
        if !asker.roles.is_staff() || self.profile.shape() != kinds::Shape::Desk || self.members.get(user).is_some() {
            return None;
        }
        let work = Work::Join(vec![(user.clone(), Role::Moderator)]);
        Some(Pending { asker: *asker, also: Vec::new(), user: user.clone(), since: *since, told_unknown: true, work })
    }
}

/// Whether this makes its asker a member, for a message of theirs that waits behind it.
pub(in crate::machine) fn joins_to_write(pending: &Pending) -> bool {
    pending.told_unknown
        && matches!(&pending.work, Work::Join(users) if users.len() == 1 && users.iter().all(|(user, _)| *user == pending.user))
}
