//! Events: each once, in order, with holes filled, gaps told and the application's pace kept.

use super::*;
use crate::core::limits::{HELD_EVENTS_MAX, RETRY_BASE, RETRY_CAP};
use crate::event::Ended;

const SECOND: Duration = Duration::from_secs(1);

fn batch(pages: Vec<v1::ResumedConversation>) -> reply::Result {
    reply::Result::Resumed(v1::Resumed { conversations: pages })
}

fn refused_page(conversation: &str, code: ErrorCode) -> v1::ResumedConversation {
    let error = Some(frame::error(code, "because", None));
    v1::ResumedConversation { error, ..page(conversation, &[], 0) }
}

fn removal(seq: u64, who: &str) -> v1::Event {
    let change = v1::MembersChanged { removed: vec![who.to_owned()], ..v1::MembersChanged::default() };
    v1::Event { conversation: "c".to_owned(), seq, body: Some(Body::Members(change)) }
}

#[test]
fn resume_pages_are_delivered_in_order_until_the_head() {
    let mut rig = Rig::online();
    let (ticket, out) = rig.subscribe("c", From::After(2));
    let (id, positions) = out.resume();
    assert_eq!(positions, [("c".to_owned(), 2)]);
    let out = rig.reply(id, resumed("c", &[3, 4], 6));
    assert!(matches!(out.answer(ticket), Some(Ok(reply::Result::Subscribed(one))) if one.subscribed[0].head == 6));
    assert_eq!(out.numbers(), [3, 4]);
    let (id, positions) = out.resume();
    assert_eq!(positions, [("c".to_owned(), 4)]);
    let out = rig.reply(id, resumed("c", &[5, 6], 6));
    assert_eq!(out.numbers(), [5, 6]);
    assert!(out.frames().is_empty());
    assert_eq!(rig.message("c", 7).numbers(), [7]);
}

#[test]
fn live_events_that_overtake_their_page_wait_for_it() {
    let mut rig = Rig::online();
    let (_, out) = rig.subscribe("c", From::After(0));
    let (id, _) = out.resume();
    let out = rig.message("c", 4);
    assert!(out.delivered().is_empty() && out.frames().is_empty());
    rig.message("c", 5);
    assert_eq!(rig.reply(id, resumed("c", &[1, 2, 3], 3)).numbers(), [1, 2, 3, 4, 5]);
}

#[test]
fn duplicates_are_dropped() {
    let mut rig = Rig::online();
    let (_, out) = rig.subscribe("c", From::After(0));
    let (id, _) = out.resume();
    rig.message("c", 2);
    assert_eq!(rig.reply(id, resumed("c", &[1, 2], 2)).numbers(), [1, 2]);
    assert!(rig.message("c", 2).delivered().is_empty());
    assert!(rig.message("c", 1).delivered().is_empty());
}

#[test]
fn an_answer_to_an_earlier_subscription_says_nothing_of_the_next() {
    let mut rig = Rig::online();
    let (_, out) = rig.subscribe("c", From::After(0));
    let (earlier, _) = out.resume();
    rig.give(Input::Unsubscribe { ticket: Ticket(900), conversation: "c".to_owned() });
    let (ticket, _) = rig.subscribe("c", From::Now);
    let out = rig.reply(earlier, resumed("c", &[1], 1));
    assert!(out.answer(ticket).is_none() && out.delivered().is_empty());
    let frames = out.frames();
    let [(id, Request::Subscribe(_))] = &*frames else { panic!("{frames:?}") };
    let one = v1::SubscribedTo { conversation: "c".to_owned(), head: 2, error: None };
    let out = rig.reply(*id, reply::Result::Subscribed(v1::Subscribed { subscribed: vec![one], all: None }));
    assert!(matches!(out.answer(ticket), Some(Ok(reply::Result::Subscribed(one))) if one.subscribed[0].head == 2));
    assert_eq!(rig.message("c", 3).numbers(), [3]);
}

