//! What is shown, and who types there.

use switchyard_protocol::limits::TYPING_LASTS_MS;

use super::*;

impl Rig {
    fn show(&mut self, conversations: &[&str]) -> (Ticket, Out) {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let conversations = conversations.iter().map(|text| (*text).to_owned()).collect();
        (ticket, self.give(Input::Show { ticket, conversations }))
    }

    fn typing(&mut self, conversation: &str, on: bool) -> Out {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let out = self.give(Input::Typing { ticket, conversation: conversation.to_owned(), on });
        assert!(out.answer(ticket).is_some(), "nobody waits for the server");
        out
    }

    fn typers(&mut self, conversation: &str, users: &[&str]) -> Out {
        let users = users.iter().map(|user| (*user).to_owned()).collect();
        self.event(conversation, 0, Body::Typing(v1::Typers { users, more: 0 }))
    }
}

impl Out {
    /// What it says to be open.
    fn opens(&self) -> Vec<(u64, Vec<String>)> {
        let open = |(id, request)| match request {
            Request::Open(open) => Some((id, open.conversations)),
            _ => None,
        };
        self.frames().into_iter().filter_map(open).collect()
    }

    /// The only one.
    fn open(&self) -> (u64, Vec<String>) {
        let opens = self.opens();
        assert_eq!(opens.len(), 1, "{self:?}");
        opens.into_iter().next().expect("one")
    }

    /// Whether it says that the user types or stopped.
    fn said(&self) -> Vec<bool> {
        let typing = |(_, request)| match request {
            Request::Typing(typing) => Some(typing.on),
            _ => None,
        };
        self.frames().into_iter().filter_map(typing).collect()
    }
}

fn opened(conversations: &[(&str, &[&str])]) -> reply::Result {
    let one = |(conversation, users): &(&str, &[&str])| v1::OpenedConversation {
        conversation: (*conversation).to_owned(),
        users: users.iter().map(|user| (*user).to_owned()).collect(),
        ..Default::default()
    };
    reply::Result::Opened(v1::Opened { opened: conversations.iter().map(one).collect() })
}

fn typing_event(conversation: &str, users: &[&str]) -> Event {
    let users = users.iter().map(|user| (*user).to_owned()).collect();
    Event::Typing { conversation: conversation.to_owned(), users, more: 0 }
}

/// One that shows two conversations.
fn showing() -> Rig {
    let mut rig = Rig::online();
    rig.subscribed_at("a", 5);
    rig.subscribed_at("b", 5);
    let (ticket, out) = rig.show(&["a", "b"]);
    let (id, names) = out.open();
    assert_eq!(names, ["a", "b"]);
    let out = rig.reply(id, opened(&[("a", &["bob"]), ("b", &[])]));
    let Some(Ok(reply::Result::Opened(opened))) = out.answer(ticket) else { panic!("{out:?}") };
    assert_eq!(opened.opened[0].users, ["bob"]);
    assert!(out.delivered().is_empty(), "it is in the answer");
    rig
}

#[test]
fn what_is_open_is_said_and_who_types_is_told() {
    let mut rig = showing();
    assert_eq!(rig.typers("b", &["eve"]).delivered(), [&typing_event("b", &["eve"])]);
    let (_, out) = rig.show(&["b"]);
    let (id, names) = out.open();
    assert_eq!(names, ["b"]);
    assert!(rig.typers("a", &["eve"]).delivered().is_empty(), "it is not shown any more");
    rig.reply(id, opened(&[("b", &[])]));
    assert_eq!(rig.typers("b", &[]).delivered(), [&typing_event("b", &[])]);
}

#[test]
fn after_a_reconnect_it_is_said_again_once_it_is_subscribed() {
    let mut rig = showing();
    rig.cut();
    let out = rig.come_back();
    assert!(out.opens().is_empty(), "the server would take them for a stranger's");
    let (id, _) = out.resume();
    let pages = vec![page("a", &[], 5), page("b", &[], 5)];
    let out = rig.reply(id, reply::Result::Resumed(v1::Resumed { conversations: pages }));
    let (id, names) = out.open();
    assert_eq!(names, ["a", "b"]);
    let out = rig.reply(id, opened(&[("a", &[]), ("b", &["eve"])]));
    assert_eq!(out.delivered(), [&typing_event("a", &[]), &typing_event("b", &["eve"])], "it may have changed");
}

#[test]
fn of_what_was_given_up_while_it_was_being_shown_nobody_is_said_to_type() {
    let mut rig = Rig::online();
    rig.subscribed_at("c", 5);
    let (ticket, out) = rig.show(&["c"]);
    let (id, _) = out.open();
    rig.give(Input::Unsubscribe { ticket: Ticket(900), conversation: "c".to_owned() });
    let out = rig.reply(id, opened(&[("c", &["bob"])]));
    let Some(Ok(reply::Result::Opened(v1::Opened { opened }))) = out.answer(ticket) else { panic!("{out:?}") };
    assert!(opened[0].users.is_empty() && opened[0].error.is_some(), "{opened:?}");
    assert!(out.delivered().is_empty(), "{out:?}");
}

