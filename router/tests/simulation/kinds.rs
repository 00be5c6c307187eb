//! Kinds by role: who may be with whom, what staff may do without being members, what an administrator may, what a service
//! may. Ana, cleo and eva are customers, ben sells, dan is of the support, gus is an administrator, orders is a service.

use switchyard_cluster::link::{
    AnnotateAsk, Annotation, CreateAsk, HistoryAsk, MarkAsk, PageFrom, SendAsk, SubscribeAsk,
};
use switchyard_protocol::code::ErrorCode::{self, BadRequest, Closed, Forbidden, NotFound};
use switchyard_protocol::id::{ConversationId, ConversationKey};
use switchyard_protocol::v1::{self, ConversationKind, MessageKind, Role, reply};
use switchyard_router::config::RouterConfig;
use switchyard_router::machine::{Effect, ReadPlan};

use crate::ask::What;
use crate::blocks::run_but;
use crate::clients::{STRANGER, tenant};
use crate::desk::{Desk, code, group, role, send, sent};
use crate::standing;
use crate::timeline::user;
use switchyard_cluster::link::Answer;

/// Yes.
const Y: Option<ErrorCode> = None;
/// No, by what one is here.
const N: Option<ErrorCode> = Some(Forbidden);
/// There is no such thing, as far as the asker may know.
const X: Option<ErrorCode> = Some(NotFound);
/// No, for it is closed.
const K: Option<ErrorCode> = Some(Closed);

fn desk(config: RouterConfig) -> Desk {
    let desk = Desk::new(config);
    standing::tell_roles(&desk.disk);
    desk
}

fn key(byte: u8) -> ConversationKey {
    ConversationKey { tenant: tenant("t"), conversation: ConversationId::from_bytes([byte; 16]) }
}

fn create(kind: ConversationKind, members: &[&str], name: Option<&str>) -> What {
    let members = members.iter().map(|name| user(name)).collect();
    What::Create(CreateAsk { kind, members, name: name.map(str::to_owned), avatar: None, context: None })
}

fn system(client_id: &str) -> What {
    What::Send(SendAsk::new(client_id, "your order was shipped", MessageKind::System, None))
}

fn annotate(target: u64, change: Annotation) -> What {
    What::Annotate(AnnotateAsk { target, change })
}

fn edit(target: u64) -> What {
    annotate(target, Annotation::Edit { text: "changed".into(), mentions: Vec::new() })
}

fn react(target: u64) -> What {
    annotate(target, Annotation::React { emoji: "+1".into(), remove: false })
}

fn name() -> What {
    What::Update { name: Some("a name".into()), avatar: Some("a".into()), context: Some("order 9".into()) }
}

fn history() -> What {
    What::History(HistoryAsk { from: PageFrom::Newest, limit: 9 })
}

fn subscribe() -> What {
    What::Subscribe(SubscribeAsk { after: Some(0), events_max: 9, bytes_max: 999 })
}

/// Who creates, with whom, and what comes of it.
type Pairing = (ConversationKind, &'static [&'static str], Option<ErrorCode>);

