//! Marks: how often they are said, when again, and what the application is told of others'.

use super::super::limits::{MARK_STORED_WITHIN, MARKED_MAX};
use super::*;

impl Rig {
    fn mark(&mut self, conversation: &str, read: u64, delivered: u64) -> Out {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let out = self.give(Input::Mark { ticket, conversation: conversation.to_owned(), read, delivered });
        assert!(matches!(out.answer(ticket), Some(Ok(_))), "nobody waits for the server");
        out
    }

    fn accept(&mut self, id: u64) -> Out {
        self.reply(id, reply::Result::Marked(v1::Marked::default()))
    }

    fn marks(&mut self, conversation: &str, marks: Vec<v1::MemberMarks>, missed: bool) -> Out {
        self.event(conversation, 0, Body::Marks(v1::MarksChanged { marks, missed }))
    }
}

impl Out {
    /// What it says to have read and received.
    fn marked(&self) -> Vec<(u64, String, u64, u64)> {
        let mark = |(id, request)| match request {
            Request::Mark(mark) => {
                Some((id, mark.conversation, mark.read.unwrap_or_default(), mark.delivered.unwrap_or_default()))
            }
            _ => None,
        };
        self.frames().into_iter().filter_map(mark).collect()
    }

    /// The only one: its id, and how far it goes.
    fn mark(&self) -> (u64, u64, u64) {
        let marked = self.marked();
        assert_eq!(marked.len(), 1, "{self:?}");
        (marked[0].0, marked[0].2, marked[0].3)
    }

    /// Whose marks it asks for.
    fn asks(&self) -> Vec<(u64, String)> {
        let marks = |(id, request)| match request {
            Request::Marks(marks) => Some((id, marks.conversation)),
            _ => None,
        };
        self.frames().into_iter().filter_map(marks).collect()
    }
}

fn of(user: &str, read: u64) -> v1::MemberMarks {
    v1::MemberMarks { user: user.to_owned(), read, ..v1::MemberMarks::default() }
}

fn told(conversation: &str, marks: &[(&str, u64)]) -> Event {
    let marks = marks.iter().map(|(user, read)| of(user, *read)).collect();
    Event::Marks { conversation: conversation.to_owned(), marks }
}

#[test]
fn the_first_is_said_at_once_and_then_the_newest_a_second_later() {
    let mut rig = Rig::online();
    let (id, read, delivered) = rig.mark("a", 3, 0).mark();
    assert_eq!((read, delivered), (3, 0));
    assert!(rig.mark("a", 4, 0).marked().is_empty(), "one at a time");
    assert_eq!(rig.mark("b", 0, 7).mark().2, 7, "each conversation for itself");
    assert!(rig.accept(id).marked().is_empty());
    assert!(rig.mark("a", 2, 9).marked().is_empty());
    assert!(rig.mark("a", 5, 0).marked().is_empty());
    assert!(rig.pass(MARK_STORED_WITHIN / 2).marked().is_empty());
    let (id, read, delivered) = rig.pass(MARK_STORED_WITHIN / 2).mark();
    assert_eq!((read, delivered), (5, 9));
    rig.accept(id);
    assert!(rig.mark("a", 5, 9).marked().is_empty(), "that is no news");
    assert!(rig.pass(MARK_STORED_WITHIN * 3).marked().is_empty());
    assert_eq!(rig.mark("a", 6, 0).mark().1, 6);
    assert!(rig.mark("c", 0, 0).marked().is_empty(), "nothing");
}

#[test]
fn what_may_be_lost_is_said_again_on_the_next_connection() {
    let mut rig = Rig::online();
    let (id, ..) = rig.mark("stored", 1, 0).mark();
    rig.accept(id);
    rig.pass(MARK_STORED_WITHIN + Duration::from_millis(1));
    rig.give(Input::Heard(rig.connection));
    let (id, ..) = rig.mark("accepted", 2, 0).mark();
    rig.accept(id);
    rig.mark("flying", 3, 0).mark();
    rig.cut();
    assert!(rig.mark("meanwhile", 4, 0).marked().is_empty());
    assert!(rig.mark("flying", 5, 0).marked().is_empty());
    let out = rig.come_back();
    let mut again: Vec<_> = out.marked().into_iter().map(|(_, name, read, _)| (name, read)).collect();
    again.sort();
    let expected = [("accepted", 2), ("flying", 5), ("meanwhile", 4)];
    assert_eq!(again, expected.map(|(name, read)| (name.to_owned(), read)));
}

