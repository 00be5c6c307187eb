//! Who is online: what edges that watch are told, when, and that nothing of it is left behind.

use std::time::Duration;

use switchyard_cluster::link::{Answer, Ask, Request};
use switchyard_cluster::party::{Asker, EdgeId, Home};
use switchyard_cluster::presence::{PresenceAsk, Seen, WatchAsk};
use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::id::ConversationKey;
use switchyard_protocol::roles::Roles;
use switchyard_router::config::RouterConfig;
use switchyard_router::machine::{Effect, Held, Input};
use switchyard_store::Mark;

use crate::ask::What;
use crate::clients::{STRANGER, places, tenant};
use crate::desk::{Desk, code, group};
use crate::disk::Fate;
use crate::timeline::user;

const SECOND: Duration = Duration::from_secs(1);
const LASTS: Duration = Duration::from_secs(15);

/// The edge of those who watch.
const EDGE: u16 = 5;

fn key() -> ConversationKey {
    places().swap_remove(2).key
}

fn home(name: &str) -> Home {
    Home { key: ConversationKey::home(&tenant("t"), &user(name)), user: user(name) }
}

/// A group of three.
fn three() -> Desk {
    let mut desk = Desk::new(RouterConfig::default());
    desk.ask("ana", &key(), &group(&["ana", "ben", "cleo"]));
    desk
}

fn sessions(desk: &mut Desk, name: &str, change: i32) {
    tell(desk, EDGE, name, PresenceAsk::Sessions(change));
}

fn tell(desk: &mut Desk, edge: u16, name: &str, ask: PresenceAsk) {
    let Home { key, user } = home(name);
    let from = Asker { edge: EdgeId(edge), session: u64::MAX, request: 0, ticket: 0, roles: Roles::NONE };
    desk.feed(Input::Request(Request { from, key, user, ask: Ask::Presence(ask) }));
}

/// Has a session ask; what it is answered.
fn ask(desk: &mut Desk, asker: &str, edge: u16, ask: Ask) -> Answer {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1_000_000);
    let request = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let from = Asker { edge: EdgeId(edge), session: 9, request, ticket: 0, roles: Roles::NONE };
    desk.feed(Input::Request(Request { from, key: key(), user: user(asker), ask }));
    desk.run();
    desk.answer(from).expect("it is answered")
}

fn watch_of(name: &str, turn: u64) -> Ask {
    Ask::Watch(Box::new(WatchAsk { home: home(name), turn }))
}

/// Ana watches somebody.
fn watch(desk: &mut Desk, name: &str) -> Seen {
    match ask(desk, "ana", EDGE, watch_of(name, 1)) {
        Answer::Presence { now, of_two: false } => {
            assert_eq!(now.key, home(name).key);
            now.seen
        }
        other => panic!("not watched: {other:?}"),
    }
}

fn seen(name: &str, online: bool, last_seen_ms: Option<u64>) -> Seen {
    Seen::User { user: user(name), online, last_seen_ms }
}

/// What was told since the last time.
fn told(desk: &mut Desk) -> Vec<Seen> {
    std::mem::take(&mut desk.presence).into_iter().map(|(_, now)| now.seen).collect()
}

#[test]
fn who_comes_is_told_at_once_who_goes_once_that_lasts() {
    let mut desk = three();
    assert_eq!(watch(&mut desk, "ben"), seen("ben", false, None), "never seen");
    sessions(&mut desk, "ben", 1);
    assert_eq!(told(&mut desk), [seen("ben", true, None)]);
    desk.pass(SECOND);
    let went_ms = desk.now.wall_ms;
    sessions(&mut desk, "ben", -1);
    desk.pass(LASTS - SECOND / 2);
    assert_eq!(told(&mut desk), []);
    assert_eq!(watch(&mut desk, "ben"), seen("ben", true, None), "whoever asks now is told the same");
    desk.pass(SECOND);
    assert_eq!(told(&mut desk), [seen("ben", false, Some(went_ms))]);
    assert_eq!(watch(&mut desk, "ben"), seen("ben", false, Some(went_ms)));
}

#[test]
fn a_reconnect_is_no_news_and_of_several_devices_the_last_counts() {
    let mut desk = three();
    sessions(&mut desk, "ben", 1);
    assert_eq!(watch(&mut desk, "ben"), seen("ben", true, None));
    for _ in 0..5 {
        sessions(&mut desk, "ben", -1);
        desk.pass(LASTS - SECOND);
        sessions(&mut desk, "ben", 1);
        desk.pass(SECOND * 2);
    }
    sessions(&mut desk, "ben", 2);
    sessions(&mut desk, "ben", -1);
    desk.pass(LASTS * 2);
    sessions(&mut desk, "ben", -1);
    desk.pass(LASTS * 2);
    assert_eq!(told(&mut desk), []);
    sessions(&mut desk, "ben", -1);
    desk.pass(LASTS);
    assert_eq!(told(&mut desk).len(), 1);
}

