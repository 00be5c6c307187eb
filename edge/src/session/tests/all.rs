//! Sessions that want all conversations, and pages of the user's list.

use switchyard_cluster::home::{HomeAsk, ListedNow, WatchingAnswer};
use switchyard_cluster::party::Home;
use switchyard_protocol::cursor::{Cursor, ListPlace};
use switchyard_protocol::id::ConversationKey;

use super::*;

fn subscribe_all() -> Request {
    Request::Subscribe(v1::Subscribe { all: true, ..Default::default() })
}

fn watching(ids: impl Iterator<Item = u16>, total: u64) -> Answer {
    Answer::Watching(Box::new(WatchingAnswer { conversations: ids.map(id).collect(), total }))
}

/// The question to the home, which is the only one but for what it is told.
fn home_question(effects: Vec<Effect>) -> Asked {
    let mut all = asked(effects);
    let question = all.remove(0);
    assert!(all.iter().all(|asked| matches!(asked.ask, Ask::Home(HomeAsk::Roles { .. }))), "{all:?}");
    assert!(matches!(question.ask, Ask::Home(HomeAsk::Watch)), "{question:?}");
    assert_eq!(question.key, ConversationKey::home(&question.key.tenant, &question.user));
    question
}

/// The ticket of the one question of this kind.
fn asked_of(effects: &[Effect], is: impl Fn(&Ask) -> bool) -> Ticket {
    let mut found = effects.iter().filter_map(|effect| match effect {
        Effect::Ask(question) if is(&question.ask) => Some(Ticket::of(&question.from)),
        _ => None,
    });
    let ticket = found.next().expect("it is asked");
    assert!(found.next().is_none());
    ticket
}

/// Someone who reads all of one conversation.
fn reader() -> Desk {
    let mut desk = Desk::known();
    let question = home_question(desk.say(subscribe_all()));
    let parts = asked(desk.answer(&question, watching(1..2, 1)));
    desk.answer(&parts[0], Desk::granted(&parts[0], 3, 0, 0));
    assert_eq!(desk.reads(), [id(1)]);
    desk
}

fn came(desk: &Desk, n: u16) -> ListedNow {
    let entry = v1::Listing { activity_ms: 7, ..Default::default() };
    ListedNow { home: home(desk), conversation: id(n), entry: Some(entry), changed: false }
}

fn home(desk: &Desk) -> Home {
    let user = desk.session.user().expect("known").clone();
    Home { key: ConversationKey::home(desk.session.tenant().expect("known"), &user), user }
}

/// What the client is told beside replies.
fn events(effects: &[Effect]) -> Vec<v1::Event> {
    let events = effects.iter().filter_map(|effect| match effect {
        Effect::Event(event) => Some((**event).clone()),
        _ => None,
    });
    events.collect()
}

#[test]
fn hello_with_all_is_answered_when_all_owners_have() {
    let mut desk = Desk::stranger();
    let subscribe = Some(v1::Subscriptions { all: true, conversations: Vec::new() });
    let hello = v1::Hello { token: desk.token("alice"), subscribe, ..Default::default() };
    let effects = desk.say(Request::Hello(hello));
    let told = asked_of(&effects, |ask| matches!(ask, Ask::Home(HomeAsk::Roles { .. })));
    let question = home_question(effects);
    let done = Answer::Result(Box::new(Reply::Done(v1::Done {})));
    assert!(desk.answer_to(told, done).is_empty());
    let parts = asked(desk.answer(&question, watching(1..3, 2)));
    assert_eq!(parts.iter().map(|part| part.key.conversation).collect::<Vec<_>>(), [id(1), id(2)]);
    assert!(asked(desk.answer(&parts[1], Desk::granted(&parts[1], 9, 0, 0))).is_empty());
    let effects = desk.answer(&parts[0], Answer::Refused(Refusal::NOT_FOUND));
    let Reply::Welcome(welcome) = reply(&effects) else { panic!("{effects:?}") };
    let heads: Vec<_> = welcome.subscribed.iter().map(|one| (one.head, one.error.is_some())).collect();
    assert_eq!((heads, welcome.all.as_ref().map(|all| all.total)), (vec![(0, true), (9, false)], Some(2)));
    assert_eq!(desk.reads(), [id(2)]);
}

