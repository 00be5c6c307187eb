//! Whom the application watches, and what it is told of them.

use super::*;

impl Rig {
    fn watch(&mut self, users: &[&str], conversation: Option<&str>) -> (Ticket, Out) {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let users = users.iter().map(|user| (*user).to_owned()).collect();
        (ticket, self.give(Input::Watch { ticket, users, conversation: conversation.map(str::to_owned) }))
    }

    fn unwatch(&mut self, users: &[&str]) -> Out {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let users = users.iter().map(|user| (*user).to_owned()).collect();
        let out = self.give(Input::Unwatch { ticket, users, conversation: None, all: false });
        assert!(out.answer(ticket).is_some(), "nobody waits for the server");
        out
    }

    fn presence(&mut self, told: &[(&str, bool)]) -> Out {
        let presence = told.iter().map(|(user, online)| seen(user, *online)).collect();
        self.event("", 0, Body::Presence(v1::Presence { presence, counts: Vec::new() }))
    }
}

impl Out {
    /// The only request to watch.
    fn watches(&self) -> (u64, Vec<String>, Option<String>) {
        let watch = |(id, request)| match request {
            Request::Watch(watch) => Some((id, watch.users, watch.conversation)),
            _ => None,
        };
        let mut all: Vec<_> = self.frames().into_iter().filter_map(watch).collect();
        assert_eq!(all.len(), 1, "{self:?}");
        all.remove(0)
    }

    fn watches_nobody(&self) -> bool {
        !self.frames().iter().any(|(_, request)| matches!(request, Request::Watch(_)))
    }
}

fn seen(user: &str, online: bool) -> v1::UserPresence {
    v1::UserPresence { user: user.to_owned(), online, ..Default::default() }
}

fn watched(told: &[(&str, bool)]) -> reply::Result {
    let presence = told.iter().map(|(user, online)| seen(user, *online)).collect();
    reply::Result::Watched(v1::Watched { presence, counts: Vec::new() })
}

/// One that watches two users.
fn watching() -> Rig {
    let mut rig = Rig::online();
    let (ticket, out) = rig.watch(&["bob", "eve"], None);
    let (id, users, conversation) = out.watches();
    assert_eq!((users, conversation), (vec!["bob".to_owned(), "eve".to_owned()], None));
    let out = rig.reply(id, watched(&[("bob", true), ("eve", false)]));
    let Some(Ok(reply::Result::Watched(answer))) = out.answer(ticket) else { panic!("{out:?}") };
    assert_eq!(answer.presence, [seen("bob", true), seen("eve", false)]);
    assert!(out.delivered().is_empty(), "it is in the answer");
    rig
}

#[test]
fn what_changes_is_told_and_what_is_known_is_not() {
    let mut rig = watching();
    let out = rig.presence(&[("bob", true), ("eve", true), ("mallory", true)]);
    assert_eq!(out.delivered(), [&Event::Presence(seen("eve", true))]);
    let out = rig.unwatch(&["eve"]);
    assert!(out.frames().iter().any(|(_, request)| matches!(request, Request::Unwatch(it) if it.users == ["eve"])));
    assert!(rig.presence(&[("eve", false)]).delivered().is_empty(), "it is not watched any more");
}

#[test]
fn after_a_reconnect_it_is_said_again_and_only_what_changed_is_told() {
    let mut rig = watching();
    rig.cut();
    let (id, users, _) = rig.come_back().watches();
    assert_eq!(users, ["bob", "eve"]);
    let out = rig.reply(id, watched(&[("bob", false), ("eve", false)]));
    assert_eq!(out.delivered(), [&Event::Presence(seen("bob", false))]);
}

#[test]
fn through_a_conversation_it_waits_for_the_subscription_and_ends_with_it() {
    let mut rig = Rig::online();
    let (ticket, out) = rig.watch(&["bob"], Some("a"));
    assert!(out.watches_nobody());
    let Some(Ok(reply::Result::Watched(answer))) = out.answer(ticket) else { panic!("{out:?}") };
    assert!(answer.presence[0].error.is_some(), "it is not subscribed");
    rig.subscribed_at("a", 5);
    let (ticket, out) = rig.watch(&["bob"], Some("a"));
    let (id, _, conversation) = out.watches();
    assert_eq!(conversation.as_deref(), Some("a"));
    assert!(rig.reply(id, watched(&[("bob", true)])).answer(ticket).is_some());
    rig.cut();
    let out = rig.come_back();
    assert!(out.watches_nobody(), "the server would take it for a stranger's");
    let (id, _) = out.resume();
    let out = rig.reply(id, reply::Result::Resumed(v1::Resumed { conversations: vec![page("a", &[], 5)] }));
    let (id, _, _) = out.watches();
    rig.reply(id, watched(&[("bob", true)]));
    let out = rig.give(Input::Unsubscribe { ticket: Ticket(900), conversation: "a".to_owned() });
    assert_eq!(out.delivered(), [&Event::Presence(seen("bob", false))], "nobody is online for ever");
}

#[test]
fn what_there_is_no_room_for_is_told_later_the_newest_alone() {
    let mut rig = watching();
    rig.give(Input::Room(0));
    for online in [false, true, false] {
        assert!(rig.presence(&[("bob", online), ("eve", !online)]).delivered().is_empty());
    }
    let out = rig.give(Input::Room(9));
    assert_eq!(out.delivered(), [&Event::Presence(seen("bob", false)), &Event::Presence(seen("eve", true))]);
}

