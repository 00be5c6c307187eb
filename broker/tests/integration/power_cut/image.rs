//! The contents of one file on the pretended disk: what the kernel was given, what is on the platters, and the changes
//! in between, of which a power cut keeps some. No files of the machine are touched here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rand::RngExt;
use rand::rngs::StdRng;

const PAGE_BYTES: u64 = 4096;

/// What a disk writes wholly or not at all: old ones, and the kernel's pages on new ones.
const TEARS_BYTES: [u64; 2] = [512, PAGE_BYTES];

/// Bytes with holes, which read as zeros. Copies share their pages until one of them is written.
#[derive(Clone, Default)]
struct Image {
    len: u64,
    pages: BTreeMap<u64, Arc<[u8; PAGE_BYTES as usize]>>,
}

impl Image {
    fn read(&self, at: u64, wanted: usize) -> Vec<u8> {
        let end = self.len.min(at.saturating_add(wanted as u64));
        let mut bytes = Vec::with_capacity(wanted);
        let mut pos = at;
        while pos < end {
            let from = (pos % PAGE_BYTES) as usize;
            let take = (PAGE_BYTES - pos % PAGE_BYTES).min(end - pos) as usize;
            match self.pages.get(&(pos / PAGE_BYTES)) {
                Some(page) => bytes.extend_from_slice(&page[from..from + take]),
                None => bytes.resize(bytes.len() + take, 0),
            }
            pos += take as u64;
        }
        bytes
    }

    /// Puts bytes in place without a word about the length.
    fn put(&mut self, at: u64, mut bytes: &[u8]) {
        let mut pos = at;
        while !bytes.is_empty() {
            let from = (pos % PAGE_BYTES) as usize;
            let (now, later) = bytes.split_at(bytes.len().min(PAGE_BYTES as usize - from));
            let page = self.pages.entry(pos / PAGE_BYTES).or_insert_with(|| Arc::new([0; PAGE_BYTES as usize]));
            Arc::make_mut(page)[from..from + now.len()].copy_from_slice(now);
            pos += now.len() as u64;
            bytes = later;
        }
    }

    fn set_len(&mut self, len: u64) {
        if len < self.len {
            self.pages.split_off(&len.div_ceil(PAGE_BYTES));
            if let Some(page) = self.pages.get_mut(&(len / PAGE_BYTES)) {
                Arc::make_mut(page)[(len % PAGE_BYTES) as usize..].fill(0);
            }
        }
        self.len = len;
    }

    fn apply(&mut self, change: &Change) {
        match change {
            Change::Write { at, bytes } => {
                self.put(*at, bytes);
                self.len = self.len.max(at + bytes.len() as u64);
            }
            Change::SetLen(len) => self.set_len(*len),
        }
    }
}

/// What was done to a file since it was last synced.
enum Change {
    Write { at: u64, bytes: Vec<u8> },
    SetLen(u64),
}

/// A file: every change shows at once and is safe only after a sync.
#[derive(Default)]
pub(super) struct Contents {
    shown: Image,
    safe: Image,
    unsynced: Vec<Change>,
}

impl Contents {
    pub(super) fn len(&self) -> u64 {
        self.shown.len
    }

    pub(super) fn read(&self, at: u64, wanted: usize) -> Vec<u8> {
        self.shown.read(at, wanted)
    }

    pub(super) fn write(&mut self, at: u64, bytes: &[u8]) {
        self.change(Change::Write { at, bytes: bytes.to_vec() });
    }

    pub(super) fn set_len(&mut self, len: u64) {
        if len != self.shown.len {
            self.change(Change::SetLen(len));
        }
    }

    fn change(&mut self, change: Change) {
        self.shown.apply(&change);
        self.unsynced.push(change);
    }

    pub(super) fn sync(&mut self) {
        let changes = std::mem::take(&mut self.unsynced);
        if changes.iter().any(|change| matches!(change, Change::SetLen(_))) {
            self.safe = self.shown.clone();
            return;
        }
        self.safe.len = self.shown.len;
        for change in &changes {
            let Change::Write { at, bytes } = change else { continue };
            let end = at + bytes.len() as u64;
            let pages = self.shown.pages.range(at / PAGE_BYTES..end.div_ceil(PAGE_BYTES));
            self.safe.pages.extend(pages.map(|(number, page)| (*number, Arc::clone(page))));
        }
    }

    /// The power is gone: nothing unsynced is left. Returns how many changes were forgotten.
    pub(super) fn forget(&mut self) -> u64 {
        let forgotten = self.unsynced.len() as u64;
        self.unsynced.clear();
        self.shown = self.safe.clone();
        forgotten
    }