#[test]
fn a_change_is_told_once_a_second_and_what_ends_as_it_was_is_not() {
    let mut desk = Desk::new(RouterConfig { offline_after: Duration::from_millis(10), ..RouterConfig::default() });
    desk.ask("ana", &key(), &group(&["ana", "ben"]));
    watch(&mut desk, "ben");
    sessions(&mut desk, "ben", 1);
    assert_eq!(told(&mut desk).len(), 1);
    for _ in 0..8 {
        desk.pass(SECOND / 20);
        sessions(&mut desk, "ben", -1);
        desk.pass(SECOND / 20);
        sessions(&mut desk, "ben", 1);
    }
    desk.pass(SECOND * 3);
    assert_eq!(told(&mut desk), []);
    sessions(&mut desk, "ben", -1);
    desk.pass(SECOND / 2);
    sessions(&mut desk, "ben", 1);
    desk.pass(SECOND * 2);
    let [Seen::User { online: false, .. }, Seen::User { online: true, .. }] = told(&mut desk)[..] else {
        panic!("both are told when there is time between them")
    };
}

#[test]
fn only_who_is_in_the_same_conversation_watches() {
    let mut desk = three();
    sessions(&mut desk, "dan", 1);
    assert_eq!(code(&ask(&mut desk, "ana", EDGE, watch_of("dan", 1))), Some(ErrorCode::NotFound), "he is no member");
    let refused = ask(&mut desk, STRANGER, EDGE, watch_of("ben", 1));
    let unknown = ask(&mut desk, "ana", EDGE, watch_of("nobody at all", 1));
    assert_eq!(format!("{refused:?}"), format!("{unknown:?}"));
    desk.ask("ana", &key(), &What::Remove(user("ben")));
    assert_eq!(code(&ask(&mut desk, "ana", EDGE, watch_of("ben", 1))), Some(ErrorCode::NotFound));
    sessions(&mut desk, "ben", 1);
    desk.pass(SECOND);
    assert_eq!(told(&mut desk), []);
}

#[test]
fn in_large_conversations_only_the_number_is_told() {
    let mut desk = Desk::new(RouterConfig::default());
    let names: Vec<String> = (0..101).map(|at| format!("user{at:03}")).collect();
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    desk.ask("user000", &key(), &group(&all));
    for name in &all[..7] {
        sessions(&mut desk, name, 1);
    }
    assert_eq!(code(&ask(&mut desk, "user000", EDGE, watch_of("user001", 1))), Some(ErrorCode::BadRequest));
    assert_eq!(code(&ask(&mut desk, STRANGER, EDGE, Ask::Count)), Some(ErrorCode::NotFound));
    let Answer::Presence { now, .. } = ask(&mut desk, "user000", EDGE, Ask::Count) else { panic!("counted") };
    assert_eq!((now.key, now.seen), (key(), Seen::Online(7)));
    desk.pass(LASTS * 2);
    assert_eq!(told(&mut desk), [], "as many as before");
    sessions(&mut desk, "user050", 1);
    sessions(&mut desk, "user001", -1);
    sessions(&mut desk, "user002", -1);
    // They stay in memory, though nobody touches the conversation.
    desk.pass(RouterConfig::default().idle_after * 4);
    assert_eq!(told(&mut desk).last(), Some(&Seen::Online(6)));
    desk.put("nobody", EDGE, &key(), &What::Unsubscribe);
    sessions(&mut desk, "user003", -1);
    desk.pass(RouterConfig::default().idle_after * 4);
    assert_eq!(told(&mut desk), []);
    assert_eq!(desk.held(), Held { presence: 5, ..Held::default() }, "sessions alone");
}

#[test]
fn what_is_over_is_over_even_if_it_comes_late_and_not_what_was_asked_since() {
    let mut desk = three();
    assert!(matches!(ask(&mut desk, "ana", EDGE, watch_of("ben", 7)), Answer::Presence { .. }));
    tell(&mut desk, EDGE, "ben", PresenceAsk::Unwatch { turn: 6 });
    sessions(&mut desk, "ben", 1);
    assert_eq!(told(&mut desk).len(), 1, "it was asked for again since");
    tell(&mut desk, EDGE, "ben", PresenceAsk::Unwatch { turn: 7 });
    sessions(&mut desk, "ben", -1);
    desk.pass(LASTS * 2);
    assert_eq!(told(&mut desk), []);
    desk.pass(RouterConfig::default().idle_after * 3);
    assert_eq!(desk.held(), Held::default());
}