#[test]
fn where_it_is_refused_for_now_after_a_reconnect_nobody_types_until_it_is_said_again() {
    let mut rig = showing();
    rig.cut();
    let (id, _) = rig.come_back().resume();
    let pages = vec![page("a", &[], 5), page("b", &[], 5)];
    let out = rig.reply(id, reply::Result::Resumed(v1::Resumed { conversations: pages }));
    let busy = frame::error(ErrorCode::Overloaded, "busy", Some(2_000));
    let refused = v1::OpenedConversation { conversation: "a".to_owned(), error: Some(busy), ..Default::default() };
    let mut answer = opened(&[("b", &["eve"])]);
    if let reply::Result::Opened(opened) = &mut answer {
        opened.opened.insert(0, refused);
    }
    let out = rig.reply(out.open().0, answer);
    assert_eq!(out.delivered(), [&typing_event("a", &[]), &typing_event("b", &["eve"])]);
    let (id, names) = rig.pass(Duration::from_secs(4)).open();
    assert_eq!(names, ["a", "b"]);
    let out = rig.reply(id, opened(&[("a", &["bob"]), ("b", &["eve"])]));
    assert_eq!(out.delivered(), [&typing_event("a", &["bob"]), &typing_event("b", &["eve"])]);
}

#[test]
fn what_is_shown_before_it_is_subscribed_is_said_when_it_is() {
    let mut rig = Rig::online();
    let (_, out) = rig.subscribe("a", From::After(5));
    let (resume, _) = out.resume();
    let (ticket, out) = rig.show(&["a", "unsubscribed"]);
    let (id, names) = out.open();
    assert_eq!(names, [""; 0], "what was open before is not any more");
    assert!(rig.reply(id, opened(&[])).answer(ticket).is_none());
    let (id, names) = rig.reply(resume, resumed("a", &[], 5)).open();
    assert_eq!(names, ["a"]);
    let out = rig.reply(id, opened(&[("a", &["bob"])]));
    let Some(Ok(reply::Result::Opened(opened))) = out.answer(ticket) else { panic!("{out:?}") };
    let errors: Vec<bool> = opened.opened.iter().map(|one| one.error.is_some()).collect();
    assert_eq!(errors, [false, true]);
}

#[test]
fn who_waits_for_a_subscription_that_is_refused_is_answered() {
    let mut rig = showing();
    let (_, out) = rig.subscribe("c", From::After(5));
    let (resume, _) = out.resume();
    let (ticket, out) = rig.show(&["a", "c"]);
    let out = rig.reply(out.open().0, opened(&[("a", &["bob"])]));
    assert!(out.answer(ticket).is_none());
    let refused = v1::ResumedConversation {
        conversation: "c".to_owned(),
        error: Some(frame::error(ErrorCode::NotFound, "no such conversation", None)),
        ..Default::default()
    };
    let out = rig.reply(resume, reply::Result::Resumed(v1::Resumed { conversations: vec![refused] }));
    let (id, names) = out.open();
    assert_eq!(names, ["a"]);
    let out = rig.reply(id, opened(&[("a", &["bob"])]));
    assert!(matches!(out.answer(ticket), Some(Ok(reply::Result::Opened(opened))) if opened.opened.len() == 2));
}

#[test]
fn a_refusal_for_now_is_asked_again_and_a_final_one_told() {
    let mut rig = showing();
    let (ticket, out) = rig.show(&["a"]);
    let out = rig.refuse(out.open().0, ErrorCode::Overloaded, Some(500));
    assert!(out.opens().is_empty());
    let (id, names) = rig.pass(Duration::from_secs(5)).open();
    assert_eq!(names, ["a"]);
    let out = rig.refuse(id, ErrorCode::BadRequest, None);
    assert!(matches!(out.error(ticket), Error::Rejected { .. }));
    let (id, names) = out.open();
    assert_eq!(names, [""; 0], "the server is not left with what is not shown");
    rig.reply(id, opened(&[]));
    assert!(rig.pass(Duration::from_secs(60)).opens().is_empty());
}

#[test]
fn an_application_that_does_not_read_gets_the_newest() {
    let mut rig = showing();
    rig.give(Input::Room(0));
    rig.typers("a", &["eve"]);
    rig.typers("a", &["bob"]);
    rig.typers("b", &["eve"]);
    rig.typers("b", &[]);
    assert!(rig.core.is_stalled());
    let out = rig.give(Input::Room(10));
    assert_eq!(out.delivered(), [&typing_event("a", &["bob"]), &typing_event("b", &[])]);
    assert!(!rig.core.is_stalled());
}

#[test]
fn typing_is_said_no_more_often_than_it_helps() {
    let mut rig = showing();
    assert_eq!(rig.typing("a", true).said(), [true]);
    for _ in 0..10 {
        assert_eq!(rig.typing("a", true).said(), [false; 0]);
    }
    rig.pass(Duration::from_secs(3));
    assert_eq!(rig.typing("a", true).said(), [true]);
    assert_eq!(rig.typing("a", false).said(), [false]);
    assert_eq!(rig.typing("a", false).said(), [false; 0]);
    assert_eq!(rig.typing("a", true).said(), [true]);
    rig.send("a", "m1");
    assert_eq!(rig.typing("a", false).said(), [false; 0], "the message said so");
    assert_eq!(rig.typing("a", true).said(), [true]);
    rig.pass(Duration::from_millis(TYPING_LASTS_MS));
    assert_eq!(rig.typing("a", false).said(), [false; 0], "it is over by itself");
    assert_eq!(rig.typing("elsewhere", true).said(), [false; 0], "only what is subscribed");
}

#[test]
fn typing_without_a_connection_is_not_said_later() {
    let mut rig = showing();
    rig.typing("a", true);
    rig.cut();
    rig.typing("a", true);
    let out = rig.come_back();
    assert_eq!(out.said(), [false; 0]);
    let (id, _) = out.resume();
    let pages = vec![page("a", &[], 5), page("b", &[], 5)];
    rig.reply(id, reply::Result::Resumed(v1::Resumed { conversations: pages }));
    assert_eq!(rig.typing("a", true).said(), [true], "the server has forgotten it");
}
