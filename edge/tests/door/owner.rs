//! A stand-in for the owners of conversations, in memory and without their rules: just enough for a door to have
//! somebody to talk to. It tells the test which subscriptions it holds.

use std::collections::{BTreeSet, HashMap};
use std::sync::mpsc::Sender;
use std::time::Duration;

use bytes::Bytes;
use mio::Events;
use prost::Message as _;
use switchyard_cluster::link::{
    Answer, Ask, Delivery, LiveEvent, MarksNow, PageFrom, Refusal, Request, RouterLink, SubscribeAsk, SubscribedAnswer,
    TypersNow,
};
use switchyard_cluster::mesh::MeshRouter;
use switchyard_cluster::now::Now;
use switchyard_cluster::party::{Asker, EdgeId};
use switchyard_cluster::presence::{self, PresenceAsk, PresenceNow};
use switchyard_cluster::worker::Resident;
use switchyard_protocol::frame;
use switchyard_protocol::hot::{self, MessageView};
use switchyard_protocol::id::{ConversationKey, UserId};
use switchyard_protocol::v1::{self, event::Body, reply::Result as Reply};

/// The event that puts this member out is lost on the way.
pub(crate) const UNTOLD: &str = "untold";

/// What the edge did with its subscriptions.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Subscribed(ConversationKey),
    Unsubscribed(ConversationKey),
    /// It asked for a page of history.
    Page,
    /// No session shows it any more.
    Closed(ConversationKey),
    /// A session types.
    Typing,
    /// No session watches this user any more.
    Unwatched(UserId),
}

#[derive(Default)]
struct Conversation {
    members: BTreeSet<UserId>,
    events: Vec<v1::Event>,
    client_ids: HashMap<String, usize>,
    edges: Vec<EdgeId>,
    open: BTreeSet<EdgeId>,
    /// Sessions that type.
    typers: Vec<(EdgeId, u64, UserId)>,
}

/// A user's home, as far as it knows who is online.
#[derive(Default)]
struct Presence {
    sessions: i32,
    edges: BTreeSet<EdgeId>,
}

pub(crate) struct Owner {
    link: MeshRouter,
    conversations: HashMap<ConversationKey, Conversation>,
    presence: HashMap<ConversationKey, Presence>,
    seen: Sender<Seen>,
    requests: Vec<Request>,
}

impl Owner {
    pub(crate) fn new(link: MeshRouter, seen: Sender<Seen>) -> Self {
        Self { link, conversations: HashMap::new(), presence: HashMap::new(), seen, requests: Vec::new() }
    }

    fn answer(&mut self, to: Asker, answer: Answer) {
        self.link.send(to.edge, Delivery::Answer { to, answer });
    }