#[test]
fn a_server_that_fell_silent_after_its_answer_may_have_lost_it() {
    let mut rig = Rig::online();
    let (id, ..) = rig.mark("a", 1, 0).mark();
    rig.accept(id);
    // Nothing more is heard, and the connection is given up in the end.
    let out = rig.pass(HEARTBEAT * 3);
    assert!(out.disconnects() && out.marked().is_empty());
    rig.connected();
    assert_eq!(rig.welcome("alice").mark().1, 1);
}

#[test]
fn a_refusal_is_final_or_said_again_later() {
    let mut rig = Rig::online();
    let (id, ..) = rig.mark("a", 1, 0).mark();
    assert!(rig.refuse(id, ErrorCode::Overloaded, Some(3_000)).marked().is_empty());
    assert!(rig.mark("a", 2, 0).marked().is_empty());
    assert!(rig.pass(Duration::from_millis(3_000)).marked().is_empty());
    let (id, read, _) = rig.pass(Duration::from_secs(1)).mark();
    assert_eq!(read, 2);
    rig.refuse(id, ErrorCode::BadRequest, None);
    assert!(rig.pass(Duration::from_secs(9)).marked().is_empty(), "it is dropped");
    let (late, ..) = rig.mark("a", 1, 0).mark();
    rig.give(Input::Heard(rig.connection));
    let out = rig.pass(Settings::default().request_timeout + Duration::from_secs(2));
    assert!(out.marked().iter().all(|(id, ..)| *id != late));
}

#[test]
fn there_is_a_limit_to_what_waits() {
    let mut rig = Rig::new();
    for n in 0..MARKED_MAX {
        rig.mark(&format!("c{n}"), 1, 0);
    }
    let ticket = Ticket(999_999);
    let out = rig.give(Input::Mark { ticket, conversation: "more".to_owned(), read: 1, delivered: 0 });
    assert_eq!(*out.error(ticket), Error::TooManyPending);
    rig.mark("c0", 2, 0);
}

#[test]
fn others_marks_are_told_and_the_newest_waits_for_room() {
    let mut rig = Rig::online();
    rig.subscribed_at("a", 5);
    assert_eq!(rig.marks("a", vec![of("bob", 3)], false).delivered(), [&told("a", &[("bob", 3)])]);
    assert!(rig.marks("other", vec![of("bob", 3)], false).delivered().is_empty(), "not subscribed");
    rig.give(Input::Room(0));
    for marks in [vec![of("bob", 4)], vec![of("eve", 1)], vec![of("bob", 5)]] {
        assert!(rig.marks("a", marks, false).delivered().is_empty());
    }
    assert!(rig.core.is_stalled());
    assert_eq!(rig.give(Input::Room(9)).delivered(), [&told("a", &[("bob", 5), ("eve", 1)])]);
    assert!(!rig.core.is_stalled());
}

#[test]
fn what_was_missed_is_asked_for() {
    let mut rig = Rig::online();
    rig.subscribed_at("a", 5);
    rig.subscribed_at("quiet", 5);
    let out = rig.marks("a", Vec::new(), true);
    let (id, name) = out.asks().pop().expect("it asks");
    assert!(out.delivered().is_empty() && name == "a");
    let page = v1::MarkPage { marks: vec![of("alice", 5), of("bob", 4)], more: false };
    let out = rig.reply(id, reply::Result::Marks(page));
    assert_eq!(out.delivered(), [&told("a", &[("alice", 5), ("bob", 4)])]);
    // Whatever comes while there is no connection is missed as well, where any was told before.
    rig.cut();
    let asks = rig.come_back().asks();
    assert_eq!(asks.iter().map(|(_, name)| &**name).collect::<Vec<_>>(), ["a"]);
    assert!(rig.refuse(asks[0].0, ErrorCode::Overloaded, None).asks().is_empty());
    assert_eq!(rig.pass(Duration::from_secs(1)).asks().len(), 1);
}
