//! The journal under crashes: whatever part of what was not synced reaches the disk, what was synced is found, in order, and at
//! most the beginning of what followed it. Many rounds on the same few segments, which are filled again and again.

use std::collections::VecDeque;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::record::{self, Entry};
use super::scan::Found;
use super::sector::{DATA_BYTES, SECTOR_BYTES};
use super::{Facts, Opened, Segment, Writer};

const SEGMENTS: u32 = 3;

/// Sectors after which a segment is left. Few, so that old records are written over all the time.
const LEAVE_AT: u64 = 24;

/// Sectors of each segment that are ever written: the longest record may begin just below the limit.
const SECTORS_USED: usize = 24 + 10;

struct Random(u64);

impl Random {
    fn below(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % below as u64) as usize
    }
}

/// A journal in use, and what is known of it.
struct Run {
    dir: tempfile::TempDir,
    random: Random,
    writer: Writer,
    free: Vec<Segment>,
    /// Those that wait to be taken over, with their last records.
    sealed: VecDeque<(Segment, u64)>,
    applied: u64,
    synced: u64,
    /// All records since the last that the engine has, with their values.
    records: VecDeque<(u64, Vec<u8>)>,
    /// What a power cut would surely leave of each segment.
    safe: Vec<Vec<u8>>,
}

fn used(path: &Path) -> Vec<u8> {
    let mut bytes = vec![0; SECTORS_USED * SECTOR_BYTES];
    fs::File::open(path).and_then(|file| file.read_exact_at(&mut bytes, 0)).expect("a segment is longer");
    bytes
}

impl Run {
    fn new(seed: u64) -> Self {
        let shm = Path::new("/dev/shm");
        let dir = if shm.is_dir() { tempfile::tempdir_in(shm) } else { tempfile::tempdir() }.expect("a directory");
        let segments = (0..SEGMENTS).map(|number| Segment::make(dir.path(), number, 0).expect("there is room"));
        let free = segments.collect();
        let safe = vec![vec![0; SECTORS_USED * SECTOR_BYTES]; SEGMENTS as usize];
        Self {
            dir,
            random: Random(seed),
            writer: Writer::new(0, 0, None),
            free,
            sealed: VecDeque::new(),
            applied: 0,
            synced: 0,
            records: VecDeque::new(),
            safe,
        }
    }

    fn path(&self, number: u32) -> PathBuf {
        self.dir.path().join(number.to_string())
    }

    fn facts(&self) -> Facts {
        Facts { synced: self.synced, applied: self.applied, segments: SEGMENTS }
    }

    /// One thing that happens to a journal.
    fn step(&mut self) {
        match self.random.below(10) {
            0..=5 => self.append(),
            6 | 7 => self.sync(),
            _ => self.take_over(),
        }
    }

    fn append(&mut self) {
        if self.writer.filled_bytes() == 0 || self.writer.filled_bytes() / SECTOR_BYTES as u64 >= LEAVE_AT {
            self.begin();
        }
        let mut value = vec![0; self.random.below(9 * DATA_BYTES)];
        value.iter_mut().for_each(|byte| *byte = self.random.below(256) as u8);
        let payload = record::value_len(b"", &value);
        let number = self.writer.write(self.facts(), payload, |record| record::put_value(record, 0, b"", &value));
        self.records.push_back((number.expect("it can be written"), value));
    }

    fn begin(&mut self) {
        let left = self.writer.segment().cloned();
        if self.free.is_empty() {
            self.take_over();
        }
        self.sync();
        let segment = self.free.pop().expect("the oldest was taken over");
        let last = self.writer.last();
        let number = self.writer.begin(segment.clone(), self.facts(), true).expect("it can be written");
        self.records.push_back((number, Vec::new()));
        self.synced = number;
        self.settle(&segment);
        if let Some(left) = left {
            self.sealed.push_back((left, last));
        }
    }

    fn settle(&mut self, segment: &Segment) {
        self.safe[segment.number() as usize] = used(&self.path(segment.number()));
    }

    fn sync(&mut self) {
        if let Some(segment) = self.writer.segment().cloned() {
            segment.sync().expect("it can be synced");
            self.settle(&segment);
            self.synced = self.writer.last();
        }
    }