    fn on_request(&mut self, request: Request, now: Now) {
        let Request { from, key, user, ask } = request;
        if let Ask::Create(create) = ask {
            let mut conversation = Conversation::default();
            conversation.members.extend(create.members);
            self.conversations.entry(key.clone()).or_insert(conversation);
            let detail = v1::Conversation { id: key.conversation.to_string(), ..Default::default() };
            let created = v1::Created { conversation: Some(detail), created: true };
            return self.answer(from, Answer::Result(Box::new(Reply::Created(created))));
        }
        if let Ask::Presence(ask) = ask {
            return self.presence_told(from.edge, key, &user, ask);
        }
        if matches!(ask, Ask::Hide | Ask::TypingEnd) {
            return self.over(from, &key, &ask);
        }
        let Some(conversation) = self.conversations.get_mut(&key).filter(|it| it.members.contains(&user)) else {
            if matches!(ask, Ask::Unsubscribe) {
                if let Some(conversation) = self.conversations.get_mut(&key) {
                    conversation.edges.retain(|edge| *edge != from.edge);
                }
                let _ = self.seen.send(Seen::Unsubscribed(key));
                return;
            }
            return self.answer(from, Answer::Refused(Refusal::NOT_FOUND));
        };
        match ask {
            Ask::Send(send) => {
                let known = conversation.client_ids.get(send.client_id()).copied();
                let at = known.unwrap_or(conversation.events.len());
                if known.is_none() {
                    let message = v1::Message {
                        id: format!("{}.{}", key.conversation, at + 1),
                        conversation: key.conversation.to_string(),
                        seq: at as u64 + 1,
                        client_id: send.client_id().to_owned(),
                        sender: user.to_string(),
                        kind: send.kind as i32,
                        text: send.text().to_owned(),
                        time_ms: now.wall_ms,
                        ordinal: at as u64 + 1,
                        ..Default::default()
                    };
                    conversation.client_ids.insert(send.client_id().to_owned(), at);
                    self.publish(&key, Body::Message(message), Vec::new());
                }
                let stored = self.conversations.get(&key).and_then(|it| it.events.get(at));
                let Some(Body::Message(message)) = stored.and_then(|event| event.body.clone()) else { return };
                let sent = Answer::Sent { message: message.encode_to_vec().into(), duplicate: known.is_some() };
                self.answer(from, sent);
            }
            Ask::Subscribe(ask) => {
                if !conversation.edges.contains(&from.edge) {
                    conversation.edges.push(from.edge);
                }
                let answer = subscribed(&key, &user, &conversation.events, ask);
                let _ = self.seen.send(Seen::Subscribed(key));
                self.answer(from, Answer::Subscribed(Box::new(answer)));
            }
            Ask::Add(members) => {
                conversation.members.extend(members.iter().cloned());
                let member = |user: &UserId| v1::Member { user: user.to_string(), role: 0 };
                let added = members.iter().map(member).collect();
                self.changed(from, &key, v1::MembersChanged { added, ..Default::default() }, Vec::new());
            }
            Ask::Remove(member) => {
                conversation.members.remove(&member);
                if member.as_str() == UNTOLD {
                    return self.answer(from, Answer::Result(Box::new(Reply::Changed(v1::Changed::default()))));
                }
                let changed = v1::MembersChanged { removed: vec![member.to_string()], ..Default::default() };
                self.changed(from, &key, changed, vec![member]);
            }
            Ask::History(history) => {
                assert_eq!(history.from, PageFrom::Newest, "this stand-in knows no other page");
                let _ = self.seen.send(Seen::Page);
                let messages = conversation.events.iter().rev().filter_map(|event| match &event.body {
                    Some(Body::Message(message)) => Some(message.clone()),
                    _ => None,
                });
                let messages = messages.take(history.limit).collect();
                let head = conversation.events.len() as u64;
                let page = v1::Page { messages, first_available: 1, head, more: false };
                self.answer(from, Answer::Result(Box::new(Reply::Page(page))));
            }
            Ask::Show => {
                conversation.open.insert(from.edge);
                let v1::Typers { users, more } = typers_now(&key, conversation, from.edge).seen_by(from.session);
                let one =
                    v1::OpenedConversation { conversation: key.conversation.to_string(), users, more, error: None };
                self.answer(from, Answer::Result(Box::new(Reply::Opened(v1::Opened { opened: vec![one] }))));
            }
            Ask::Typing => {
                conversation.typers.push((from.edge, from.session, user));
                self.tell_typing(&key);
                let _ = self.seen.send(Seen::Typing);
                self.answer(from, Answer::Result(Box::new(Reply::Done(v1::Done {}))));
            }
            Ask::Mark(mark) => {
                // In large conversations, which those with the number 9 are here, each is told of their own.
                let own = mark.read == Some(9);
                let read = mark.read.unwrap_or_default();
                let marks = v1::MemberMarks { user: user.to_string(), read, ..Default::default() };
                for &edge in &conversation.edges {
                    let now = MarksNow { key: key.clone(), marks: vec![marks.clone()], own, missed: false };
                    self.link.send(edge, Delivery::Marks(Box::new(now)));
                }
                let marked = v1::Marked { marks: Some(marks), ..Default::default() };
                self.answer(from, Answer::Result(Box::new(Reply::Marked(marked))));
            }
            Ask::Watch(ask) if conversation.members.contains(&ask.home.user) => {
                let presence = self.presence.entry(ask.home.key.clone()).or_default();
                presence.edges.insert(from.edge);
                let now = presence_now(ask.home.key, &ask.home.user, presence);
                self.answer(from, Answer::Presence { now, of_two: false });
            }
            Ask::Watch(_) => self.answer(from, Answer::Refused(Refusal::NOT_FOUND)),
            Ask::Unread => {
                let conversation = key.conversation.to_string();
                let one = v1::UnreadConversation { conversation, unread: 2, read: 1, error: None };
                let counts = v1::UnreadCounts { conversations: vec![one], total: 2, ..Default::default() };
                self.answer(from, Answer::Result(Box::new(Reply::Unread(counts))));
            }
            Ask::Unsubscribe => {
                conversation.edges.retain(|edge| *edge != from.edge);
                let _ = self.seen.send(Seen::Unsubscribed(key));
            }
            other => panic!("this stand-in does not answer {other:?}"),
        }
    }

    /// Tells edges that watch at once and each time, whoever comes and goes.
    fn presence_told(&mut self, edge: EdgeId, key: ConversationKey, user: &UserId, ask: PresenceAsk) {
        let presence = self.presence.entry(key.clone()).or_default();
        match ask {
            PresenceAsk::Sessions(change) => {
                presence.sessions += change;
                for &edge in &presence.edges {
                    self.link.send(edge, Delivery::Presence(presence_now(key.clone(), user, presence)));
                }
            }
            PresenceAsk::Unwatch { .. } => {
                presence.edges.remove(&edge);
                let _ = self.seen.send(Seen::Unwatched(user.clone()));
            }
        }
    }

