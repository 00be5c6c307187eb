//! The application's requests: once, in order, within limits, repeated only where that is safe.

use super::*;
use crate::core::limits::{PENDING_MAX, REQUEST_TIMEOUT, RETRY_BASE, RETRY_CAP};

const SECOND: Duration = Duration::from_secs(1);

fn group() -> Call {
    Call::Create(v1::Create { kind: v1::ConversationKind::Group.into(), ..v1::Create::default() })
}

fn get(conversation: &str) -> Call {
    Call::Get(v1::Get { conversation: conversation.to_owned() })
}

#[test]
fn an_unanswered_send_goes_out_again_under_its_id_after_a_reconnect() {
    let mut rig = Rig::online();
    rig.subscribed_at("c", 7);
    let (ticket, out) = rig.send("c", "m1");
    let (_, first) = out.one_send();
    assert_eq!(first.since, Some(7));
    rig.message("c", 8);
    rig.cut();
    let out = rig.come_back();
    let (id, second) = out.one_send();
    assert_eq!(second, first, "id, body and since of the first attempt");
    let out = rig.reply(id, sent("c", "m1", 9));
    assert!(matches!(out.answer(ticket), Some(Ok(reply::Result::Sent(_)))));
}

#[test]
fn what_was_submitted_offline_goes_out_in_order_once_online() {
    let mut rig = Rig::new();
    for n in 0..5 {
        let (_, out) = rig.send("c", &format!("m{n}"));
        assert!(out.frames().is_empty());
    }
    let sends = rig.go_online().sends();
    let ids: Vec<_> = sends.iter().map(|(_, send)| &*send.client_id).collect();
    assert_eq!(ids, ["m0", "m1", "m2", "m3", "m4"]);
}

#[test]
fn retryable_refusals_are_repeated_after_the_pause_that_the_server_asks_for() {
    for code in [ErrorCode::RateLimited, ErrorCode::Overloaded, ErrorCode::UnknownOutcome, ErrorCode::Internal] {
        let mut rig = Rig::online();
        rig.subscribed_at("c", 3);
        let (ticket, out) = rig.send("c", "m1");
        let (id, first) = out.one_send();
        let out = rig.refuse(id, code, Some(3_000));
        assert!(out.answer(ticket).is_none() && out.sends().is_empty());
        assert!(rig.pass(SECOND * 3 - Duration::from_millis(1)).sends().is_empty());
        let (id, second) = rig.pass(RETRY_BASE + Duration::from_millis(1)).one_send();
        assert_eq!(second, first);
        assert!(rig.reply(id, sent("c", "m1", 1)).answer(ticket).is_some());
    }
}

#[test]
fn final_refusals_are_told() {
    let mut rig = Rig::online();
    let (ticket, out) = rig.send("c", "m1");
    let out = rig.refuse(out.one_send().0, ErrorCode::Forbidden, None);
    assert_eq!(out.error(ticket).code(), Some(ErrorCode::Forbidden));
    assert!(rig.pass(RETRY_CAP).sends().is_empty());
}

#[test]
fn a_refusal_after_an_attempt_in_doubt_is_unknown() {
    let mut rig = Rig::online();
    rig.subscribed_at("c", 3);
    let (ticket, _) = rig.send("c", "m1");
    rig.cut();
    let (id, _) = rig.come_back().one_send();
    let out = rig.refuse(id, ErrorCode::NotFound, None);
    assert_eq!(out.error(ticket), &Error::Unknown { since: Some(3) });
}

#[test]
fn where_no_head_is_known_it_is_asked_for_before_the_first_attempt() {
    let mut rig = Rig::online();
    rig.head = None;
    let (first, out) = rig.send("c", "m1");
    let frames = out.frames();
    assert!(matches!(&*frames, [(_, Request::Get(get))] if get.conversation == "c"), "{frames:?}");
    assert!(rig.send("c", "m2").1.frames().is_empty(), "asked once, and sent in order");
    assert_eq!(rig.send("d", "other").1.frames().len(), 1, "each conversation has its own");
    let sends = rig.reply(frames[0].0, head_of("c", 12_345)).sends();
    let said: Vec<_> = sends.iter().map(|(_, send)| (&*send.client_id, send.since)).collect();
    assert_eq!(said, [("m1", Some(12_345)), ("m2", Some(12_345))]);
    rig.cut();
    let frames = rig.come_back().frames();
    let again = frames.iter().find_map(|(id, request)| match request {
        Request::Send(send) if send.client_id == "m1" => Some((*id, send.since)),
        _ => None,
    });
    let (id, since) = again.expect("sent again");
    assert_eq!(since, Some(12_345), "however far the conversation has gone on");
    let out = rig.refuse(id, ErrorCode::NotFound, None);
    assert_eq!(out.error(first), &Error::Unknown { since: Some(12_345) }, "the application may look no less far");
}

