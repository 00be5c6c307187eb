//! Flipped bits: in any file of a store, at rest or as a killed process leaves it, each is reported or harmless. Never is
//! a wrong row served, and never is a confirmed one missing in silence.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_executor::block_on;
use switchyard_protocol::id::UserId;
use switchyard_store::embedded::{Embedded, OpenError, Options, verify};
use switchyard_store::{DecisionPlace, Epochs, Log, Mark, Marks, ProjectionWrite, Projections, Seq};
use tempfile::TempDir;

use crate::support::{self, batch, commit, copy, copy_alive, key, random, rows, temp_dir};

/// Bits flipped per file, beside one per so many bytes.
const FLIPS_PER_FILE: u64 = 6;
const BYTES_PER_FLIP: u64 = 8_000;

/// Of the journal, a bit of every so many bytes that were ever written.
const JOURNAL_BYTES_PER_FLIP: usize = 2_000;

/// Of the few bytes that hold the epoch.
const EPOCH_BITS_PER_FLIP: usize = 61;

const CONVERSATIONS: u8 = 4;

/// Everything that can be read from a store; what is damaged is its error.
#[derive(Debug, PartialEq)]
struct Contents {
    rows: BTreeMap<u8, Result<Vec<(Seq, Bytes)>, String>>,
    heads: BTreeMap<u8, Result<Option<Seq>, String>>,
    records: BTreeMap<u8, Result<String, String>>,
    /// Overlays, reactors, marks and decisions.
    beside: BTreeMap<(u8, &'static str), Result<String, String>>,
    listed: Result<String, String>,
    /// The next one, which is above all before it.
    epoch: Result<u64, String>,
}

impl Contents {
    /// What could not be read.
    fn errors(&self) -> Vec<&String> {
        let rows = self.rows.values().filter_map(|found| found.as_ref().err());
        let heads = self.heads.values().filter_map(|found| found.as_ref().err());
        let records = self.records.values().filter_map(|found| found.as_ref().err());
        let beside = self.beside.values().filter_map(|found| found.as_ref().err());
        let others = self.listed.as_ref().err().into_iter().chain(self.epoch.as_ref().err());
        rows.chain(heads).chain(records).chain(beside).chain(others).collect()
    }
}

fn contents(store: &Embedded) -> Contents {
    let conversations = 0..CONVERSATIONS;
    let record = |number| {
        let key = key(number);
        let record = block_on(store.load(&key)).map_err(|error| error.to_string())?;
        let members = block_on(store.members(&key)).map_err(|error| error.to_string())?;
        Ok(format!("{record:?} {members:?}"))
    };
    let [ann, bob] = ["ann", "bob"].map(|name| UserId::new(name).expect("a short name"));
    let targets: Vec<Seq> = (200..240).collect();
    let beside = |number| {
        let key = key(number);
        let reactors = |user| said(block_on(store.reactors(&key, user, &targets)));
        let places: Vec<_> = (0..7).map(|about| place(number, about)).collect();
        [
            ((number, "overlays"), said(block_on(store.overlays(&key, 0, Seq::MAX)))),
            ((number, "reactors of ann"), reactors(&ann)),
            ((number, "reactors of bob"), reactors(&bob)),
            ((number, "marks"), said(block_on(store.marks(&key)))),
            ((number, "decisions"), said(block_on(store.decisions(&key)))),
            ((number, "decided"), said(block_on(store.decided(&places)))),
        ]
    };
    Contents {
        rows: conversations.clone().map(|n| (n, rows(store, &key(n)).map_err(|error| error.to_string()))).collect(),
        heads: conversations
            .clone()
            .map(|n| (n, block_on(store.head(&key(n), 0)).map_err(|error| error.to_string())))
            .collect(),
        records: conversations.clone().map(|n| (n, record(n))).collect(),
        beside: conversations.flat_map(beside).collect(),
        listed: said(block_on(store.conversations_of(&key(0).tenant, &ann))),
        epoch: block_on(store.open_epoch()).map_err(|error| error.to_string()),
    }
}

fn said<T: Debug, E: ToString>(found: Result<T, E>) -> Result<String, String> {
    found.map(|found| format!("{found:?}")).map_err(|error| error.to_string())
}

/// What a home has decided about one of seven.
fn place(home: u8, about: u8) -> DecisionPlace {
    DecisionPlace { home: key(home), kind: about % 2, about: Bytes::from(vec![b'a' + about; 20]) }
}

/// Whether everything that was read is right: the same or an error.
fn same_or_error<T: PartialEq>(found: &Result<T, String>, right: &Result<T, String>) -> bool {
    found.is_err() || found == right
}

fn right_or_reported(found: &Contents, right: &Contents) -> bool {
    let rows = found.rows.iter().all(|(n, rows)| same_or_error(rows, &right.rows[n]));
    let heads = found.heads.iter().all(|(n, head)| same_or_error(head, &right.heads[n]));
    let records = found.records.iter().all(|(n, record)| same_or_error(record, &right.records[n]));
    let beside = found.beside.iter().all(|(place, said)| same_or_error(said, &right.beside[place]));
    let others = same_or_error(&found.listed, &right.listed) && same_or_error(&found.epoch, &right.epoch);
    rows && heads && records && beside && others
}

fn small() -> Options {
    support::small(40_000)
}

/// A store with rows in sorted files and in the journal, projections, marks, a trimmed conversation and epochs.
fn build(dir: &Path) -> Embedded {
    let store = Embedded::open(dir, small()).expect("the store opens");
    block_on(store.open_epoch()).expect("the disk works");
    for round in 0..40 {
        for number in 0..CONVERSATIONS {
            commit(&store, batch(&key(number), round * 10, 10));
        }
        let writes = [
            ProjectionWrite::Conversation { key: key(1), at: round, record: Bytes::from(vec![round as u8; 50]) },
            ProjectionWrite::Member {
                key: key((round % 3) as u8),
                user: UserId::new(["ann", "bob"][round as usize % 2]).expect("a short name"),
                at: round,
                value: (round % 7 != 0).then(|| Bytes::from_static(b"in")),
            },
        ];
        block_on(store.write(&writes)).expect("the disk works");
        block_on(store.write(&annotations(round))).expect("the disk works");
        block_on(store.raise(&marks(round))).expect("the disk works");
        if round % 10 == 9 {
            block_on(store.open_epoch()).expect("the disk works");
        }
        if round == 30 {
            block_on(store.trim(&key(3), 100)).expect("the disk works");
        }
    }
    commit(&store, batch(&key(0), 400, 3));
    // The engine is given rows in the background; without sorted files the test would look at the journal alone.
    let log_tables = dir.join("store/engine/keyspaces/1/tables");
    while fs::read_dir(&log_tables).expect("a tree has tables").count() == 0 {
        std::thread::yield_now();
    }
    store
}

/// What is written beside the rows in a round: some of it new, some in place of what was there, some taken back.
fn annotations(round: u64) -> Vec<ProjectionWrite> {
    let number = (round % u64::from(CONVERSATIONS)) as u8;
    let (key, user) = (key(number), UserId::new(["ann", "bob"][round as usize % 2]).expect("a short name"));
    // Above what is trimmed.
    let (target, at) = (200 + round % 37, round * 10 + 9);
    let value = Bytes::from(vec![round as u8; 90]);
    let given = (!round.is_multiple_of(5)).then(|| value.clone());
    vec![
        ProjectionWrite::Overlay { key: key.clone(), target, at, value },
        ProjectionWrite::Reactor { key, target, user, at, value: given.clone() },
        ProjectionWrite::Decision { place: place(number, (round % 7) as u8), at: round, value: given },
    ]
}

/// How far two have come in a round.
fn marks(round: u64) -> [Mark; 2] {
    ["ann", "bob"].map(|name| Mark {
        key: key((round % u64::from(CONVERSATIONS)) as u8),
        user: UserId::new(name).expect("a short name"),
        kind: (round % 3) as u8,
        at: round,
        value: Bytes::from(vec![round as u8; 30]),
    })
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("it is a directory") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// A copy of the store with one bit flipped.
fn flip(original: &Path, file: &Path, bit: u64) -> TempDir {
    let dir = temp_dir();
    copy(original, dir.path()).expect("it can be copied");
    let path = dir.path().join(file);
    let mut bytes = fs::read(&path).expect("it was copied");
    bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
    fs::write(&path, bytes).expect("it can be written");
    dir
}

/// Opens such a copy and says what became of it.
fn flipped(original: &Path, file: &Path, bit: u64, right: &Contents) -> Verdict {
    let dir = flip(original, file, bit);
    match Embedded::open(dir.path(), small()) {
        Err(OpenError::Corrupt(_) | OpenError::Schema { .. }) => Verdict::Refused,
        Err(error) => Verdict::Wrong(format!("another error: {error}")),
        Ok(store) => {
            let found = contents(&store);
            if !right_or_reported(&found, right) {
                return Verdict::Wrong("wrong or missing data".into());
            }
            if found == *right {
                return Verdict::Harmless;
            }
            drop(store);
            // Another copy: of this one the engine may have merged what is damaged, and so healed it.
            match verify(flip(original, file, bit).path()) {
                Ok(report) if report.ok => {
                    Verdict::Wrong(format!("a read fails and verify finds nothing: {:?}", found.errors()))
                }
                _ => Verdict::Reported,
            }
        }
    }
}

#[derive(Debug)]
enum Verdict {
    Refused,
    Reported,
    Harmless,
    Wrong(String),
}

fn flip_everything(dir: &Path, right: &Contents, seed: u64) {
    let mut state = seed;
    let mut counts = [0; 3];
    let mut wrong = Vec::new();
    for path in files(dir) {
        let file = path.strip_prefix(dir).expect("it lies within").to_owned();
        let len = fs::metadata(&path).expect("it is there").len();
        if file.ends_with("lock") || len == 0 {
            continue;
        }
        let bits: Vec<u64> = if file.starts_with("store/journal") {
            // Most of a small segment was never written, and is found by the few.
            let bytes = fs::read(&path).expect("it is there");
            let written = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            let chosen = (0..written).step_by(JOURNAL_BYTES_PER_FLIP).map(|at| at as u64 * 8);
            chosen.map(|bit| bit + random(&mut state, 8 * 512)).chain([len * 8 - 1]).collect()
        } else {
            (0..FLIPS_PER_FILE + len / BYTES_PER_FLIP).map(|_| random(&mut state, len * 8)).collect()
        };
        for bit in bits {
            match flipped(dir, &file, bit, right) {
                Verdict::Refused => counts[0] += 1,
                Verdict::Reported => counts[1] += 1,
                Verdict::Harmless => counts[2] += 1,
                Verdict::Wrong(what) => wrong.push(format!("{} bit {bit} of {}: {what}", file.display(), len * 8)),
            }
        }
    }
    println!("seed {seed}: refused {}, reported {}, harmless {}", counts[0], counts[1], counts[2]);
    assert!(wrong.is_empty(), "seed {seed}: {} wrong\n{}", wrong.len(), wrong.join("\n"));
    assert!(counts[0] > 0 && counts[1] > 0, "no flip was noticed: the test looks at the wrong files");
}

fn seed() -> u64 {
    std::env::var("SWITCHYARD_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1)
}

#[test]
fn every_flip_is_reported_or_harmless() {
    let dir = temp_dir();
    let store = build(dir.path());
    let mut right = contents(&store);
    assert!(right.errors().is_empty(), "{:?}", right.errors());
    assert!(right.beside.values().all(|said| said.as_ref().is_ok_and(|said| said.len() > 100)), "{:?}", right.beside);
    // To ask for one opens one.
    right.epoch = right.epoch.map(|epoch| epoch + 1);
    // As a killed process leaves it: the files of the moment, while the store is still open.
    let killed = temp_dir();
    copy_alive(dir.path(), killed.path());
    drop(store);
    flip_everything(killed.path(), &right, seed());
    flip_everything(dir.path(), &right, seed());
}

/// Where nothing was trimmed, no conversation leads to what the store knows of itself.
#[test]
fn a_flip_in_the_epoch_is_reported() {
    let dir = temp_dir();
    let store = Embedded::open(dir.path(), small()).expect("the store opens");
    block_on(store.open_epoch()).expect("the disk works");
    let tables = dir.path().join("store/engine/keyspaces/5/tables");
    let mut next = 0;
    while fs::read_dir(&tables).expect("a tree has tables").count() == 0 {
        (0..CONVERSATIONS).for_each(|number| commit(&store, batch(&key(number), next, 10)));
        next += 10;
    }
    drop(store);
    // To ask for an epoch opens one, in a copy.
    let whole = temp_dir();
    copy(dir.path(), whole.path()).expect("it can be copied");
    let right = contents(&Embedded::open(whole.path(), small()).expect("the store opens"));
    let mut reported = 0;
    for path in files(&tables) {
        let file = path.strip_prefix(dir.path()).expect("it lies within");
        let bits = fs::metadata(&path).expect("it is there").len() * 8;
        for bit in (0..bits).step_by(EPOCH_BITS_PER_FLIP) {
            match flipped(dir.path(), file, bit, &right) {
                Verdict::Wrong(what) => panic!("{} bit {bit} of {bits}: {what}", file.display()),
                Verdict::Reported => reported += 1,
                Verdict::Refused | Verdict::Harmless => {}
            }
        }
    }
    assert!(reported > 0, "no flip was noticed: the test looks at the wrong files");
}