/// Eve accepts: whoever watches her may see her now.
fn accepts() -> Body {
    Body::Change(v1::ConversationChanged { accepted: Some(true), ..Default::default() })
}

fn writes(user: &str) -> Body {
    Body::Message(v1::Message { sender: user.to_owned(), ..Default::default() })
}

#[test]
fn a_sign_that_comes_while_the_answer_is_on_its_way_is_followed_once_that_is_here() {
    for sign in [accepts(), writes("eve")] {
        let mut rig = Rig::online();
        rig.subscribed_at("a", 5);
        let (ticket, out) = rig.watch(&["bob", "eve"], None);
        let (id, ..) = out.watches();
        assert!(rig.event("a", 6, sign.clone()).watches_nobody(), "one at a time");
        assert!(rig.event("a", 7, sign.clone()).watches_nobody(), "one at a time");
        // The answer may have been on its way before the sign.
        let out = rig.reply(id, watched(&[("bob", true), ("eve", false)]));
        assert!(out.answer(ticket).is_some(), "nobody waits for more");
        let (id, users, _) = out.watches();
        assert_eq!(users, ["eve"]);
        let out = rig.reply(id, watched(&[("eve", true)]));
        assert_eq!(out.delivered(), [&Event::Presence(seen("eve", true))]);
        assert!(out.watches_nobody() && rig.pass(Duration::from_secs(30)).watches_nobody(), "it was followed");
    }
}

#[test]
fn a_sign_is_of_no_use_where_the_answer_shows_the_user_and_none_is_owed_after_a_reconnect() {
    let mut rig = Rig::online();
    rig.subscribed_at("a", 5);
    let (_, out) = rig.watch(&["eve"], None);
    let (id, ..) = out.watches();
    rig.event("a", 6, accepts());
    assert!(rig.reply(id, watched(&[("eve", true)])).watches_nobody());
    rig.presence(&[("eve", false)]);
    assert!(rig.event("a", 7, writes("bob")).watches_nobody(), "that sign was of before");
    rig.event("a", 8, accepts()).watches();
    assert!(rig.event("a", 9, accepts()).watches_nobody());
    rig.cut();
    let (id, ..) = rig.come_back().watches();
    assert!(rig.reply(id, watched(&[("eve", false)])).watches_nobody(), "it was asked after the sign");
}

#[test]
fn a_sign_that_comes_too_soon_after_another_is_followed_when_its_time_has_come() {
    let mut rig = watching();
    rig.subscribed_at("a", 5);
    let (id, ..) = rig.event("a", 6, writes("eve")).watches();
    rig.reply(id, watched(&[("eve", false)]));
    assert!(rig.event("a", 7, writes("eve")).watches_nobody());
    assert!(rig.pass(Duration::from_millis(999)).watches_nobody());
    let (id, users, _) = rig.pass(Duration::from_millis(1)).watches();
    assert_eq!(users, ["eve"]);
    rig.reply(id, watched(&[("eve", false)]));
    // One that means something is not kept waiting by those that may not.
    let (id, ..) = rig.event("a", 8, accepts()).watches();
    assert_eq!(rig.reply(id, watched(&[("eve", true)])).delivered(), [&Event::Presence(seen("eve", true))]);
}

#[test]
fn who_is_not_to_be_seen_is_asked_for_again_when_they_accept_or_write() {
    let mut rig = watching();
    rig.subscribed_at("a", 5);
    let accepted = |accepted| Body::Change(v1::ConversationChanged { accepted: Some(accepted), ..Default::default() });
    assert!(rig.event("a", 6, accepted(false)).watches_nobody());
    let (id, users, conversation) = rig.event("a", 7, accepted(true)).watches();
    assert_eq!((users, conversation), (vec!["eve".to_owned()], None), "bob is seen already");
    assert!(rig.reply(id, watched(&[("eve", false)])).delivered().is_empty(), "it is no news");
    assert!(rig.event("a", 8, writes("bob")).watches_nobody());
    // That may mean nothing: it is asked less and less often.
    rig.pass(Duration::from_secs(2));
    let mut asked = 0;
    let mut a_second = |rig: &mut Rig, mut out: Out| {
        out.0.extend(rig.pass(Duration::from_secs(1)).0);
        rig.presence(&[]);
        if !out.watches_nobody() {
            asked += 1;
            rig.reply(out.watches().0, watched(&[("eve", false)]));
        }
        asked
    };
    for seq in 9..109 {
        let out = rig.event("a", seq, writes("eve"));
        a_second(&mut rig, out);
    }
    let meanwhile = a_second(&mut rig, Out(Vec::new()));
    assert!((3..8).contains(&meanwhile), "{meanwhile}");
    for _ in 0..140 {
        a_second(&mut rig, Out(Vec::new()));
    }
    assert_eq!(a_second(&mut rig, Out(Vec::new())), meanwhile + 1, "for the last of them");
    let (id, users, _) = rig.event("a", 109, writes("eve")).watches();
    assert_eq!(users, ["eve"]);
    let out = rig.reply(id, watched(&[("eve", true)]));
    assert_eq!(out.delivered(), [&Event::Presence(seen("eve", true))]);
    // Blocked, she is gone; and back with the next word of hers.
    assert_eq!(rig.presence(&[("eve", false)]).delivered(), [&Event::Presence(seen("eve", false))]);
    let (id, ..) = rig.event("a", 110, writes("eve")).watches();
    assert_eq!(rig.reply(id, watched(&[("eve", true)])).delivered(), [&Event::Presence(seen("eve", true))]);
}
