//! Sessions that watch users, and count who is online.

use switchyard_cluster::presence::{PresenceNow, Seen};
use switchyard_protocol::id::ConversationKey;

use super::*;

fn watch(users: &[&str], conversation: Option<u16>) -> Request {
    let users = users.iter().map(|user| (*user).to_owned()).collect();
    Request::Watch(v1::Watch { users, conversation: conversation.map(text) })
}

fn user(name: &str) -> UserId {
    UserId::new(name).expect("a valid id")
}

fn online(asked: &Asked) -> Answer {
    let Ask::Watch(ask) = &asked.ask else { panic!("not asked to watch: {asked:?}") };
    let seen = Seen::User { user: ask.home.user.clone(), online: true, last_seen_ms: None };
    let now = Box::new(PresenceNow { key: ask.home.key.clone(), seen });
    // As in a direct conversation, if no other one is named.
    let tenant = TenantId::new("default").expect("a valid id");
    let of_two = asked.key.conversation == ConversationId::direct(&tenant, "direct", "", &asked.user, &ask.home.user);
    Answer::Presence { now, of_two }
}

/// What the session does with the door's table.
fn changes(effects: &[Effect]) -> Vec<(bool, ConversationId)> {
    let change = |effect: &Effect| match effect {
        Effect::Watching { key, .. } => Some((true, *key)),
        Effect::Unwatching(key) => Some((false, *key)),
        _ => None,
    };
    effects.iter().filter_map(change).collect()
}

fn home(name: &str) -> ConversationId {
    let tenant = TenantId::new("default").expect("a valid id");
    ConversationKey::home(&tenant, &user(name)).conversation
}

#[test]
fn each_is_asked_for_where_both_are_and_the_reply_comes_before_what_changes() {
    let mut desk = Desk::known();
    let parts = asked(desk.say(watch(&["bob", "alice", "eve"], None)));
    let tenant = TenantId::new("default").expect("a valid id");
    for (part, name) in parts.iter().zip(["bob", "eve"]) {
        let direct = ConversationId::direct(&tenant, "direct", "", &user("alice"), &user(name));
        assert_eq!((part.key.conversation, part.user.as_str()), (direct, "alice"));
    }
    assert!(desk.answer(&parts[1], online(&parts[1])).is_empty(), "the other is waited for");
    let effects = desk.answer(&parts[0], Answer::Refused(Refusal::NOT_FOUND));
    let Reply::Watched(watched) = reply(&effects) else { panic!("watched") };
    let told: Vec<_> = watched.presence.iter().map(|it| (it.user.as_str(), it.online)).collect();
    assert_eq!(told, [("bob", false), ("alice", true), ("eve", true)]);
    assert_eq!(changes(&effects), [(false, home("bob")), (true, home("eve"))]);
    assert!(matches!(effects.last(), Some(Effect::Watching { .. })), "after the reply");
    assert_eq!(desk.session.watching().collect::<Vec<_>>(), [home("eve")]);
}

#[test]
fn who_is_unwatched_while_it_is_asked_is_not_watched() {
    let mut desk = Desk::known();
    let parts = asked(desk.say(watch(&["bob"], None)));
    let unwatch = v1::Unwatch { users: vec!["bob".to_owned()], ..Default::default() };
    assert_eq!(changes(&desk.say(Request::Unwatch(unwatch))), [(false, home("bob"))]);
    let effects = desk.answer(&parts[0], online(&parts[0]));
    assert!(matches!(reply(&effects), Reply::Watched(_)));
    assert_eq!(changes(&effects), []);
    assert_eq!(desk.session.watching().count(), 0);
}

