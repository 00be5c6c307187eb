//! Rows 20 to 23, 27 and 28: messages that are too large, cut too finely, compressed, not WebSocket, not JSON, not
//! protobuf.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::plain::{JSON, Plain, code};
use crate::raw::{BINARY, CLOSE, CONTINUATION, FINAL, PING, Raw, TEXT, frame};
use crate::site::Site;

const PROTO: &str = "switchyard.v1.proto";

#[test]
fn n20_a_message_beyond_the_limits_is_refused_or_ends_its_connection() {
    let mut site = Site::dev();
    let mut alice = Plain::open(&site, "alice");
    let conversation = alice.direct("bob");
    let memory = site.memory_kib();
    // A body of one byte too many is a bad request; the session goes on.
    let text = "x".repeat(64 * 1024 + 1);
    let body = json!({"conversation": conversation, "client_id": "a", "text": text});
    assert_eq!(alice.refused("send", &body), "BAD_REQUEST");
    alice.send(&conversation, "a", &text[1..]);
    // A frame beyond what any request may have ends the connection, and is not waited for.
    let mut raw = Raw::open(&site, JSON, "alice");
    raw.send(&frame(FINAL | TEXT, &vec![b' '; 128 * 1024 + 1])[..1_000]);
    assert_eq!(raw.goodbye(), 1009);
    let mut raw = Raw::open(&site, JSON, "alice");
    raw.send(&[FINAL | TEXT, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    assert_eq!(raw.goodbye(), 1009, "2^63 - 1 bytes are announced");
    // Before anybody is known, a hello is all there is room for.
    let mut raw = Raw::open_unknown(&site);
    raw.send(&frame(FINAL | TEXT, &[b' '; 8 * 1024 + 1]));
    assert_eq!(raw.goodbye(), 1009);
    site.unharmed(memory);
}

#[test]
fn n21_a_message_without_an_end_or_in_crumbs_is_cut_off() {
    let mut site = Site::dev();
    let memory = site.memory_kib();
    for payload in [&b""[..], b" "] {
        let mut raw = Raw::open(&site, JSON, "alice");
        raw.frame(TEXT, payload);
        let crumbs = frame(CONTINUATION, payload).repeat(10_000);
        // A million of them, unless it hangs up before; what follows the goodbye is thrown away.
        (0..100).take_while(|_| raw.send(&crumbs)).count();
        assert_eq!(raw.goodbye(), 1008);
    }
    let mut raw = Raw::open(&site, JSON, "alice");
    raw.frame(TEXT, b" ");
    for _ in 0..40 {
        raw.frame(CONTINUATION, &[b' '; 4_096]);
    }
    assert_eq!(raw.goodbye(), 1009, "pieces of a message count together");
    site.unharmed(memory);
}

#[test]
fn n22_compression_is_not_negotiated() {
    let mut site = Site::dev();
    let memory = site.memory_kib();
    for offer in [
        "permessage-deflate",
        "permessage-deflate; client_max_window_bits; server_no_context_takeover",
        "x-webkit-deflate-frame, permessage-deflate",
    ] {
        let mut raw = Raw::connect(&site);
        let lines = format!("Sec-WebSocket-Extensions: {offer}\r\nAuthorization: Bearer {}\r\n", site.token("alice"));
        let answer = raw.upgrade(JSON, &lines);
        assert!(!answer.to_ascii_lowercase().contains("extensions"), "{answer}");
        // A frame that says it is compressed breaks the protocol.
        raw.frame(FINAL | 0x40 | TEXT, b"\xaa\x56\xca\x4c\x51\xb2\x32\xac\x05\x00");
        assert_eq!(raw.goodbye(), 1002);
    }
    site.unharmed(memory);
}

#[test]
fn n23_frames_that_break_the_protocol_end_the_connection() {
    let mut site = Site::dev();
    let memory = site.memory_kib();
    let unmasked = |first: u8, payload: &[u8]| {
        let mut bytes = vec![first, u8::try_from(payload.len()).expect("short")];
        bytes.extend_from_slice(payload);
        bytes
    };
    for (bytes, expected, why) in [
        (unmasked(FINAL | TEXT, b"{}"), 1002, "not masked"),
        (frame(FINAL | 0x20 | TEXT, b"{}"), 1002, "a reserved bit"),
        (frame(FINAL | 0x10 | TEXT, b"{}"), 1002, "another reserved bit"),
        (frame(FINAL | 3, b"{}"), 1002, "a reserved opcode"),
        (frame(FINAL | 0xb, b"{}"), 1002, "a reserved control opcode"),
        (frame(FINAL | PING, &[0; 126]), 1002, "a long ping"),
        (frame(PING, b"x"), 1002, "half a ping"),
        (frame(FINAL | CONTINUATION, b"{}"), 1002, "a continuation of nothing"),
        ([frame(TEXT, b"{"), frame(FINAL | TEXT, b"}")].concat(), 1002, "a message in a message"),
        (frame(FINAL | CLOSE, &[3]), 1002, "half a close code"),
        (frame(FINAL | CLOSE, &1005_u16.to_be_bytes()), 1002, "a close code that nobody sends"),
        (frame(FINAL | CLOSE, &[0x03, 0xe8, 0xff]), 1007, "a reason that is not text"),
        (vec![FINAL | TEXT, 0x80 | 126, 0, 2, 0, 0, 0, 0, b'{', b'}'], 1002, "a long form of a short length"),
        (frame(FINAL | TEXT, b"\xff"), 1007, "not UTF-8"),
        (frame(FINAL | TEXT, b"\xed\xa0\x80"), 1007, "a surrogate in UTF-8"),
        (frame(FINAL | TEXT, b"\xc0\xaf"), 1007, "overlong UTF-8"),
        (frame(FINAL | TEXT, b"{\"a\":\"\xc3"), 1007, "cut UTF-8"),
    ] {
        for known in [true, false] {
            let mut raw = if known { Raw::open(&site, JSON, "alice") } else { Raw::open_unknown(&site) };
            assert!(raw.send(&bytes));
            assert_eq!(raw.goodbye(), expected, "{why}");
            raw.rest();
        }
    }
    site.unharmed(memory);
}

#[test]
fn n27_json_that_means_harm_is_answered_and_costs_nothing() {
    let mut site = Site::dev();
    let mut alice = Plain::open(&site, "alice");
    let conversation = alice.direct("bob");
    let memory = site.memory_kib();
    let depth = 10_000;
    let keys = (0..12_000).fold(String::new(), |mut keys, n| {
        let _ = write!(keys, ",\"k{n}\":1");
        keys
    });
    let send = |field: &str| format!("{{\"id\":7,\"send\":{{\"conversation\":\"{conversation}\",{field}}}}}");
    for (text, why) in [
        (format!("{{\"id\":7,\"send\":{}{}}}", "[".repeat(depth), "]".repeat(depth)), "deep lists"),
        (
            format!("{{\"id\":7,\"send\":{{\"text\":{}1{}}}}}", "{\"a\":".repeat(depth), "}".repeat(depth)),
            "deep objects",
        ),
        ("[".repeat(100_000), "an open end"),
        (format!("{{\"id\":7,\"ping\":{{}}{keys}}}"), "very many requests in one"),
        (format!("{{\"id\":7{}", ",\"id\":7".repeat(10_000)), "the same key over and over"),
        (send("\"client_id\":\"a\",\"client_id\":\"b\",\"text\":\"x\""), "a field twice"),
        ("{\"id\":7,\"history\":{\"limit\":1e400}}".to_owned(), "a number beyond numbers"),
        ("{\"id\":1e400,\"ping\":{}}".to_owned(), "an id beyond numbers"),
        (format!("{{\"id\":7,\"history\":{{\"limit\":{}}}}}", "9".repeat(10_000)), "a long number"),
        (send("\"client_id\":\"a\",\"text\":\"\\ud800\""), "a lone surrogate"),
        (send("\"client_id\":\"a\",\"text\":\"\\udc00\\ud800\""), "surrogates in the wrong order"),
        (send("\"client_id\":\"a\",\"text\":\"a\\u0000b\""), "NUL in a text"),
        (send("\"client_id\":\"\\u0000\",\"text\":\"x\""), "NUL in an id"),
        (send("\"client_id\":\"a\",\"text\":\"a\nb\""), "a bare control character"),
        ("{\"id\":7,\"ping\":{}} {\"id\":8,\"ping\":{}}".to_owned(), "two frames in one"),
        ("\u{feff}{\"id\":7,\"ping\":{}}".to_owned(), "a byte order mark"),
        ("NaN".to_owned(), "not a number"),
    ] {
        alice.say(&text);
        assert_eq!(code(&alice.frame()), "BAD_REQUEST", "{why}");
    }
    // A million keys that nobody knows do not fit into a frame; as many as do are skipped.
    alice.say(&format!("{{\"id\":7,\"ping\":{{\"a\":1{keys}}}}}"));
    assert_eq!(alice.frame()["id"], 7);
    let page = alice.done("history", &json!({"conversation": conversation}));
    assert_eq!(page["messages"], json!([]), "nothing of it was stored");
    site.unharmed(memory);
}

#[test]
fn n27_who_sends_nothing_but_nonsense_is_sent_away() {
    let mut site = Site::dev();
    let memory = site.memory_kib();
    let mut alice = Plain::open(&site, "alice");
    for _ in 0..100 {
        alice.say("nonsense");
    }
    assert_eq!(alice.goodbye(), 4503);
    site.unharmed(memory);
}

#[test]
fn n28_protobuf_that_means_harm_is_answered_and_costs_nothing() {
    let mut site = Site::dev();
    let memory = site.memory_kib();
    let mut raw = Raw::open(&site, PROTO, "alice");
    let group = |depth: usize| [[0xfb, 0x01].repeat(depth), [0xfc, 0x01].repeat(depth)].concat();
    for (bytes, why) in [
        (vec![0x2a, 0xff, 0xff, 0xff, 0xff, 0x07], "a send of 2^31 - 1 bytes"),
        (vec![0x2a, 0xff, 0xff, 0xff, 0xff, 0x0f, 1, 2, 3], "of 2^32 - 1"),
        (vec![0x2a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], "of 2^64 - 1"),
        (vec![0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], "a number of 11 bytes"),
        (group(30_000), "groups in groups"),
        ([0xfb, 0x01].repeat(30_000), "groups without an end"),
        (vec![0xff; 1_000], "no tag at all"),
        (vec![0x00], "field 0"),
        (vec![0x0f], "a wire type that is none"),
        (vec![0x2a, 0x03, 0x0a, 0x01, 0xff], "a text that is none"),
        (Vec::new(), "an empty frame"),
    ] {
        assert!(raw.frame(FINAL | BINARY, &bytes));
        // An empty message is a control frame by another name: it is counted, and not answered.
        if !bytes.is_empty() {
            let (first, answer) = raw.next().expect("an answer");
            assert_eq!(first, FINAL | BINARY, "{why}");
            assert!(String::from_utf8_lossy(&answer).contains("BAD_REQUEST"), "{why}");
        }
    }
    // Text where binary was agreed, and the other way around.
    assert!(raw.frame(FINAL | TEXT, br#"{"id":1,"ping":{}}"#));
    assert!(String::from_utf8_lossy(&raw.next().expect("an answer").1).contains("BAD_REQUEST"));
    let mut raw = Raw::open(&site, JSON, "alice");
    assert!(raw.frame(FINAL | BINARY, &[0x08, 0x01]));
    let answer: Value = serde_json::from_slice(&raw.next().expect("an answer").1).expect("JSON");
    assert_eq!(code(&answer), "BAD_REQUEST");
    site.unharmed(memory);
}