#[test]
fn each_kind_is_between_those_whom_it_is_for() {
    use ConversationKind::{CustomerSeller, CustomerSupport, Internal, SellerSupport};
    let pairings: [Pairing; 24] = [
        (CustomerSeller, &["ana", "ben"], Y),
        (CustomerSeller, &["ben", "ana"], Y),
        (CustomerSeller, &["ana", "cleo"], N),
        (CustomerSeller, &["ana", "dan"], N),
        (CustomerSeller, &["ben", "dan"], N),
        (CustomerSeller, &["ana", "orders"], N),
        (CustomerSupport, &["ana", "dan"], Y),
        (CustomerSupport, &["gus", "ana"], Y),
        (CustomerSupport, &["ana"], Y),
        (CustomerSupport, &["ana", "cleo"], N),
        (CustomerSupport, &["ana", "ben"], N),
        (CustomerSupport, &["ben", "dan"], N),
        (CustomerSupport, &["dan", "gus"], N),
        (CustomerSupport, &["ben"], N),
        (CustomerSupport, &["dan"], Some(BadRequest)),
        (SellerSupport, &["ben", "dan"], Y),
        (SellerSupport, &["gus", "ben"], Y),
        (SellerSupport, &["ben"], Y),
        (SellerSupport, &["ana", "dan"], N),
        (SellerSupport, &["ana"], N),
        (Internal, &["dan", "gus"], Y),
        (Internal, &["dan", "ana"], N),
        (Internal, &["ana", "gus"], N),
        (Internal, &["ana", "ben"], N),
    ];
    for (kind, members, expected) in pairings {
        let (mut desk, key) = (desk(RouterConfig::default()), key(1));
        let answer = desk.ask(members[0], &key, &create(kind, members, None));
        assert_eq!(code(&answer), expected, "{kind:?} {members:?}: {answer:?}");
        assert_eq!(rows(&desk, &key), usize::from(expected.is_none()), "{kind:?} {members:?}");
        assert_eq!(desk.held().busy, 0, "nothing waits any more");
        if expected.is_some() {
            assert_eq!(code(&desk.ask(members[0], &key, &What::Get)), X);
            continue;
        }
        // Once for both, whoever asks again and whatever they are by then; after a restart too.
        desk.disk.inner().marks.clear();
        for name in [0, members.len() - 1].map(|at| members[at]) {
            let again = desk.ask(name, &key, &create(kind, members, None));
            assert!(matches!(created(&again), Some((false, it)) if it.kind() == kind), "{again:?}");
            desk.kill();
        }
    }
}

/// Whether it was created, and what.
fn created(answer: &Answer) -> Option<(bool, v1::Conversation)> {
    match answer {
        Answer::Result(result) => match &**result {
            reply::Result::Created(v1::Created { conversation, created }) => Some((*created, conversation.clone()?)),
            _ => None,
        },
        _ => None,
    }
}

fn rows(desk: &Desk, key: &ConversationKey) -> usize {
    desk.disk.inner().rows.get(key).map_or(0, |rows| rows.blobs.len())
}

