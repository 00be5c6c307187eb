//! A million spoilt inputs for everything that reads a stranger's bytes before anybody is known: frames, request heads,
//! tokens, and what is said about where a connection comes from.

mod address;
mod framing;
mod framing_samples;
mod keys;
#[path = "../../../protocol/tests/mutated/mutator.rs"]
mod mutator;
mod token;

use mutator::many;

const INPUTS: u64 = 1_000_000;

#[test]
fn a_million_streams_of_frames() {
    many(0x5eed_0001, INPUTS, framing_samples::streams(), framing_samples::FRAME_TOKENS, framing::frames);
}

#[test]
fn a_million_request_heads() {
    many(0x5eed_0002, INPUTS, framing_samples::heads(), framing_samples::HEAD_TOKENS, framing::head);
}

#[test]
fn a_million_tokens() {
    many(0x5eed_0003, INPUTS, token::tokens(), token::TOKENS, token::token);
}

#[test]
fn a_million_signed_claims() {
    many(0x5eed_0004, INPUTS, token::claims(), token::TOKENS, token::claim_set);
}

#[test]
fn a_million_signed_headers() {
    many(0x5eed_0005, INPUTS, token::headers(), token::TOKENS, token::header);
}

#[test]
fn a_million_files_of_keys() {
    many(0x5eed_0009, INPUTS, keys::files(), keys::TOKENS, keys::key_file);
}

#[test]
fn a_million_proxy_headers() {
    many(0x5eed_0006, INPUTS, address::proxy_headers(), address::TOKENS, address::proxy_header);
}

#[test]
fn a_million_forwarded_addresses() {
    many(0x5eed_0007, INPUTS, address::forwarded(), address::TOKENS, address::forwarded_for);
}

#[test]
fn a_million_origins() {
    many(0x5eed_0008, INPUTS, address::origins(), address::TOKENS, address::origin);
}