#[test]
fn a_count_is_refused_as_a_whole() {
    let mut desk = Desk::known();
    assert_eq!(code(&desk.say(watch(&[], Some(1)))), "NOT_FOUND", "it is not read");
    let subscribe = Request::Subscribe(v1::Subscribe { conversations: vec![text(1)], all: false });
    let parts = asked(desk.say(subscribe));
    desk.answer(&parts[0], Desk::granted(&parts[0], 3, 0, 0));
    let parts = asked(desk.say(watch(&[], Some(1))));
    assert!(matches!(parts[0].ask, Ask::Count) && parts[0].key.conversation == id(1));
    let effects = desk.answer(&parts[0], Answer::Refused(Refusal::NOT_FOUND));
    assert_eq!((code(&effects), changes(&effects)), ("NOT_FOUND", vec![(false, id(1))]));
    let parts = asked(desk.say(watch(&[], Some(1))));
    let key = parts[0].key.clone();
    let counted = Answer::Presence { now: Box::new(PresenceNow { key, seen: Seen::Online(7) }), of_two: false };
    assert!(matches!(reply(&desk.answer(&parts[0], counted)), Reply::Watched(it) if it.counts[0].online == 7));
    assert!(desk.session.watches_through(id(1)));
    let unsubscribe = v1::Unsubscribe { conversations: vec![text(1)] };
    assert_eq!(changes(&desk.say(Request::Unsubscribe(unsubscribe))), [(false, id(1))]);
}

/// What the client is told of users, outside replies.
fn told(effects: &[Effect]) -> Vec<(String, bool)> {
    let event = |effect: &Effect| match effect {
        Effect::Event(event) => match &event.body {
            Some(v1::event::Body::Presence(told)) => Some(told.presence.clone()),
            _ => None,
        },
        _ => None,
    };
    effects.iter().filter_map(event).flatten().map(|it| (it.user, it.online)).collect()
}

#[test]
fn a_block_ends_what_goes_by_way_of_the_two_alone() {
    let mut desk = Desk::known();
    let subscribe = Request::Subscribe(v1::Subscribe { conversations: vec![text(1)], all: false });
    let parts = asked(desk.say(subscribe));
    desk.answer(&parts[0], Desk::granted(&parts[0], 3, 0, 0));
    for (name, through, ends) in [("bob", None, true), ("eve", Some(1), false)] {
        let parts = asked(desk.say(watch(&[name], through)));
        let answer = online(&parts[0]);
        desk.answer(&parts[0], answer);
        let effects = desk.part(home(name));
        let expected = if ends { vec![(false, home(name))] } else { vec![] };
        assert_eq!(changes(&effects), expected, "{name}");
        assert_eq!(told(&effects), if ends { vec![(name.to_owned(), false)] } else { vec![] }, "{name}");
        assert_eq!(desk.session.watching().any(|watched| watched == home(name)), !ends, "{name}");
        assert!(told(&desk.part(home(name))).is_empty(), "once");
    }
}

#[test]
fn a_block_while_it_is_asked_leaves_nothing_of_what_was_vouched_for_before() {
    // It comes before the answer, and behind it while the reply waits for another one.
    for early in [true, false] {
        let mut desk = Desk::known();
        let parts = asked(desk.say(watch(&["bob", "eve"], None)));
        let (first, second) = (online(&parts[0]), online(&parts[1]));
        if early {
            assert!(told(&desk.part(home("bob"))).is_empty(), "it was told nothing yet");
            desk.answer(&parts[0], first);
        } else {
            desk.answer(&parts[0], first);
            desk.part(home("bob"));
        }
        let effects = desk.answer(&parts[1], second);
        let Reply::Watched(watched) = reply(&effects) else { panic!("watched") };
        let told: Vec<_> = watched.presence.iter().map(|it| (it.user.as_str(), it.online)).collect();
        assert_eq!(told, [("bob", false), ("eve", true)], "{early}");
        assert_eq!(changes(&effects), [(true, home("eve"))], "{early}");
        assert_eq!(desk.session.watching().collect::<Vec<_>>(), [home("eve")], "{early}");
        // Asked for again, it is as its owner says by then.
        let parts = asked(desk.say(watch(&["bob"], None)));
        let answer = online(&parts[0]);
        let effects = desk.answer(&parts[0], answer);
        assert_eq!(changes(&effects), [(true, home("bob"))], "{early}");
    }
}
