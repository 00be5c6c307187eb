//! A million spoilt inputs for the reader of frames that the oracle rests on: it takes nothing that the protocol's own reader
//! reads otherwise.

mod judge;
#[path = "../../../protocol/tests/mutated/mutator.rs"]
mod mutator;

use mutator::many;

const INPUTS: u64 = 1_000_000;

#[test]
fn a_million_frames_with_messages() {
    many(0x5eed_0301, INPUTS, judge::frames(), judge::TOKENS, judge::frame);
}
