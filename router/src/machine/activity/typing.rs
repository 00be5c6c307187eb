//! Who types where, and which edges show it. Nothing of it is stored, and a conversation where nobody types and that no
//! edge shows costs nothing. What changed is told at the end of a turn, at most once a second for each conversation: what
//! happens in between is told together. Apart from the conversations' slots, for it does not need them in memory.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use switchyard_cluster::link::TypersNow;
use switchyard_cluster::now::Now;
use switchyard_cluster::party::{Asker, EdgeId};
use switchyard_protocol::id::{ConversationKey, UserId};
use switchyard_protocol::limits::TYPING_LASTS_MS;
use switchyard_protocol::roles::Roles;
use switchyard_protocol::v1::{self, reply};

use crate::machine::conversation::State;
use crate::machine::{Effect, Machine, succeed};

/// Sessions that are known to type in one conversation; of more, nobody could tell the difference.
const TYPERS_MAX: usize = 64;

/// How long after something was told the next change waits: faster than this, nobody reads it.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// How long a session is taken to be typing that does not say so again.
const TYPING_LASTS: Duration = Duration::from_millis(TYPING_LASTS_MS);

/// See the module.
#[derive(Debug, Default)]
pub(in crate::machine) struct Typing {
    conversations: HashMap<ConversationKey, Shown, foldhash::fast::RandomState>,
    /// When which conversation is to be looked at; each once at most.
    due: BTreeSet<(Duration, ConversationKey)>,
}

/// A conversation in which somebody types, or that some edge shows.
#[derive(Debug, Default)]
struct Shown {
    /// Edges that have it open.
    edges: Vec<EdgeId>,
    /// In the order in which they began.
    typers: Vec<Typer>,
    /// Not all edges know how it is.
    changed: bool,
    quiet_until: Duration,
    /// Its place among those that are due.
    due_at: Option<Duration>,
}

/// A session that types.
#[derive(Debug)]
struct Typer {
    user: UserId,
    roles: Roles,
    edge: EdgeId,
    session: u64,
    until: Duration,
}

impl Shown {
    /// What an edge is told.
    fn typers_now(&self, key: &ConversationKey, edge: EdgeId) -> TypersNow {
        let first_of = |at: usize, user: &UserId| self.typers.iter().take(at).all(|before| before.user != *user);
        let distinct =
            || self.typers.iter().enumerate().filter(|(at, typer)| first_of(*at, &typer.user)).map(|(_, typer)| typer);
        let alone = |typer: &&Typer| self.typers.iter().filter(|other| other.user == typer.user).count() == 1;
        let own = self.typers.iter().filter(|typer| typer.edge == edge).filter(alone);
        TypersNow {
            key: key.clone(),
            users: distinct().take(TypersNow::USERS_MAX).map(|typer| typer.user.clone()).collect(),
            count: distinct().count() as u64,
            own: own.map(|typer| (typer.session, typer.user.clone())).collect(),
        }
    }

    /// When it is to be looked at next.
    fn next(&self) -> Option<Duration> {
        let over = self.typers.iter().map(|typer| typer.until).min();
        let told = (self.changed && !self.edges.is_empty()).then_some(self.quiet_until);
        over.into_iter().chain(told).min()
    }
}

impl Typing {
    /// When [`tick`](Self::tick) has something to do.
    pub(in crate::machine) fn deadline(&self) -> Option<Duration> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Conversations that it knows.
    pub(in crate::machine) fn len(&self) -> usize {
        self.conversations.len()
    }

    /// Whether anybody types there.
    pub(in crate::machine) fn is_typed(&self, key: &ConversationKey) -> bool {
        self.conversations.get(key).is_some_and(|shown| !shown.typers.is_empty())
    }

    /// An edge shows the conversation to this session. Returns what the session is to see now.
    fn open(&mut self, key: &ConversationKey, to: Asker) -> v1::Typers {
        let shown = self.conversations.entry(key.clone()).or_default();
        if !shown.edges.contains(&to.edge) {
            shown.edges.push(to.edge);
        }
        shown.typers_now(key, to.edge).seen_by(to.session)
    }

    /// An edge shows it no more.
    pub(in crate::machine) fn close(&mut self, key: &ConversationKey, edge: EdgeId) {
        if let Some(shown) = self.conversations.get_mut(key) {
            shown.edges.retain(|other| *other != edge);
            self.look_after(key);
        }
    }

