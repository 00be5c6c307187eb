//! Coming in: tokens by every way, what is no WebSocket, and those who never say who they are.

use std::io::{ErrorKind, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use switchyard_edge::admission::config::{AddressBudgets, Budgets, UserBudgets};
use switchyard_edge::admission::origin::OriginPolicy;
use switchyard_edge::admission::proxy::TrustedProxies;
use switchyard_edge::config::{EdgeConfig, Room, Timing};
use switchyard_protocol::frame::Form;
use switchyard_protocol::v1::{self, client_frame::Request, reply::Result as Reply};

use super::site::{Client, Read1, Site, error_of, read_to_end, token, token_over, until};

const GOOD: &str = "https://app.example";

fn origins() -> EdgeConfig {
    EdgeConfig { origins: OriginPolicy::new(&[GOOD]).expect("an origin"), ..EdgeConfig::default() }
}

#[test]
fn hello_is_welcomed_in_both_forms() {
    let site = Site::new();
    for form in Form::ALL {
        let welcome = site.stranger(form).hello("alice");
        assert_eq!((welcome.user.as_str(), welcome.tenant.as_str()), ("alice", "default"));
        assert_eq!(welcome.limits.expect("limits").requests_in_flight_max, 256);
        assert_eq!(welcome.heartbeat_ms, 25_000);
    }
}

#[test]
fn a_bad_token_is_answered_and_closed() {
    let site = Site::new();
    for form in Form::ALL {
        let mut client = site.stranger(form);
        let hello = v1::Hello { token: format!("{}x", token("alice")), ..Default::default() };
        assert_eq!(error_of(client.ask(Request::Hello(hello))).code, "AUTH_INVALID");
        assert_eq!(client.closed(), Some(4501));
    }
}

#[test]
fn n07_who_comes_with_a_token_that_is_over_is_to_come_again() {
    let site = Site::new();
    for form in Form::ALL {
        let mut client = site.stranger(form);
        let hello = v1::Hello { token: token_over("alice"), ..Default::default() };
        assert_eq!(error_of(client.ask(Request::Hello(hello))).code, "AUTH_INVALID");
        assert_eq!(client.closed(), Some(4006));
    }
    let mut forged = site.stranger(Form::Json);
    let hello = v1::Hello { token: format!("{}x", token_over("alice")), ..Default::default() };
    assert_eq!(error_of(forged.ask(Request::Hello(hello))).code, "AUTH_INVALID");
    assert_eq!(forged.closed(), Some(4501), "what was never good says nothing");
}

#[test]
fn who_finds_no_room_is_to_come_again() {
    let user = UserBudgets { connections: 1, ..UserBudgets::default() };
    let site = Site::with(EdgeConfig { budgets: Budgets { user, ..Budgets::default() }, ..EdgeConfig::default() });
    let mut first = site.client("alice", Form::Proto);
    let mut second = site.stranger(Form::Proto);
    let hello = v1::Hello { token: token("alice"), ..Default::default() };
    assert_eq!(error_of(second.ask(Request::Hello(hello))).code, "RATE_LIMITED");
    assert_eq!(second.closed(), Some(4003));
    assert!(matches!(first.ask(Request::Ping(v1::Ping {})), Reply::Pong(_)));
}

#[test]
fn nothing_counts_before_hello() {
    let site = Site::new();
    let mut client = site.stranger(Form::Proto);
    assert_eq!(error_of(client.ask(Request::Ping(v1::Ping {}))).code, "AUTH_INVALID");
    assert_eq!(client.closed(), Some(4501));
}

#[test]
fn n02_a_token_may_come_with_the_upgrade_and_a_cookie_from_own_pages_alone() {
    let site = Site::with(origins());
    let token = token("alice");
    let bearer = format!("Bearer {token}");
    let subprotocols = format!("switchyard.v1.proto, bearer.{token}");
    let cookie = format!("a=b; switchyard_token={token}");
    let ways: [&[(&str, &str)]; 3] = [
        &[("Authorization", &bearer)],
        &[("Sec-WebSocket-Protocol", &subprotocols)],
        &[("Cookie", &cookie), ("Origin", GOOD)],
    ];
    for fields in ways {
        let mut client = Client::upgrade(site.tcp(), Form::Proto, fields).expect("an upgrade");
        assert!(matches!(client.ask(Request::Ping(v1::Ping {})), Reply::Pong(_)), "{fields:?}");
        let welcome = client.ask(Request::Hello(v1::Hello::default()));
        assert!(matches!(welcome, Reply::Welcome(welcome) if welcome.user == "alice"), "{fields:?}");
        assert_eq!(error_of(client.ask(Request::Hello(v1::Hello::default()))).code, "BAD_REQUEST", "once");
    }
    let mut client = Client::upgrade(site.tcp(), Form::Proto, &[("Cookie", &cookie)]).expect("an upgrade");
    let reply = client.ask(Request::Ping(v1::Ping {}));
    assert_eq!(error_of(reply).code, "AUTH_INVALID", "a cookie without an allowed origin is none");
}

#[test]
fn a_cookie_that_is_over_keeps_nobody_out() {
    let site = Site::with(origins());
    for bad in [token_over("alice"), "nonsense".to_owned()] {
        let cookie = format!("switchyard_token={bad}");
        let fields = [("Cookie", cookie.as_str()), ("Origin", GOOD)];
        let mut client = Client::upgrade(site.tcp(), Form::Json, &fields).expect("an upgrade");
        assert_eq!(client.hello("alice").user, "alice");
        let mut silent = Client::upgrade(site.tcp(), Form::Json, &fields).expect("an upgrade");
        assert_eq!(error_of(silent.ask(Request::Ping(v1::Ping {}))).code, "AUTH_INVALID", "it is nobody's");
        let bearer = format!("Bearer {}", token_over("alice"));
        let refused = Client::upgrade(site.tcp(), Form::Json, &[("Authorization", &bearer), fields[0], fields[1]]);
        assert_eq!(refused.err(), Some(401), "what the client itself says counts");
    }
}

#[test]
fn n01_foreign_pages_and_bad_upgrades_are_refused_by_http() {
    let site = Site::with(origins());
    let refused = |fields: &[(&str, &str)]| Client::upgrade(site.tcp(), Form::Json, fields).err();
    assert_eq!(refused(&[("Authorization", "Bearer nonsense")]), Some(401));
    assert_eq!(refused(&[("Origin", "https://app.example.evil")]), Some(403));
    assert_eq!(refused(&[("Origin", "null")]), Some(403));
    let cookie = format!("switchyard_token={}", token("alice"));
    let foreign = [("Cookie", cookie.as_str()), ("Origin", "https://evil.example")];
    assert_eq!(refused(&foreign), Some(403), "n02: a cookie from a foreign page");
    assert_eq!(refused(&[("Sec-WebSocket-Version", "12")]), Some(426));
    assert_eq!(refused(&[("Sec-WebSocket-Protocol", "chat")]), Some(400));
    let token_alone = format!("bearer.{}", token("alice"));
    assert_eq!(refused(&[("Sec-WebSocket-Protocol", &token_alone)]), Some(400), "a browser would fail without a word");
}

#[test]
fn other_http_is_handed_over_with_all_that_was_read() {
    let site = Site::new();
    let mut socket = site.tcp();
    socket.write_all(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n").expect("the door reads");
    assert!(read_to_end(&socket).ends_with("other"));
    let handed_over = site.handed_over.lock().expect("no panic").clone();
    let client = socket.local_addr().expect("connected");
    assert_eq!(handed_over, [(client, "GET /health HTTP/1.1\r\nHost: a\r\n\r\n".to_owned())]);
}

/// Whoever is given away stays counted for its address until it is served, so that one address cannot take all the places
/// of the server that it is given to.
#[test]
fn what_is_handed_over_counts_for_its_address_until_it_is_served() {
    let one = AddressBudgets { connections: 1, ..AddressBudgets::default() };
    let own = EdgeConfig { budgets: Budgets { address: one, ..Budgets::default() }, ..EdgeConfig::default() };
    let ask = |site: &Site, fields: &str| {
        let mut socket = site.tcp();
        // Who is refused at once may be gone before this is written.
        let _ = socket.write_all(format!("GET /health HTTP/1.1\r\nHost: a\r\n{fields}\r\n").as_bytes());
        read_to_end(&socket)
    };
    let site = Site::with(own);
    assert!(ask(&site, "").ends_with("other"));
    assert_eq!(ask(&site, ""), "", "the first one is still being served");
    site.places.lock().expect("no panic").clear();
    assert!(ask(&site, "").ends_with("other"));

    let site = Site::with(behind_proxies());
    let client = "X-Forwarded-For: 203.0.113.9\r\n";
    assert!(ask(&site, client).ends_with("other"));
    assert!(ask(&site, client).starts_with("HTTP/1.1 429 "), "it is the client that a proxy names");
    assert!(ask(&site, "X-Forwarded-For: 203.0.113.10\r\n").ends_with("other"));
    assert!(ask(&site, "").ends_with("other"), "the proxy itself looks after its own health checks");
}

fn behind_proxies() -> EdgeConfig {
    let proxies = TrustedProxies::new(&["127.0.0.1"]).expect("an address");
    let address = AddressBudgets { connections: 1, ..AddressBudgets::default() };
    EdgeConfig { proxies, budgets: Budgets { address, ..Budgets::default() }, ..EdgeConfig::default() }
}

#[test]
fn a_trusted_proxy_says_whose_budget_it_is() {
    let site = Site::with(behind_proxies());
    let from = |client: &str| Client::upgrade(site.tcp(), Form::Proto, &[("X-Forwarded-For", client)]);
    let first = from("203.0.113.1").map_err(|status| format!("refused with {status}"));
    assert_eq!(from("203.0.113.1").err(), Some(429), "one connection of each address here");
    let other = from("203.0.113.2").map_err(|status| format!("refused with {status}"));
    let (mut first, mut other) = (first.expect("the first"), other.expect("another address"));
    assert_eq!(first.hello("alice").user, "alice");
    assert_eq!(other.hello("alice").user, "alice");
}

#[test]
fn a_proxy_header_comes_first_where_it_is_configured() {
    let site = Site::with(EdgeConfig { proxy_protocol: true, ..behind_proxies() });
    let mut socket = site.tcp();
    socket.write_all(b"PROXY TCP4 203.0.113.7 127.0.0.1 5000 7400\r\nGET / HT").expect("the door reads");
    socket.write_all(b"TP/1.1\r\nHost: a\r\n\r\n").expect("the door reads");
    assert!(read_to_end(&socket).ends_with("other"));
    let handed_over = site.handed_over.lock().expect("no panic").clone();
    let client = "203.0.113.7:5000".parse().expect("an address");
    assert_eq!(handed_over, [(client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned())]);
    let mut without = site.tcp();
    without.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("the door reads");
    assert_eq!(read_to_end(&without), "", "whoever has none has no business here");
}

#[test]
fn what_is_not_http_is_refused_and_cut() {
    let site = Site::new();
    let mut client = site.client("alice", Form::Json);
    for junk in [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], b"GET /v1/ws HTTP/1.1\nHost: a\n\n"] {
        let mut socket = site.tcp();
        socket.write_all(junk).expect("the door reads");
        assert!(read_to_end(&socket).starts_with("HTTP/1.1 400 "));
    }
    assert!(matches!(client.ask(Request::Ping(v1::Ping {})), Reply::Pong(_)), "others do not notice");
}

#[test]
fn n25_those_who_say_nothing_are_cut() {
    let timing =
        Timing { handshake: Duration::from_millis(300), hello: Duration::from_millis(300), ..Timing::default() };
    let site = Site::with(EdgeConfig { timing, ..EdgeConfig::default() });
    let mut begun = site.tcp();
    begun.write_all(b"GET /v1/ws HT").expect("the door reads");
    let silent = site.tcp();
    let mut greeting = site.stranger(Form::Proto);
    assert_eq!(read_to_end(&begun), "");
    assert_eq!(read_to_end(&silent), "");
    assert_eq!(greeting.closed(), Some(4004));
}

#[test]
fn the_oldest_of_too_many_half_open_connections_goes() {
    let room = Room { half_open_max: 3, ..Room::default() };
    let site = Site::with(EdgeConfig { room, ..EdgeConfig::default() });
    // Who has said hello is not half open.
    let mut known = site.client("alice", Form::Proto);
    let oldest = site.tcp();
    let younger: Vec<_> = (0..3).map(|_| site.tcp()).collect();
    assert_eq!(read_to_end(&oldest), "");
    for mut socket in younger {
        socket.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("the door reads");
        assert!(read_to_end(&socket).ends_with("other"), "the younger ones are there");
    }
    assert!(matches!(known.ask(Request::Ping(v1::Ping {})), Reply::Pong(_)));
}

/// How many of these connections the door has not closed.
fn open(sockets: &[TcpStream]) -> usize {
    let is_open = |socket: &&TcpStream| {
        socket.set_nonblocking(true).expect("a socket");
        socket.peek(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    };
    sockets.iter().filter(is_open).count()
}

/// A site on which nobody is cut for saying nothing while a test lasts.
fn patient(room: Room) -> EdgeConfig {
    let timing = Timing { handshake: Duration::from_secs(120), ..Timing::default() };
    EdgeConfig { room, timing, ..EdgeConfig::default() }
}

#[test]
fn connections_have_one_limit_over_all_workers() {
    let site = Site::with_workers(patient(Room { connections_max: 4, ..Room::default() }), 3);
    let sockets: Vec<_> = (0..24).map(|_| site.tcp()).collect();
    until(|| open(&sockets) == 4);
    drop(sockets);
    until(|| {
        let mut socket = site.tcp();
        let _ = socket.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        read_to_end(&socket).ends_with("other")
    });
}

#[test]
fn half_open_connections_have_one_limit_over_all_workers() {
    let site = Site::with_workers(patient(Room { half_open_max: 3, ..Room::default() }), 3);
    let sockets: Vec<_> = (0..24).map(|_| site.tcp()).collect();
    until(|| {
        // A worker that has more than its share lets one go when it wakes.
        drop(site.tcp());
        open(&sockets) <= 3
    });
    assert_eq!(site.client("alice", Form::Proto).form, Form::Proto, "newcomers get in");
}

#[test]
fn a_first_frame_above_its_limit_is_refused_by_its_header() {
    let site = Site::new();
    let mut client = site.stranger(Form::Json);
    client.socket.send(tungstenite::Message::text("x".repeat(8 * 1024 + 1))).expect("the door reads");
    assert_eq!(client.closed(), Some(1009));
}

#[test]
fn a_client_that_is_cut_in_the_middle_leaves_nothing() {
    let site = Site::new();
    let client = site.client("alice", Form::Proto);
    client.socket.get_ref().shutdown(Shutdown::Both).expect("a socket");
    let mut other = site.client("alice", Form::Json);
    assert!(matches!(other.ask(Request::Ping(v1::Ping {})), Reply::Pong(_)));
    let Read1::Closed(_) = ({
        let mut client = client;
        client.read()
    }) else {
        panic!("it was cut")
    };
}
