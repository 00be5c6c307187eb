//! A store against a model of it: rows stored, repeated, erased and dropped, records and members, read from all sides, while
//! everything is on the way from the journal to the engine, and opened again and again as a killed process leaves it.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_executor::block_on;
use switchyard_protocol::id::{ConversationKey, UserId};
use switchyard_store::embedded::{Embedded, verify};
use switchyard_store::{
    BUCKET_ROWS, Batch, DecisionPlace, Direction, Log, Outcome, ProjectionWrite, Projections, ReadRange, Row, RowRef,
    Seq,
};
use tempfile::TempDir;

use crate::support::{append, copy_alive, key, random, small, temp_dir};

const CONVERSATIONS: u64 = 4;
const STEPS: u64 = 1_500;

/// So few bytes that a gather holds a few batches.
const SEGMENT_BYTES: u64 = 20_000;

#[derive(Default)]
struct Conversation {
    rows: BTreeMap<Seq, Bytes>,
    below: Seq,
    record: Option<(Seq, Bytes)>,
    members: BTreeMap<String, (Seq, Option<Bytes>)>,
    decisions: BTreeMap<(u8, Bytes), (Seq, Option<Bytes>)>,
}

struct Model {
    dir: TempDir,
    store: Option<Embedded>,
    conversations: Vec<Conversation>,
    seed: u64,
}

fn row(key: &ConversationKey, first: Seq, seq: Seq, body: &[u8]) -> Bytes {
    let row = RowRef { epoch: 1, first, ordinal: seq, kind: 1, sender: "ann", client_id: "", time_ms: seq, body };
    row.encode(key, seq)
}

impl Model {
    fn random(&mut self, below: u64) -> u64 {
        random(&mut self.seed, below)
    }

    fn store(&self) -> &Embedded {
        self.store.as_ref().expect("open but while it is reopened")
    }

    fn step(&mut self) {
        let number = self.random(CONVERSATIONS) as usize;
        match self.random(20) {
            0..=7 => self.append(number),
            8 => self.store_again(number),
            9 => self.trim(number),
            10 | 11 => self.project(number),
            12 => block_on(self.store().barrier()).expect("the disk works"),
            _ => self.read(number),
        }
    }

    fn put(&mut self, number: usize, first: Seq, rows: Vec<Bytes>) {
        let (from, batch) = (first, Batch { key: key(number as u8), epoch: 1, first, rows: rows.clone() });
        assert_eq!(append(self.store(), batch), Outcome::Stored);
        self.conversations[number].rows.extend((from..).zip(rows));
    }

    fn append(&mut self, number: usize) {
        let first = self.conversations[number].rows.last_key_value().map_or(0, |(last, _)| last + 1);
        let count = (1 + self.random(20)).min(BUCKET_ROWS - first % BUCKET_ROWS);
        let rows = (first..first + count).map(|seq| {
            let mut body = vec![seq as u8; self.random(900) as usize];
            body.iter_mut().step_by(2).for_each(|byte| *byte = random(&mut self.seed, 256) as u8);
            row(&key(number as u8), first, seq, &body)
        });
        let rows = rows.collect();
        self.put(number, first, rows);
    }

    /// Rows that are there already: the same ones, or with their bodies erased.
    fn store_again(&mut self, number: usize) {
        let Some((last, _)) = self.conversations[number].rows.last_key_value() else { return };
        let last = *last;
        let first = self.conversations[number].below.max(last.saturating_sub(self.random(200)));
        let count = (1 + self.random(5)).min(last - first + 1).min(BUCKET_ROWS - first % BUCKET_ROWS);
        let erased = self.random(2) == 0;
        let rows = (first..first + count).map(|seq| match erased {
            true => {
                let stored = &self.conversations[number].rows[&seq];
                let stored = Row::decode(&key(number as u8), seq, stored).expect("it was made here");
                row(&key(number as u8), stored.first, seq, b"")
            }
            false => self.conversations[number].rows[&seq].clone(),
        });
        let rows = rows.collect();
        self.put(number, first, rows);
    }

    fn trim(&mut self, number: usize) {
        let Some((last, _)) = self.conversations[number].rows.last_key_value() else { return };
        let below = last.saturating_sub(self.random(150));
        let found = block_on(self.store().trim(&key(number as u8), below)).expect("nothing is damaged");
        let conversation = &mut self.conversations[number];
        conversation.below = conversation.below.max(below).max(1);
        assert_eq!(found, conversation.below);
        conversation.rows.retain(|seq, _| *seq == 0 || *seq >= found);
    }