    /// A session types, or goes on to.
    fn start(&mut self, now: Now, key: &ConversationKey, user: &UserId, from: Asker) {
        let until = now.mono + TYPING_LASTS;
        let shown = self.conversations.entry(key.clone()).or_default();
        let full = shown.typers.len() >= TYPERS_MAX;
        let known = shown.typers.iter_mut().find(|typer| (typer.edge, typer.session) == (from.edge, from.session));
        match known {
            Some(typer) => typer.until = until,
            None if full => {}
            None => {
                let Asker { edge, session, roles, .. } = from;
                shown.typers.push(Typer { user: user.clone(), roles, edge, session, until });
                shown.changed = true;
            }
        }
        self.look_after(key);
    }

    /// A session types no more. Returns whether anybody does.
    pub(in crate::machine) fn end(&mut self, key: &ConversationKey, edge: EdgeId, session: u64) -> bool {
        self.keep(key, |typer| (typer.edge, typer.session) != (edge, session))
    }

    /// Nobody types here any more. Returns whether anybody does, which is no.
    pub(in crate::machine) fn end_all(&mut self, key: &ConversationKey) -> bool {
        self.keep(key, |_| false)
    }

    /// Who may not read it types no more. Returns whether anybody does.
    pub(in crate::machine) fn keep_readers(&mut self, key: &ConversationKey, state: &State) -> bool {
        self.keep(key, |typer| state.standing(&typer.user, typer.roles).reads())
    }

    fn keep(&mut self, key: &ConversationKey, stays: impl Fn(&Typer) -> bool) -> bool {
        let Some(shown) = self.conversations.get_mut(key) else { return false };
        let before = shown.typers.len();
        shown.typers.retain(stays);
        shown.changed |= shown.typers.len() < before;
        let any = !shown.typers.is_empty();
        self.look_after(key);
        any
    }

    /// Sees to it that the conversation is looked at in time, or forgets it.
    fn look_after(&mut self, key: &ConversationKey) {
        let Some(shown) = self.conversations.get_mut(key) else { return };
        let next = shown.next();
        // Too early does no harm: who goes on typing moves the end away every few seconds.
        if next.is_some() && shown.due_at.is_some_and(|at| next >= Some(at)) {
            return;
        }
        if let Some(at) = shown.due_at.take() {
            self.due.remove(&(at, key.clone()));
        }
        shown.due_at = next;
        if let Some(at) = next {
            self.due.insert((at, key.clone()));
        } else if shown.edges.is_empty() {
            self.conversations.remove(key);
        }
    }

    /// Ends what is over, and tells what changed.
    fn tick(&mut self, now: Now, out: &mut Vec<Effect>) {
        while self.due.first().is_some_and(|(at, _)| *at <= now.mono) {
            let Some((_, key)) = self.due.pop_first() else { return };
            let Some(shown) = self.conversations.get_mut(&key) else { continue };
            shown.due_at = None;
            let before = shown.typers.len();
            shown.typers.retain(|typer| typer.until > now.mono);
            shown.changed |= shown.typers.len() < before;
            if shown.changed && shown.quiet_until <= now.mono {
                shown.changed = false;
                shown.quiet_until = now.mono + TELL_EVERY;
                for &edge in &shown.edges {
                    out.push(Effect::Typing { edge, now: Box::new(shown.typers_now(&key, edge)) });
                }
            }
            self.look_after(&key);
        }
    }
}

impl Machine {
    /// A member's session shows the conversation.
    pub(in crate::machine) fn open(&mut self, to: Asker, key: &ConversationKey, out: &mut Vec<Effect>) {
        let v1::Typers { users, more } = self.typing.open(key, to);
        let one = v1::OpenedConversation { conversation: key.conversation.to_string(), users, more, error: None };
        succeed(to, reply::Result::Opened(v1::Opened { opened: vec![one] }), out);
    }

    /// A member's session types.
    pub(in crate::machine) fn typing(
        &mut self,
        now: Now,
        from: Asker,
        key: &ConversationKey,
        user: &UserId,
        out: &mut Vec<Effect>,
    ) {
        self.typing.start(now, key, user, from);
        if let Some(conversation) = self.loaded_mut(key) {
            conversation.typed = true;
        }
        succeed(from, reply::Result::Done(v1::Done {}), out);
    }

    /// Tells of who types, as far as it is time.
    pub(in crate::machine) fn tell_typing(&mut self, now: Now, out: &mut Vec<Effect>) {
        self.typing.tick(now, out);
    }
}
