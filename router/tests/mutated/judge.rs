//! Judges of stored bodies: right under their checksum and with whatever in them, as a mistake of a writer would leave them.
//! The conversation is read or reported as damaged; what is read from it is asked for by a member, and each is answered.

use std::sync::LazyLock;

use bytes::Bytes;
use switchyard_cluster::link::{Answer, Ask, HistoryAsk, MarkAsk, MarksAsk, PageFrom, Request, SubscribeAsk};
use switchyard_cluster::now::Now;
use switchyard_protocol::code::ErrorCode;
use switchyard_router::driver::Touch;
use switchyard_router::driver::load::load;
use switchyard_router::driver::read::read;
use switchyard_router::driver::rows::failed;
use switchyard_router::machine::{Effect, Input, ReadPlan, Reader, Recorded, Replay, ReplayError, Written};
use switchyard_store::{Reactor, Record, Row};

use super::shelf::Shelf;
use super::story::{self, NOW, SEED, Story};

static STORY: LazyLock<Story> = LazyLock::new(story::tell);

/// Bodies to spoil, each behind a byte that says what it is the body of: a row by its number in the story, [`RECORD`],
/// [`MEMBER`] or [`MARK`].
pub(crate) fn bodies() -> Vec<Vec<u8>> {
    let rows = (0..).zip(&STORY.rows).map(|(seq, row): (u8, &Row)| [&[seq], &row.body[..]].concat());
    let record = STORY.record.iter().map(|record| [&[RECORD], &record.fields[..]].concat());
    let members = STORY.members.iter().map(|member| [&[MEMBER], &member.value[..]].concat());
    let overlays = STORY.overlays.iter().map(|overlay| [&[OVERLAY], &overlay.value[..]].concat());
    let given = STORY.reactor.iter().filter_map(|reactor| reactor.value.as_ref());
    let given = given.map(|value| [&[REACTOR], &value[..]].concat());
    let marks = STORY.marks.iter().map(|mark| [&[MARK], &mark.value[..]].concat());
    rows.chain(record).chain(members).chain(overlays).chain(given).chain(marks).collect()
}

const RECORD: u8 = 100;
const MEMBER: u8 = 101;
const OVERLAY: u8 = 102;
const REACTOR: u8 = 103;
const MARK: u8 = 104;

/// What means something in a stored body.
pub(crate) const TOKENS: &[&[u8]] = &[
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\xff\xff\xff\xff\x07",
    b"\x0b\x0b\x0b\x0c",
    b"\x0a\x00",
    b"\x12\x05\x0a\x03ann",
    b"\x1a\x00",
    b"\x08\x07",
    b"\x30\x00",
    b"\xc3\xbc",
];

/// The story as it lies in a store, with one body in place of its own.
fn shelf(of: u8, body: &[u8]) -> Shelf {
    static SOUND: LazyLock<Vec<Bytes>> = LazyLock::new(|| {
        let place = story::key();
        (0..).zip(&STORY.rows).map(|(seq, row)| row.as_ref().encode(&place, seq)).collect()
    });
    match of {
        RECORD => {
            let fields = Bytes::copy_from_slice(body);
            let record = STORY.record.as_ref().map(|record| Record { applied: record.applied, fields });
            let (members, marks) = (STORY.members.clone(), STORY.marks.clone());
            Shelf { rows: SOUND.clone(), record, members, marks, ..Shelf::default() }
        }
        MEMBER => {
            let mut members = STORY.members.clone();
            for member in &mut members {
                member.value = Bytes::copy_from_slice(body);
            }
            let (record, marks) = (STORY.record.clone(), STORY.marks.clone());
            Shelf { rows: SOUND.clone(), record, members, marks, ..Shelf::default() }
        }
        OVERLAY | REACTOR => {
            let value = Bytes::copy_from_slice(body);
            let (record, members) = (STORY.record.clone(), STORY.members.clone());
            let mut overlays = STORY.overlays.clone();
            if of == OVERLAY {
                overlays.iter_mut().for_each(|overlay| overlay.value = value.clone());
            }
            let reactor = (of == REACTOR).then_some(Reactor { at: 1, value: Some(value) });
            Shelf { rows: SOUND.clone(), record, members, overlays, reactor, ..Shelf::default() }
        }
        MARK => {
            let mut marks = STORY.marks.clone();
            for mark in &mut marks {
                mark.value = Bytes::copy_from_slice(body);
            }
            let (record, members) = (STORY.record.clone(), STORY.members.clone());
            Shelf { rows: SOUND.clone(), record, members, marks, ..Shelf::default() }
        }
        row => {
            let seq = row_of(row);
            let place = story::key();
            let mut fields = STORY.rows[seq as usize].as_ref();
            fields.body = body;
            let mut rows = SOUND.clone();
            rows[seq as usize] = fields.encode(&place, seq);
            Shelf { rows, ..Shelf::default() }
        }
    }
}