    fn project(&mut self, number: usize) {
        let at = self.random(1_000);
        let value = Bytes::from(vec![1; self.random(300) as usize]);
        let name = ["ann", "bob", "eve"][self.random(3) as usize];
        let user = UserId::new(name).expect("a short name");
        let present = (self.random(4) > 0).then(|| value.clone());
        let about = Bytes::from_static(name.as_bytes());
        let place = DecisionPlace { home: key(number as u8), kind: self.random(2) as u8, about };
        let writes = [
            ProjectionWrite::Conversation { key: key(number as u8), at, record: value.clone() },
            ProjectionWrite::Member {
                key: key(number as u8),
                list: key(number as u8).conversation,
                user,
                at,
                value: present.clone(),
            },
            ProjectionWrite::Decision { place: place.clone(), at, value: present.clone() },
        ];
        block_on(self.store().write(&writes)).expect("the disk works");
        let conversation = &mut self.conversations[number];
        if conversation.record.as_ref().is_none_or(|(newest, _)| *newest < at) {
            conversation.record = Some((at, value));
        }
        if conversation.members.get(name).is_none_or(|(newest, _)| *newest < at) {
            conversation.members.insert(name.to_owned(), (at, present.clone()));
        }
        let place = (place.kind, place.about);
        if conversation.decisions.get(&place).is_none_or(|(newest, _)| *newest < at) {
            conversation.decisions.insert(place, (at, present));
        }
    }

    fn read(&mut self, number: usize) {
        let head = self.conversations[number].rows.last_key_value().map(|(last, _)| *last);
        let highest = head.unwrap_or(0) + 5;
        let (one, other) = (self.random(highest), self.random(highest));
        let direction = if self.random(2) == 0 { Direction::Forward } else { Direction::Backward };
        let range = ReadRange {
            from: one.min(other),
            to: if self.random(4) == 0 { Seq::MAX } else { one.max(other) },
            direction,
            rows_max: 1 + self.random(100) as usize,
            bytes_max: usize::MAX,
        };
        let found = block_on(self.store().read(&key(number as u8), range)).expect("nothing is damaged");
        let rows = self.conversations[number].rows.range(range.from..=range.to);
        let rows = rows.map(|(seq, row)| (*seq, row.clone()));
        let expected: Vec<_> = match direction {
            Direction::Forward => rows.take(range.rows_max).collect(),
            Direction::Backward => rows.rev().take(range.rows_max).collect(),
        };
        let numbers = |rows: &[(Seq, Bytes)]| rows.iter().map(|(seq, _)| *seq).collect::<Vec<_>>();
        assert!(found == expected, "{range:?}: {:?} for {:?}", numbers(&found), numbers(&expected));
        assert_eq!(block_on(self.store().head(&key(number as u8), 0)), Ok(head));
    }

    fn read_projections(&self, number: usize) {
        let conversation = &self.conversations[number];
        let record = block_on(self.store().load(&key(number as u8))).expect("nothing is damaged");
        assert_eq!(record.map(|record| (record.applied, record.fields)), conversation.record);
        let members = block_on(self.store().members(&key(number as u8))).expect("nothing is damaged");
        let found: Vec<_> =
            members.into_iter().map(|member| (member.user.to_string(), member.at, member.value)).collect();
        let present =
            conversation.members.iter().filter_map(|(name, (at, value))| Some((name.clone(), *at, value.clone()?)));
        assert_eq!(found, present.collect::<Vec<_>>());
        let decisions = block_on(self.store().decisions(&key(number as u8))).expect("nothing is damaged");
        let found: Vec<_> = decisions.into_iter().map(|it| ((it.kind, it.about), (it.at, it.value))).collect();
        let standing = conversation.decisions.clone().into_iter().filter(|(_, (_, value))| value.is_some());
        assert_eq!(found, standing.collect::<Vec<_>>());
    }

    /// Goes on with what a process killed now would leave.
    fn kill(&mut self) {
        let left = temp_dir();
        copy_alive(self.dir.path(), left.path());
        self.store = None;
        self.dir = left;
        self.check();
        self.store = Some(Embedded::open(self.dir.path(), small(SEGMENT_BYTES)).expect("the store opens"));
    }

    fn close(&mut self) {
        self.store = None;
        self.check();
        self.store = Some(Embedded::open(self.dir.path(), small(SEGMENT_BYTES)).expect("the store opens"));
    }

    fn check(&self) {
        let report = verify(self.dir.path()).expect("it opens");
        assert!(report.ok, "{report:?}");
        let rows = self.conversations.iter().flat_map(|conversation| conversation.rows.keys());
        assert_eq!(report.events, rows.filter(|seq| **seq > 0).count() as u64);
    }
}

#[test]
fn what_is_read_is_what_was_stored() {
    for seed in 0..2 {
        let dir = temp_dir();
        let store = Some(Embedded::open(dir.path(), small(SEGMENT_BYTES)).expect("the store opens"));
        let conversations = (0..CONVERSATIONS).map(|_| Conversation::default()).collect();
        let mut model = Model { dir, store, conversations, seed };
        for step in 0..STEPS {
            model.step();
            if step % 150 == 149 {
                match model.random(2) {
                    0 => model.kill(),
                    _ => model.close(),
                }
                (0..CONVERSATIONS as usize).for_each(|number| model.read_projections(number));
            }
        }
        assert!(
            model.conversations.iter().all(|conversation| conversation.below > 100),
            "seed {seed}: little happened"
        );
    }
}
