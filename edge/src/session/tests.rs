//! Sessions as pure code: frames and answers in, effects out.

mod all;
mod budgets;
mod decisions;
mod names;
mod presence;
mod roles;

use std::time::Duration;

use switchyard_cluster::link::{Answer, Ask, Refusal, Request as Asked, SubscribedAnswer};
use switchyard_cluster::now::Now;
use switchyard_cluster::party::EdgeId;
use switchyard_cluster::trace::Instance;
use switchyard_protocol::frame::{self, Form};
use switchyard_protocol::limits::{INTEGER_MAX, POSITIONS_MAX, RESUME_EVENTS_MAX, SUBSCRIPTIONS_MAX};
use switchyard_protocol::v1::{self, client_frame::Request, event::Body, reply::Result as Reply};

use super::*;
use crate::admission::budget;
use crate::auth::{AuthConfig, Claims, Secret, Verifier, mint};
use names::Names;

const SECRET: &[u8] = b"a secret of these tests alone, thirty-two bytes and more";
const START_MS: u64 = 1_000_000_000;

/// Lets everybody in, until told otherwise.
#[derive(Default)]
struct Open {
    refuse_requests: bool,
    refuse_users: bool,
    /// What the last request cost.
    cost: u64,
}

impl Gate for Open {
    fn request(&mut self, cost: u64) -> Result<(), budget::Refusal> {
        self.cost = cost;
        refuse(self.refuse_requests, budget::Limit::UserRequests)
    }

    fn admit(&mut self, _: &Identity) -> Result<(), budget::Refusal> {
        refuse(self.refuse_users, budget::Limit::UserConnections)
    }
}

fn refuse(yes: bool, limit: budget::Limit) -> Result<(), budget::Refusal> {
    if yes { Err(budget::Refusal { limit, retry_after_ms: Some(70) }) } else { Ok(()) }
}

/// A session and all that it needs.
struct Desk {
    session: Session,
    verifier: Verifier,
    config: SessionConfig,
    gate: Open,
    names: Names,
    now: Now,
    next_id: u64,
}

impl Desk {
    fn stranger() -> Self {
        Self {
            session: Session::new(Form::Proto, None),
            verifier: Verifier::new(&AuthConfig::development(Secret::new(SECRET))).expect("a good configuration"),
            config: SessionConfig::default(),
            gate: Open::default(),
            names: Names::default(),
            now: Now { mono: Duration::from_secs(5), wall_ms: START_MS },
            next_id: 0,
        }
    }

    /// Someone who has said hello with a token of ten minutes.
    fn known() -> Self {
        let mut desk = Self::stranger();
        desk.hello("alice", &[]);
        desk
    }

    fn token(&self, user: &str) -> String {
        let mut claims = Claims::for_user(UserId::new(user).expect("a valid id"));
        claims.ttl = Duration::from_secs(600);
        mint(SECRET, &claims, self.now.wall_ms).expect("a token")
    }

    fn hello(&mut self, user: &str, conversations: &[&str]) -> Vec<Effect> {
        let conversations = conversations.iter().map(|text| (*text).to_owned()).collect();
        let subscribe = Some(v1::Subscriptions { all: false, conversations });
        self.say(Request::Hello(v1::Hello { token: self.token(user), device: String::new(), subscribe }))
    }

