//! A million spoilt bodies of stored events, records and members, each under a right checksum: the conversation is read or
//! reported as damaged, and nothing panics.

mod home;
mod judge;
#[path = "../../../protocol/tests/mutated/mutator.rs"]
mod mutator;
mod shelf;
mod story;

const INPUTS: u64 = 1_000_000;

#[test]
fn a_million_stored_bodies() {
    mutator::many(0x5eed_0201, INPUTS, judge::bodies(), judge::TOKENS, judge::body);
}

#[test]
fn a_million_bodies_of_homes() {
    mutator::many(0x5eed_0202, INPUTS, home::bodies(), home::TOKENS, home::home_body);
}

#[test]
fn the_sound_story_is_read() {
    for body in judge::bodies() {
        assert!(judge::body(&body), "{body:x?}");
    }
    for body in home::bodies() {
        assert!(home::home_body(&body), "{body:x?}");
    }
}
