//! All conversations of the user: asked for on each connection, told of as they come and go.

use super::*;

impl Rig {
    fn subscribe_all(&mut self) -> (Ticket, Out) {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        (ticket, self.give(Input::SubscribeAll { ticket }))
    }

    fn listed(&mut self, conversation: &str, head: Option<u64>) -> Out {
        let change = v1::ListingChanged { added: Some(v1::Listing::default()), head, ..Default::default() };
        self.event(conversation, 0, Body::Listed(Box::new(change)))
    }

    /// One that reads all, which is `a` as of number 5.
    fn reads_all() -> Self {
        let mut rig = Self::online();
        let (ticket, out) = rig.subscribe_all();
        let out = rig.reply(out.all(), all(&[("a", 5)]));
        assert!(matches!(out.answer(ticket), Some(Ok(reply::Result::Subscribed(_)))));
        assert!(out.delivered().is_empty(), "it is in the answer");
        rig
    }
}

impl Out {
    /// The request for all.
    fn all(&self) -> u64 {
        let all = |(id, request)| matches!(request, Request::Subscribe(v1::Subscribe { all: true, .. })).then_some(id);
        let asked: Vec<u64> = self.frames().into_iter().filter_map(all).collect();
        assert_eq!(asked.len(), 1, "{self:?}");
        asked[0]
    }
}

fn all(heads: &[(&str, u64)]) -> reply::Result {
    let one = |(conversation, head): &(&str, u64)| v1::SubscribedTo {
        conversation: (*conversation).to_owned(),
        head: *head,
        error: None,
    };
    let subscribed = heads.iter().map(one).collect();
    let total = heads.len() as u64;
    reply::Result::Subscribed(v1::Subscribed { subscribed, all: Some(v1::SubscribedAll { total, error: None }) })
}

#[test]
fn what_comes_is_told_and_read() {
    let mut rig = Rig::reads_all();
    assert_eq!(rig.message("a", 6).numbers(), [6]);
    assert!(rig.message("b", 3).delivered().is_empty(), "nobody said that it is read");
    let out = rig.listed("b", Some(3));
    assert!(matches!(&*out.delivered(), [Event::Listed { conversation, head: Some(3), .. }] if conversation == "b"));
    assert_eq!(rig.message("b", 4).numbers(), [4]);
    let out = rig.event("b", 0, Body::Listed(Box::new(v1::ListingChanged { removed: true, ..Default::default() })));
    assert!(matches!(&*out.delivered(), [Event::Unlisted { conversation }] if conversation == "b"));
}

#[test]
fn what_is_shown_otherwise_is_told_and_read_as_before() {
    let mut rig = Rig::reads_all();
    let changed = |unread| v1::ListingChanged {
        changed: Some(v1::Listing {
            conversation: Some(v1::Conversation { archived: true, unread, ..Default::default() }),
            ..Default::default()
        }),
        ..Default::default()
    };
    let out = rig.event("a", 0, Body::Listed(Box::new(changed(0))));
    let [Event::Relisted { conversation, entry }] = &*out.delivered() else { panic!("{out:?}") };
    assert!(conversation == "a" && entry.conversation.as_ref().is_some_and(|it| it.archived));
    assert_eq!(rig.message("a", 6).numbers(), [6]);
}

#[test]
fn what_happened_since_the_entry_was_made_is_fetched() {
    let mut rig = Rig::reads_all();
    let listed = |entry: u64, head| v1::ListingChanged {
        added: Some(v1::Listing {
            conversation: Some(v1::Conversation { head: entry, ..Default::default() }),
            ..Default::default()
        }),
        head: Some(head),
        ..Default::default()
    };
    let out = rig.event("b", 0, Body::Listed(Box::new(listed(3, 5))));
    assert!(matches!(&*out.delivered(), [Event::Listed { head: Some(3), .. }]), "{out:?}");
    let (asked, positions) = out.resume();
    assert_eq!(positions, [("b".to_owned(), 3)]);
    assert!(rig.message("b", 6).numbers().is_empty(), "4 and 5 come first");
    assert_eq!(rig.reply(asked, resumed("b", &[4, 5, 6], 6)).numbers(), [4, 5, 6]);
    assert_eq!(rig.message("b", 7).numbers(), [7]);
    // Of one that is read already an entry from before says nothing new.
    let out = rig.event("b", 0, Body::Listed(Box::new(listed(3, 7))));
    assert!(matches!(&*out.delivered(), [Event::Listed { head: Some(7), .. }]), "{out:?}");
    assert_eq!(rig.message("b", 8).numbers(), [8]);
    // Where nothing did, nothing is asked for.
    let out = rig.event("c", 0, Body::Listed(Box::new(listed(9, 9))));
    assert!(out.frames().is_empty(), "{out:?}");
    assert_eq!(rig.message("c", 10).numbers(), [10]);
}

