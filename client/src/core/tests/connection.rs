//! Connecting, losing and finding again, tokens, draining, closing.

use switchyard_protocol::code::CloseCode;

use super::*;
use crate::core::NoToken;
use crate::core::limits::{
    CONNECT_TIMEOUT, MOVE_GRACE, RECONNECT_BASE, RECONNECT_CAP, RENEW_PAUSE_MAX, RENEW_TIMEOUT, REQUEST_TIMEOUT,
    STABLE_AFTER, TOKEN_TIMEOUT,
};
use crate::error::Closed;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn it_gets_a_token_connects_and_says_hello() {
    let mut rig = Rig::new();
    let out = rig.give(Input::Open);
    assert!(out.asks_for_token());
    assert_eq!(out.connects(), 0);
    assert_eq!(rig.give(Input::Token(Ok("secret".to_owned()))).connects(), 1);
    let frames = rig.connected().frames();
    assert!(matches!(&*frames, [(_, Request::Hello(hello))] if hello.token == "secret"), "{frames:?}");
    assert!(matches!(&*rig.welcome("alice").states(), [State::Online(welcome)] if welcome.user == "alice"));
}

#[test]
fn it_reconnects_with_growing_random_pauses() {
    let mut rig = Rig::online();
    rig.pass(STABLE_AFTER);
    rig.cut();
    for attempt in 0..12 {
        let before = rig.now;
        rig.pass_until_connect();
        let pause = rig.now - before;
        let most = RECONNECT_BASE.saturating_mul(1 << attempt).min(RECONNECT_CAP);
        assert!(pause <= most, "attempt {attempt}: {pause:?} is more than {most:?}");
        rig.cut();
    }
    let pauses: Vec<_> = (0..40)
        .map(|_| {
            let before = rig.now;
            rig.pass_until_connect();
            rig.cut();
            rig.now - before
        })
        .collect();
    assert!(
        pauses.iter().any(|pause| *pause > RECONNECT_CAP / 2) && pauses.iter().any(|pause| *pause < RECONNECT_CAP / 2)
    );
}

#[test]
fn a_good_connection_resets_the_pauses() {
    let mut rig = Rig::online();
    for _ in 0..10 {
        rig.cut();
        rig.pass_until_connect();
    }
    rig.connected();
    rig.welcome("alice");
    rig.pass(STABLE_AFTER);
    rig.cut();
    let before = rig.now;
    rig.pass_until_connect();
    assert!(rig.now - before <= RECONNECT_BASE);
}

#[test]
fn the_token_is_kept_until_the_server_wants_another() {
    let mut rig = Rig::online();
    rig.cut();
    assert!(!rig.pass_until_connect().asks_for_token());
    rig.connected();
    rig.welcome("alice");
    rig.closed_with(CloseCode::TokenExpired.number());
    let out = rig.pass(RECONNECT_CAP);
    assert!(out.asks_for_token());
    assert_eq!(out.connects(), 0);
    assert_eq!(rig.give(Input::Token(Ok("second".to_owned()))).connects(), 1);
    assert!(matches!(&*rig.connected().frames(), [(_, Request::Hello(hello))] if hello.token == "second"));
}

#[test]
fn a_token_that_served_once_may_be_replaced_but_a_fresh_one_that_is_refused_is_final() {
    let mut rig = Rig::online();
    assert!(rig.closed_with(CloseCode::Auth.number()).states().iter().all(|state| **state == State::Connecting));
    assert!(rig.pass(RECONNECT_CAP).asks_for_token());
    rig.give(Input::Token(Ok("fresh".to_owned())));
    let (hello, _) = rig.connected().frames()[0].clone();
    let out = rig.refuse(hello, ErrorCode::AuthInvalid, None);
    assert!(out.disconnects());
    assert!(matches!(&*out.states(), [State::Closed(Closed::Refused { number: 2001, .. })]));
    assert!(rig.core.is_closed());
}

#[test]
fn a_token_that_ran_out_before_it_ever_served_is_replaced() {
    let mut rig = Rig::online();
    rig.event("", 0, Body::TokenExpiring(v1::TokenExpiring { in_ms: 60_000 }));
    rig.give(Input::Token(Ok("second".to_owned())));
    rig.cut();
    rig.pass(Duration::from_secs(3_600));
    let (hello, _) = rig.connected().frames()[0].clone();
    let out = rig.refuse(hello, ErrorCode::AuthInvalid, None);
    assert!(!rig.core.is_closed(), "{:?}", out.states());
    assert!(rig.pass(RECONNECT_CAP).asks_for_token());
}