#[test]
fn the_end_of_an_earlier_subscription_is_not_told_of_the_next() {
    let mut rig = Rig::online();
    rig.subscribed_at("c", 0);
    rig.give(Input::Room(1));
    assert_eq!(rig.receive(frame::event(removal(1, "alice"))).numbers(), [1]);
    let (ticket, out) = rig.subscribe("c", From::After(1));
    let (id, _) = out.resume();
    assert!(rig.reply(id, resumed("c", &[], 1)).answer(ticket).is_some_and(Result::is_ok));
    let out = rig.give(Input::Room(8));
    assert!(out.delivered().is_empty(), "{:?}", out.delivered());
    assert_eq!(rig.message("c", 2).numbers(), [2]);
}

#[test]
fn unsubscribing_is_asked_for_again_after_a_refusal_for_now() {
    let mut rig = Rig::online();
    rig.subscribed_at("c", 0);
    let out = rig.give(Input::Unsubscribe { ticket: Ticket(900), conversation: "c".to_owned() });
    let frames = out.frames();
    let [(id, Request::Unsubscribe(_))] = &*frames else { panic!("{frames:?}") };
    assert!(rig.refuse(*id, ErrorCode::RateLimited, Some(1_000)).frames().is_empty());
    let frames = rig.pass(SECOND + 2 * RETRY_BASE).frames();
    assert!(matches!(&*frames, [(_, Request::Unsubscribe(again))] if again.conversations == ["c"]), "{frames:?}");
}

#[test]
fn a_hole_is_fetched_at_once() {
    let mut rig = Rig::online();
    rig.subscribed_at("c", 10);
    let out = rig.message("c", 13);
    assert!(out.delivered().is_empty());
    let (id, positions) = out.resume();
    assert_eq!(positions, [("c".to_owned(), 10)]);
    assert!(rig.message("c", 14).resumes().is_empty(), "one fetch at a time");
    assert_eq!(rig.reply(id, resumed("c", &[11, 12], 12)).numbers(), [11, 12, 13, 14]);
}

#[test]
fn a_head_mark_makes_it_fetch() {
    let mut rig = Rig::online();
    rig.subscribed_at("c", 10);
    let (id, _) = rig.event("c", 0, Body::Head(v1::Head { head: 12 })).resume();
    assert_eq!(rig.reply(id, resumed("c", &[11, 12], 12)).numbers(), [11, 12]);
    assert!(rig.event("c", 0, Body::Head(v1::Head { head: 12 })).frames().is_empty(), "nothing is missing now");
}

#[test]
fn a_head_mark_during_a_fetch_is_not_lost() {
    let mut rig = Rig::online();
    rig.subscribed_at("c", 10);
    let (id, _) = rig.event("c", 0, Body::Head(v1::Head { head: 11 })).resume();
    rig.event("c", 0, Body::Head(v1::Head { head: 20 }));
    let (_, positions) = rig.reply(id, resumed("c", &[11], 11)).resume();
    assert_eq!(positions, [("c".to_owned(), 11)]);
}

#[test]
fn dropped_history_is_told_as_a_gap() {
    let mut rig = Rig::online();
    let (_, out) = rig.subscribe("c", From::After(3));
    let (id, _) = out.resume();
    let gap = Event::Gap { conversation: "c".to_owned(), missed_from: 4, first_available: 8 };
    let out = rig.event("c", 0, Body::Gap(v1::Gap { first_available: 8, head: 9 }));
    assert_eq!(out.delivered(), [&gap]);
    let after = v1::ResumedConversation { first_available: 8, ..page("c", &[8, 9], 9) };
    assert_eq!(rig.reply(id, batch(vec![after])).numbers(), [8, 9]);
}

