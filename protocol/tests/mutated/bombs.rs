//! Small inputs that claim to be deep, wide or long. Each runs on a thread with a small stack, so that a decoder that goes
//! down with its input is found: it would end the process.

use prost::Message as _;
use switchyard_protocol::frame::{decode_client_json, decode_client_proto};
use switchyard_protocol::json::{self, ReplyKind};
use switchyard_protocol::limits::FRAME_BYTES_MAX;
use switchyard_protocol::{hot, v1};

/// Room for the 128 levels that `serde_json` goes down at most, unoptimised, and a tenth of what the depths here would take; a
/// worker's thread has twice as much.
const STACK_BYTES: usize = 1024 * 1024;

fn with_little_stack(test: fn()) {
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(test).expect("a thread");
    thread.join().expect("it panicked on its own thread");
}

/// What each JSON reader of either side says: whether it took it.
fn json_readers(text: &str) -> [bool; 3] {
    [
        decode_client_json(text).is_ok(),
        json::decode_server(text, |_| Some(ReplyKind::Page)).is_ok(),
        json::decode_server(text, |_| None).is_ok(),
    ]
}

fn nest(depth: usize, inside: &str) -> String {
    format!("{}{inside}{}", "[".repeat(depth), "]".repeat(depth))
}

fn nest_objects(depth: usize) -> String {
    format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth))
}

#[test]
fn n27_deep_json_is_refused_where_something_is_read() {
    with_little_stack(|| {
        for depth in [200, 10_000] {
            let deep = nest(depth, "1");
            for text in [
                deep.clone(),
                nest_objects(depth),
                format!(r#"{{"id":{deep}}}"#),
                format!(r#"{{"id":1,"send":{deep}}}"#),
                format!(r#"{{"id":1,"send":{{"text":{deep}}}}}"#),
                format!(r#"{{"id":1,"send":{{"text":{}}}}}"#, nest_objects(depth)),
                format!(r#"{{"id":1,"resume":{{"positions":{deep}}}}}"#),
                format!(r#"{{"id":1,"hello":{{"subscribe":{deep}}}}}"#),
                format!(r#"{{"id":1,"ok":true,"data":{{"messages":{deep}}}}}"#),
                format!(r#"{{"id":1,"ok":false,"error":{deep}}}"#),
                format!(r#"{{"event":"message","message":{deep}}}"#),
                format!(r#"{{"event":"members","members":{{"added":{deep}}}}}"#),
            ] {
                assert_eq!(json_readers(&text), [false; 3], "{depth}: {}", &text[..80]);
            }
        }
    });
}

#[test]
fn n27_deep_json_in_a_field_that_nobody_reads_is_passed_over_without_going_down() {
    with_little_stack(|| {
        let deep = nest(10_000, "1");
        decode_client_json(&format!(r#"{{"id":1,"send":{{"later":{deep}}}}}"#)).expect("fields of later versions");
        let data = format!(r#"{{"id":1,"ok":true,"data":{{"later":{deep}}}}}"#);
        json::decode_server(&data, |_| Some(ReplyKind::Page)).expect("fields of later versions");
    });
}

#[test]
fn n27_brackets_alone_are_refused() {
    with_little_stack(|| {
        for bracket in ["[", "{", "{\"a\":", "[{\"a\":", "]", "\"", "\\"] {
            let text = bracket.repeat(64 * 1024 / bracket.len());
            assert_eq!(json_readers(&text), [false; 3], "{bracket}");
            assert!(decode_client_json(&format!(r#"{{"id":1,"send":{text}"#)).is_err(), "{bracket}");
        }
    });
}

#[test]
fn n27_a_million_keys_are_refused_at_the_second_or_passed_over() {
    with_little_stack(|| {
        let keys: String = (0..1_000_000).map(|n| format!("\"k{n}\":0,")).collect();
        let error = decode_client_json(&format!("{{{keys}\"id\":5}}")).expect_err("two requests");
        assert!(error.message.contains("one request"), "{error}");
        let error = decode_client_json(&format!(r#"{{"id":5,"create":{{{keys}"members":7}}}}"#)).expect_err("a number");
        assert_eq!(error.id, 5);
        let once = format!(r#"{{"id":5,"ok":true,"data":{{{keys}"head":7}}}}"#);
        json::decode_server(&once, |_| Some(ReplyKind::Page)).expect("fields of later versions");
        let twice = format!(r#"{{"id":5,"ok":true,"data":{{"head":7,{keys}"head":7}}}}"#);
        assert_eq!(json_readers(&twice), [false; 3]);
    });
}

#[test]
fn n28_groups_within_groups_are_refused() {
    with_little_stack(|| {
        for (open, close) in [(0x0b, 0x0c), (0x2b, 0x2c), (0x7b, 0x7c)] {
            for depth in [101, 10_000, FRAME_BYTES_MAX / 2] {
                let bytes = [vec![open; depth], vec![close; depth]].concat();
                assert!(decode_client_proto(&bytes).is_err() && hot::decode_send(&bytes).is_none());
                assert!(v1::ServerFrame::decode(&*bytes).is_err());
                let unended = vec![open; depth];
                assert!(decode_client_proto(&unended).is_err() && hot::decode_send(&unended).is_none());
                assert!(v1::ServerFrame::decode(&*unended).is_err());
            }
        }
    });
}

#[test]
fn n28_messages_within_messages_are_not_followed() {
    with_little_stack(|| {
        // Each level says that the rest of the input is within its field 6, but the first, whose field 5 is a send: none of
        // ours holds itself.
        let mut bytes = Vec::new();
        for field in [0x32; 10_000].into_iter().chain([0x2a]) {
            let mut outer = vec![field];
            prost::encoding::encode_varint(bytes.len() as u64, &mut outer);
            outer.extend(&bytes);
            bytes = outer;
        }
        let error = decode_client_proto(&bytes).expect_err("its second level is a field for later versions");
        assert!(error.message.contains("attachments"), "{error}");
        assert!(hot::decode_send(&bytes).is_none());
        v1::ServerFrame::decode(&*bytes).expect("an unknown field");
    });
}

#[test]
fn n28_lengths_beyond_the_input_are_refused_before_anything_is_reserved() {
    with_little_stack(|| {
        for len in [1 << 31, (1 << 31) - 1, 1 << 32, 1 << 62, u64::MAX] {
            // As the frame's request, as a text in it, as an unknown field, and as a server's reply and event.
            for head in
                [&[0x2a][..], &[0x2a, 0x20, 0x22], &[0x2a, 0x20, 0x7a], &[0xfa, 0x01], &[0x0a], &[0x12, 0x20, 0x1a]]
            {
                let mut bytes = head.to_vec();
                prost::encoding::encode_varint(len, &mut bytes);
                bytes.resize(bytes.len() + 32, 0x61);
                assert!(decode_client_proto(&bytes).is_err(), "{bytes:x?}");
                assert!(hot::decode_send(&bytes).is_none(), "{bytes:x?}");
                assert!(v1::ServerFrame::decode(&*bytes).is_err(), "{bytes:x?}");
                assert_eq!(hot::message_in_event(&bytes), None, "{bytes:x?}");
            }
        }
    });
}