#[test]
fn a_final_close_code_stops_it_for_good() {
    for code in [CloseCode::Suspended, CloseCode::Protocol, CloseCode::TooMany] {
        let mut rig = Rig::online();
        let (ticket, _) = rig.send("c", "m1");
        let out = rig.closed_with(code.number());
        assert!(
            matches!(&*out.states(), [State::Closed(Closed::Server { code: closed, .. })] if *closed == code.number())
        );
        assert_eq!(out.error(ticket), &Error::Unknown { since: Some(0) });
        assert_eq!(rig.pass(Duration::from_secs(3_600)).connects(), 0);
        let (ticket, out) = rig.send("c", "m2");
        assert!(matches!(out.error(ticket), Error::Closed(_)));
    }
}

#[test]
fn codes_that_allow_it_bring_it_back() {
    for code in [CloseCode::Drain, CloseCode::Slow, CloseCode::Overloaded, CloseCode::Idle, CloseCode::Moved] {
        let mut rig = Rig::online();
        rig.closed_with(code.number());
        assert_eq!(rig.pass_until_connect().connects(), 1);
    }
}

#[test]
fn silence_of_two_and_a_half_heartbeats_is_a_dead_connection() {
    let mut rig = Rig::online();
    rig.pass(HEARTBEAT * 2);
    rig.give(Input::Heard(rig.connection));
    assert!(!rig.pass(HEARTBEAT * 2).disconnects());
    assert!(rig.pass(HEARTBEAT).disconnects());
}

#[test]
fn an_unanswered_request_on_a_silent_connection_ends_it_early() {
    let mut rig = Rig::online();
    rig.pass(SECOND);
    rig.head = None;
    rig.send("c", "m1");
    let out = rig.pass(REQUEST_TIMEOUT);
    assert!(out.disconnects());
    rig.head = Some(0);
    assert_eq!(rig.come_back().one_send().1.client_id, "m1");
}

#[test]
fn steps_that_hang_are_given_up() {
    let mut rig = Rig::new();
    rig.give(Input::Open);
    assert!(rig.pass(TOKEN_TIMEOUT + RECONNECT_CAP).asks_for_token(), "asked again");
    rig.give(Input::Token(Ok("token".to_owned())));
    let out = rig.pass(CONNECT_TIMEOUT + RECONNECT_CAP);
    assert!(out.disconnects() && out.connects() > 0, "connecting");
    rig.connected();
    let out = rig.pass(CONNECT_TIMEOUT + RECONNECT_CAP);
    assert!(out.disconnects() && out.connects() > 0, "welcome");
}

#[test]
fn a_provider_that_fails_is_asked_again_and_one_that_refuses_ends_it() {
    let mut rig = Rig::new();
    rig.give(Input::Open);
    rig.give(Input::Token(Err(NoToken::Later)));
    assert!(rig.pass(RECONNECT_CAP).asks_for_token());
    let out = rig.give(Input::Token(Err(NoToken::Never("logged out".to_owned()))));
    assert!(matches!(&*out.states(), [State::Closed(Closed::Token(why))] if why == "logged out"));
}

#[test]
fn a_wrong_address_is_final_only_before_the_first_welcome() {
    let mut rig = Rig::new();
    rig.give(Input::Open);
    rig.give(Input::Token(Ok("token".to_owned())));
    let out = rig.give(Input::Disconnected(rig.connection, Loss::Http(404)));
    assert!(matches!(&*out.states(), [State::Closed(Closed::Http(404))]));

    let mut rig = Rig::online();
    rig.cut();
    rig.pass_until_connect();
    rig.give(Input::Disconnected(rig.connection, Loss::Http(404)));
    assert_eq!(rig.pass_until_connect().connects(), 1);
}