    /// The power is gone, and the disk was about to write: what is left is what was synced with some of the changes
    /// since. Returns how many changes were at stake.
    pub(super) fn tear(&mut self, rng: &mut StdRng) -> u64 {
        let changes = std::mem::take(&mut self.unsynced);
        match rng.random_range(0..4) {
            0 => {}
            1 => changes.iter().for_each(|change| self.safe.apply(change)),
            2 => {
                let kept = rng.random_range(0..=changes.len());
                changes[..kept].iter().for_each(|change| self.safe.apply(change));
            }
            _ => self.scatter(&changes, rng),
        }
        self.shown = self.safe.clone();
        changes.len() as u64
    }

    /// Each sector is left as it was after any one of the changes, whatever the others are left as. What was cut off
    /// before something else was written is never seen again: file systems do not show freed blocks.
    fn scatter(&mut self, changes: &[Change], rng: &mut StdRng) {
        let reached = rng.random_range(0..=changes.len());
        let mut len = self.safe.len;
        let mut from = 0;
        for (index, change) in changes[..reached].iter().enumerate() {
            let before = len;
            len = match change {
                Change::Write { at, bytes } => before.max(at + bytes.len() as u64),
                Change::SetLen(len) => *len,
            };
            if len < before {
                changes[from..=index].iter().for_each(|change| self.safe.apply(change));
                from = index + 1;
            }
        }
        let until = changes[reached..].iter().position(|change| matches!(change, Change::SetLen(_)));
        let loose = &changes[from..until.map_or(changes.len(), |until| reached + until)];
        let sector_bytes = TEARS_BYTES[rng.random_range(0..TEARS_BYTES.len())];

        let mut touched: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for (index, change) in loose.iter().enumerate() {
            if let Change::Write { at, bytes } = change
                && !bytes.is_empty()
            {
                let last = (at + bytes.len() as u64 - 1) / sector_bytes;
                for sector in at / sector_bytes..=last {
                    touched.entry(sector).or_default().push(index);
                }
            }
        }
        let mut kept: BTreeSet<(usize, u64)> = BTreeSet::new();
        for (sector, versions) in &touched {
            if let Some(version) = versions.get(rng.random_range(0..=versions.len())) {
                kept.insert((*version, *sector));
            }
        }
        let mut versions = self.safe.clone();
        for (index, change) in loose.iter().enumerate() {
            versions.apply(change);
            for (_, sector) in kept.range((index, 0)..(index + 1, 0)) {
                let at = sector * sector_bytes;
                self.safe.put(at, &versions.read(at, sector_bytes as usize));
            }
        }
        // A page beyond the end is put there for nothing, and must not show when the file grows again.
        self.safe.len = u64::MAX;
        self.safe.set_len(len);
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn only_synced_bytes_and_lengths_survive() {
        let mut file = Contents::default();
        file.write(0, b"synced");
        file.sync();
        file.write(3, b"lost and longer");
        file.set_len(9_000);
        assert_eq!(file.read(0, 8), b"synlost ");
        assert_eq!(file.forget(), 2);
        assert_eq!(file.read(0, 100), b"synced");
        assert_eq!(file.len(), 6);
    }

    #[test]
    fn what_was_cut_off_is_zeros_when_the_file_grows_again() {
        let mut file = Contents::default();
        file.write(0, &[7; 10_000]);
        file.set_len(5_000);
        file.set_len(10_000);
        assert_eq!(file.read(4_999, 2), [7, 0]);
        assert_eq!(file.read(9_000, 5_000), [0; 1_000]);
    }

    /// Of any seed a sector is old or new, never a mixture, and every combination of two sectors is seen.
    #[test]
    fn a_torn_write_leaves_whole_sectors_in_any_combination() {
        let mut seen = BTreeSet::new();
        for seed in 0..200 {
            let mut file = Contents::default();
            file.write(0, &[1; 8192]);
            file.sync();
            file.write(0, &[2; 8192]);
            assert_eq!(file.tear(&mut StdRng::seed_from_u64(seed)), 1);
            let bytes = file.read(0, 8192);
            assert_eq!(bytes.len(), 8192);
            for sector in bytes.chunks(512) {
                assert!(sector.iter().all(|byte| *byte == sector[0]), "seed {seed}");
            }
            seen.insert((bytes[0], bytes[8191]));
        }
        assert_eq!(seen, [(1, 1), (1, 2), (2, 1), (2, 2)].into());
    }

    #[test]
    fn what_was_synced_survives_every_tear() {
        for seed in 0..200 {
            let mut file = Contents::default();
            file.write(0, &[1; 700]);
            file.sync();
            file.write(700, &[2; 3_000]);
            file.write(3_700, &[3; 3_000]);
            file.tear(&mut StdRng::seed_from_u64(seed));
            assert_eq!(file.read(0, 700), [1; 700], "seed {seed}");
        }
    }
}