#[test]
fn the_reply_alone_tells_a_gap_too_and_only_once() {
    let mut rig = Rig::online();
    let (_, out) = rig.subscribe("c", From::After(3));
    let after = v1::ResumedConversation { first_available: 8, ..page("c", &[8, 9], 9) };
    let out = rig.reply(out.resume().0, batch(vec![after]));
    let gaps = out.delivered().into_iter().filter(|event| matches!(event, Event::Gap { .. })).count();
    assert_eq!((gaps, out.numbers()), (1, vec![8, 9]));
}

#[test]
fn everything_dropped_is_a_gap_up_to_the_end() {
    let mut rig = Rig::online();
    let (_, out) = rig.subscribe("c", From::After(3));
    let out =
        rig.reply(out.resume().0, batch(vec![v1::ResumedConversation { first_available: 10, ..page("c", &[], 9) }]));
    assert!(matches!(&*out.delivered(), [Event::Gap { missed_from: 4, first_available: 10, .. }]));
    assert!(out.frames().is_empty());
    assert_eq!(rig.message("c", 10).numbers(), [10]);
}

#[test]
fn after_a_reconnect_it_resumes_from_where_it_was() {
    let mut rig = Rig::online();
    rig.subscribed_at("c", 5);
    rig.message("c", 6);
    rig.cut();
    let out = rig.come_back();
    let frames = out.frames();
    assert!(matches!(frames[0].1, Request::Hello(_)));
    let (id, positions) = out.resume();
    assert_eq!(positions, [("c".to_owned(), 6)]);
    assert_eq!(rig.reply(id, resumed("c", &[7, 8], 8)).numbers(), [7, 8]);
}

#[test]
fn resume_goes_out_with_hello_in_batches_that_the_server_takes() {
    let mut rig = Rig::new();
    for n in 0..450 {
        rig.subscribe(&format!("c{n:03}"), From::After(0));
    }
    rig.give(Input::Open);
    rig.give(Input::Token(Ok("token".to_owned())));
    let mut out = rig.connected();
    let mut sizes = Vec::new();
    for round in 0..3 {
        let (id, positions) = out.resume();
        sizes.push(positions.len());
        if round == 0 {
            assert!(rig.welcome("alice").frames().is_empty(), "the first was sent with hello");
        }
        out = rig.reply(id, batch(positions.iter().map(|(name, _)| page(name, &[], 0)).collect()));
    }
    assert_eq!(sizes, [200, 200, 50]);
    assert!(out.frames().is_empty());
}

#[test]
fn those_that_a_full_page_left_out_come_first_next_time() {
    let mut rig = Rig::online();
    for name in ["a", "b"] {
        rig.subscribed_at(name, 0);
    }
    rig.cut();
    let (id, positions) = rig.come_back().resume();
    assert_eq!(positions.len(), 2);
    let left_out = v1::ResumedConversation { more: true, ..page("b", &[], 1) };
    let out = rig.reply(id, batch(vec![page("a", &[1, 2], 1_000), left_out]));
    let (_, positions) = out.resume();
    assert_eq!(positions, [("b".to_owned(), 0), ("a".to_owned(), 2)]);
}

#[test]
fn a_page_that_brings_nothing_is_not_asked_for_in_a_tight_loop() {
    let mut rig = Rig::online();
    rig.subscribed_at("c", 0);
    let (id, _) = rig.event("c", 0, Body::Head(v1::Head { head: 3 })).resume();
    let out = rig.reply(id, resumed("c", &[], 3));
    assert!(out.frames().is_empty());
    assert_eq!(rig.pass(RETRY_BASE).resumes().len(), 1);
}

#[test]
fn from_now_on_begins_at_the_confirmed_head() {
    let mut rig = Rig::online();
    let (ticket, out) = rig.subscribe("c", From::Now);
    let frames = out.frames();
    assert!(matches!(&frames[0].1, Request::Subscribe(subscribe) if subscribe.conversations == ["c"]));
    assert!(rig.message("c", 42).delivered().is_empty());
    let one = v1::SubscribedTo { conversation: "c".to_owned(), head: 41, error: None };
    let out = rig.reply(frames[0].0, reply::Result::Subscribed(v1::Subscribed { subscribed: vec![one], all: None }));
    assert!(out.answer(ticket).is_some());
    assert_eq!(out.numbers(), [42]);
    rig.cut();
    assert_eq!(rig.come_back().resume().1, [("c".to_owned(), 42)]);
}