#[test]
fn an_expiring_token_is_renewed_in_place() {
    let mut rig = Rig::online();
    let expiring = || Body::TokenExpiring(v1::TokenExpiring { in_ms: 60_000 });
    assert!(rig.event("", 0, expiring()).asks_for_token());
    assert!(!rig.event("", 0, expiring()).asks_for_token(), "the provider is asked once at a time");
    let frames = rig.give(Input::Token(Ok("second".to_owned()))).frames();
    assert!(matches!(&*frames, [(_, Request::Renew(renew))] if renew.token == "second"), "{frames:?}");
    rig.reply(frames[0].0, reply::Result::Renewed(v1::Renewed { expires_at_ms: 1, ended: Vec::new() }));
    rig.cut();
    rig.pass_until_connect();
    assert!(matches!(&*rig.connected().frames(), [(_, Request::Hello(hello))] if hello.token == "second"));
}

#[test]
fn what_ended_with_a_role_is_asked_for_again_and_ends_if_it_is_refused() {
    let mut rig = Rig::online();
    rig.subscribed_at("lost", 7);
    rig.subscribed_at("kept", 9);
    rig.subscribed_at("other", 1);
    rig.event("", 0, Body::TokenExpiring(v1::TokenExpiring { in_ms: 60_000 }));
    let frames = rig.give(Input::Token(Ok("second".to_owned()))).frames();
    let ended = vec!["lost".to_owned(), "kept".to_owned(), "unknown".to_owned()];
    let out = rig.reply(frames[0].0, reply::Result::Renewed(v1::Renewed { expires_at_ms: 1, ended }));
    let (id, mut asked) = out.resume();
    asked.sort();
    assert_eq!(asked, [("kept".to_owned(), 9), ("lost".to_owned(), 7)]);
    let refused = v1::Error { code: "NOT_FOUND".into(), number: ErrorCode::NotFound.number(), ..v1::Error::default() };
    let lost = v1::ResumedConversation { error: Some(refused), ..page("lost", &[], 0) };
    let out = rig.reply(id, reply::Result::Resumed(v1::Resumed { conversations: vec![lost, page("kept", &[10], 10)] }));
    assert_eq!(out.numbers(), [10]);
    assert!(
        out.delivered()
            .iter()
            .any(|event| matches!(event, Event::Ended { conversation, .. } if conversation == "lost"))
    );
}

#[test]
fn a_failed_renewal_is_tried_again() {
    let mut rig = Rig::online();
    rig.event("", 0, Body::TokenExpiring(v1::TokenExpiring { in_ms: 60_000 }));
    rig.give(Input::Token(Err(NoToken::Later)));
    assert!(rig.pass(RENEW_PAUSE_MAX).asks_for_token());
}

#[test]
fn a_provider_that_refuses_ends_a_living_session_too() {
    let never = || Input::Token(Err(NoToken::Never("logged out".to_owned())));
    let expiring = || Body::TokenExpiring(v1::TokenExpiring { in_ms: 60_000 });
    let mut rig = Rig::online();
    rig.event("", 0, expiring());
    let (ticket, _) = rig.send("c", "m1");
    let out = rig.give(never());
    assert!(out.disconnects());
    assert!(matches!(&*out.states(), [State::Closed(Closed::Token(why))] if why == "logged out"));
    assert_eq!(out.error(ticket), &Error::Unknown { since: Some(0) });

    let mut rig = Rig::online();
    rig.event("", 0, expiring());
    rig.cut();
    rig.give(never());
    assert!(rig.core.is_closed(), "asked by a session that is lost meanwhile");
}

#[test]
fn a_provider_that_hangs_is_asked_again_while_the_session_lives() {
    let alive_for = |rig: &mut Rig, time: Duration| {
        rig.give(Input::Heard(rig.connection));
        rig.pass(time)
    };
    let expiring = || Body::TokenExpiring(v1::TokenExpiring { in_ms: 60_000 });
    let mut rig = Rig::online();
    assert!(rig.event("", 0, expiring()).asks_for_token());
    assert!(!alive_for(&mut rig, RENEW_TIMEOUT - SECOND).asks_for_token());
    assert!(alive_for(&mut rig, SECOND).asks_for_token());
    assert!(alive_for(&mut rig, RENEW_TIMEOUT).asks_for_token(), "before the minute is over");
    let frames = rig.give(Input::Token(Ok("second".to_owned()))).frames();
    assert!(matches!(&*frames, [(_, Request::Renew(_))]), "{frames:?}");
    rig.reply(frames[0].0, reply::Result::Renewed(v1::Renewed { expires_at_ms: 1, ended: Vec::new() }));
    assert!(!alive_for(&mut rig, RENEW_TIMEOUT).asks_for_token(), "it has one");

    // One that hung already when the connection was lost is asked again by the next session.
    rig.event("", 0, expiring());
    rig.cut();
    rig.come_back();
    assert!(!rig.event("", 0, expiring()).asks_for_token(), "once at a time");
    assert!(alive_for(&mut rig, RENEW_TIMEOUT).asks_for_token());
}

