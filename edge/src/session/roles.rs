//! What a session's token says that its user is in the whole tenant. Owners are told with each request; the user's home is
//! told once, for those who are not there to say it themselves; and what was read by a role ends with it.

use std::time::Duration;

use switchyard_cluster::home::HomeAsk;
use switchyard_cluster::link::{Answer, Ask, Refusal};
use switchyard_protocol::id::{ConversationId, ConversationKey};
use switchyard_protocol::roles::{Roles, needs_staff};
use switchyard_protocol::v1;

use super::context::Context;
use super::effect::Effect;
use super::gather::{ANSWERED_WITHIN, Gathering};
use super::live::Live;
use super::ticket::Ticket;
use crate::auth::Identity;

/// The part of what is told to the home, beside the conversations of a gathering.
pub(super) const ROLES: u16 = u16::MAX - 1;

impl Live {
    /// Tells the home what it was not told, for this gathering. If there was anything: until when that may be waited for.
    pub(super) fn tell_roles(&mut self, id: u64, gathering: u32, cx: &mut Context<'_>) -> Option<Duration> {
        let issued_ms = self.extra.as_mut().and_then(|extra| extra.untold.take())?;
        self.drop_extra();
        let home = ConversationKey::home(&self.tenant, &self.user).conversation;
        let ticket = Ticket::Part { id, gathering, part: ROLES };
        self.ask(ticket, home, Ask::Home(HomeAsk::Roles { issued_ms }), cx);
        cx.effects.push(Effect::Rearm);
        Some(cx.now.mono + ANSWERED_WITHIN)
    }

    /// The same, where nobody waits for it.
    pub(super) fn tell_roles_by_the_way(&mut self, cx: &mut Context<'_>) {
        let Some(extra) = self.extra.as_mut().filter(|extra| extra.untold.is_some()) else { return };
        // A number of its own, by which its answer is told from others.
        let number = extra.next;
        extra.next = extra.next.wrapping_add(1);
        self.tell_roles(0, number, cx);
    }

    /// The home has heard, or not: whoever waited for that goes on.
    pub(super) fn on_roles_told(&mut self, number: u32, cx: &mut Context<'_>) {
        let Some(extra) = self.extra.as_deref_mut() else { return };
        let found = extra.gatherings.iter_mut().find(|gathering| gathering.number == number);
        let Some(gathering) = found else { return };
        gathering.telling = None;
        self.settled(number, cx);
    }

    /// Lets clients in whose homes do not answer.
    pub(super) fn give_up_telling(&mut self, cx: &mut Context<'_>) {
        let overdue = |gathering: &&Gathering| {
            gathering.all.is_none() && gathering.telling.is_some_and(|until| until <= cx.now.mono)
        };
        let gatherings = self.extra.iter().flat_map(|extra| &extra.gatherings);
        let numbers: Vec<u32> = gatherings.filter(overdue).map(|gathering| gathering.number).collect();
        for number in numbers {
            self.on_roles_told(number, cx);
        }
    }

    /// A further token of the user. Conversations that are read no more, for they were a role's that it does not have.
    pub(super) fn take_roles(&mut self, identity: &Identity, cx: &mut Context<'_>) -> Vec<ConversationId> {
        let roles = identity.roles_here();
        if std::mem::replace(&mut self.roles, roles) == roles {
            return Vec::new();
        }
        self.is_to_tell(identity);
        self.tell_roles_by_the_way(cx);
        if roles.is_staff() {
            return Vec::new();
        }
        let ended = self.extra.as_mut().map(|extra| std::mem::take(&mut extra.by_role)).unwrap_or_default();
        for conversation in &ended {
            self.take_back(*conversation);
            self.stop_reading(*conversation, cx);
        }
        self.drop_extra();
        ended
    }

    /// An owner's answer as it counts now: what was granted to a role that the user no longer has is not.
    pub(super) fn as_of_now(&self, answer: Answer) -> (Answer, bool) {
        match answer {
            Answer::Subscribed(granted) if granted.by_role && !self.roles.is_staff() => {
                (Answer::Refused(Refusal::NOT_FOUND), false)
            }
            Answer::Subscribed(granted) => {
                let by_role = granted.by_role;
                (Answer::Subscribed(granted), by_role)
            }
            answer => (answer, false),
        }
    }

    /// Whether the user may see this entry of their list: a home knows nothing of tokens.
    pub(super) fn may_see(&self, entry: &v1::Listing) -> bool {
        let staff_only = entry.conversation.as_ref().is_some_and(|it| needs_staff(it.kind(), it.role()));
        !staff_only || self.roles.is_staff()
    }
}

impl Identity {
    /// The roles that mean something here.
    pub fn roles_here(&self) -> Roles {
        Roles::from_names(self.roles.iter().map(|role| &**role))
    }
}
