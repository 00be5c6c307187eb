//! Requests to watch users, and to count who is online. That a session may watch somebody is for the owner of a conversation
//! to say that both are in; it is over when either is put out of that, when the session reads it no more, or, in one of two,
//! when either blocks the other.

use switchyard_cluster::link::{Answer, Ask, Refusal};
use switchyard_cluster::party::Home;
use switchyard_cluster::presence::{Seen, WatchAsk};
use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::id::{ConversationId, ConversationKey};
use switchyard_protocol::limits::WATCHED_MAX;
use switchyard_protocol::v1::{self, reply::Result as Reply};

use super::check::{self, bad};
use super::context::Context;
use super::effect::Effect;
use super::gather::unexpected;
use super::kind::RequestKind;
use super::live::Live;
use super::ticket::Ticket;
use super::watches::{Asking, Outcome, Part, Watch};

const TOO_MANY: Refusal = bad("a session watches at most 200 users and conversations");

impl Live {
    /// Watches users, or counts who is online.
    pub(super) fn watch(&mut self, id: u64, request: &v1::Watch, cx: &mut Context<'_>) {
        let kind = RequestKind::Watch;
        let wanted = match self.wanted(request, cx) {
            Ok(wanted) => wanted,
            Err(refusal) => return cx.refuse(id, kind, &refusal),
        };
        let own = wanted.iter().filter(|watch| watch.user.as_ref() == Some(&self.user)).count();
        let extra = self.extra.get_or_insert_default();
        let new = wanted.iter().filter(|watch| !extra.watches.has(watch.key)).count() - own;
        if extra.watches.list.len() + new > WATCHED_MAX {
            self.drop_extra();
            return cx.refuse(id, kind, &TOO_MANY);
        }
        let number = extra.next;
        extra.next = extra.next.wrapping_add(1);
        let mut asking = Asking { number, id, waiting: 0, parts: Vec::with_capacity(wanted.len()) };
        let mut questions = Vec::with_capacity(wanted.len());
        for watch in wanted {
            let mut outcome = None;
            if watch.user.as_ref() == Some(&self.user) {
                // As long as this session is there to be told.
                outcome = Some(Outcome::Seen(Seen::User { user: self.user.clone(), online: true, last_seen_ms: None }));
            } else {
                extra.watches.put(&watch);
                asking.waiting += 1;
                questions.push((asking.parts.len(), watch.clone()));
            }
            asking.parts.push(Part { watch, outcome, parted: false });
        }
        self.begin_request();
        if asking.waiting == 0 {
            return self.finish_watch(&asking, cx);
        }
        self.extra.get_or_insert_default().watches.asking.push(asking);
        for (part, watch) in questions {
            let part = u16::try_from(part).unwrap_or(u16::MAX);
            let (conversation, ask) = self.question(watch);
            self.ask(Ticket::Part { id, gathering: number, part }, conversation, ask, cx);
        }
    }

    /// What a request wants, each once, in its order.
    fn wanted(&self, request: &v1::Watch, cx: &Context<'_>) -> Result<Vec<Watch>, Refusal> {
        let through = request.conversation.as_deref().map(check::conversation).transpose()?;
        if through.is_some_and(|through| self.spot(through, cx).is_none()) {
            return Err(Refusal::NOT_FOUND);
        }
        let mut wanted: Vec<Watch> = Vec::with_capacity(request.users.len().min(WATCHED_MAX));
        for user in &request.users {
            let user = check::user(user)?;
            let key = ConversationKey::home(&self.tenant, &user).conversation;
            if wanted.iter().all(|watch| watch.key != key) {
                wanted.push(Watch { key, user: Some(user), through, of_two: false });
            }
            if wanted.len() > WATCHED_MAX {
                return Err(TOO_MANY);
            }
        }
        if let Some(key) = through.filter(|_| wanted.is_empty()) {
            wanted.push(Watch { key, user: None, through, of_two: false });
        }
        if wanted.is_empty() { Err(bad("nobody to watch")) } else { Ok(wanted) }
    }