/// A body as [`bodies`] makes them.
pub(crate) fn body(input: &[u8]) -> bool {
    let Some((&of, body)) = input.split_first() else { return false };
    let shelf = shelf(of, body);
    let everything = |from, to| {
        let reader = Reader { user: story::ann(), annotated: true };
        read(&shelf, &story::key(), ReadPlan::Events { from, to, events_max: 100, bytes_max: usize::MAX, reader })
    };
    if of == OVERLAY || of == REACTOR {
        let sound = everything(1, STORY.rows.len() as u64).is_ok();
        ask_everything(&shelf, sound && of == OVERLAY);
        return sound;
    }
    let replayed = replay(of, body, &shelf);
    let mut taken = replayed.is_ok();
    if ![RECORD, MEMBER, MARK].contains(&of) {
        let seq = row_of(of);
        let events = everything(seq, seq);
        // Whoever replays a row and whoever reads its event find the same damage; but a message's text is looked at only
        // by its readers, and a founding row is an event without content.
        let differ = seq == FOUNDING && events.is_ok() || MESSAGES.contains(&seq) && replayed.is_ok();
        assert!(events.is_ok() == replayed.is_ok() || differ, "{replayed:?} and {events:?}");
        taken &= events.is_ok();
    }
    // The long way for a few of them.
    if input.iter().fold(0, |sum: u8, byte| sum.wrapping_mul(31).wrapping_add(*byte)) % LONG_WAY_ONE_IN == 0 {
        ask_everything(&shelf, taken);
    }
    taken
}

/// One in so many inputs is asked for by a member, which costs many times as much as reading it.
const LONG_WAY_ONE_IN: u8 = 32;

/// The founding row's number in the story.
const FOUNDING: u64 = 0;

/// Which row a number is of.
fn row_of(number: u8) -> u64 {
    u64::from(number) % STORY.rows.len() as u64
}

/// Replays the conversation as far as the body.
fn replay(of: u8, body: &[u8], shelf: &Shelf) -> Result<(), ReplayError> {
    let key = story::key();
    if [RECORD, MEMBER, MARK].contains(&of) {
        let record = shelf.record.as_ref().expect("the story has one");
        let record = Recorded::read(&key, record)?;
        let mut replay = Replay::from_record(&key, SEED, record, shelf.members.clone())?;
        return replay.give_marks(&key, shelf.marks.clone());
    }
    let seq = row_of(of);
    let blob = &shelf.rows[seq as usize];
    let row = Row::decode(&key, seq, blob).expect("its checksum is right");
    assert_eq!(row.body, body);
    let mut replay = Replay::from_founding(SEED, shelf.marks.clone());
    for (at, sound) in (0..seq).zip(&STORY.rows) {
        replay.row(&key, at, sound).expect("the machine's own row");
    }
    replay.row(&key, seq, &row)
}

/// The numbers of messages in the story.
const MESSAGES: [u64; 2] = [2, 4];

/// A member asks for all there is to read, of a machine that has to load the conversation first. Each is answered, and by
/// no damage if there is none.
fn ask_everything(shelf: &Shelf, sound: bool) {
    let asks = [
        Ask::Get,
        Ask::Members { after: None, limit: 100 },
        Ask::Unread,
        Ask::Marks(Box::new(MarksAsk { passed: Some(2), after: None, limit: 100 })),
        Ask::Mark(MarkAsk { read: Some(1), delivered: Some(1) }),
        Ask::History(HistoryAsk { from: PageFrom::Newest, limit: 50 }),
        Ask::History(HistoryAsk { from: PageFrom::AfterTime(NOW.wall_ms), limit: 1 }),
        Ask::Subscribe(SubscribeAsk { after: Some(0), events_max: 100, bytes_max: 100_000 }),
    ];
    let mut machine = story::owner(2);
    let (mut effects, mut answers) = (Vec::new(), 0);
    let asked = asks.len();
    for (number, ask) in (0..).zip(asks) {
        let request = Request { from: story::asker(number), key: story::key(), user: story::ann(), ask };
        machine.handle(NOW, Input::Request(request), &mut effects);
    }
    while let Some(effect) = effects.pop() {
        let input = match effect {
            Effect::Load { key, cutoffs } => {
                let result = load(shelf, &key, SEED, cutoffs, Touch::Owner { epoch: 2 });
                Input::Loaded { key, result }
            }
            Effect::Read { key, ticket, plan } => {
                let result = read(shelf, &key, plan).map_err(|error| failed(&error));
                Input::Read { ticket, result }
            }
            Effect::Decoy { to, .. } => Input::Decoyed { to, failed: None },
            Effect::Raise(_) => Input::Raised(Ok(())),
            Effect::Project { key, projection } => {
                Input::Projected { key, result: Ok(Written::up_to(projection.through)) }
            }
            Effect::Answer { answer, .. } => {
                answers += 1;
                if let Answer::Refused(refusal) = answer {
                    // Who is a member may have been spoilt too.
                    let damaged = !sound && refusal.code == ErrorCode::Internal;
                    assert!(damaged || refusal.code == ErrorCode::NotFound, "{refusal:?}");
                }
                continue;
            }
            // A projection tells homes, of which there are none.
            Effect::Tell(message) => Input::Told(*message),
            Effect::LoadHome { .. } | Effect::Listed { .. } => panic!("nobody asked for a list"),
            Effect::Hurry(_) => continue,
            Effect::LoadSeen { .. } | Effect::Presence { .. } | Effect::Parted { .. } => panic!("nobody watches"),
            Effect::KeepRoles(_) => panic!("nobody said what anybody is"),
            Effect::Append(_) | Effect::Publish { .. } | Effect::Typing { .. } | Effect::Marks { .. } => {
                panic!("nothing was sent")
            }
        };
        machine.handle(NOW, input, &mut effects);
        machine.tick(NOW, &mut effects);
    }
    assert_eq!(answers, asked, "each is answered once");
    // What was marked is stored a little later.
    let later = Now { mono: NOW.mono * 2, ..NOW };
    machine.tick(later, &mut effects);
    if effects.drain(..).any(|effect| matches!(effect, Effect::Raise(_))) {
        machine.handle(later, Input::Raised(Ok(())), &mut effects);
    }
    assert!(machine.at_rest());
}