#[test]
fn a_drain_moves_it_at_a_random_time_between_the_two() {
    let mut times = Vec::new();
    for seed in 0..50 {
        let mut rig = Rig::with(Settings::default(), seed);
        rig.go_online();
        let before = rig.now;
        rig.event("", 0, Body::Drain(v1::Drain { after_min_ms: 1_000, after_max_ms: 5_000 }));
        assert!(rig.pass_until_connect().disconnects());
        times.push(rig.now - before);
    }
    assert!(times.iter().all(|time| (SECOND..=SECOND * 5).contains(time)), "{times:?}");
    assert!(times.iter().any(|time| *time < SECOND * 2) && times.iter().any(|time| *time > SECOND * 4), "{times:?}");
}

#[test]
fn moving_waits_for_answers_and_sends_nothing_new() {
    let mut rig = Rig::online();
    let (first, out) = rig.send("c", "m1");
    let (id, _) = out.one_send();
    rig.event("", 0, Body::Drain(v1::Drain { after_min_ms: 0, after_max_ms: 0 }));
    let (_, out) = rig.send("c", "m2");
    assert!(out.sends().is_empty());
    let out = rig.reply(id, sent("c", "m1", 1));
    assert!(matches!(out.answer(first), Some(Ok(_))));
    assert!(out.disconnects() && out.connects() == 1);
    rig.connected();
    assert_eq!(rig.welcome("alice").one_send().1.client_id, "m2");
}

#[test]
fn moving_does_not_wait_for_ever() {
    let mut rig = Rig::online();
    rig.send("c", "m1");
    rig.event("", 0, Body::Drain(v1::Drain { after_min_ms: 0, after_max_ms: 0 }));
    assert_eq!(rig.pass(MOVE_GRACE).connects(), 1);
}

#[test]
fn another_users_token_ends_it_before_anything_is_sent() {
    let mut rig = Rig::online();
    rig.cut();
    let (ticket, _) = rig.send("c", "private");
    rig.pass_until_connect();
    rig.connected();
    let out = rig.welcome("mallory");
    assert!(out.sends().is_empty());
    assert!(matches!(&*out.states(), [State::Closed(Closed::UserChanged)]));
    assert!(matches!(out.error(ticket), Error::Closed(Closed::UserChanged)));
}

#[test]
fn what_an_old_connection_says_is_not_heard() {
    let mut rig = Rig::online();
    rig.subscribed_at("c", 0);
    let old = rig.connection;
    rig.cut();
    rig.pass_until_connect();
    let out = rig.give(Input::Received(old, frame::event(message_event("c", 1))));
    assert!(out.delivered().is_empty());
    assert_eq!(
        rig.give(Input::Disconnected(old, Loss::Closed { code: 4502, reason: String::new() })).states(),
        [] as [&State; 0]
    );
}

#[test]
fn closing_waits_for_what_is_unsent() {
    let mut rig = Rig::online();
    let (ticket, out) = rig.send("c", "m1");
    let (id, _) = out.one_send();
    assert!(rig.give(Input::Close(SECOND)).states().is_empty());
    let (refused, out) = rig.send("c", "m2");
    assert_eq!(out.error(refused), &Error::Closed(Closed::Application));
    let out = rig.reply(id, sent("c", "m1", 1));
    assert!(matches!(out.answer(ticket), Some(Ok(_))));
    assert!(out.disconnects());
    assert!(matches!(&*out.states(), [State::Closed(Closed::Application)]));
}

#[test]
fn closing_gives_up_at_its_limit_and_says_what_is_known_of_each() {
    let mut rig = Rig::with(Settings { in_flight_per_conversation_max: 1, ..Settings::default() }, 1);
    rig.go_online();
    let (flying, _) = rig.send("c", "m1");
    let (waiting, _) = rig.send("c", "m2");
    rig.give(Input::Close(SECOND));
    let out = rig.pass(SECOND);
    assert_eq!(out.error(flying), &Error::Unknown { since: Some(0) });
    assert_eq!(out.error(waiting), &Error::Closed(Closed::Application));
    assert!(rig.core.is_closed());
}