#[test]
fn the_welcome_waits_for_three_seconds_and_says_what_is_missing() {
    let mut desk = Desk::known();
    let question = home_question(desk.say(subscribe_all()));
    let parts = asked(desk.answer(&question, watching(1..3, 2)));
    desk.answer(&parts[0], Desk::granted(&parts[0], 3, 0, 0));
    let due = desk.session.deadline(desk.now, &desk.config).expect("it lives");
    assert_eq!(due, desk.now.mono + Duration::from_secs(3));
    desk.now.mono = due;
    let effects = desk.call(|session, cx| session.on_time(cx));
    let Reply::Subscribed(subscribed) = reply(&effects) else { panic!("{effects:?}") };
    let errors: Vec<_> =
        subscribed.subscribed.iter().map(|one| one.error.as_ref().map(|it| it.code.as_str())).collect();
    assert_eq!(errors, [None, Some("OVERLOADED")]);
    assert!(desk.session.deadline(desk.now, &desk.config) > Some(due), "it is told once");
    // It is subscribed all the same, and the client is told.
    let effects = desk.answer(&parts[1], Desk::granted(&parts[1], 8, 0, 0));
    let [event] = &*events(&effects) else { panic!("{effects:?}") };
    assert_eq!((&event.conversation, &event.body), (&text(2), &Some(Body::Head(v1::Head { head: 8 }))));
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Reply { .. })), "{effects:?}");
    assert_eq!(desk.reads(), [id(1), id(2)]);
}

#[test]
fn what_went_before_the_answer_is_none_of_all() {
    let mut desk = Desk::known();
    let question = home_question(desk.say(subscribe_all()));
    let parts = asked(desk.answer(&question, watching(1..3, 2)));
    desk.answer(&parts[0], Desk::granted(&parts[0], 3, 0, 0));
    desk.session.forget(id(1), Spot(0));
    let effects = desk.answer(&parts[1], Desk::granted(&parts[1], 8, 0, 0));
    let Reply::Subscribed(subscribed) = reply(&effects) else { panic!("{effects:?}") };
    let codes: Vec<_> = subscribed.subscribed.iter().map(|one| one.error.as_ref().map(|it| it.code.as_str())).collect();
    assert_eq!(codes, [Some("NOT_FOUND"), None]);
}

#[test]
fn a_home_that_does_not_answer_or_refuses_does_not_hold_hello_up() {
    for refuses in [false, true] {
        let mut desk = Desk::stranger();
        let subscribe = Some(v1::Subscriptions { all: true, conversations: Vec::new() });
        let hello = v1::Hello { token: desk.token("alice"), subscribe, ..Default::default() };
        let effects = desk.say(Request::Hello(hello));
        let told = asked_of(&effects, |ask| matches!(ask, Ask::Home(HomeAsk::Roles { .. })));
        let question = home_question(effects);
        let effects = if refuses {
            let no = || Answer::Refused(Refusal::new(ErrorCode::Overloaded, "no"));
            assert!(desk.answer_to(told, no()).is_empty());
            desk.answer(&question, no())
        } else {
            desk.now.mono += Duration::from_secs(3);
            desk.call(|session, cx| session.on_time(cx))
        };
        let Reply::Welcome(welcome) = reply(&effects) else { panic!("{effects:?}") };
        let error = welcome.all.as_ref().and_then(|all| all.error.as_ref());
        assert_eq!(error.map(|error| error.code.as_str()), Some("OVERLOADED"));
        let given_up = effects.iter().any(|effect| matches!(effect, Effect::Unwatched));
        assert_eq!((given_up, desk.session.wants_all()), (refuses, !refuses));
    }
    let mut desk = Desk::known();
    let question = home_question(desk.say(subscribe_all()));
    let effects = desk.answer(&question, Answer::Refused(Refusal::new(ErrorCode::Overloaded, "no")));
    assert_eq!(code(&effects), "OVERLOADED");
}

#[test]
fn what_comes_is_subscribed_and_told_before_its_events() {
    let mut desk = reader();
    let listed = came(&desk, 2);
    let question = asked(desk.call(|session, cx| session.on_listed(&listed, cx))).remove(0);
    assert_eq!(desk.session.awaited().collect::<Vec<_>>(), [id(2)]);
    let effects = desk.answer(&question, Desk::granted(&question, 4, 0, 0));
    let [Effect::Event(event), Effect::Settled { head: Some(4), .. }] = &*effects else { panic!("{effects:?}") };
    let Some(Body::Listed(change)) = &event.body else { panic!("{event:?}") };
    assert_eq!((change.head, &change.added, change.removed), (Some(4), &listed.entry, false));
    assert_eq!(desk.reads(), [id(1), id(2)]);

    let went = ListedNow { home: home(&desk), conversation: id(2), entry: None, changed: false };
    let effects = desk.call(|session, cx| session.on_listed(&went, cx));
    assert!(matches!(&events(&effects)[0].body, Some(Body::Listed(change)) if change.removed));
}

/// Or the client would take the older word, that there is nothing, for the newer one, and read it no more.
#[test]
fn what_was_refused_a_moment_before_it_comes_is_told_to_be_read() {
    let mut desk = reader();
    let wish = v1::Subscribe { conversations: vec![text(2)], all: false };
    let question = asked(desk.say(Request::Subscribe(wish))).remove(0);
    let effects = desk.answer(&question, Answer::Refused(Refusal::NOT_FOUND));
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Reply { .. })), "{effects:?}");
    let listed = came(&desk, 2);
    let question = asked(desk.call(|session, cx| session.on_listed(&listed, cx))).remove(0);
    let effects = desk.answer(&question, Desk::granted(&question, 4, 0, 0));
    let [Effect::Event(event), Effect::Settled { head: Some(4), .. }] = &*effects else { panic!("{effects:?}") };
    assert!(matches!(&event.body, Some(Body::Listed(change)) if change.head == Some(4)));
    // When it is answered tells nothing of others that were asked for with it.
    let effects = desk.when_due(UNSEEN_AFTER);
    let Reply::Subscribed(told) = reply(&effects) else { panic!("{effects:?}") };
    assert_eq!((told.subscribed[0].head, &told.subscribed[0].error), (4, &None));
}

