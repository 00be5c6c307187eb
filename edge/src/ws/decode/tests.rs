//! The decoder's rules one by one; agreement with public clients is tested in `tests/ws_peers.rs`.

use super::*;

const LIMIT: usize = 4_096;
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A client's frame; `first` is the first byte with the final bit.
fn client(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        len @ 0..=125 => out.push(0x80 | len as u8),
        len @ 126..=65_535 => {
            out.push(0x80 | 126);
            out.extend((len as u16).to_be_bytes());
        }
        len => {
            out.push(0x80 | 127);
            out.extend((len as u64).to_be_bytes());
        }
    }
    out.extend(MASK);
    let start = out.len();
    out.extend(payload);
    mask::apply(&mut out[start..], MASK, 0);
    out
}

/// What came out, in words, from input given in `pieces`.
fn run<'a>(decoder: &mut Decoder, pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<String>, Option<Violation>) {
    let mut seen = Vec::new();
    for piece in pieces {
        let mut input = piece.to_vec();
        let result = decoder.feed(&mut input, LIMIT, |incoming| {
            seen.push(format!("{incoming:?}"));
            ControlFlow::Continue(())
        });
        match result {
            Ok(consumed) => assert_eq!(consumed, piece.len()),
            Err(violation) => return (seen, Some(violation)),
        }
    }
    (seen, None)
}

/// Runs the input whole and byte by byte, asserts that both agree, and returns the outcome.
fn both_ways(input: &[u8]) -> (Vec<String>, Option<Violation>) {
    let whole = run(&mut Decoder::new(), [input]);
    assert_eq!(run(&mut Decoder::new(), input.chunks(1)), whole);
    whole
}

