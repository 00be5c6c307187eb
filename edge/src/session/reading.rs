//! What a session reads, and what ends with it: whoever does not read a conversation shows nothing of it, types nowhere there
//! and watches nobody through it.

use switchyard_cluster::link::{Ask, Request};
use switchyard_cluster::party::Asker;
use switchyard_protocol::id::{ConversationId, ConversationKey, UserId};
use switchyard_protocol::v1::{self, event::Body};

use super::context::Context;
use super::directory::Spot;
use super::effect::Effect;
use super::live::Live;
use super::watches::{Outcome, Watch};
use crate::growth::growth;

/// The list of what a session reads gives memory back when it is less than this part full.
const SHRINK_BELOW: usize = 8;

impl Live {
    /// Where this conversation lies, if the session reads it.
    pub(super) fn spot(&self, conversation: ConversationId, cx: &Context<'_>) -> Option<Spot> {
        cx.directory.spot(&self.tenant, conversation).filter(|spot| self.subscriptions.contains(spot))
    }

    pub(super) fn reads(&mut self, spot: Spot) {
        if !self.subscriptions.contains(&spot) {
            if self.subscriptions.len() == self.subscriptions.capacity() {
                self.subscriptions.reserve_exact(growth(self.subscriptions.len()));
            }
            self.subscriptions.push(spot);
        }
    }

    pub(super) fn reads_no_more(&mut self, spot: Spot) {
        if let Some(at) = self.subscriptions.iter().position(|known| *known == spot) {
            self.subscriptions.swap_remove(at);
        }
        if self.subscriptions.len() * SHRINK_BELOW < self.subscriptions.capacity() {
            self.subscriptions.shrink_to_fit();
        }
    }

    pub(super) fn stop_reading(&mut self, conversation: ConversationId, cx: &mut Context<'_>) {
        self.stop_showing(conversation, cx);
        self.end_watches(conversation, None, cx);
        if let Some(spot) = self.spot(conversation, cx) {
            self.reads_no_more(spot);
            self.forget_role(conversation);
            cx.effects.push(Effect::Unsubscribed(conversation));
        }
    }

    /// The user was put out of a conversation: no request that still waits for others tells what its owner said of it before.
    pub(super) fn take_back(&mut self, conversation: ConversationId) {
        for gathering in self.extra.iter_mut().flat_map(|extra| &mut extra.gatherings) {
            gathering.take_back(conversation);
        }
    }

    /// The session reads a conversation from now on, for its user is staff.
    pub(super) fn reads_by_role(&mut self, conversation: ConversationId) {
        let by_role = &mut self.extra.get_or_insert_default().by_role;
        if !by_role.contains(&conversation) {
            by_role.push(conversation);
        }
    }

    /// It is read no more.
    pub(super) fn forget_role(&mut self, conversation: ConversationId) {
        if let Some(extra) = &mut self.extra {
            extra.by_role.retain(|known| *known != conversation);
            self.drop_extra();
        }
    }

    /// A message goes to the conversation's owner, for whom that ends the typing.
    pub(super) fn sent_in(&mut self, conversation: ConversationId) {
        if let Some(extra) = &mut self.extra
            && extra.showing.end_typing(conversation)
        {
            self.drop_extra();
        }
    }

    /// The session reads this conversation no more, so it shows nothing of it either.
    pub(super) fn stop_showing(&mut self, conversation: ConversationId, cx: &mut Context<'_>) {
        self.stop_typing(conversation, cx);
        self.hide(conversation, cx);
    }

    pub(super) fn hide(&mut self, conversation: ConversationId, cx: &mut Context<'_>) {
        if let Some(extra) = &mut self.extra
            && extra.showing.close(conversation)
        {
            cx.effects.push(Effect::Closed(conversation));
            self.drop_extra();
        }
    }

    /// The same without a word: whoever calls has seen to the rest.
    pub(super) fn forget_showing(&mut self, conversation: ConversationId) {
        if let Some(extra) = &mut self.extra {
            extra.showing.close(conversation);
            extra.showing.end_typing(conversation);
            self.drop_extra();
        }
    }

    pub(super) fn stop_typing(&mut self, conversation: ConversationId, cx: &mut Context<'_>) {
        if let Some(extra) = &mut self.extra
            && extra.showing.end_typing(conversation)
        {
            self.drop_extra();
            cx.effects.push(Effect::Ask(Request {
                from: Asker { session: cx.session, roles: self.roles, ..Asker::edge(cx.edge) },
                key: ConversationKey { tenant: self.tenant.clone(), conversation },
                user: self.user.clone(),
                ask: Ask::TypingEnd,
            }));
        }
    }

    /// These are members of this conversation no more, or the session reads it no more, if nobody is named: what went
    /// through it is over.
    pub(super) fn end_watches(
        &mut self,
        conversation: ConversationId,
        removed: Option<&[UserId]>,
        cx: &mut Context<'_>,
    ) {
        let Some(extra) = &mut self.extra else { return };
        let own = removed.is_none_or(|removed| removed.contains(&self.user));
        let gone = |user: &Option<UserId>| user.as_ref().is_some_and(|user| removed.unwrap_or_default().contains(user));
        let over = extra.watches.take(|watch| watch.through == Some(conversation) && (own || gone(&watch.user)));
        self.tell_over(over, cx);
    }

    /// A block has parted the session's user and the one of this home: what went by way of a conversation of these two is over.
    pub(super) fn part(&mut self, home: ConversationId, cx: &mut Context<'_>) {
        let Some(extra) = &mut self.extra else { return };
        let over = extra.watches.take(|watch| watch.key == home && watch.of_two);
        let parts = extra.watches.asking.iter_mut().flat_map(|asking| &mut asking.parts);
        for part in parts.filter(|part| part.watch.key == home) {
            match &part.outcome {
                None => part.parted = true,
                Some(Outcome::Seen(_)) if part.watch.of_two => part.outcome = Some(Outcome::Unseen),
                Some(_) => {}
            }
        }
        self.tell_over(over, cx);
    }

    /// These are watched no more, and the client is told so, for it would show for ever what it was told last.
    fn tell_over(&mut self, over: Vec<Watch>, cx: &mut Context<'_>) {
        self.drop_extra();
        let mut told = v1::Presence::default();
        for Watch { key, user, .. } in over {
            cx.effects.push(Effect::Unwatching(key));
            if let Some(user) = user {
                told.presence.push(v1::UserPresence { user: user.to_string(), ..Default::default() });
            }
        }
        if !told.presence.is_empty() {
            let body = Some(Body::Presence(told));
            cx.effects.push(Effect::Event(Box::new(v1::Event { body, ..Default::default() })));
        }
    }
}