#[test]
fn last_seen_survives_a_restart_and_a_kill_counts_as_the_end() {
    let mut desk = three();
    sessions(&mut desk, "ben", 1);
    sessions(&mut desk, "cleo", 1);
    desk.pass(SECOND);
    desk.now.wall_ms += 1_000;
    let went_ms = desk.now.wall_ms;
    sessions(&mut desk, "ben", -1);
    desk.pass(SECOND);
    assert!(desk.machine.at_rest(), "it is stored");
    desk.now.wall_ms += 60_000;
    let came_back_ms = desk.now.wall_ms;
    for _ in 0..2 {
        desk.kill();
        desk.pass(SECOND);
        assert_eq!(watch(&mut desk, "ben"), seen("ben", false, Some(went_ms)));
        assert_eq!(watch(&mut desk, "cleo"), seen("cleo", false, Some(desk.now.wall_ms)), "it began just now");
    }
    // The first process after the kill that knew anybody tells until when cleo may have been there.
    sessions(&mut desk, "ana", 1);
    desk.pass(SECOND);
    desk.now.wall_ms += 3_600_000;
    desk.kill();
    desk.pass(SECOND);
    assert_eq!(watch(&mut desk, "cleo"), seen("cleo", false, Some(came_back_ms)));
    sessions(&mut desk, "cleo", 1);
    assert_eq!(told(&mut desk), [seen("cleo", true, None)]);
}

/// Beginnings are kept under a name for each thousand processes.
#[test]
fn the_end_of_who_was_killed_is_found_among_thousands_of_processes() {
    // In which process cleo is online, which one anybody comes to next, and which one is asked.
    for (then, next, asked, is_found) in [
        (998, 999, 1_000, true),
        (998, 1_000, 1_001, true),
        (999, 1_000, 1_000_000, true),
        (1_000, 1_999, 2_000, true),
        (1_999, 4_500, 4_501, true),
        (3_000, 12_999, 13_000, true),
        (3_000, 13_000, 13_001, false),
    ] {
        let mut desk = three();
        desk.kill_before(then);
        sessions(&mut desk, "cleo", 1);
        desk.pass(SECOND);
        desk.now.wall_ms += 60_000;
        let came_ms = desk.now.wall_ms;
        desk.kill_before(next);
        sessions(&mut desk, "ana", 1);
        desk.pass(SECOND);
        desk.now.wall_ms += 3_600_000;
        desk.kill_before(asked);
        let expected = if is_found { came_ms } else { desk.now.wall_ms };
        assert_eq!(watch(&mut desk, "cleo"), seen("cleo", false, Some(expected)), "{then}, {next}, {asked}");
        // Who was killed in the process before the one that is asked.
        let last = watch(&mut desk, "ana");
        assert_eq!(last, seen("ana", false, Some(desk.now.wall_ms)), "nobody came after {next}");
    }
}

#[test]
fn who_is_watched_while_going_is_told_to_have_gone() {
    let mut desk = three();
    sessions(&mut desk, "ben", 1);
    desk.pass(SECOND);
    desk.now.wall_ms += 1_000;
    let went_ms = desk.now.wall_ms;
    sessions(&mut desk, "ben", -1);
    // By now that is stored, and nobody has watched him.
    desk.pass(SECOND * 5);
    desk.now.wall_ms += 5_000;
    assert_eq!(watch(&mut desk, "ben"), seen("ben", true, None));
    desk.pass(LASTS);
    assert_eq!(told(&mut desk), [seen("ben", false, Some(went_ms))]);
}

/// The marks that are to be stored by now; they are on their way from then on.
fn raise(desk: &mut Desk) -> Option<Effect> {
    let mut out = Vec::new();
    desk.machine.tick(desk.now, &mut out);
    let at = out.iter().position(|effect| matches!(effect, Effect::Raise(_)))?;
    Some(out.swap_remove(at))
}

fn marks(raise: &Effect) -> &[Mark] {
    match raise {
        Effect::Raise(marks) => marks,
        other => panic!("not marks: {other:?}"),
    }
}

/// That many come at once where a process takes over, and a write of theirs then takes a second.
#[test]
fn of_many_who_come_a_few_are_stored_at_a_time_and_who_goes_is_stored_within_a_second() {
    const COME: usize = 600;
    let mut desk = three();
    sessions(&mut desk, "ben", 1);
    for at in 1..COME {
        sessions(&mut desk, &format!("user-{at}"), 1);
    }
    desk.now.mono += SECOND / 2;
    let first = raise(&mut desk).expect("some are stored at once");
    let stored = marks(&first).len();
    assert!((2..=COME / 2).contains(&stored), "{stored} of {COME}");
    desk.now.mono += SECOND;
    let done = desk.perform(first, Fate::Stored);
    desk.feed(done);
    assert!(desk.wanted.is_empty(), "there is a pause: {:?}", desk.wanted);

    let went_ms = desk.now.wall_ms;
    sessions(&mut desk, "ben", -1);
    desk.now.mono += SECOND / 2;
    let end = raise(&mut desk).expect("who went is stored");
    assert_eq!(marks(&end).iter().map(|mark| mark.user.as_str()).collect::<Vec<_>>(), ["ben"]);
    let done = desk.perform(end, Fate::Stored);
    desk.feed(done);
    desk.now.mono += SECOND * 2;
    assert!(raise(&mut desk).is_none(), "the pause is longer than the write was");

    desk.pass(SECOND * 10);
    assert!(desk.machine.at_rest(), "in the end all are stored");
    desk.kill();
    assert_eq!(watch(&mut desk, "ben"), seen("ben", false, Some(went_ms)));
}