    fn call(&mut self, call: impl FnOnce(&mut Session, &mut Context<'_>)) -> Vec<Effect> {
        let mut effects = Vec::new();
        let mut cx = Context {
            now: self.now,
            edge: EdgeId(3),
            instance: Instance::new([0xab; 6]),
            session: 77,
            config: &self.config,
            verifier: &self.verifier,
            directory: &self.names,
            gate: &mut self.gate,
            fresh: &mut || [0xab; 16],
            effects: &mut effects,
        };
        call(&mut self.session, &mut cx);
        for effect in &effects {
            if let Effect::Settled { conversation, head: Some(_) } = effect {
                self.session.reads(self.names.put(*conversation));
            }
        }
        effects
    }

    /// What it reads.
    fn reads(&self) -> Vec<ConversationId> {
        self.session.subscriptions().iter().map(|spot| self.names.name(*spot)).collect()
    }

    fn say(&mut self, request: Request) -> Vec<Effect> {
        self.next_id += 1;
        let bytes = frame::encode_client(Form::Proto, self.next_id, request);
        self.call(|session, cx| session.on_binary(&bytes, cx))
    }

    fn answer(&mut self, asked: &Asked, answer: Answer) -> Vec<Effect> {
        self.answer_to(Ticket::of(&asked.from), answer)
    }

    fn answer_to(&mut self, ticket: Ticket, answer: Answer) -> Vec<Effect> {
        let asked = self.now.mono;
        self.call(|session, cx| session.on_answer(ticket, asked, answer, cx))
    }

    /// What comes when something is next due, which is so long from now.
    fn when_due(&mut self, after: Duration) -> Vec<Effect> {
        let due = self.session.deadline(self.now, &self.config).expect("something is due");
        assert_eq!(due, self.now.mono + after);
        self.now.mono = due;
        self.call(Session::on_time)
    }

    /// The user of this home is parted from the session's by a block.
    fn part(&mut self, home: ConversationId) -> Vec<Effect> {
        self.call(|session, cx| session.on_parted(home, cx))
    }

    /// What the owner of the asked conversation may answer.
    fn granted(asked: &Asked, head: u64, events: usize, bytes: usize) -> Answer {
        let Ask::Subscribe(ask) = &asked.ask else { panic!("not a subscription: {asked:?}") };
        let message = v1::Message { text: "x".repeat(bytes), ..Default::default() };
        let after = ask.after.unwrap_or(head);
        let events = (1..=events as u64)
            .map(|n| v1::Event { seq: after + n, body: Some(Body::Message(message.clone())), ..Default::default() })
            .collect();
        let missed = v1::ResumedConversation { events, head, first_available: 1, ..Default::default() };
        Answer::Subscribed(Box::new(SubscribedAnswer {
            key: asked.key.clone(),
            user: asked.user.clone(),
            by_role: false,
            head,
            missed,
        }))
    }
}

/// The only reply among effects.
fn reply(effects: &[Effect]) -> &Reply {
    let mut replies = effects.iter().filter_map(|effect| match effect {
        Effect::Reply { result, .. } => Some(&**result),
        _ => None,
    });
    let first = replies.next().expect("a reply");
    assert!(replies.next().is_none(), "one reply: {effects:?}");
    first
}

fn code(effects: &[Effect]) -> &str {
    match reply(effects) {
        Reply::Error(error) => &error.code,
        other => panic!("not refused: {other:?}"),
    }
}

fn asked(effects: Vec<Effect>) -> Vec<Asked> {
    effects.into_iter().filter_map(|effect| if let Effect::Ask(asked) = effect { Some(asked) } else { None }).collect()
}

fn id(n: u16) -> ConversationId {
    let mut bytes = [0; 16];
    bytes[..2].copy_from_slice(&n.to_be_bytes());
    ConversationId::from_bytes(bytes)
}

fn text(n: u16) -> String {
    id(n).to_string()
}

fn closes_with(effects: &[Effect]) -> Option<CloseCode> {
    effects.iter().find_map(|effect| if let Effect::Close(code) = effect { Some(*code) } else { None })
}

fn send(conversation: u16) -> Request {
    Request::Send(v1::Send {
        conversation: text(conversation),
        client_id: "c".to_owned(),
        text: "hi".to_owned(),
        ..Default::default()
    })
}

#[test]
fn a_known_user_asks_in_the_tokens_name() {
    let mut desk = Desk::known();
    let asked = asked(desk.say(send(1)));
    let [request] = asked.as_slice() else { panic!("one question") };
    assert_eq!((request.user.as_str(), request.key.tenant.as_str()), ("alice", "default"));
    assert_eq!(request.key.conversation, id(1));
    assert_eq!((request.from.edge, request.from.session), (EdgeId(3), 77));
    let refused = desk.answer(request, Answer::Refused(Refusal::NOT_FOUND));
    assert_eq!(code(&refused), "NOT_FOUND");
    assert!(matches!(refused.as_slice(), [Effect::Reply { id: 2, kind: RequestKind::Send, .. }]));
}

#[test]
fn before_hello_nothing_is_asked() {
    let mut desk = Desk::stranger();
    let effects = desk.say(send(1));
    assert_eq!((code(&effects), closes_with(&effects)), ("AUTH_INVALID", Some(CloseCode::Auth)));
    assert!(asked(effects).is_empty());
}

#[test]
fn hello_is_said_once() {
    let mut desk = Desk::stranger();
    assert!(matches!(reply(&desk.hello("alice", &[])), Reply::Welcome(_)));
    assert_eq!(code(&desk.hello("alice", &[])), "BAD_REQUEST");
}

#[test]
fn a_user_with_too_many_connections_is_to_come_again() {
    let mut desk = Desk::stranger();
    desk.gate.refuse_users = true;
    let effects = desk.hello("alice", &[]);
    assert_eq!((code(&effects), closes_with(&effects)), ("RATE_LIMITED", Some(CloseCode::Overloaded)));
    assert!(desk.session.is_greeting());
}

#[test]
fn hello_is_welcomed_when_all_its_conversations_are_answered() {
    let mut desk = Desk::stranger();
    let effects = desk.hello("alice", &[&text(1), "nonsense", &text(2)]);
    let asked = asked(effects);
    assert_eq!(asked.len(), 2);
    let settled = desk.answer(&asked[1], Desk::granted(&asked[1], 7, 0, 0));
    assert!(matches!(settled.as_slice(), [Effect::Settled { head: Some(7), .. }]));
    let effects = desk.answer(&asked[0], Answer::Refused(Refusal::NOT_FOUND));
    assert!(matches!(effects.as_slice(), [Effect::Settled { head: None, .. }, Effect::Rearm]), "{effects:?}");
    let effects = desk.when_due(UNSEEN_AFTER);
    let Reply::Welcome(welcome) = reply(&effects) else { panic!("not welcomed") };
    let codes: Vec<_> =
        welcome.subscribed.iter().map(|it| (it.head, it.error.as_ref().map(|error| error.code.as_str()))).collect();
    assert_eq!(codes, [(0, Some("NOT_FOUND")), (0, Some("NOT_FOUND")), (7, None)], "in the order asked");
    assert_eq!(desk.reads(), [id(2)]);
}

#[test]
fn the_answers_to_one_resume_are_cut_to_one_reply() {
    let mut desk = Desk::known();
    let positions = (1..=4).map(|n| v1::Position { conversation: text(n), seq: 10 }).collect();
    let questions = asked(desk.say(Request::Resume(v1::Resume { positions })));
    let mut last = Vec::new();
    for question in questions.iter().rev() {
        let Ask::Subscribe(ask) = &question.ask else { panic!("{question:?}") };
        assert_eq!((ask.after, ask.events_max), (Some(10), RESUME_EVENTS_MAX / 4));
        last = desk.answer(question, Desk::granted(question, 500, ask.events_max * 2, 10));
    }
    let Reply::Resumed(resumed) = reply(&last) else { panic!("not resumed") };
    let counts: Vec<_> = resumed.conversations.iter().map(|it| (it.events.len(), it.more)).collect();
    assert_eq!(counts, [(250, false), (250, false), (0, true), (0, true)]);
}

#[test]
fn a_large_event_is_brought_alone() {
    let mut desk = Desk::known();
    let positions = (1..=2).map(|n| v1::Position { conversation: text(n), seq: 0 }).collect();
    let questions = asked(desk.say(Request::Resume(v1::Resume { positions })));
    desk.answer(&questions[1], Desk::granted(&questions[1], 9, 2, 200));
    let effects = desk.answer(&questions[0], Desk::granted(&questions[0], 9, 2, 300 * 1024));
    let Reply::Resumed(resumed) = reply(&effects) else { panic!("not resumed") };
    let counts: Vec<_> = resumed.conversations.iter().map(|it| (it.events.len(), it.more)).collect();
    assert_eq!(counts, [(1, true), (0, true)]);
}

#[test]
fn who_is_put_out_before_the_reply_gets_nothing_of_what_was_read_for_it() {
    let mut desk = Desk::known();
    let position = |n| v1::Position { conversation: text(n), seq: 0 };
    let parts = asked(desk.say(Request::Resume(v1::Resume { positions: vec![position(1), position(2)] })));
    desk.answer(&parts[0], Desk::granted(&parts[0], 3, 3, 100));
    desk.session.forget(id(1), Spot(0));
    let effects = desk.answer(&parts[1], Desk::granted(&parts[1], 2, 2, 100));
    let Reply::Resumed(resumed) = reply(&effects) else { panic!("{effects:?}") };
    let pages: Vec<_> = resumed.conversations.iter().map(|page| (page.events.len(), page.error.is_some())).collect();
    assert_eq!(pages, [(0, true), (2, false)]);
    assert_eq!(desk.reads(), [id(2)]);
}

#[test]
fn dropped_history_is_told_before_the_reply() {
    let mut desk = Desk::known();
    let positions = vec![v1::Position { conversation: text(1), seq: 3 }];
    let questions = asked(desk.say(Request::Resume(v1::Resume { positions })));
    let Answer::Subscribed(mut answer) = Desk::granted(&questions[0], 60, 0, 0) else { panic!() };
    answer.missed.first_available = 50;
    let effects = desk.answer(&questions[0], Answer::Subscribed(answer));
    let [Effect::Settled { .. }, Effect::Event(gap), Effect::Reply { .. }] = effects.as_slice() else {
        panic!("{effects:?}")
    };
    assert_eq!(gap.body, Some(Body::Gap(v1::Gap { first_available: 50, head: 60 })));
    assert_eq!(gap.conversation, text(1));
}

#[test]
fn n16_numbers_beyond_all_reason_are_refused() {
    let mut desk = Desk::known();
    let resume = |seq| Request::Resume(v1::Resume { positions: vec![v1::Position { conversation: text(1), seq }] });
    assert_eq!(code(&desk.say(resume(u64::MAX))), "BAD_REQUEST");
    assert_eq!(code(&desk.say(resume(INTEGER_MAX + 1))), "BAD_REQUEST");
    let history = |history: v1::History| Request::History(v1::History { conversation: text(1), ..history });
    for bad in [
        v1::History { before: Some(u64::MAX), ..Default::default() },
        v1::History { after_time_ms: Some(u64::MAX), ..Default::default() },
        v1::History { before: Some(1), after: Some(1), ..Default::default() },
        v1::History { before: Some(1), id: Some(format!("{}.5", text(1))), ..Default::default() },
    ] {
        assert_eq!(code(&desk.say(history(bad))), "BAD_REQUEST");
    }
    desk.next_id = INTEGER_MAX;
    assert_eq!(code(&desk.say(send(1))), "BAD_REQUEST");
}

#[test]
fn n15_made_up_ids_are_those_of_nothing() {
    let mut desk = Desk::known();
    let history = |id: String| Request::History(v1::History { id: Some(id), ..Default::default() });
    for forged in ["x".to_owned(), text(1), format!("{}.01", text(1)), format!("{}.{}", text(1), u64::MAX)] {
        assert_eq!(code(&desk.say(history(forged))), "NOT_FOUND");
    }
    let other = v1::History { conversation: text(2), id: Some(format!("{}.5", text(1))), ..Default::default() };
    assert_eq!(code(&desk.say(Request::History(other))), "NOT_FOUND");
    for request in [
        Request::Get(v1::Get { conversation: text(1).to_uppercase() }),
        Request::Leave(v1::Leave::default()),
        Request::Members(v1::Members { conversation: "\0".to_owned(), ..Default::default() }),
    ] {
        assert_eq!(code(&desk.say(request)), "NOT_FOUND");
    }
}

#[test]
fn n17_a_page_is_cut_to_its_limit() {
    let mut desk = Desk::known();
    for (limit, wanted) in [(0, 50), (7, 7), (1_000_000_000, 200)] {
        let history = v1::History { conversation: text(1), limit, ..Default::default() };
        let questions = asked(desk.say(Request::History(history)));
        assert!(matches!(&questions[0].ask, Ask::History(ask) if ask.limit == wanted));
    }
}

#[test]
fn conversations_are_created_with_the_asker_in() {
    let mut desk = Desk::known();
    let create = |kind: v1::ConversationKind, members: &[&str]| v1::Create {
        kind: kind as i32,
        members: members.iter().map(|member| (*member).to_owned()).collect(),
        ..Default::default()
    };
    let (direct, group) = (v1::ConversationKind::Direct, v1::ConversationKind::Group);
    let mut members_of = |create: v1::Create| {
        let questions = asked(desk.say(Request::Create(create)));
        let [Asked { key, ask: Ask::Create(ask), .. }] = questions.as_slice() else { panic!("{questions:?}") };
        let members: Vec<_> = ask.members.iter().map(|user| user.as_str().to_owned()).collect();
        (key.conversation, members)
    };
    let (first, members) = members_of(create(direct, &["bob", "bob"]));
    assert_eq!(members, ["alice", "bob"]);
    assert_eq!(members_of(create(direct, &["alice", "bob"])).0, first, "the same, however it is asked for");
    let context = v1::Create { context: Some("order 7".to_owned()), ..create(direct, &["bob"]) };
    assert_ne!(members_of(context).0, first);
    let (id, members) = members_of(create(group, &["carol", "bob", "carol"]));
    assert_eq!(
        (id, members),
        (ConversationId::from_bytes([0xab; 16]), vec!["alice".into(), "bob".into(), "carol".into()])
    );

    for bad in [
        create(direct, &["alice"]),
        create(direct, &[]),
        create(direct, &["bob", "carol"]),
        create(group, &[""]),
        create(group, &["a\0b"]),
        v1::Create { name: Some("pair".to_owned()), ..create(direct, &["bob"]) },
        v1::Create { name: Some("n".repeat(257)), ..create(group, &[]) },
        v1::Create { kind: 9, ..create(group, &[]) },
    ] {
        assert_eq!(code(&desk.say(Request::Create(bad))), "BAD_REQUEST");
    }
}

#[test]
fn subscriptions_have_a_limit() {
    let mut desk = Desk::known();
    let subscribe = |from: u16, count: u16| {
        Request::Subscribe(v1::Subscribe { conversations: (from..from + count).map(text).collect(), all: false })
    };
    let step = POSITIONS_MAX as u16;
    assert_eq!(code(&desk.say(subscribe(0, step + 1))), "BAD_REQUEST");
    for n in 0..(SUBSCRIPTIONS_MAX / POSITIONS_MAX) as u16 {
        for question in asked(desk.say(subscribe(n * step, step))) {
            desk.answer(&question, Desk::granted(&question, 1, 0, 0));
        }
    }
    assert_eq!(desk.reads().len(), SUBSCRIPTIONS_MAX);
    let effects = desk.say(subscribe(5_000, 1));
    let Reply::Subscribed(subscribed) = reply(&effects) else { panic!("{effects:?}") };
    assert_eq!(subscribed.subscribed[0].error.as_ref().map(|error| error.code.as_str()), Some("BAD_REQUEST"));
    let again = asked(desk.say(subscribe(0, 2)));
    assert_eq!(again.len(), 2, "what it reads already may be asked for again");
}

#[test]
fn who_unsubscribes_before_the_answer_gets_no_events() {
    let mut desk = Desk::known();
    let question =
        asked(desk.say(Request::Subscribe(v1::Subscribe { conversations: vec![text(1)], all: false }))).remove(0);
    assert_eq!(desk.session.awaited().collect::<Vec<_>>(), [id(1)]);
    desk.say(Request::Unsubscribe(v1::Unsubscribe { conversations: vec![text(1)] }));
    let effects = desk.answer(&question, Desk::granted(&question, 4, 0, 0));
    assert!(matches!(effects.as_slice(), [Effect::Settled { head: None, .. }, Effect::Reply { .. }]));
    assert!(desk.reads().is_empty());
}

#[test]
fn n08_a_token_is_warned_of_once_and_ends() {
    let mut desk = Desk::known();
    let after = |desk: &mut Desk, seconds: u64| {
        desk.now = Now { mono: Duration::from_secs(5 + seconds), wall_ms: START_MS + seconds * 1_000 };
        desk.call(Session::on_time)
    };
    assert_eq!(desk.session.deadline(desk.now, &desk.config), Some(Duration::from_secs(5 + 540)));
    assert!(after(&mut desk, 539).is_empty());
    let warning = after(&mut desk, 540);
    assert!(matches!(warning.as_slice(), [Effect::Event(event)]
        if event.body == Some(Body::TokenExpiring(v1::TokenExpiring { in_ms: 60_000 }))));
    assert!(after(&mut desk, 599).is_empty());
    assert!(after(&mut desk, 603).is_empty());
    assert_eq!(desk.session.deadline(desk.now, &desk.config), Some(Duration::from_secs(5 + 604)));
    assert_eq!(closes_with(&after(&mut desk, 604)), Some(CloseCode::TokenExpired));
}

#[test]
fn a_renewed_token_is_the_same_users() {
    let mut desk = Desk::known();
    let renew = |token| Request::Renew(v1::Renew { token });
    desk.now.wall_ms += 500_000;
    let (own, foreign) = (desk.token("alice"), desk.token("bob"));
    assert_eq!(code(&desk.say(renew(foreign))), "FORBIDDEN");
    let effects = desk.say(renew("x.y.z".to_owned()));
    assert_eq!((code(&effects), closes_with(&effects)), ("AUTH_INVALID", None));
    let wanted = desk.now.wall_ms + 600_000;
    assert_eq!(reply(&desk.say(renew(own))), &Reply::Renewed(v1::Renewed { expires_at_ms: wanted, ended: Vec::new() }));
}

#[test]
fn roles_are_named_or_follow_from_the_request() {
    use v1::Role::{Admin, Member, Moderator};
    let promote =
        |member: &str, role| Request::Promote(v1::Promote { conversation: text(1), member: member.to_owned(), role });
    let demote =
        |member: &str, role| Request::Demote(v1::Demote { conversation: text(1), member: member.to_owned(), role });
    let mut desk = Desk::known();
    for (given, wanted) in [(None, Moderator), (Some(1), Moderator), (Some(2), Admin)] {
        let questions = asked(desk.say(promote("bob", given)));
        let [Asked { ask: Ask::Promote { member, role }, .. }] = questions.as_slice() else { panic!("{questions:?}") };
        assert_eq!((member.as_str(), *role), ("bob", wanted));
    }
    for (given, wanted) in [(None, Member), (Some(0), Member), (Some(1), Moderator)] {
        let questions = asked(desk.say(demote("bob", given)));
        let [Asked { ask: Ask::Demote { member, role }, .. }] = questions.as_slice() else { panic!("{questions:?}") };
        assert_eq!((member.as_str(), *role), ("bob", wanted));
    }
    for bad in [
        promote("", None),
        promote("a\0b", None),
        promote(&"x".repeat(129), Some(1)),
        promote("bob", Some(0)),
        promote("bob", Some(3)),
        promote("bob", Some(-1)),
        demote("", None),
        demote("bob", Some(2)),
        demote("bob", Some(3)),
        demote("bob", Some(i32::MIN)),
        Request::Update(v1::Update { conversation: text(1), context: Some("x".repeat(257)), ..Default::default() }),
        Request::Update(v1::Update { conversation: text(1), context: Some("a\0".to_owned()), ..Default::default() }),
        Request::Update(v1::Update { conversation: text(1), ..Default::default() }),
    ] {
        assert_eq!(code(&desk.say(bad)), "BAD_REQUEST");
    }
    let nowhere = || "\0".to_owned();
    for unknown in [
        Request::Promote(v1::Promote { conversation: nowhere(), member: "bob".to_owned(), role: None }),
        Request::Demote(v1::Demote { conversation: nowhere(), member: "bob".to_owned(), role: None }),
        Request::Close(v1::Close { conversation: nowhere() }),
        Request::Reopen(v1::Reopen { conversation: nowhere() }),
        Request::Erase(v1::Erase { conversation: nowhere() }),
        Request::Accept(v1::Accept { conversation: nowhere() }),
        Request::Decline(v1::Decline { conversation: nowhere() }),
    ] {
        assert_eq!(code(&desk.say(unknown)), "NOT_FOUND");
    }
}

#[test]
fn every_change_of_a_conversation_counts_as_one() {
    let mut desk = Desk::known();
    let member = || "bob".to_owned();
    for request in [
        Request::Create(v1::Create { members: vec![member()], ..Default::default() }),
        Request::Add(v1::Add { conversation: text(1), members: vec![member()] }),
        Request::Remove(v1::Remove { conversation: text(1), member: member() }),
        Request::Leave(v1::Leave { conversation: text(1) }),
        Request::Update(v1::Update { conversation: text(1), context: Some(String::new()), ..Default::default() }),
        Request::Promote(v1::Promote { conversation: text(1), member: member(), role: None }),
        Request::Demote(v1::Demote { conversation: text(1), member: member(), role: None }),
        Request::Close(v1::Close { conversation: text(1) }),
        Request::Reopen(v1::Reopen { conversation: text(1) }),
        Request::Block(v1::Block { user: member() }),
        Request::Unblock(v1::Unblock { user: member() }),
        Request::Archive(v1::Archive { conversation: text(1) }),
        Request::Unarchive(v1::Unarchive { conversation: text(1) }),
        Request::Blocks(v1::Blocks::default()),
        Request::Erase(v1::Erase { conversation: text(1) }),
        Request::Accept(v1::Accept { conversation: text(1) }),
        Request::Decline(v1::Decline { conversation: text(1) }),
        Request::Get(v1::Get { conversation: text(1) }),
        send(1),
    ] {
        // What is counted when it is asked is given back when its kind is answered.
        let question = asked(desk.say(request)).remove(0);
        let Ticket::Single { kind, .. } = Ticket::of(&question.from) else { panic!("{question:?}") };
        assert_eq!(kind.is_change(), change_units(&question.ask).is_some(), "{question:?}");
    }
}