    fn over(&mut self, from: Asker, key: &ConversationKey, ask: &Ask) {
        let Some(conversation) = self.conversations.get_mut(key) else { return };
        if matches!(ask, Ask::Hide) {
            conversation.open.remove(&from.edge);
            let _ = self.seen.send(Seen::Closed(key.clone()));
        } else {
            conversation.typers.retain(|(edge, session, _)| (*edge, *session) != (from.edge, from.session));
            self.tell_typing(key);
        }
    }

    /// Tells the edges that show it who types, at once and each time.
    fn tell_typing(&mut self, key: &ConversationKey) {
        let conversation = self.conversations.get(key).expect("asked about");
        for &edge in &conversation.open {
            let now = Box::new(typers_now(key, conversation, edge));
            self.link.send(edge, Delivery::Typing(now));
        }
    }

    fn changed(&mut self, from: Asker, key: &ConversationKey, changed: v1::MembersChanged, removed: Vec<UserId>) {
        let seq = self.publish(key, Body::Members(changed), removed);
        let changed = v1::Changed { conversation: key.conversation.to_string(), seq };
        self.answer(from, Answer::Result(Box::new(Reply::Changed(changed))));
    }

    /// Numbers an event and sends it to the edges that read.
    fn publish(&mut self, key: &ConversationKey, body: Body, removed: Vec<UserId>) -> u64 {
        let conversation = self.conversations.get_mut(key).expect("asked about");
        let seq = conversation.events.len() as u64 + 1;
        let event = v1::Event { conversation: key.conversation.to_string(), seq, body: Some(body) };
        conversation.events.push(event.clone());
        let frame: Bytes = match &event.body {
            Some(Body::Message(message)) => hot_frame(key, message),
            _ => frame::event(event).encode_to_vec().into(),
        };
        for edge in conversation.edges.clone() {
            let event =
                LiveEvent { key: key.clone(), seq, frame: frame.clone(), removed: removed.clone(), last: false };
            self.link.send(edge, Delivery::Event(event));
        }
        seq
    }
}

fn presence_now(key: ConversationKey, user: &UserId, presence: &Presence) -> Box<PresenceNow> {
    let online = presence.sessions > 0;
    Box::new(PresenceNow { key, seen: presence::Seen::User { user: user.clone(), online, last_seen_ms: None } })
}

/// Users type in one session each here.
fn typers_now(key: &ConversationKey, conversation: &Conversation, edge: EdgeId) -> TypersNow {
    let own = conversation.typers.iter().filter(|(at, ..)| *at == edge);
    TypersNow {
        key: key.clone(),
        users: conversation.typers.iter().map(|(_, _, user)| user.clone()).take(TypersNow::USERS_MAX).collect(),
        count: conversation.typers.len() as u64,
        own: own.map(|(_, session, user)| (*session, user.clone())).collect(),
    }
}

/// A message's event as owners encode it.
fn hot_frame(key: &ConversationKey, message: &v1::Message) -> Bytes {
    let view = MessageView {
        conversation: key.conversation,
        seq: message.seq,
        client_id: &message.client_id,
        sender: &message.sender,
        kind: v1::MessageKind::try_from(message.kind).expect("a kind"),
        text: &message.text,
        time_ms: message.time_ms,
        ordinal: message.ordinal,
    };
    let mut encoded = Vec::new();
    view.encode(&mut encoded);
    let mut out = Vec::new();
    hot::put_event_head(key.conversation, message.seq, encoded.len(), &mut out);
    out.extend(encoded);
    out.into()
}

fn subscribed(key: &ConversationKey, user: &UserId, events: &[v1::Event], ask: SubscribeAsk) -> SubscribedAnswer {
    let head = events.len() as u64;
    let mut missed = v1::ResumedConversation { head, first_available: 1, ..Default::default() };
    if let Some(after) = ask.after {
        missed.events = events.iter().filter(|event| event.seq > after).take(ask.events_max).cloned().collect();
        missed.more = missed.events.last().is_some_and(|last| last.seq < head);
    }
    SubscribedAnswer { key: key.clone(), user: user.clone(), by_role: false, head, missed }
}

impl Resident for Owner {
    fn intake(&mut self, _events: &Events, _now: Now) {}

    fn turn(&mut self, now: Now) {
        let mut requests = std::mem::take(&mut self.requests);
        self.link.receive(&mut requests);
        for request in requests.drain(..) {
            self.on_request(request, now);
        }
        self.requests = requests;
    }

    fn flush(&mut self, _now: Now) {
        self.link.flush();
    }

    fn deadline(&self) -> Option<Duration> {
        None
    }

    fn done(&self) -> bool {
        true
    }
}