#[test]
fn asking_for_a_head_may_fail_and_ends_as_a_send_would() {
    let mut rig = Rig::online();
    rig.head = None;
    let (ticket, out) = rig.send("c", "m1");
    let out = rig.refuse(out.frames()[0].0, ErrorCode::Overloaded, Some(1_000));
    assert!(out.answer(ticket).is_none() && out.frames().is_empty());
    let frames = rig.pass(SECOND + RETRY_BASE).frames();
    assert!(matches!(&*frames, [(_, Request::Get(_))]), "{frames:?}");
    rig.cut();
    let frames = rig.come_back().frames();
    assert!(matches!(&*frames, [(_, Request::Hello(_)), (_, Request::Get(_))]), "{frames:?}");
    let out = rig.refuse(frames[1].0, ErrorCode::NotFound, None);
    assert_eq!(out.error(ticket).code(), Some(ErrorCode::NotFound));

    let (ticket, out) = rig.submit_within(send("d", "m2"), Some(SECOND));
    assert_eq!(out.frames().len(), 1);
    assert_eq!(rig.pass(SECOND).error(ticket), &Error::TimedOut, "never sent");

    let (ticket, out) = rig.send("e", "m3");
    let out = rig.give(Input::Unsendable(out.frames()[0].0));
    assert_eq!(out.error(ticket), &Error::TooLarge);
    assert_eq!(rig.send("e", "m4").1.frames().len(), 1, "nothing waits behind it");
}

#[test]
fn a_failed_message_holds_up_those_behind_it_in_its_conversation_alone() {
    let mut rig = Rig::online();
    let (_, out) = rig.send("c", "m1");
    rig.refuse(out.one_send().0, ErrorCode::Overloaded, Some(1_000));
    let (_, out) = rig.send("c", "m2");
    assert!(out.sends().is_empty());
    let (_, out) = rig.send("d", "other");
    assert_eq!(out.one_send().1.client_id, "other");
    let (id, first) = rig.pass(SECOND + RETRY_BASE).one_send();
    assert_eq!(first.client_id, "m1");
    rig.send("c", "m3");
    // One at a time until one went well, then as many as before.
    let next = rig.reply(id, sent("c", "m1", 1)).sends();
    assert_eq!(next.iter().map(|(_, send)| &*send.client_id).collect::<Vec<_>>(), ["m2", "m3"]);
}

#[test]
fn one_at_a_time_keeps_the_order_of_submission() {
    let mut rig = Rig::with(Settings { in_flight_per_conversation_max: 1, ..Settings::default() }, 1);
    rig.go_online();
    let (_, out) = rig.send("c", "m1");
    let (id, _) = out.one_send();
    let (_, out) = rig.send("c", "m2");
    assert!(out.sends().is_empty());
    assert_eq!(rig.reply(id, sent("c", "m1", 1)).one_send().1.client_id, "m2");
}

#[test]
fn the_servers_limit_of_requests_in_flight_is_kept() {
    let mut rig = Rig::new();
    rig.in_flight_max = 8;
    let mut flying: Vec<(u64, v1::Send)> = Vec::new();
    for n in 0..100 {
        rig.send(&format!("c{n}"), "m");
    }
    flying.extend(rig.go_online().sends());
    let mut done = 0;
    while let Some((id, send)) = flying.pop() {
        assert!(flying.len() < 8);
        flying.extend(rig.reply(id, sent(&send.conversation, "m", 1)).sends());
        done += 1;
    }
    assert_eq!(done, 100);
}

#[test]
fn late_answers_still_count_as_in_flight() {
    let mut rig = Rig::new();
    rig.in_flight_max = 8;
    for n in 0..20 {
        rig.send(&format!("c{n}"), "m");
    }
    let first = rig.go_online().sends().len();
    rig.pass(SECOND);
    rig.give(Input::Heard(rig.connection));
    let again = rig.pass(REQUEST_TIMEOUT);
    // All places are taken by requests that the server never answered: only a new connection helps.
    assert!(again.disconnects());
    assert_eq!(again.sends().len(), 0, "first {first}");
}