#[test]
fn a_stranger_is_told_and_asked_no_more() {
    let mut rig = Rig::online();
    let (ticket, out) = rig.subscribe("c", From::After(0));
    let out = rig.reply(out.resume().0, batch(vec![refused_page("c", ErrorCode::NotFound)]));
    assert_eq!(out.error(ticket).code(), Some(ErrorCode::NotFound));
    assert!(out.delivered().is_empty());
    rig.cut();
    assert!(rig.come_back().resumes().is_empty());
}

#[test]
fn a_subscription_that_is_refused_later_ends_with_an_event() {
    let mut rig = Rig::online();
    rig.subscribed_at("c", 1);
    rig.cut();
    let (id, _) = rig.come_back().resume();
    let out = rig.reply(id, batch(vec![refused_page("c", ErrorCode::NotFound)]));
    assert!(matches!(&*out.delivered(), [Event::Ended { reason: Ended::Refused(_), .. }]));
}

#[test]
fn a_subscription_that_is_refused_for_now_is_asked_for_again() {
    let mut rig = Rig::online();
    let (ticket, out) = rig.subscribe("c", From::After(0));
    let out = rig.reply(out.resume().0, batch(vec![refused_page("c", ErrorCode::Overloaded)]));
    assert!(out.answer(ticket).is_none());
    let (id, _) = rig.pass(RETRY_BASE).resume();
    assert_eq!(rig.reply(id, resumed("c", &[1], 1)).numbers(), [1]);
}

#[test]
fn one_bad_position_does_not_cost_the_others_their_events() {
    let mut rig = Rig::online();
    for name in ["a", "b", "c"] {
        rig.subscribe(name, From::After(0));
    }
    rig.cut();
    let (id, positions) = rig.come_back().resume();
    assert_eq!(positions.len(), 3);
    let mut out = rig.refuse(id, ErrorCode::BadRequest, None);
    let mut delivered = Vec::new();
    for _ in 0..3 {
        let (id, positions) = out.resume();
        assert_eq!(positions.len(), 1, "each by itself");
        let name = positions[0].0.clone();
        out = match &*name {
            "b" => rig.refuse(id, ErrorCode::BadRequest, None),
            name => rig.reply(id, resumed(name, &[1], 1)),
        };
        delivered.extend(out.delivered().into_iter().map(|event| event.conversation().to_owned()));
    }
    assert_eq!(delivered, ["a", "c"]);
    assert!(out.frames().is_empty());
}

#[test]
fn an_erasure_ends_the_subscription_for_whomever_it_was() {
    let mut rig = Rig::online();
    rig.subscribed_at("c", 1);
    let change =
        |erased| v1::ConversationChanged { erased, by: "carol".to_owned(), ..v1::ConversationChanged::default() };
    let event = |seq, erased| v1::Event { conversation: "c".to_owned(), seq, body: Some(Body::Change(change(erased))) };
    assert_eq!(rig.receive(frame::event(event(2, None))).delivered().len(), 1);
    let out = rig.receive(frame::event(event(3, Some(true))));
    assert!(matches!(&*out.delivered(), [Event::Changed { seq: 3, .. }, Event::Ended { reason: Ended::Removed, .. }]));
    assert!(out.frames().is_empty(), "there is nothing to be asked for");
    assert!(rig.message("c", 4).delivered().is_empty());
}

