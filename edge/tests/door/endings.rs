//! Going: goodbyes, tokens that run out, floods, silence, and the server's own end.

use std::time::Duration;

use switchyard_edge::config::{EdgeConfig, Timing};
use switchyard_edge::door::Drain;
use switchyard_protocol::frame::Form;
use switchyard_protocol::v1::{self, client_frame::Request, event::Body, reply::Result as Reply};
use tungstenite::Message;
use tungstenite::protocol::CloseFrame;

use super::site::{Client, Read1, Site, error_of, token, token_for, token_over};

#[test]
fn a_goodbye_is_answered() {
    let site = Site::new();
    let mut client = site.client("alice", Form::Json);
    let close = CloseFrame { code: 1000.into(), reason: "done".into() };
    client.socket.close(Some(close)).expect("the door reads");
    assert_eq!(client.closed(), Some(1000));
}

/// A token short enough for a test: warned of soon.
fn short_lived() -> (Site, Client) {
    let site = Site::new();
    let mut client = site.stranger(Form::Json);
    let hello = v1::Hello { token: token_for("alice", Duration::from_secs(2)), ..Default::default() };
    let reply = client.ask(Request::Hello(hello));
    assert!(matches!(reply, Reply::Welcome(_)), "{reply:?}");
    let warning = client.event();
    assert!(matches!(warning.body, Some(Body::TokenExpiring(warning)) if warning.in_ms <= 2_000));
    (site, client)
}

#[test]
fn n08_a_token_that_ends_is_warned_of_and_closed() {
    let (_site, mut client) = short_lived();
    assert_eq!(client.closed(), Some(4006));
}

#[test]
fn n08_a_renewed_token_keeps_the_session() {
    let (_site, mut client) = short_lived();
    let renew = |token: String| Request::Renew(v1::Renew { token });
    assert_eq!(error_of(client.ask(renew(token("bob")))).code, "FORBIDDEN");
    assert_eq!(error_of(client.ask(renew("nonsense".to_owned()))).code, "AUTH_INVALID");
    let longer = token_for("alice", Duration::from_secs(3));
    assert!(matches!(client.ask(renew(longer)), Reply::Renewed(_)));
    // The new token is warned of in its turn, so the old one's end was forgotten.
    // Half of it is used first: a client is not asked for the next token as soon as it has this one.
    assert!(matches!(client.event().body, Some(Body::TokenExpiring(warning)) if warning.in_ms <= 1_500));
    assert_eq!(client.closed(), Some(4006));
}

#[test]
fn n08_a_shorter_token_ends_when_it_says() {
    let site = Site::new();
    let mut client = site.client("alice", Form::Json);
    let renew = v1::Renew { token: token_for("alice", Duration::from_secs(2)) };
    assert!(matches!(client.ask(Request::Renew(renew)), Reply::Renewed(_)));
    assert!(matches!(client.event().body, Some(Body::TokenExpiring(warning)) if warning.in_ms <= 2_000));
    assert_eq!(client.closed(), Some(4006));
}

#[test]
fn who_is_let_in_by_a_long_leeway_stays_for_as_long() {
    let site = Site::with_leeway(Duration::from_secs(600));
    let mut client = site.stranger(Form::Json);
    let hello = v1::Hello { token: token_over("alice"), ..Default::default() };
    assert!(matches!(client.ask(Request::Hello(hello)), Reply::Welcome(_)));
    for _ in 0..3 {
        assert!(matches!(client.ask(Request::Ping(v1::Ping {})), Reply::Pong(_)), "it is not closed");
    }
    let warning = client.event();
    assert!(matches!(warning.body, Some(Body::TokenExpiring(warning)) if warning.in_ms == 0));
    assert!(matches!(client.ask(Request::Ping(v1::Ping {})), Reply::Pong(_)), "it was told, and is not closed");
}

#[test]
fn n24_a_flood_of_pings_is_closed() {
    let site = Site::new();
    let mut client = site.client("alice", Form::Proto);
    for n in 0..200_u8 {
        if client.socket.send(Message::Ping(vec![n].into())).is_err() {
            break;
        }
    }
    assert!(matches!(client.closed(), Some(4504) | None), "closed, and the rest of the flood unread");
    let mut other = site.client("bob", Form::Proto);
    assert!(matches!(other.ask(Request::Ping(v1::Ping {})), Reply::Pong(_)));
}

#[test]
fn a_client_that_does_not_speak_the_protocol_is_closed() {
    let site = Site::new();
    let mut client = site.client("alice", Form::Json);
    for _ in 0..=switchyard_edge::session::BAD_FRAMES_MAX {
        client.socket.send(Message::text("what?")).expect("the door reads");
    }
    for _ in 0..=switchyard_edge::session::BAD_FRAMES_MAX {
        let Read1::Reply(0, reply) = client.read() else { panic!("each is answered") };
        assert_eq!(error_of(reply).code, "BAD_REQUEST");
    }
    assert_eq!(client.closed(), Some(4503));
}

#[test]
fn who_is_silent_is_pinged_then_closed() {
    let timing =
        Timing { heartbeat: Duration::from_millis(200), idle: Duration::from_millis(600), ..Timing::default() };
    let site = Site::with(EdgeConfig { timing, ..EdgeConfig::default() });
    let mut client = site.client("alice", Form::Proto);
    // This client answers pings only when it reads, so the first one is seen; it is not answered.
    let ping = client.socket.read().expect("a ping");
    assert!(ping.is_ping(), "{ping:?}");
    let size = client.socket.get_mut().peek(&mut [0; 16]).expect("the goodbye");
    assert!(size > 0, "it is told, not cut");
    assert_eq!(client.closed(), Some(4004));
}

#[test]
fn a_drain_asks_then_closes_then_ends() {
    let mut site = Site::new();
    let mut client = site.client("alice", Form::Json);
    let _greeting = site.stranger(Form::Proto);
    let _silent = site.tcp();
    site.drain(Drain {
        after_min: Duration::from_millis(10),
        after_max: Duration::from_millis(100),
        deadline: Duration::from_secs(10),
    });
    let drain = client.event();
    assert_eq!(drain.body, Some(Body::Drain(v1::Drain { after_min_ms: 10, after_max_ms: 100 })));
    assert!(matches!(client.ask(Request::Ping(v1::Ping {})), Reply::Pong(_)), "still served");
    assert_eq!(client.closed(), Some(4001));
    drop(client);
    site.join();
    assert!(std::net::TcpStream::connect(site.address).is_err(), "nobody listens any more");
}