#[test]
fn a_late_send_is_repeated_and_the_first_answer_counts() {
    let mut rig = Rig::online();
    let (ticket, out) = rig.send("c", "m1");
    let (first, _) = out.one_send();
    rig.pass(SECOND);
    rig.give(Input::Heard(rig.connection));
    let (second, repeated) = rig.pass(REQUEST_TIMEOUT).one_send();
    assert_eq!(repeated.client_id, "m1");
    assert!(rig.reply(first, sent("c", "m1", 1)).answer(ticket).is_some());
    assert!(rig.reply(second, sent("c", "m1", 1)).answer(ticket).is_none(), "answered once");
}

#[test]
fn a_send_with_a_time_limit_says_whether_it_may_have_happened() {
    let mut rig = Rig::new();
    let (never_sent, _) = rig.submit_within(send("c", "m1"), Some(SECOND));
    assert_eq!(rig.pass(SECOND).error(never_sent), &Error::TimedOut);

    let mut rig = Rig::online();
    rig.subscribed_at("c", 5);
    let (in_flight, _) = rig.submit_within(send("c", "m1"), Some(SECOND));
    assert_eq!(rig.pass(SECOND).error(in_flight), &Error::Unknown { since: Some(5) });

    let (refused, out) = rig.submit_within(send("d", "m2"), Some(SECOND));
    rig.refuse(out.one_send().0, ErrorCode::Overloaded, Some(60_000));
    assert_eq!(rig.pass(SECOND).error(refused), &Error::TimedOut);
}

#[test]
fn requests_time_out_offline_and_online() {
    let mut rig = Rig::new();
    let (ticket, _) = rig.submit(get("c"));
    assert_eq!(rig.pass(REQUEST_TIMEOUT).error(ticket), &Error::TimedOut);
    let mut rig = Rig::online();
    let (read, _) = rig.submit(get("c"));
    let (change, _) = rig.submit(group());
    let out = rig.pass(REQUEST_TIMEOUT);
    assert_eq!(out.error(read), &Error::TimedOut);
    assert_eq!(out.error(change), &Error::Unknown { since: None });
}

#[test]
fn a_direct_conversation_that_may_have_been_made_is_unknown() {
    let direct = || Call::Create(v1::Create { members: vec!["bob".to_owned()], ..v1::Create::default() });
    let unknown = Error::Unknown { since: None };
    let mut rig = Rig::online();
    let (unanswered, _) = rig.submit(direct());
    assert_eq!(rig.pass(REQUEST_TIMEOUT).error(unanswered), &unknown);

    let mut rig = Rig::online();
    let (cut_off, _) = rig.submit(direct());
    rig.cut();
    assert_eq!(rig.pass(REQUEST_TIMEOUT).error(cut_off), &unknown, "it never came back");

    let mut rig = Rig::online();
    let (closed, _) = rig.submit(direct());
    let (read, _) = rig.submit(get("c"));
    let out = rig.closed_with(4502);
    assert_eq!(out.error(closed), &unknown);
    assert!(matches!(out.error(read), Error::Closed(_)), "what only asks changes nothing");

    let mut rig = Rig::new();
    let (never_sent, _) = rig.submit(direct());
    assert_eq!(rig.pass(REQUEST_TIMEOUT).error(never_sent), &Error::TimedOut);
}

#[test]
fn only_what_is_harmless_is_repeated_after_a_loss() {
    let mut rig = Rig::online();
    let (change, _) = rig.submit(group());
    let (read, _) = rig.submit(get("c"));
    let direct = Call::Create(v1::Create { members: vec!["bob".to_owned()], ..v1::Create::default() });
    rig.submit(direct);
    assert_eq!(rig.cut().error(change), &Error::Unknown { since: None });
    let frames = rig.come_back().frames();
    let repeated: Vec<_> = frames.iter().map(|(_, request)| frame::request_name(request)).collect();
    assert_eq!(repeated, ["hello", "get", "create"]);
    let (id, _) = frames[1];
    assert!(matches!(rig.reply(id, head_of("c", 1)).answer(read), Some(Ok(_))));
}

#[test]
fn a_change_is_repeated_when_the_server_says_that_nothing_was_done_and_unknown_when_it_does_not() {
    let mut rig = Rig::online();
    let (ticket, out) = rig.submit(group());
    let (id, _) = out.frames()[0];
    assert!(rig.refuse(id, ErrorCode::Overloaded, Some(100)).answer(ticket).is_none());
    let frames = rig.pass(SECOND).frames();
    assert!(matches!(&*frames, [(_, Request::Create(_))]));
    let out = rig.refuse(frames[0].0, ErrorCode::UnknownOutcome, None);
    assert_eq!(out.error(ticket), &Error::Unknown { since: None });
}

