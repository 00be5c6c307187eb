//! What several tests need: a store in a temporary directory, batches with known bodies, and what is in a store.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_executor::block_on;
use switchyard_protocol::id::{ConversationId, ConversationKey, TenantId};
use switchyard_store::embedded::{Embedded, Options};
use switchyard_store::{Batch, Direction, Log, Outcome, ReadError, ReadRange, RowRef, Seq};
use tempfile::TempDir;

/// What the fatal hook was told.
#[derive(Clone, Default)]
pub(crate) struct Fatal(pub(crate) Arc<Mutex<Vec<String>>>);

/// A directory for a store, in memory if the machine has such a place: a store syncs much, and a process that dies leaves
/// the same there.
pub(crate) fn temp_dir() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() };
    made.expect("a temporary directory")
}

/// Options for small disks, with a hook that remembers instead of aborting.
pub(crate) fn options() -> (Options, Fatal) {
    let fatal = Fatal::default();
    let told = fatal.clone();
    let hook = Arc::new(move |reason: &str| told.0.lock().expect("no panic").push(reason.to_owned()));
    (Options { free_bytes_min: 0, fatal: hook, ..Options::default() }, fatal)
}

/// The same with segments that are left after so many bytes, in files as small as they can be.
pub(crate) fn small(segment_bytes: u64) -> Options {
    Options { segment_bytes, ..options().0 }
}

pub(crate) fn open(dir: &Path) -> Embedded {
    Embedded::open(dir, options().0).expect("the store opens")
}

pub(crate) fn key(number: u8) -> ConversationKey {
    let tenant = TenantId::new("tenant").expect("a short name");
    ConversationKey { tenant, conversation: ConversationId::from_bytes([number; 16]) }
}

/// What the row of this place says.
pub(crate) fn body(key: &ConversationKey, seq: Seq) -> Vec<u8> {
    let mut body = format!("{} {seq} ", key.conversation).into_bytes();
    // Different lengths, and bytes that do not compress.
    let mut state = seq.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for _ in 0..seq % 300 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        body.push(state as u8);
    }
    body
}

pub(crate) fn batch(key: &ConversationKey, first: Seq, rows: u64) -> Batch {
    let encode = |seq| {
        let body = body(key, seq);
        let row = RowRef {
            epoch: 1,
            first,
            ordinal: seq,
            kind: 3,
            sender: "ann",
            client_id: &seq.to_string(),
            time_ms: 7,
            body: &body,
        };
        row.encode(key, seq)
    };
    Batch { key: key.clone(), epoch: 1, first, rows: (first..first + rows).map(encode).collect() }
}

pub(crate) fn append(store: &Embedded, batch: Batch) -> Outcome {
    block_on(store.append(&[batch])).pop().expect("one outcome for one batch")
}

/// Appends and confirms.
pub(crate) fn commit(store: &Embedded, batch: Batch) {
    assert_eq!(append(store, batch), Outcome::Stored);
    block_on(store.barrier()).expect("the disk works");
}

pub(crate) fn rows(store: &Embedded, key: &ConversationKey) -> Result<Vec<(Seq, Bytes)>, ReadError> {
    let range =
        ReadRange { from: 0, to: Seq::MAX, direction: Direction::Forward, rows_max: usize::MAX, bytes_max: usize::MAX };
    block_on(store.read(key, range))
}

/// Copies a store that is open, as a killed process would leave it: again until nothing changed meanwhile, for the
/// engine works in the background.
pub(crate) fn copy_alive(from: &Path, to: &Path) {
    loop {
        let before = listing(from);
        if copy(from, to).is_ok() && before.is_ok_and(|before| listing(from).is_ok_and(|after| before == after)) {
            return;
        }
        std::fs::remove_dir_all(to).expect("it was made here");
    }
}

fn listing(dir: &Path) -> std::io::Result<Vec<(PathBuf, u64)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(listing(&path)?);
        } else {
            let len = path.metadata()?.len();
            found.push((path, len));
        }
    }
    found.sort();
    Ok(found)
}

/// Copies a directory.
pub(crate) fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let from = entry?.path();
        let to = to.join(from.file_name().expect("entries have names"));
        if from.is_dir() {
            copy(&from, &to)?;
        } else {
            std::fs::copy(&from, &to)?;
        }
    }
    Ok(())
}

/// Bytes of a sector of the journal.
pub(crate) const SECTOR: usize = 512;

/// All segments of the journal, by name.
pub(crate) fn journal(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = std::fs::read_dir(dir.join("store/journal")).expect("a store has a journal");
    let segment = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.expect("it can be listed").path();
        let bytes = std::fs::read(&path).expect("it can be read");
        (path.strip_prefix(dir).expect("it lies within").to_owned(), bytes)
    };
    entries.map(segment).collect()
}

/// The sectors in which two states of a journal differ.
pub(crate) fn changed(
    before: &BTreeMap<PathBuf, Vec<u8>>,
    after: &BTreeMap<PathBuf, Vec<u8>>,
) -> Vec<(PathBuf, usize)> {
    let sectors = |(name, bytes): (&PathBuf, &Vec<u8>)| {
        let old = before.get(name).cloned().unwrap_or_else(|| vec![0; bytes.len()]);
        let differ = |at: &usize| old[*at..*at + SECTOR] != bytes[*at..*at + SECTOR];
        (0..bytes.len()).step_by(SECTOR).filter(differ).map(|at| (name.clone(), at)).collect::<Vec<_>>()
    };
    after.iter().flat_map(sectors).collect()
}

/// A number below a limit, the same ones for the same seed.
pub(crate) fn random(state: &mut u64, below: u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) % below
}