    /// Whom to ask for it, and what.
    fn question(&self, watch: Watch) -> (ConversationId, Ask) {
        let Watch { key, user, through, .. } = watch;
        let Some(user) = user else { return (key, Ask::Count) };
        let direct = || check::direct(&self.tenant, &self.user, &user);
        let conversation = through.unwrap_or_else(direct);
        let home = Home { key: ConversationKey { tenant: self.tenant.clone(), conversation: key }, user };
        (conversation, Ask::Watch(Box::new(WatchAsk { home, turn: 0 })))
    }

    /// One of those whom a request names has an answer.
    pub(super) fn on_watched(&mut self, number: u32, part: u16, answer: Answer, cx: &mut Context<'_>) {
        let Some(extra) = self.extra.as_deref_mut() else { return };
        let watches = &mut extra.watches;
        let Some(at) = watches.asking.iter().position(|asking| asking.number == number) else { return };
        let Some(asking) = watches.asking.get_mut(at) else { return };
        let waiting = asking.parts.get_mut(usize::from(part)).filter(|part| part.outcome.is_none());
        let Some(Part { watch, outcome, parted }) = waiting else { return };
        let came = match answer {
            Answer::Presence { of_two: true, .. } if *parted => Outcome::Unseen,
            Answer::Presence { now, of_two } => {
                let known = watches.list.iter_mut().find(|known| known.key == watch.key);
                if let Some(known) = known.filter(|known| known.through == watch.through) {
                    known.of_two = of_two;
                }
                watch.of_two = of_two;
                Outcome::Seen(now.seen)
            }
            Answer::Refused(refusal) if refusal.code == ErrorCode::NotFound => Outcome::Unseen,
            Answer::Refused(refusal) => Outcome::Refused(refusal),
            _ => Outcome::Refused(unexpected()),
        };
        if !matches!(came, Outcome::Seen(_)) {
            let key = watch.key;
            watches.list.retain(|watch| watch.key != key);
            cx.effects.push(Effect::Unwatching(key));
        }
        *outcome = Some(came);
        asking.waiting -= 1;
        if asking.waiting == 0 {
            let asking = watches.asking.swap_remove(at);
            self.drop_extra();
            self.finish_watch(&asking, cx);
        }
    }

    fn finish_watch(&mut self, asking: &Asking, cx: &mut Context<'_>) {
        let kind = RequestKind::Watch;
        self.finished(kind);
        if let [Part { watch: Watch { user: None, .. }, outcome, .. }] = &asking.parts[..] {
            match outcome {
                Some(Outcome::Refused(refusal)) => return cx.refuse(asking.id, kind, refusal),
                Some(Outcome::Unseen) | None => return cx.refuse(asking.id, kind, &Refusal::NOT_FOUND),
                Some(Outcome::Seen(_)) => {}
            }
        }
        let mut all = v1::Presence::default();
        asking.parts.iter().for_each(|part| part.tell(&mut all));
        let v1::Presence { presence, counts } = all;
        cx.reply(asking.id, kind, Reply::Watched(v1::Watched { presence, counts }));
        let watches = self.extra.as_ref().map(|extra| &extra.watches);
        for part in &asking.parts {
            // Some may have been given up meanwhile.
            if let Some(Outcome::Seen(seen)) = &part.outcome
                && watches.is_some_and(|watches| watches.has(part.watch.key))
            {
                cx.effects.push(Effect::Watching { key: part.watch.key, told: Box::new(seen.clone()) });
            }
        }
    }

    /// Watches these no more.
    pub(super) fn unwatch(&mut self, id: u64, request: &v1::Unwatch, cx: &mut Context<'_>) {
        let kind = RequestKind::Unwatch;
        let v1::Unwatch { users, conversation, all } = request;
        if users.is_empty() && conversation.is_none() && !all {
            return cx.refuse(id, kind, &bad("nobody to unwatch"));
        }
        if users.len() > WATCHED_MAX {
            return cx.refuse(id, kind, &TOO_MANY);
        }
        let named = |watch: &Watch| match &watch.user {
            Some(user) => users.iter().any(|named| *named == user.as_str()),
            None => conversation.as_ref().is_some_and(|named| *named == watch.key.text().as_str()),
        };
        if let Some(extra) = &mut self.extra {
            let over = extra.watches.take(|watch| *all || named(watch));
            cx.effects.extend(over.into_iter().map(|watch| Effect::Unwatching(watch.key)));
            self.drop_extra();
        }
        cx.reply(id, kind, Reply::Done(v1::Done {}));
    }
}
