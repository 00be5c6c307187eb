//! Wrong input over the public door: each is answered or cut as RFC 6455 and the protocol say, and another client goes
//! on undisturbed.

use std::io::{Read, Write};

use switchyard_edge::admission::config::{Budgets, UserBudgets};
use switchyard_edge::config::EdgeConfig;
use switchyard_protocol::frame::{self, Form};
use switchyard_protocol::v1::{self, client_frame::Request, reply::Result as Reply};
use tungstenite::Message;

use super::site::{Client, Read1, Site, error_of, read_to_end, token};

/// A frame as a client makes it: the first byte has the final bit and the opcode; the mask changes nothing.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match u8::try_from(payload.len()) {
        Ok(short @ 0..=125) => frame.push(0x80 | short),
        _ => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(payload.len()).expect("a short frame").to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

/// Writes bytes past the client's own framing. The door may have cut it by then.
fn write(client: &mut Client, bytes: &[u8]) {
    let _ = client.socket.get_mut().write_all(bytes);
}

fn is_served(client: &mut Client) -> bool {
    matches!(client.ask(Request::Ping(v1::Ping {})), Reply::Pong(_))
}

#[test]
fn n03_a_token_in_the_query_is_none() {
    let site = Site::new();
    let host = site.address.to_string();
    let target = format!("/v1/ws?token={}", token("alice"));
    let mut socket = site.tcp();
    let head = format!(
        "GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).expect("the door reads");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).expect("an answer");
        answer.extend(byte);
    }
    assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&answer));
    socket.write_all(&masked(0x81, br#"{"id":1,"ping":{}}"#)).expect("the door reads");
    let said = read_to_end(&socket);
    assert!(said.contains("AUTH_INVALID"), "{said}");
}

#[test]
fn n21_endless_pieces_are_cut_off() {
    let site = Site::new();
    let mut other = site.client("bob", Form::Proto);
    let mut many = site.client("alice", Form::Proto);
    write(&mut many, &masked(0x02, b"x"));
    write(&mut many, &masked(0x00, b"").repeat(2_000));
    assert_eq!(many.closed(), Some(1008));
    let mut long = site.client("alice", Form::Proto);
    write(&mut long, &masked(0x02, &[0; 60_000]));
    write(&mut long, &masked(0x00, &[0; 60_000]));
    write(&mut long, &masked(0x00, &[0; 60_000]));
    assert_eq!(long.closed(), Some(1009));
    assert!(is_served(&mut other));
}

#[test]
fn n22_compression_is_not_negotiated() {
    let site = Site::new();
    let offer = [("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits")];
    // The public client refuses an upgrade that accepts what it did not ask for.
    let mut client = Client::upgrade(site.tcp(), Form::Proto, &offer).expect("an upgrade without it");
    client.hello("alice");
    write(&mut client, &masked(0xc2, b"compressed?"));
    assert_eq!(client.closed(), Some(1002));
}

#[test]
fn n23_frames_that_rfc_6455_forbids_are_closed_with_its_codes() {
    let site = Site::new();
    let mut other = site.client("bob", Form::Json);
    let unmasked = [0x82, 1, 7];
    for (name, bytes, code) in [
        ("unmasked", &unmasked[..], 1002),
        ("reserved bit", &masked(0xa2, b"x"), 1002),
        ("reserved opcode", &masked(0x83, b"x"), 1002),
        ("long ping", &masked(0x89, &[0; 126]), 1002),
        ("ping in pieces", &masked(0x09, b"x"), 1002),
        ("stray continuation", &masked(0x80, b"x"), 1002),
        ("not UTF-8", &masked(0x81, b"\xff\xfe"), 1007),
        ("half a close code", &masked(0x88, b"\x03"), 1002),
        ("length with its top bit", &[0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 1], 1002),
    ] {
        let mut client = site.client("alice", Form::Proto);
        write(&mut client, bytes);
        assert_eq!(client.closed(), Some(code), "{name}");
    }
    assert!(is_served(&mut other));
}

#[test]
fn n24_empty_frames_and_pongs_are_a_flood_too() {
    let site = Site::new();
    for flood in [masked(0x8a, b"x"), masked(0x82, b""), masked(0x89, b"")] {
        let mut client = site.client("alice", Form::Proto);
        write(&mut client, &flood.repeat(500));
        let code = client.closed();
        assert!(matches!(code, Some(4503 | 4504)), "{flood:?}: {code:?}");
    }
}

#[test]
fn n27_odd_json_is_answered() {
    let site = Site::new();
    let mut client = site.client("alice", Form::Json);
    let deep = format!("{{\"id\":5,\"send\":{}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let wide = format!("{{{}\"id\":5}}", (0..10_000).map(|n| format!("\"k{n}\":0,")).collect::<String>());
    for text in [
        deep.as_str(),
        wide.as_str(),
        r#"{"id":5,"ping":{},"ping":{}}"#,
        r#"{"id":5,"send":{"since":1e400}}"#,
        r#"{"id":5,"send":{"text":"\ud800"}}"#,
        "\0",
        "nul",
    ] {
        client.socket.send(Message::text(text)).expect("the door reads");
        let Read1::Reply(_, reply) = client.read() else { panic!("not answered") };
        assert_eq!(error_of(reply).code, "BAD_REQUEST", "{}", &text[..text.len().min(60)]);
    }
    assert!(is_served(&mut client));
}

#[test]
fn n28_odd_protobuf_is_answered() {
    let site = Site::new();
    let mut client = site.client("alice", Form::Proto);
    let groups = [0x0b].repeat(10_000);
    let long_prefix = [0x2a, 0x80, 0x80, 0x80, 0x80, 0x08];
    let endless_number = [0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    for bytes in [&groups[..], &long_prefix, &endless_number, b"\xff", b"\x08\x05"] {
        client.socket.send(Message::binary(bytes.to_vec())).expect("the door reads");
        let Read1::Reply(_, reply) = client.read() else { panic!("not answered") };
        assert_eq!(error_of(reply).code, "BAD_REQUEST");
    }
    assert!(is_served(&mut client));
}

fn with_user_budget(user: UserBudgets) -> Site {
    Site::with(EdgeConfig { budgets: Budgets { user, ..Budgets::default() }, ..EdgeConfig::default() })
}

fn group_of(members: usize) -> Request {
    let members = (0..members).map(|n| format!("user {n}")).collect();
    Request::Create(v1::Create { kind: v1::ConversationKind::Group as i32, members, ..Default::default() })
}

#[test]
fn n43_a_large_request_costs_as_many_small_ones() {
    let site = with_user_budget(UserBudgets { requests_per_second: 1, requests_burst: 100, ..UserBudgets::default() });
    let (mut client, mut other) = (site.client("alice", Form::Json), site.client("bob", Form::Json));
    assert!(matches!(client.ask(group_of(999)), Reply::Created(_)));
    let error = error_of(client.ask(group_of(999)));
    assert_eq!(error.code, "RATE_LIMITED");
    assert!(error.retry_after_ms.expect("it will pass").gt(&10_000));
    assert!(matches!(client.ask(group_of(2)), Reply::Created(_)), "a small one still passes");
    assert!(is_served(&mut other));
}

#[test]
fn n43_a_second_hello_counts_as_any_request_does() {
    let site = with_user_budget(UserBudgets { requests_per_second: 1, requests_burst: 20, ..UserBudgets::default() });
    let mut client = site.client("alice", Form::Json);
    let hello = || Request::Hello(v1::Hello { token: token("alice"), ..Default::default() });
    let codes: Vec<_> = (0..30).map(|_| error_of(client.ask(hello())).code).collect();
    let refused = codes.iter().filter(|code| *code == "BAD_REQUEST").count();
    assert!((20..30).contains(&refused) && codes.last().is_some_and(|code| code == "RATE_LIMITED"), "{codes:?}");
}

/// Before there is a session nothing has a budget: who does not get on is closed.
#[test]
fn who_says_hello_wrong_over_and_over_is_closed() {
    let site = Site::new();
    let mut client = site.stranger(Form::Json);
    let hello = || Request::Hello(v1::Hello { device: "d".repeat(200), ..Default::default() });
    for _ in 0..=switchyard_edge::session::BAD_FRAMES_MAX {
        assert_eq!(error_of(client.ask(hello())).code, "BAD_REQUEST");
    }
    assert_eq!(client.closed(), Some(4503));
}

#[test]
fn n43_one_user_has_so_many_changes_in_the_store_and_no_more() {
    let site = with_user_budget(UserBudgets { changes_in_flight: 2, ..UserBudgets::default() });
    let mut client = site.client("alice", Form::Proto);
    // In one piece, so that all are asked for before any is answered.
    let all: Vec<u8> =
        (101..=110).flat_map(|id| masked(0x82, &frame::encode_client(Form::Proto, id, group_of(1)))).collect();
    write(&mut client, &all);
    let mut created = 0;
    for _ in 0..10 {
        match client.read() {
            Read1::Reply(_, Reply::Created(_)) => created += 1,
            Read1::Reply(_, reply) => {
                let error = error_of(reply);
                assert!(error.code == "OVERLOADED" && error.retry_after_ms.is_some());
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(created, 2);
    for _ in 0..5 {
        assert!(matches!(client.ask(group_of(999)), Reply::Created(_)), "they were counted out");
    }
}

#[test]
fn n29_heads_that_two_servers_could_read_in_two_ways_are_refused() {
    let site = Site::new();
    let large = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(64 * 1024));
    for head in [
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        &large,
    ] {
        let mut socket = site.tcp();
        socket.write_all(head.as_bytes()).expect("the door reads");
        let said = read_to_end(&socket);
        assert!(said.starts_with("HTTP/1.1 400 "), "{}: {said}", &head[..head.len().min(60)]);
    }
    assert!(site.handed_over.lock().expect("no panic").is_empty(), "no other server saw any of it");
}