#[test]
fn ones_own_removal_ends_the_subscription() {
    let mut rig = Rig::online();
    rig.subscribed_at("c", 1);
    assert_eq!(rig.receive(frame::event(removal(2, "bob"))).delivered().len(), 1);
    let out = rig.receive(frame::event(removal(3, "alice")));
    assert!(matches!(&*out.delivered(), [Event::Members { seq: 3, .. }, Event::Ended { reason: Ended::Removed, .. }]));
    rig.cut();
    assert!(rig.come_back().resumes().is_empty());
}

#[test]
fn a_removal_in_the_past_that_was_undone_ends_nothing() {
    let mut rig = Rig::online();
    let (_, out) = rig.subscribe("c", From::After(0));
    let mut past = page("c", &[1, 2, 3], 3);
    past.events[1] = removal(2, "alice");
    let out = rig.reply(out.resume().0, batch(vec![past]));
    assert_eq!(out.numbers(), [1, 2, 3]);
    assert_eq!(rig.message("c", 4).numbers(), [4]);
}

#[test]
fn a_position_beyond_the_end_is_an_error_not_silence() {
    let mut rig = Rig::online();
    let (ticket, out) = rig.subscribe("c", From::After(100));
    let out = rig.reply(out.resume().0, resumed("c", &[], 50));
    assert_eq!(out.error(ticket), &Error::AheadOfServer { position: 100, head: 50 });
}

#[test]
fn kinds_of_events_that_are_not_known_use_up_their_number() {
    let mut rig = Rig::online();
    rig.subscribed_at("c", 0);
    let unknown = v1::Event { conversation: "c".to_owned(), seq: 1, body: None };
    let out = rig.receive(frame::event(unknown));
    assert!(matches!(&*out.delivered(), [Event::Other { seq: 1, .. }]));
    assert_eq!(rig.message("c", 2).numbers(), [2]);
}

#[test]
fn unsubscribing_stops_events_at_once() {
    let mut rig = Rig::online();
    rig.subscribed_at("c", 0);
    let out = rig.give(Input::Unsubscribe { ticket: Ticket(99), conversation: "c".to_owned() });
    assert!(matches!(out.answer(Ticket(99)), Some(Ok(_))));
    assert!(matches!(&*out.frames(), [(_, Request::Unsubscribe(gone))] if gone.conversations == ["c"]));
    assert!(rig.message("c", 1).delivered().is_empty());
    rig.cut();
    assert!(rig.come_back().resumes().is_empty());
}

#[test]
fn an_application_that_does_not_read_costs_no_memory_and_misses_nothing() {
    let mut rig = Rig::online();
    rig.subscribed_at("c", 0);
    rig.give(Input::Room(10));
    let mut seen = Vec::new();
    for seq in 1..=5_000 {
        let out = rig.message("c", seq);
        assert!(out.frames().is_empty(), "nothing is fetched for nobody");
        seen.extend(out.numbers());
    }
    assert_eq!(seen.len(), 10);
    assert!(rig.core.is_stalled());
    assert!(rig.core.held_bytes < HELD_EVENTS_MAX * 1_024);
    // It reads again: what is held comes first, the rest from the server.
    let mut out = rig.give(Input::Room(2_000));
    loop {
        seen.extend(out.numbers());
        let Some((id, positions)) = out.resumes().pop() else { break };
        let next: Vec<u64> = (positions[0].1 + 1..=5_000).take(500).collect();
        out = rig.reply(id, resumed("c", &next, 5_000));
        if rig.core.is_stalled() {
            seen.extend(out.numbers());
            out = rig.give(Input::Room(2_000));
        }
    }
    assert_eq!(seen, (1..=5_000).collect::<Vec<_>>());
    assert!(!rig.core.is_stalled());
    assert_eq!(rig.core.held_bytes, 0);
}