#[test]
fn what_came_before_the_answer_is_fetched() {
    let mut rig = Rig::online();
    let (_, out) = rig.subscribe_all();
    let id = out.all();
    assert!(rig.message("a", 6).delivered().is_empty());
    let (asked, _) = rig.reply(id, all(&[("a", 5)])).resume();
    assert_eq!(rig.reply(asked, resumed("a", &[6], 6)).numbers(), [6]);
    assert_eq!(rig.message("a", 7).numbers(), [7]);
}

#[test]
fn after_a_reconnect_it_goes_on_and_what_is_new_is_told() {
    let mut rig = Rig::reads_all();
    rig.cut();
    rig.pass_until_connect();
    let mut out = rig.connected();
    out.0.extend(rig.welcome("alice").0);
    let (resume, positions) = out.resume();
    assert_eq!(positions, [("a".to_owned(), 5)], "what was read goes on where it was");
    let everything = out.all();
    let out = rig.reply(everything, all(&[("a", 7), ("b", 2)]));
    let [Event::Listed { conversation, entry: None, head: Some(2) }] = &*out.delivered() else { panic!("{out:?}") };
    assert_eq!(conversation, "b");
    assert_eq!(rig.reply(resume, resumed("a", &[6, 7], 7)).numbers(), [6, 7], "nothing missed, nothing twice");
    assert_eq!(rig.message("b", 3).numbers(), [3]);
}

#[test]
fn what_was_given_up_stays_so() {
    let mut rig = Rig::reads_all();
    rig.give(Input::Unsubscribe { ticket: Ticket(900), conversation: "a".to_owned() });
    rig.cut();
    rig.pass_until_connect();
    let mut out = rig.connected();
    out.0.extend(rig.welcome("alice").0);
    let out = rig.reply(out.all(), all(&[("a", 7)]));
    assert!(out.delivered().is_empty());
    let unsubscribes = |(_, request)| matches!(request, Request::Unsubscribe(it) if it.conversations == ["a"]);
    assert!(out.frames().into_iter().any(unsubscribes), "{out:?}");
    assert!(rig.message("a", 8).delivered().is_empty());
}

#[test]
fn what_is_being_given_up_does_not_come_back_by_itself() {
    let mut rig = Rig::reads_all();
    let out = rig.give(Input::Unsubscribe { ticket: Ticket(900), conversation: "a".to_owned() });
    let [(id, Request::Unsubscribe(_))] = &*out.frames() else { panic!("{out:?}") };
    let out = rig.listed("a", Some(7));
    assert!(matches!(&*out.delivered(), [Event::Listed { head: None, .. }]), "{out:?}");
    assert!(rig.message("a", 8).delivered().is_empty());
    rig.reply(*id, reply::Result::Done(v1::Done {}));
    assert!(matches!(&*rig.listed("a", Some(9)).delivered(), [Event::Listed { head: Some(9), .. }]));
    assert_eq!(rig.message("a", 10).numbers(), [10]);
}

#[test]
fn a_conversation_that_is_late_comes_with_its_head() {
    let mut rig = Rig::reads_all();
    let out = rig.event("late", 0, Body::Head(v1::Head { head: 9 }));
    assert!(matches!(&*out.delivered(), [Event::Listed { head: Some(9), .. }]), "{out:?}");
    assert_eq!(rig.message("late", 10).numbers(), [10]);
}

#[test]
fn a_refusal_for_now_is_asked_again_and_a_final_one_is_told() {
    let mut rig = Rig::online();
    let (ticket, out) = rig.subscribe_all();
    let busy = frame::error(ErrorCode::Overloaded, "busy", Some(2_000));
    let out = rig.reply(out.all(), reply::Result::Error(busy));
    assert!(out.answer(ticket).is_none());
    let out = rig.pass(Duration::from_secs(3));
    let bad = frame::error(ErrorCode::BadRequest, "an older server", None);
    let out = rig.reply(out.all(), reply::Result::Error(bad));
    assert!(matches!(out.answer(ticket), Some(Err(Error::Rejected { .. }))));
}

