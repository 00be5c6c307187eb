//! A million spoilt inputs for each decoder of frames, ids and cursors: none panics, none takes what another one reads otherwise,
//! and what is taken can be said again. Beside them the bombs: small inputs that claim to be deep, wide or long.

mod bombs;
mod described;
mod judge;
mod mutator;
mod samples;

use mutator::many;

const INPUTS: u64 = 1_000_000;

#[test]
fn a_million_client_frames_in_protobuf() {
    many(0x5eed_0101, INPUTS, samples::client_proto(), samples::PROTO_TOKENS, judge::client_proto);
}

#[test]
fn a_million_client_frames_in_json() {
    many(0x5eed_0102, INPUTS, samples::client_json(), samples::JSON_TOKENS, judge::client_json);
}

#[test]
fn a_million_server_frames_in_protobuf() {
    many(0x5eed_0103, INPUTS, samples::server_proto(), samples::PROTO_TOKENS, judge::server_proto);
}

#[test]
fn a_million_server_frames_in_json() {
    many(0x5eed_0104, INPUTS, samples::server_json(), samples::JSON_TOKENS, judge::server_json);
}

#[test]
fn a_million_ids() {
    many(0x5eed_0105, INPUTS, samples::ids(), samples::ID_TOKENS, judge::ids);
}

#[test]
fn a_million_cursors() {
    many(0x5eed_0106, INPUTS, samples::cursors(), samples::ID_TOKENS, judge::cursors);
}
