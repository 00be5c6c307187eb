//! What a user decides for oneself: asked of the user's own home, whatever is named.

use switchyard_cluster::home::{BlocksAsk, Decision, HomeAsk};
use switchyard_protocol::id::{ConversationKey, UserId};

use super::*;

fn block(user: &str) -> Request {
    Request::Block(v1::Block { user: user.to_owned() })
}

#[test]
fn decisions_go_to_ones_own_home() {
    let mut desk = Desk::known();
    let user = UserId::new("bob").expect("a valid id");
    let cases = [
        (block("bob"), Decision::Block(user.clone())),
        (Request::Unblock(v1::Unblock { user: "bob".to_owned() }), Decision::Unblock(user)),
        (Request::Archive(v1::Archive { conversation: text(3) }), Decision::Archive(id(3))),
        (Request::Unarchive(v1::Unarchive { conversation: text(3) }), Decision::Unarchive(id(3))),
    ];
    for (request, expected) in cases {
        let question = asked(desk.say(request)).remove(0);
        assert_eq!(question.key, ConversationKey::home(&question.key.tenant, &question.user));
        assert!(matches!(&question.ask, Ask::Home(HomeAsk::Decide(decision)) if *decision == expected), "{question:?}");
    }
    for (limit, after, expected) in [(0, None, 1_000), (3, Some("bob"), 3), (5_000, None, 1_000)] {
        let blocks = v1::Blocks { after: after.map(str::to_owned), limit };
        let question = asked(desk.say(Request::Blocks(blocks))).remove(0);
        let Ask::Home(HomeAsk::Blocks(ask)) = &question.ask else { panic!("{question:?}") };
        let BlocksAsk { after: told, limit } = &**ask;
        assert_eq!((told.as_ref().map(UserId::as_str), *limit), (after, expected));
    }
}

#[test]
fn bad_decisions_are_asked_of_nobody() {
    let mut desk = Desk::known();
    for bad in ["", "a\0b", &"x".repeat(129), "alice"] {
        assert_eq!(code(&desk.say(block(bad))), "BAD_REQUEST", "{bad:?}");
    }
    let after = Some(String::new());
    assert_eq!(code(&desk.say(Request::Blocks(v1::Blocks { after, limit: 0 }))), "BAD_REQUEST");
    for nowhere in ["", "\0", "x"] {
        let archive = Request::Archive(v1::Archive { conversation: nowhere.to_owned() });
        assert_eq!(code(&desk.say(archive)), "NOT_FOUND", "{nowhere:?}");
    }
}
