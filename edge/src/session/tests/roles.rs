//! What a token says of its user: told with each request, to the home once, and what was read by a role ends with it.

use switchyard_cluster::home::{HomeAsk, ListedNow};
use switchyard_cluster::party::Home;
use switchyard_protocol::id::ConversationKey;
use switchyard_protocol::roles::Roles;

use super::*;

impl Desk {
    fn token_as(&self, roles: &[&str]) -> String {
        let mut claims = Claims::for_user(UserId::new("alice").expect("a valid id"));
        claims.ttl = Duration::from_secs(600);
        claims.roles = roles.iter().map(|role| (*role).to_owned()).collect();
        mint(SECRET, &claims, self.now.wall_ms).expect("a token")
    }

    fn hello_as(&mut self, roles: &[&str], all: bool) -> Vec<Effect> {
        let subscribe = Some(v1::Subscriptions { all, conversations: Vec::new() });
        self.say(Request::Hello(v1::Hello { token: self.token_as(roles), subscribe, ..Default::default() }))
    }

    fn renew_as(&mut self, roles: &[&str]) -> Vec<Effect> {
        self.say(Request::Renew(v1::Renew { token: self.token_as(roles) }))
    }
}

/// The question that tells the home, among what is wanted.
fn telling(effects: Vec<Effect>) -> Option<Asked> {
    asked(effects).into_iter().find(|asked| matches!(asked.ask, Ask::Home(HomeAsk::Roles { .. })))
}

fn done() -> Answer {
    Answer::Result(Box::new(Reply::Done(v1::Done {})))
}

/// A grant that depends on a role.
fn by_role(asked: &Asked) -> Answer {
    match Desk::granted(asked, 3, 0, 0) {
        Answer::Subscribed(mut answer) => {
            answer.by_role = true;
            Answer::Subscribed(answer)
        }
        other => other,
    }
}

fn subscribe(n: u16) -> Request {
    Request::Subscribe(v1::Subscribe { conversations: vec![text(n)], all: false })
}

/// Staff who read one conversation by their role and one as a member.
fn reader() -> Desk {
    let mut desk = Desk::stranger();
    let question = telling(desk.hello_as(&["SUPPORT"], false)).expect("it is told");
    desk.answer(&question, done());
    let question = asked(desk.say(subscribe(1))).remove(0);
    desk.answer(&question, by_role(&question));
    let question = asked(desk.say(subscribe(2))).remove(0);
    desk.answer(&question, Desk::granted(&question, 3, 0, 0));
    assert_eq!(desk.reads(), [id(1), id(2)]);
    desk
}

#[test]
fn a_session_beyond_a_customers_is_welcomed_once_its_home_knows() {
    for answer in [done(), Answer::Refused(Refusal::new(ErrorCode::Overloaded, "not now"))] {
        let mut desk = Desk::stranger();
        let effects = desk.hello_as(&["read", "SELLER"], false);
        assert!(effects.iter().all(|effect| !matches!(effect, Effect::Reply { .. })), "{effects:?}");
        let question = telling(effects).expect("it is told");
        assert_eq!(question.key, ConversationKey::home(&question.key.tenant, &question.user));
        assert_eq!(question.from.roles, Roles::SELLER);
        assert!(matches!(question.ask, Ask::Home(HomeAsk::Roles { issued_ms }) if issued_ms == START_MS));
        assert!(matches!(reply(&desk.answer(&question, answer)), Reply::Welcome(_)), "whatever came of it");
        let effects = desk.say(Request::Get(v1::Get { conversation: text(1) }));
        let question = asked(effects).remove(0);
        assert!(matches!(question.ask, Ask::Get) && question.from.roles == Roles::SELLER, "told once, said each time");
    }
}

#[test]
fn a_home_that_does_not_answer_holds_no_session_up_for_long() {
    let mut desk = Desk::stranger();
    let question = telling(desk.hello_as(&["SUPPORT"], false)).expect("it is told");
    let due = desk.session.deadline(desk.now, &desk.config).expect("it lives");
    assert_eq!(due, desk.now.mono + Duration::from_secs(3));
    desk.now.mono = due;
    assert!(matches!(reply(&desk.call(Session::on_time)), Reply::Welcome(_)));
    assert!(desk.session.deadline(desk.now, &desk.config) > Some(due), "it is welcomed once");
    assert!(desk.answer(&question, done()).is_empty());
}

#[test]
fn a_customers_session_tells_nothing_unless_its_home_is_asked_anyway() {
    let mut desk = Desk::stranger();
    assert!(matches!(reply(&desk.hello_as(&["USER", "read"], false)), Reply::Welcome(_)));
    let mut desk = Desk::stranger();
    assert!(telling(desk.hello_as(&[], true)).is_some());
}

#[test]
fn a_token_that_came_with_the_upgrade_is_told_with_the_first_request() {
    for first in [Request::Ping(v1::Ping {}), Request::Hello(v1::Hello::default())] {
        let mut desk = Desk::stranger();
        let identity = desk.verifier.verify(&desk.token_as(&["ADMIN"]), START_MS).expect("a good token");
        desk.session = Session::new(Form::Proto, Some(&identity));
        assert!(telling(desk.say(first)).is_some());
        assert!(telling(desk.say(Request::Ping(v1::Ping {}))).is_none());
    }
}