    /// As the engine does: what is sealed is kept elsewhere from now on.
    fn take_over(&mut self) {
        if let Some((segment, last)) = self.sealed.pop_front() {
            self.applied = last;
            self.free.push(segment);
        }
    }

    /// The power goes, or only the process; then all is opened again.
    fn crash(&mut self) {
        let pieces = self.random.below(4);
        for number in 0..SEGMENTS {
            let shown = used(&self.path(number));
            let mut left = self.safe[number as usize].clone();
            for at in (0..left.len()).step_by(SECTOR_BYTES) {
                let arrived = match pieces {
                    0 => true,
                    1 => false,
                    _ => self.random.below(2) == 0,
                };
                if arrived {
                    left[at..at + SECTOR_BYTES].copy_from_slice(&shown[at..at + SECTOR_BYTES]);
                }
            }
            let file = fs::File::options().write(true).open(self.path(number)).expect("it is there");
            file.write_all_at(&left, 0).expect("it can be written");
        }
        let Opened { segments, found } = super::open(self.dir.path()).unwrap_or_else(|error| panic!("{error}"));
        self.compare(&found);
        for segment in &segments {
            self.settle(segment);
        }
        let place = found.live.last().map(|live| (segments[live.segment as usize].clone(), live.end));
        self.applied = found.applied;
        self.synced = found.last;
        self.writer = Writer::new(found.last, found.highest, place);
        self.sealed.clear();
        for live in &found.live {
            match self.sealed.back_mut() {
                Some((segment, last)) if segment.number() == live.segment => *last = live.number,
                _ => self.sealed.push_back((segments[live.segment as usize].clone(), live.number)),
            }
        }
        self.sealed.pop_back();
        self.free =
            segments.into_iter().filter(|free| !found.live.iter().any(|l| l.segment == free.number())).collect();
    }

    fn compare(&mut self, found: &Found) {
        assert!(found.applied <= self.applied, "{} is not in the engine", found.applied);
        assert!(found.last >= self.synced, "{} was confirmed, and {} is the end", self.synced, found.last);
        self.records.retain(|(number, _)| *number > found.applied);
        let written = self.records.iter().take(found.live.len());
        for (live, (number, value)) in found.live.iter().zip(written) {
            assert_eq!(live.number, *number, "a record is missing or was never written");
            let entries = record::entries(live.payload.clone()).expect("it was written so");
            let expected = Entry::Value { tree: 0, key: Bytes::new(), value: value.clone().into() };
            assert!(entries.is_empty() && value.is_empty() || entries == [expected], "record {number} was changed");
        }
        self.records.truncate(found.live.len());
        assert_eq!(self.records.back().map_or(found.applied, |(number, _)| *number), found.last);
    }
}

#[test]
fn what_was_synced_is_found_after_any_crash() {
    for seed in 0..8 {
        let mut run = Run::new(seed);
        let mut numbers = 0;
        for _ in 0..400 {
            for _ in 0..run.random.below(40) {
                run.step();
            }
            run.crash();
            assert!(run.writer.last() >= numbers, "seed {seed}: numbers went back");
            numbers = run.synced;
        }
        assert!(numbers > 1_000 && run.applied > 1_000, "seed {seed}: too little happened");
    }
}

/// The crash test above can fail: a bit of what was synced is found missing.
#[test]
fn what_was_synced_and_is_not_there_is_noticed() {
    for seed in 0..40 {
        let mut run = Run::new(seed);
        while run.synced <= run.applied || run.records.back().is_none_or(|(last, _)| *last == run.synced) {
            run.step();
        }
        // A later record, of which nothing is synced, tells that this one was.
        run.append();
        let found = super::open(run.dir.path()).expect("nothing is wrong").found;
        let confirmed: Vec<_> = found.live.iter().filter(|live| live.number <= run.synced).collect();
        let lost = confirmed[run.random.below(confirmed.len())];
        let file = fs::File::options().write(true).open(run.path(lost.segment)).expect("it is there");
        file.write_all_at(&[0; SECTOR_BYTES], u64::from(lost.end - 1) * SECTOR_BYTES as u64)
            .expect("it can be written");
        assert!(super::open(run.dir.path()).is_err(), "seed {seed}: record {} of {}", lost.number, run.synced);
    }
}