#[test]
fn without_room_the_newest_of_each_conversation_waits() {
    let mut rig = Rig::reads_all();
    rig.give(Input::Room(0));
    assert!(rig.listed("b", Some(1)).delivered().is_empty());
    for _ in 0..3 {
        rig.listed("b", Some(1));
        rig.event("b", 0, Body::Listed(Box::new(v1::ListingChanged { removed: true, ..Default::default() })));
    }
    rig.listed("c", None);
    let out = rig.give(Input::Room(5));
    let told: Vec<_> = out.delivered().into_iter().map(|event| event.conversation().to_owned()).collect();
    assert_eq!(told, ["b", "b", "c"]);
    assert!(matches!(&*out.delivered(), [Event::Listed { .. }, Event::Unlisted { .. }, Event::Listed { .. }]));
}

/// One that reads all and was not told yet that `b` came, of which two events are missed.
fn untold() -> Rig {
    let mut rig = Rig::reads_all();
    rig.give(Input::Room(0));
    rig.listed("b", Some(0));
    rig.cut();
    rig.pass_until_connect();
    rig
}

#[test]
fn from_now_on_is_from_the_answer_on_for_whom_nothing_was_told() {
    let mut rig = untold();
    let (ticket, _) = rig.subscribe("b", From::Now);
    rig.give(Input::Room(9));
    let mut out = rig.connected();
    out.0.extend(rig.welcome("alice").0);
    let asked = |(id, request)| match request {
        Request::Subscribe(asked) if asked.conversations == ["b"] => Some(id),
        _ => None,
    };
    let asked = out.frames().into_iter().find_map(asked);
    let now = v1::SubscribedTo { conversation: "b".to_owned(), head: 2, error: None };
    let now = v1::Subscribed { subscribed: vec![now], all: None };
    let out = rig.reply(asked.expect("`b` has no position any more"), reply::Result::Subscribed(now));
    assert!(out.answer(ticket).is_some(), "{out:?}");
    assert!(out.numbers().is_empty());
    assert_eq!(rig.message("b", 3).numbers(), [3]);
}

#[test]
fn from_now_on_passes_over_a_page_that_was_asked_for_from_before() {
    let mut rig = untold();
    let mut out = rig.connected();
    out.0.extend(rig.welcome("alice").0);
    let (id, positions) = out.resume();
    assert_eq!(positions, [("a".to_owned(), 5), ("b".to_owned(), 0)]);
    let (ticket, _) = rig.subscribe("b", From::Now);
    rig.give(Input::Room(9));
    let mut pages = vec![page("a", &[], 5), page("b", &[1, 2], 2)];
    pages[1].first_available = 1;
    let out = rig.reply(id, reply::Result::Resumed(v1::Resumed { conversations: pages }));
    let Some(Ok(reply::Result::Subscribed(answer))) = out.answer(ticket) else { panic!("{out:?}") };
    assert_eq!(answer.subscribed[0].head, 2);
    assert!(out.numbers().is_empty(), "{out:?}");
    assert_eq!(rig.message("b", 3).numbers(), [3]);
}

#[test]
fn what_came_and_was_refused_before_it_was_told_begins_nothing() {
    let mut rig = Rig::reads_all();
    rig.give(Input::Room(0));
    let (ticket, out) = rig.subscribe("b", From::After(0));
    let (id, _) = out.resume();
    rig.listed("b", Some(0));
    rig.event("b", 0, Body::Listed(Box::new(v1::ListingChanged { removed: true, ..Default::default() })));
    let error = Some(frame::error(ErrorCode::NotFound, "because", None));
    let refused = v1::ResumedConversation { error, ..page("b", &[], 0) };
    let out = rig.reply(id, reply::Result::Resumed(v1::Resumed { conversations: vec![refused] }));
    assert!(matches!(out.answer(ticket), Some(Err(Error::Rejected { .. }))));
    let out = rig.give(Input::Room(9));
    assert!(matches!(&*out.delivered(), [Event::Listed { head: None, .. }, Event::Unlisted { .. }]), "{out:?}");
}