#[test]
fn a_since_that_was_too_old_at_the_first_attempt_is_replaced_by_the_present_head() {
    let mut rig = Rig::online();
    rig.head = None;
    let (known, out) = rig.submit(get("c"));
    let out = rig.reply(out.frames()[0].0, head_of("c", 5));
    assert!(out.answer(known).is_some());
    let (ticket, out) = rig.send("c", "m1");
    let (id, first) = out.one_send();
    assert_eq!(first.since, Some(5));
    let out = rig.refuse(id, ErrorCode::IdExpired, None);
    assert!(out.answer(ticket).is_none());
    let frames = out.frames();
    assert!(matches!(&*frames, [(_, Request::Get(get))] if get.conversation == "c"), "{frames:?}");
    let (id, second) = rig.reply(frames[0].0, head_of("c", 20_000)).one_send();
    assert_eq!((&*second.client_id, second.since), ("m1", Some(20_000)));
    assert!(matches!(rig.reply(id, sent("c", "m1", 20_001)).answer(ticket), Some(Ok(_))));
}

#[test]
fn an_expired_id_is_unknown_when_an_attempt_is_in_doubt_and_told_when_the_application_chose_since() {
    let mut rig = Rig::online();
    let (doubtful, _) = rig.send("c", "m1");
    rig.cut();
    let (id, _) = rig.come_back().one_send();
    let out = rig.refuse(id, ErrorCode::IdExpired, None);
    assert_eq!(out.error(doubtful), &Error::Unknown { since: Some(0) }, "the first attempt may have been stored");

    let chosen = Call::Send(v1::Send { conversation: "c".to_owned(), since: Some(1), ..v1::Send::default() });
    let (chosen, out) = rig.submit(chosen);
    let out = rig.refuse(out.one_send().0, ErrorCode::IdExpired, None);
    assert_eq!(out.error(chosen).code(), Some(ErrorCode::IdExpired));
}

#[test]
fn an_id_of_the_application_is_looked_for_as_far_back_as_history_goes() {
    let chosen = |id: &str| {
        let (conversation, client_id) = ("c".to_owned(), id.to_owned());
        Call::SendChosen(v1::Send { conversation, client_id, ..v1::Send::default() })
    };
    let mut rig = Rig::online();
    rig.head = None;
    let (known, out) = rig.submit(get("c"));
    assert!(rig.reply(out.frames()[0].0, head_of("c", 2_300)).answer(known).is_some());
    let (ticket, out) = rig.submit(chosen("m1"));
    let (id, first) = out.one_send();
    assert_eq!(first.since, Some(1_300));
    // Meanwhile what lies below 2,000 was dropped.
    let out = rig.refuse(id, ErrorCode::IdExpired, None);
    let detail = v1::Conversation { id: "c".to_owned(), head: 2_300, first_available: 2_000, ..Default::default() };
    let detail = reply::Result::Detail(v1::Detail { conversation: Some(detail) });
    let (id, second) = rig.reply(out.frames()[0].0, detail).one_send();
    assert_eq!(second.since, Some(1_999), "there is nothing to find before it");
    assert!(matches!(rig.reply(id, sent("c", "m1", 2_301)).answer(ticket), Some(Ok(_))));
    assert_eq!(rig.submit(chosen("m2")).1.one_send().1.since, Some(1_999), "once is enough");
}

#[test]
fn too_much_is_refused_at_once() {
    let mut rig = Rig::new();
    for n in 0..PENDING_MAX {
        let (ticket, out) = rig.send("c", &format!("m{n}"));
        assert!(out.answer(ticket).is_none());
    }
    let (ticket, out) = rig.send("c", "one more");
    assert_eq!(out.error(ticket), &Error::TooManyPending);

    let mut rig = Rig::with(Settings { pending_bytes_max: 100_000, ..Settings::default() }, 1);
    let large =
        |n: usize| Call::Send(v1::Send { text: "x".repeat(50_000), client_id: format!("m{n}"), ..v1::Send::default() });
    let (first, out) = rig.submit(large(1));
    assert!(out.answer(first).is_none());
    let (second, out) = rig.submit(large(2));
    assert_eq!(out.error(second), &Error::TooManyPending);

    let (ticket, out) = rig.submit(Call::Send(v1::Send { text: "x".repeat(65_537), ..v1::Send::default() }));
    assert_eq!(out.error(ticket), &Error::TooLarge);
}

#[test]
fn a_frame_that_the_driver_cannot_send_fails_its_request_alone() {
    let mut rig = Rig::online();
    let (ticket, out) = rig.send("c", "m1");
    assert_eq!(rig.give(Input::Unsendable(out.one_send().0)).error(ticket), &Error::TooLarge);
    let (_, out) = rig.send("c", "m2");
    assert_eq!(out.one_send().1.client_id, "m2");
}