/// A deed, and what is answered in an open conversation and in a closed one: to whose matter it is, to one of the staff who
/// is a member, to one who is none, and to everybody else.
type Line = (&'static str, fn() -> What, [Option<ErrorCode>; 4], [Option<ErrorCode>; 4]);

/// 1 is the customer's message and 2 dan's, who is a member by it.
const SUPPORT: [Line; 29] = [
    ("send", || send("new", "text", None), [Y, Y, Y, X], [K, K, K, X]),
    ("send SYSTEM", || system("new"), [N, N, N, X], [N, N, N, X]),
    ("history", history, [Y, Y, Y, X], [Y, Y, Y, X]),
    ("subscribe", subscribe, [Y, Y, Y, X], [Y, Y, Y, X]),
    ("get", || What::Get, [Y, Y, Y, X], [Y, Y, Y, X]),
    ("members", || What::Members { after: None, limit: 9 }, [Y, Y, Y, X], [Y, Y, Y, X]),
    ("open", || What::Show, [Y, Y, Y, X], [Y, Y, Y, X]),
    ("type", || What::Typing, [Y, Y, Y, X], [K, K, K, X]),
    ("mark", || What::Mark(MarkAsk { read: Some(2), delivered: None }), [Y, Y, Y, X], [Y, Y, Y, X]),
    ("unread", || What::Unread, [Y, Y, Y, X], [Y, Y, Y, X]),
    ("react", || react(1), [Y, Y, Y, X], [K, K, K, X]),
    ("edit the customer's", || edit(1), [Y, N, N, X], [K, N, N, X]),
    ("edit the agent's", || edit(3), [N, Y, N, X], [N, K, N, X]),
    ("delete the customer's", || annotate(1, Annotation::Delete), [Y, Y, Y, X], [K, K, K, X]),
    ("delete the agent's", || annotate(3, Annotation::Delete), [N, Y, Y, X], [N, K, K, X]),
    ("pin", || What::Pin { target: 1, remove: false }, [N, Y, Y, X], [N, K, K, X]),
    ("add staff", || What::Add(vec![user("gus")]), [N, Y, Y, X], [N, K, K, X]),
    ("add a customer", || What::Add(vec![user("eva")]), [N, Y, Y, X], [N, K, K, X]),
    ("add a seller", || What::Add(vec![user("ben")]), [N, Y, Y, X], [N, K, K, X]),
    ("remove the agent", || What::Remove(user("dan")), [N, Y, Y, X], [N, Y, K, X]),
    ("remove the customer", || What::Remove(user("ana")), [N, Y, Y, X], [N, K, K, X]),
    ("remove nobody", || What::Remove(user("eva")), [N, X, X, X], [N, K, K, X]),
    ("promote", || What::Promote { member: user("ana"), role: Role::Admin }, [N, N, N, X], [N, N, N, X]),
    ("demote", || What::Demote { member: user("dan"), role: Role::Member }, [N, N, N, X], [N, N, N, X]),
    ("name, avatar, context", name, [N, Y, Y, X], [N, K, K, X]),
    ("close", || What::Close, [Y, Y, Y, X], [Y, Y, Y, X]),
    ("reopen", || What::Reopen, [Y, Y, Y, X], [Y, Y, Y, X]),
    ("leave", || What::Leave, [N, Y, X, X], [N, Y, X, X]),
    ("create again", || create(ConversationKind::CustomerSupport, &["ana"], None), [Y, Y, Y, X], [Y, Y, Y, X]),
];

/// A customer's conversation with the support, which dan of the support has taken.
fn support(config: RouterConfig) -> (Desk, ConversationKey) {
    let (mut desk, key) = (desk(config), key(1));
    assert_eq!(code(&desk.ask("ana", &key, &create(ConversationKind::CustomerSupport, &["ana"], None))), Y);
    sent(&desk.ask("ana", &key, &send("a1", "help", None)));
    let (answer, _) = sent(&desk.ask("dan", &key, &send("d1", "how?", None)));
    assert_eq!(answer.seq, 3, "the event that made dan a member lies before it");
    (desk, key)
}

#[test]
fn staff_have_their_rights_in_support_conversations_and_nobody_else_does() {
    // What a group lets its members do is no matter here.
    for config in [RouterConfig::default(), RouterConfig { members_add: true, ..RouterConfig::default() }] {
        for closed in [false, true] {
            for (deed, what, open_answers, closed_answers) in &SUPPORT {
                let answers = if closed { closed_answers } else { open_answers };
                for (name, expected) in
                    ["ana", "dan", "gus", STRANGER, "ben"].into_iter().zip(answers.iter().chain([&X]))
                {
                    let (mut desk, key) = support(config.clone());
                    if closed {
                        assert_eq!(code(&desk.ask("gus", &key, &What::Close)), Y);
                    }
                    let before = rows(&desk, &key);
                    let answer = desk.ask(name, &key, &what());
                    assert_eq!(code(&answer), *expected, "{name}: {deed}, closed {closed}: {answer:?}");
                    assert!(expected.is_none() || rows(&desk, &key) == before, "{name}: {deed} leaves no trace");
                }
            }
        }
    }
}

#[test]
fn whoever_of_the_staff_writes_is_a_member_from_then_on_and_who_looks_on_is_not() {
    let (mut desk, key) = support(RouterConfig::default());
    for what in [history(), subscribe(), What::Typing, react(1), What::Mark(MarkAsk { read: Some(3), delivered: None })]
    {
        assert_eq!(code(&desk.ask("gus", &key, &what)), Y);
    }
    assert_eq!(members(&mut desk, &key), [("ana", Role::Member), ("dan", Role::Moderator)].map(member));
    assert_eq!(role(&desk.ask("gus", &key, &What::Get)), Some(Role::Moderator), "as what they would be");
    // The same message again, and one that is stored already: they join once, with the first.
    desk.published.clear();
    for _ in 0..2 {
        sent(&desk.ask("gus", &key, &send("g1", "I take over", None)));
    }
    let all = [("ana", Role::Member), ("dan", Role::Moderator), ("gus", Role::Moderator)].map(member);
    assert_eq!(members(&mut desk, &key), all);
    assert_eq!(desk.published.len(), 2, "the event that says so and the message");
    desk.kill();
    assert_eq!(members(&mut desk, &key), all);
    // Put out, they are staff as before, and no member.
    assert_eq!(code(&desk.ask("dan", &key, &What::Remove(user("gus")))), Y);
    assert_eq!(code(&desk.ask("gus", &key, &history())), Y);
}

fn member((name, role): (&str, Role)) -> v1::Member {
    v1::Member { user: name.into(), role: role.into() }
}

fn members(desk: &mut Desk, key: &ConversationKey) -> Vec<v1::Member> {
    match desk.ask("ana", key, &What::Members { after: None, limit: 9 }) {
        Answer::Result(result) => match *result {
            reply::Result::Members(page) => page.members,
            other => panic!("{other:?} are no members"),
        },
        other => panic!("{other:?} are no members"),
    }
}

#[test]
fn an_agent_is_one_as_long_as_the_token_says_so() {
    let (mut desk, key) = support(RouterConfig::default());
    let internal = self::key(2);
    assert_eq!(code(&desk.ask("dan", &internal, &create(ConversationKind::Internal, &["dan", "gus"], Some("us")))), Y);
    for (key, what) in [(&key, history()), (&key, send("d2", "still me", None)), (&internal, history())] {
        let staff = desk.put("dan", 0, key, &what);
        desk.run();
        assert_eq!(desk.answer(staff).as_ref().and_then(code), Y);
        let answer = desk.ask_with(switchyard_protocol::roles::Roles::NONE, "dan", key, &what);
        assert_eq!(code(&answer), X, "{answer:?}");
    }
    // Whose matter it is needs no role.
    assert_eq!(code(&desk.ask("ana", &key, &history())), Y);
}

#[test]
fn staff_are_added_to_what_is_internal_and_nobody_else() {
    let (mut desk, key) = (desk(RouterConfig { members_add: true, ..RouterConfig::default() }), key(1));
    assert_eq!(code(&desk.ask("dan", &key, &create(ConversationKind::Internal, &["dan"], Some("us")))), Y);
    for (users, expected) in [(&["ana"][..], N), (&["gus", "ben"], N), (&["orders"], N), (&["gus"], Y), (&["gus"], Y)] {
        let users = users.iter().map(|name| user(name)).collect();
        assert_eq!(code(&desk.ask("dan", &key, &What::Add(users))), expected);
    }
    assert_eq!(code(&desk.ask("gus", &key, &What::Close)), N, "the creator is its admin");
    for name in ["ana", "ben", "orders", STRANGER] {
        assert_eq!(code(&desk.ask(name, &key, &history())), X, "{name}");
    }
    assert_eq!(code(&desk.ask("dan", &key, &What::Promote { member: user("gus"), role: Role::Admin })), Y);
    assert_eq!(code(&desk.ask("gus", &key, &What::Close)), Y);
}

/// Whoever is put out while it is read what others are is told what a stranger is, and not what they are.
#[test]
fn n12_who_was_put_out_meanwhile_does_not_learn_what_others_are() {
    for other in ["ana", "orders", "gus"] {
        let (mut desk, key) = (desk(RouterConfig { members_add: true, ..RouterConfig::default() }), key(1));
        let members = ["gus", "dan"];
        assert_eq!(code(&desk.ask("gus", &key, &create(ConversationKind::Internal, &members, Some("us")))), Y);
        let add = What::Add(vec![user(other)]);
        let adding = desk.put("dan", 0, &key, &add);
        let reads = run_but(&mut desk, |it| matches!(it, Effect::Read { plan: ReadPlan::Roles { .. }, .. }));
        assert_eq!(reads.len(), 1);
        assert_eq!(code(&desk.ask("gus", &key, &What::Remove(user("dan")))), Y);
        desk.wanted.extend(reads);
        desk.run();
        let late = desk.answer(adding).expect("it is answered");
        let stranger = desk.ask("dan", &key, &add);
        assert_eq!((code(&late), format!("{late:?}")), (X, format!("{stranger:?}")), "{other}");
    }
}

#[test]
fn two_of_two_kinds_are_two_for_good() {
    for (kind, [a, b]) in
        [(ConversationKind::CustomerSeller, ["ana", "ben"]), (ConversationKind::Internal, ["dan", "gus"])]
    {
        let (mut desk, key) = (desk(RouterConfig::default()), key(1));
        assert_eq!(code(&desk.ask(a, &key, &create(kind, &[a, b], None))), Y);
        for (name, other) in [(a, b), (b, a)] {
            sent(&desk.ask(name, &key, &send(name, "text", None)));
            for what in [
                What::Leave,
                What::Remove(user(other)),
                What::Add(vec![user("gus")]),
                name_alone(),
                What::Promote { member: user(other), role: Role::Admin },
                What::Demote { member: user(other), role: Role::Member },
            ] {
                assert_eq!(code(&desk.ask(name, &key, &what)), N, "{name}: {what:?}");
            }
            assert_eq!(code(&desk.ask(name, &key, &What::Close)), Y);
            assert_eq!(code(&desk.ask(other, &key, &send("late", "text", None))), K);
            assert_eq!(code(&desk.ask(other, &key, &What::Reopen)), Y);
        }
        assert_eq!(code(&desk.ask(a, &key, &edit(4))), N, "the other's");
        assert_eq!(code(&desk.ask(b, &key, &annotate(1, Annotation::Delete))), N, "the other's");
        for stranger in ["cleo", STRANGER, "orders"] {
            assert_eq!(code(&desk.ask(stranger, &key, &history())), X);
        }
    }
}

fn name_alone() -> What {
    What::Update { name: Some("n".into()), avatar: None, context: None }
}

#[test]
fn an_administrator_closes_any_group_and_sees_nothing_of_it() {
    let (mut desk, key) = (desk(RouterConfig::default()), key(1));
    assert_eq!(code(&desk.ask("ana", &key, &group(&["ana", "cleo"]))), Y);
    sent(&desk.ask("ana", &key, &send("a1", "secret", None)));
    for name in ["dan", "ben", STRANGER] {
        for what in [What::Close, What::Reopen] {
            assert_eq!(code(&desk.ask(name, &key, &what)), X, "{name}: {what:?}");
        }
    }
    for (close, _, closed) in [(What::Close, Y, K), (What::Reopen, Y, Y)] {
        for _ in 0..2 {
            assert_eq!(code(&desk.ask("gus", &key, &close)), Y);
            desk.kill();
        }
        for (deed, what, ..) in SUPPORT.iter().filter(|(deed, ..)| !["close", "reopen"].contains(deed)) {
            assert_eq!(code(&desk.ask("gus", &key, &what())), X, "{deed}");
        }
        assert_eq!(code(&desk.ask("ana", &key, &send("a2", "text", None))), closed);
    }
    // Of two people's it is nobody else's affair.
    let pair = self::key(2);
    assert_eq!(code(&desk.ask("ana", &pair, &create(ConversationKind::Direct, &["ana", "cleo"], None))), Y);
    assert_eq!(code(&desk.ask("gus", &pair, &What::Close)), X);
    assert_eq!(code(&desk.ask("gus", &self::key(3), &What::Close)), X, "what does not exist");
}

#[test]
fn a_service_posts_into_any_conversation_is_told_how_far_it_goes_and_does_nothing_else() {
    let (mut desk, key) = (desk(RouterConfig::default()), key(1));
    assert_eq!(code(&desk.ask("orders", &key, &system("s0"))), X, "what does not exist");
    assert_eq!(code(&desk.ask("orders", &key, &What::Get)), X, "what does not exist");
    assert_eq!(code(&desk.ask("orders", &key, &group(&["orders", "ana"]))), N);
    assert_eq!(code(&desk.ask("ana", &key, &group(&["ana", "cleo", "orders"]))), Y);
    let pair = self::key(2);
    assert_eq!(code(&desk.ask("ana", &pair, &create(ConversationKind::Direct, &["ana", "cleo"], None))), Y);
    for key in [&key, &pair] {
        let (message, _) = sent(&desk.ask("orders", key, &system("s1")));
        assert_eq!((&*message.sender, message.kind(), message.ordinal), ("orders", MessageKind::System, 0));
        for _ in 0..2 {
            let (again, duplicate) = sent(&desk.ask("orders", key, &system("s1")));
            assert!(duplicate && again.seq == message.seq);
            desk.kill();
        }
        assert_eq!(code(&desk.ask("orders", key, &send("s2", "as a person", None))), N);
        // Whether anybody made it a member or not.
        let may = |deed: &str| deed.starts_with("send") || deed.starts_with("create") || deed == "get";
        for (deed, what, ..) in SUPPORT.iter().filter(|(deed, ..)| !may(deed)) {
            assert_eq!(code(&desk.ask("orders", key, &what())), X, "{deed}");
        }
        assert_eq!(code(&desk.ask("ana", key, &system("s3"))), N);
        assert_eq!(code(&desk.ask(STRANGER, key, &system("s3"))), X);
        assert_eq!(code(&desk.ask("ana", key, &What::Close)), Y);
        assert_eq!(code(&desk.ask("orders", key, &system("s4"))), K);
        let Answer::Result(told) = desk.ask("orders", key, &What::Get) else { panic!("how far it goes") };
        let reply::Result::Detail(v1::Detail { conversation: Some(told) }) = *told else { panic!("{told:?}") };
        let (id, kind) = (key.conversation.to_string(), told.kind);
        let extent = v1::Conversation { id, kind, head: 2, first_available: 1, closed: true, ..Default::default() };
        assert_eq!(told, extent, "of people and texts it is told nothing");
        assert!(sent(&desk.ask("orders", key, &system("s1"))).1);
    }
}

#[test]
fn what_users_are_is_written_when_it_is_news_and_no_home_is_loaded() {
    use switchyard_cluster::home::HomeAsk;
    use switchyard_protocol::roles::Roles;
    let mut desk = Desk::new(RouterConfig::default());
    let home = |name: &str| ConversationKey::home(&tenant("t"), &user(name));
    let told = |desk: &mut Desk, name: &str, roles: Roles, issued_ms: u64| {
        let answer = desk.ask_home_with(roles, name, HomeAsk::Roles { issued_ms });
        assert_eq!(code(&answer), Y);
        let disk = desk.disk.inner();
        disk.marks.get(&(home(name), 4, user(name))).map(|(at, value)| (*at, value[0]))
    };
    assert_eq!(told(&mut desk, "ana", Roles::NONE, 5_000), None, "a customer of whom nothing is known");
    assert_eq!(told(&mut desk, "eva", Roles::SELLER, 5_000), Some((5_000, Roles::SELLER.bits())));
    assert_eq!(told(&mut desk, "eva", Roles::SELLER, 9_000), Some((5_000, Roles::SELLER.bits())), "no news");
    assert_eq!(told(&mut desk, "eva", Roles::NONE, 3_000), Some((5_000, Roles::SELLER.bits())), "an older token");
    let seller = create(ConversationKind::CustomerSeller, &["ana", "eva"], None);
    assert_eq!(code(&desk.ask("ana", &key(1), &seller)), Y);
    assert_eq!(told(&mut desk, "eva", Roles::USER, 9_000), Some((9_000, Roles::USER.bits())));
    assert_eq!(code(&desk.ask("ana", &key(2), &seller)), N, "she sells no more");
    assert_eq!((desk.held().homes, desk.machine.at_rest()), (0, true));
}