#[test]
fn examples_of_the_rfc() {
    let hello = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(both_ways(&hello), (vec![r#"Text("Hello")"#.into()], None));
    let fragmented = [client(0x01, b"Hel"), client(0x80, b"lo")].concat();
    assert_eq!(both_ways(&fragmented), (vec![r#"Text("Hello")"#.into()], None));
    let ping = [0x89, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(both_ways(&ping), (vec!["Ping([72, 101, 108, 108, 111])".into()], None));
}

#[test]
fn control_frames_between_pieces() {
    let input = [
        client(0x02, &[1]),
        client(0x89, &[2]),
        client(0x00, &[]),
        client(0x8a, &[]),
        client(0x80, &[3]),
        client(0x82, &[]),
    ]
    .concat();
    let wanted = ["Ping([2])", "Pong([])", "Binary([1, 3])", "Binary([])"].map(String::from).to_vec();
    assert_eq!(both_ways(&input), (wanted, None));
}

#[test]
fn a_whole_frame_is_handed_out_where_it_lies() {
    let mut input = client(0x82, &[7; 300]);
    let range = input.as_ptr_range();
    let mut decoder = Decoder::new();
    let result = decoder.feed(&mut input, LIMIT, |incoming| {
        let Incoming::Binary(payload) = incoming else { panic!("binary") };
        assert!(range.contains(&payload.as_ptr()), "copied");
        ControlFlow::Continue(())
    });
    assert_eq!(result, Ok(308));
    assert_eq!(decoder.held_bytes(), 0);
}

#[test]
fn an_idle_decoder_is_two_words() {
    assert!(size_of::<Decoder>() <= 16);
    let mut decoder = Decoder::new();
    let frame = client(0x82, &[7; 300]);
    run(&mut decoder, [&frame[..5]]);
    assert!(!decoder.is_idle());
    run(&mut decoder, [&frame[5..]]);
    assert!(decoder.is_idle(), "what was held is given back");
}

#[test]
fn memory_follows_what_arrived_and_not_what_was_announced() {
    let mut decoder = Decoder::new();
    let mut announced = client(0x82, &[0; LIMIT]);
    announced.truncate(9);
    assert_eq!(run(&mut decoder, [&announced[..]]), (vec![], None));
    assert!(decoder.held_bytes() < 512, "{} bytes for one byte of payload", decoder.held_bytes());
}

#[test]
fn too_big_is_known_from_the_header() {
    let frame = client(0x82, &[0; LIMIT + 1]);
    assert_eq!(run(&mut Decoder::new(), [&frame[..4]]), (vec![], Some(Violation::TooBig)));
    let pieces = [client(0x02, &[0; LIMIT]), client(0x80, &[0])].concat();
    assert_eq!(both_ways(&pieces), (vec![], Some(Violation::TooBig)));
    assert_eq!(Violation::TooBig.close_code(), 1009);
}

#[test]
fn limit_may_change_behind_a_message() {
    let mut input = [client(0x82, &[1]), client(0x82, &[2; 100])].concat();
    let mut decoder = Decoder::new();
    let consumed = decoder.feed(&mut input, 10, |_| ControlFlow::Break(())).expect("within the limit");
    assert_eq!(consumed, 7);
    let mut sizes = Vec::new();
    let rest = decoder.feed(&mut input[consumed..], 100, |incoming| {
        let Incoming::Binary(payload) = incoming else { panic!("binary") };
        sizes.push(payload.len());
        ControlFlow::Continue(())
    });
    assert_eq!((rest, sizes), (Ok(106), vec![100]));
}

#[test]
fn endless_pieces_are_cut_off() {
    let mut input = client(0x01, b"a");
    for _ in 1..FRAGMENTS_MAX {
        input.extend(client(0x00, b""));
    }
    assert_eq!(both_ways(&input), (vec![], None));
    input.extend(client(0x80, b""));
    assert_eq!(both_ways(&input), (vec![], Some(Violation::TooManyFragments)));
    assert_eq!(Violation::TooManyFragments.close_code(), 1008);
}

#[test]
fn text_fails_at_the_first_wrong_byte() {
    assert_eq!(both_ways(&client(0x81, b"a\xff")), (vec![], Some(Violation::InvalidUtf8)));
    assert_eq!(both_ways(&client(0x81, b"a\xe2\x82")), (vec![], Some(Violation::InvalidUtf8)));
    // Within a frame whose end has not come, and within a message whose end has not come.
    let frame = client(0x81, b"a\xffbcdefgh");
    assert_eq!(run(&mut Decoder::new(), [&frame[..8]]), (vec![], Some(Violation::InvalidUtf8)));
    assert_eq!(both_ways(&client(0x01, b"\xed\xa0")), (vec![], Some(Violation::InvalidUtf8)));
    let cut = [client(0x01, b"\xf0\x9f"), client(0x00, b"\x98"), client(0x80, b"\x80")].concat();
    assert_eq!(both_ways(&cut), (vec!["Text(\"\u{1f600}\")".into()], None));
    assert_eq!(Violation::InvalidUtf8.close_code(), 1007);
}

#[test]
fn close_frames() {
    assert_eq!(both_ways(&client(0x88, b"")), (vec!["Close(None)".into()], None));
    for code in [1000u16, 1001, 1002, 1003, 1007, 1011, 1012, 1014, 3000, 4999] {
        let frame = client(0x88, &[&code.to_be_bytes()[..], b"bye"].concat());
        assert_eq!(both_ways(&frame), (vec![format!("Close(Some(({code}, \"bye\")))")], None));
    }
    for code in [0u16, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535] {
        let frame = client(0x88, &code.to_be_bytes());
        assert_eq!(both_ways(&frame), (vec![], Some(Violation::CloseCode)), "{code}");
    }
    assert_eq!(both_ways(&client(0x88, &[3])), (vec![], Some(Violation::ClosePayload)));
    assert_eq!(both_ways(&client(0x88, b"\x03\xe8\xff")), (vec![], Some(Violation::InvalidUtf8)));
}

#[test]
fn after_a_close_everything_is_skipped() {
    let input = [client(0x88, b""), client(0x82, b"late"), vec![0xff; 20]].concat();
    assert_eq!(both_ways(&input), (vec!["Close(None)".into()], None));
}

#[test]
fn a_violation_is_final() {
    let mut decoder = Decoder::new();
    assert_eq!(run(&mut decoder, [&[0x81, 0x00][..]]), (vec![], Some(Violation::Unmasked)));
    let fine = client(0x82, &[1]);
    assert_eq!(run(&mut decoder, [&fine[..]]), (vec![], Some(Violation::Unmasked)));
    assert_eq!(decoder.held_bytes(), 0);
    assert_eq!(Violation::Unmasked.close_code(), 1002);
}

#[test]
fn messages_before_a_violation_are_handed_out() {
    let input = [client(0x82, &[1]), vec![0x80]].concat();
    assert_eq!(both_ways(&input), (vec!["Binary([1])".into()], Some(Violation::StrayContinuation)));
}