#[test]
fn what_was_read_by_a_role_ends_with_it_and_the_rest_goes_on() {
    let mut desk = reader();
    let effects = desk.renew_as(&["MANAGER", "SUPPORT"]);
    assert!(matches!(reply(&effects), Reply::Renewed(renewed) if renewed.ended.is_empty()));
    assert!(telling(effects).is_some(), "it is news");
    let effects = desk.renew_as(&["MANAGER", "SUPPORT"]);
    assert!(telling(effects).is_none(), "it is none");
    let effects = desk.renew_as(&[]);
    assert!(matches!(reply(&effects), Reply::Renewed(renewed) if renewed.ended == [text(1)]), "{effects:?}");
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Unsubscribed(ended) if *ended == id(1))));
    assert_eq!(desk.reads(), [id(2)]);
    let question = telling(effects).expect("she is a customer again");
    assert_eq!(question.from.roles, Roles::NONE);
    assert!(desk.answer(&question, done()).is_empty(), "nobody waits for it");
}

#[test]
fn a_grant_that_comes_after_the_role_went_is_none() {
    let mut desk = reader();
    let question = asked(desk.say(subscribe(7))).remove(0);
    desk.renew_as(&["SELLER"]);
    let effects = desk.answer(&question, by_role(&question));
    assert!(matches!(effects.as_slice(), [Effect::Settled { head: None, .. }, Effect::Rearm]), "{effects:?}");
    let effects = desk.when_due(UNSEEN_AFTER);
    let Reply::Subscribed(subscribed) = reply(&effects) else { panic!("{effects:?}") };
    assert!(subscribed.subscribed[0].error.as_ref().is_some_and(|error| error.code == "NOT_FOUND"));
    assert_eq!(desk.reads(), [id(2)]);
}

#[test]
fn what_only_staff_may_see_of_a_list_is_told_to_staff_alone() {
    use v1::{ConversationKind as Kind, Role};
    for (kind, role, staff_alone) in [
        (Kind::CustomerSupport, Role::Moderator, true),
        (Kind::CustomerSupport, Role::Member, false),
        (Kind::SellerSupport, Role::Moderator, true),
        (Kind::Internal, Role::Admin, true),
        (Kind::Group, Role::Moderator, false),
        (Kind::Direct, Role::Member, false),
    ] {
        let conversation = v1::Conversation { kind: kind.into(), role: role.into(), ..Default::default() };
        let entry = Some(v1::Listing { conversation: Some(conversation), ..Default::default() });
        for (roles, told) in [(&[][..], !staff_alone), (&["SUPPORT"], true)] {
            let mut desk = Desk::stranger();
            desk.hello_as(roles, true);
            let user = UserId::new("alice").expect("a valid id");
            let tenant = desk.session.tenant().expect("known").clone();
            let home = Home { key: ConversationKey::home(&tenant, &user), user };
            let now = ListedNow { home, conversation: id(9), entry: entry.clone(), changed: false };
            let effects = desk.call(|session, cx| session.on_listed(&now, cx));
            assert_eq!(!effects.is_empty(), told, "{kind:?} {role:?} {roles:?}");
        }
    }
}

#[test]
fn services_send_system_messages_and_people_do_not() {
    let send = || {
        Request::Send(v1::Send {
            conversation: text(1),
            client_id: "s1".into(),
            kind: v1::MessageKind::System.into(),
            text: "shipped".into(),
            ..Default::default()
        })
    };
    for role in ["USER", "SELLER", "SUPPORT", "ADMIN"] {
        let mut desk = Desk::stranger();
        desk.hello_as(&[role], false);
        assert_eq!(code(&desk.say(send())), "FORBIDDEN");
    }
    let mut desk = Desk::stranger();
    desk.hello_as(&["SERVICE"], false);
    let question = asked(desk.say(send())).remove(0);
    assert!(matches!(&question.ask, Ask::Send(send) if send.kind == v1::MessageKind::System));
    assert!(question.from.roles.is_service());
}

#[test]
fn b1_the_two_of_a_kind_and_context_have_one_conversation() {
    use v1::ConversationKind::{CustomerSeller, CustomerSupport, Direct, Group, Internal, SellerSupport};
    let mut desk = Desk::stranger();
    desk.hello_as(&["SUPPORT", "SELLER", "USER"], false);
    let mut fresh = 0;
    let mut place = |kind: v1::ConversationKind, members: &[&str], context: Option<&str>, name: Option<&str>| {
        let create = v1::Create {
            kind: kind.into(),
            members: members.iter().map(|member| (*member).to_owned()).collect(),
            context: context.map(str::to_owned),
            name: name.map(str::to_owned),
            avatar: None,
        };
        fresh += 1;
        let bytes = frame::encode_client(Form::Proto, 1_000 + u64::from(fresh), Request::Create(create));
        let mut effects = Vec::new();
        let mut cx = Context {
            now: desk.now,
            edge: EdgeId(3),
            instance: Instance::new([0xab; 6]),
            session: 77,
            config: &desk.config,
            verifier: &desk.verifier,
            directory: &desk.names,
            gate: &mut desk.gate,
            fresh: &mut || [fresh; 16],
            effects: &mut effects,
        };
        desk.session.on_binary(&bytes, &mut cx);
        asked(effects).remove(0).key.conversation
    };
    let mut all = Vec::new();
    for kind in [Direct, CustomerSeller, CustomerSupport, SellerSupport, Internal] {
        for (members, context) in [(&["bob"][..], None), (&["bob"], Some("order 7")), (&["carol"], None)] {
            let first = place(kind, members, context, None);
            assert_eq!(first, place(kind, members, context, None), "{kind:?}");
            all.push(first);
        }
    }
    for kind in [CustomerSupport, SellerSupport] {
        let first = place(kind, &[], None, None);
        assert_eq!(first, place(kind, &["alice"], None, Some("the cup")), "with nobody in particular");
        all.push(first);
    }
    for (kind, members) in [(Group, &["bob"][..]), (Internal, &["bob"]), (Internal, &["bob", "carol"])] {
        all.extend([place(kind, members, None, Some("us")), place(kind, members, None, Some("us"))]);
    }
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), count, "each of them is another one");
}