#[test]
fn a_gap_waits_for_room_too() {
    let mut rig = Rig::online();
    rig.subscribed_at("c", 1);
    rig.give(Input::Room(0));
    let out = rig.event("c", 0, Body::Gap(v1::Gap { first_available: 5, head: 5 }));
    assert!(out.delivered().is_empty());
    let (id, _) = rig.give(Input::Room(10)).resume();
    let after = v1::ResumedConversation { first_available: 5, ..page("c", &[5], 5) };
    let out = rig.reply(id, batch(vec![after]));
    assert!(matches!(&*out.delivered(), [Event::Gap { missed_from: 2, first_available: 5, .. }, Event::Message(_)]));
}

#[test]
fn the_end_of_a_subscription_is_told_when_there_is_room() {
    let mut rig = Rig::online();
    rig.subscribed_at("c", 1);
    rig.give(Input::Room(1));
    assert_eq!(rig.receive(frame::event(removal(2, "alice"))).delivered().len(), 1);
    assert!(rig.core.is_stalled());
    assert!(matches!(&*rig.give(Input::Room(1)).delivered(), [Event::Ended { .. }]));
}

#[test]
fn a_failed_fetch_is_repeated_with_a_pause() {
    let mut rig = Rig::online();
    let (_, out) = rig.subscribe("c", From::After(0));
    let mut id = out.resume().0;
    for _ in 0..5 {
        assert!(rig.refuse(id, ErrorCode::Internal, None).frames().is_empty());
        id = rig.pass(RETRY_CAP).resume().0;
        rig.give(Input::Heard(rig.connection));
    }
    assert_eq!(rig.reply(id, resumed("c", &[1], 1)).numbers(), [1]);
}

#[test]
fn subscribing_again_from_elsewhere_replays() {
    let mut rig = Rig::online();
    rig.subscribed_at("c", 3);
    rig.pass(SECOND);
    let (ticket, out) = rig.subscribe("c", From::After(1));
    let out = rig.reply(out.resume().0, resumed("c", &[2, 3], 3));
    assert!(out.answer(ticket).is_some());
    assert_eq!(out.numbers(), [2, 3]);
}

#[test]
fn a_fetch_that_came_up_while_there_was_no_room_is_made_when_there_is() {
    let mut rig = Rig::online();
    for name in ["a", "b"] {
        rig.subscribed_at(name, 0);
    }
    let (id, _) = rig.event("a", 0, Body::Head(v1::Head { head: 3 })).resume();
    // Queued behind the one on its way; by the time of its turn, nobody would take what it brings.
    rig.event("b", 0, Body::Head(v1::Head { head: 3 }));
    rig.give(Input::Room(3));
    assert!(rig.reply(id, resumed("a", &[1, 2, 3], 3)).frames().is_empty());
    let (id, positions) = rig.give(Input::Room(3)).resume();
    assert_eq!(positions, [("b".to_owned(), 0)]);
    assert_eq!(rig.reply(id, resumed("b", &[1, 2, 3], 3)).numbers(), [1, 2, 3]);
}

#[test]
fn absurd_numbers_from_the_server_harm_nobody() {
    let mut rig = Rig::online();
    rig.subscribed_at("c", 1);
    let (_, out) = rig.subscribe("d", From::Now);
    rig.refuse(out.frames()[0].0, ErrorCode::Overloaded, Some(u64::MAX));
    rig.event("c", 0, Body::Gap(v1::Gap { first_available: u64::MAX, head: u64::MAX }));
    assert_eq!(rig.message("c", u64::MAX).numbers(), [u64::MAX]);
    rig.message("c", u64::MAX);
    rig.event("c", 0, Body::Gap(v1::Gap { first_available: u64::MAX, head: 0 }));
    rig.event("", 0, Body::Drain(v1::Drain { after_min_ms: u64::MAX, after_max_ms: 0 }));
    let (ticket, out) = rig.send("c", "m1");
    rig.refuse(out.one_send().0, ErrorCode::Overloaded, Some(u64::MAX));
    rig.submit_within(send("e", "m2"), Some(Duration::MAX));
    let out = rig.give(Input::Close(Duration::MAX));
    assert!(out.answer(ticket).is_none());
}