#[test]
fn what_comes_and_is_gone_again_or_not_wanted_is_not_read() {
    let mut desk = reader();
    let listed = came(&desk, 2);
    let question = asked(desk.call(|session, cx| session.on_listed(&listed, cx))).remove(0);
    let effects = desk.answer(&question, Answer::Refused(Refusal::NOT_FOUND));
    assert!(matches!(effects.as_slice(), [Effect::Settled { head: None, .. }]), "{effects:?}");
    let question = asked(desk.call(|session, cx| session.on_listed(&listed, cx))).remove(0);
    desk.say(Request::Unsubscribe(v1::Unsubscribe { conversations: vec![text(2)] }));
    let effects = desk.answer(&question, Desk::granted(&question, 4, 0, 0));
    assert!(matches!(effects.as_slice(), [Effect::Event(_), Effect::Settled { head: None, .. }]), "{effects:?}");
    assert_eq!(desk.reads(), [id(1)]);
}

#[test]
fn without_room_it_is_told_and_not_read() {
    let mut desk = Desk::known();
    let question = home_question(desk.say(subscribe_all()));
    let most = SUBSCRIPTIONS_MAX as u16;
    for part in asked(desk.answer(&question, watching(0..most, 2_000))) {
        desk.answer(&part, Desk::granted(&part, 1, 0, 0));
    }
    assert_eq!(desk.reads().len(), SUBSCRIPTIONS_MAX);
    let listed = came(&desk, 5_000);
    let effects = desk.call(|session, cx| session.on_listed(&listed, cx));
    assert!(matches!(&events(&effects)[0].body, Some(Body::Listed(change)) if change.head.is_none()));
    assert!(asked(effects).is_empty());
}

#[test]
fn a_page_that_is_cut_says_where_it_ends() {
    let (mut desk, list) = (Desk::known(), 5);
    desk.session = Session::new(Form::Json, None);
    let hello = format!(r#"{{"id":1,"hello":{{"token":"{}"}}}}"#, desk.token("alice"));
    desk.call(|session, cx| session.on_text(&hello, cx));
    let question = asked(desk.call(|session, cx| session.on_text(r#"{"id":2,"list":{}}"#, cx))).remove(0);
    let (tenant, user) = (question.key.tenant.clone(), question.user.clone());
    let entry = |n: u16| v1::Listing {
        conversation: Some(v1::Conversation { id: text(n), ..Default::default() }),
        last: Some(v1::Message { text: "\u{1}".repeat(40_000), ..Default::default() }),
        activity_ms: u64::from(100 - n),
        ..Default::default()
    };
    let cursor = Cursor { list, place: ListPlace::new(95, id(5)) }.to_text(&tenant, &user);
    for more in [false, true] {
        let conversations = (1..6).map(entry).collect();
        let page = v1::Listed { conversations, more, cursor: Some(cursor.clone()) };
        let effects = desk.answer(&question, Answer::Result(Box::new(Reply::Listed(page))));
        let Reply::Listed(page) = reply(&effects) else { panic!("{effects:?}") };
        assert!(page.more && page.conversations.len() == 2);
        let place = Cursor::parse(page.cursor.as_deref().expect("there are more"), &tenant, &user);
        assert_eq!(place, Some(Cursor { list, place: ListPlace::new(98, id(2)) }));
    }
    // A whole page ends where its home says, if there are more.
    for more in [false, true] {
        let page = v1::Listed { conversations: vec![entry(5)], more, cursor: Some(cursor.clone()) };
        let effects = desk.answer(&question, Answer::Result(Box::new(Reply::Listed(page))));
        let Reply::Listed(page) = reply(&effects) else { panic!("{effects:?}") };
        assert_eq!(page.cursor.as_ref(), more.then_some(&cursor));
    }
}

#[test]
fn what_is_shown_otherwise_is_told_and_not_subscribed_again() {
    let mut desk = reader();
    let changed = ListedNow { changed: true, ..came(&desk, 2) };
    let effects = desk.call(|session, cx| session.on_listed(&changed, cx));
    let [Effect::Event(event)] = &*effects else { panic!("{effects:?}") };
    let Some(Body::Listed(listed)) = &event.body else { panic!("{event:?}") };
    assert_eq!((&listed.changed, &listed.added, listed.head), (&changed.entry, &None, None));
    assert_eq!(desk.reads(), [id(1)]);
}
