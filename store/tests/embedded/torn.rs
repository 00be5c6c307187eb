//! The end of the journal after a crash: what was never confirmed may be cut short anywhere and goes as a whole; what was
//! confirmed is there, or the store says that it is damaged.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use switchyard_store::Outcome;
use switchyard_store::embedded::{Embedded, OpenError};
use tempfile::TempDir;

use crate::support::{active_journal, append, batch, commit, copy, copy_alive, key, open, options, rows, temp_dir};

const CONFIRMED: u64 = 20;
const UNCONFIRMED: u64 = 40;

/// A store of a killed process: confirmed rows, then one batch without a barrier.
struct Killed {
    dir: TempDir,
    /// Relative to the directory.
    journal: PathBuf,
    /// Where the unconfirmed batch begins and ends.
    from: u64,
    to: u64,
}

fn killed() -> Killed {
    let alive = temp_dir();
    let store = open(alive.path());
    for round in 0..CONFIRMED / 5 {
        commit(&store, batch(&key(1), round * 5, 5));
    }
    let (_, from) = active_journal(alive.path());
    assert_eq!(append(&store, batch(&key(1), CONFIRMED, UNCONFIRMED)), Outcome::Stored);
    let (journal, to) = active_journal(alive.path());
    let journal = journal.strip_prefix(alive.path()).expect("it lies within").to_owned();
    let dir = temp_dir();
    copy_alive(alive.path(), dir.path());
    assert!(to - from > 4 * 512, "the batch spans several sectors");
    Killed { dir, journal, from, to }
}

/// Opens a copy after `change` was made to its journal.
fn reopen(killed: &Killed, change: impl FnOnce(&File)) -> Result<u64, OpenError> {
    let dir = temp_dir();
    copy(killed.dir.path(), dir.path()).expect("it can be copied");
    let path = dir.path().join(&killed.journal);
    change(&File::options().write(true).open(path).expect("it was copied"));
    let store = Embedded::open(dir.path(), options().0)?;
    let count = rows(&store, &key(1)).expect("what is there is intact").len() as u64;
    assert!(count == CONFIRMED || count == CONFIRMED + UNCONFIRMED, "{count} rows: a batch is there in part");
    // It goes on where it stopped, and that survives too.
    commit(&store, batch(&key(1), count, 3));
    drop(store);
    assert_eq!(rows(&open(dir.path()), &key(1)).expect("intact").len() as u64, count + 3);
    Ok(count)
}

fn zero(file: &File, from: u64, to: u64) {
    file.write_all_at(&vec![0; (to - from) as usize], from).expect("it can be written");
}

#[test]
fn an_unconfirmed_batch_may_end_anywhere() {
    let killed = killed();
    assert_eq!(reopen(&killed, |_| ()).expect("nothing is wrong"), CONFIRMED + UNCONFIRMED);
    let len = killed.to - killed.from;
    let cuts = (0..40).chain((40..len - 20).step_by(499)).chain(len - 20..len);
    for cut in cuts.map(|cut| killed.from + cut) {
        let short = reopen(&killed, |file| file.set_len(cut).expect("it can be cut"));
        assert_eq!(short.expect("a torn tail is no damage"), CONFIRMED, "cut at {cut}");
        let zeros = reopen(&killed, |file| zero(file, cut, killed.to));
        assert_eq!(zeros.expect("a torn tail is no damage"), CONFIRMED, "zeros from {cut}");
    }
}

#[test]
fn sectors_of_an_unconfirmed_batch_may_not_have_arrived() {
    let killed = killed();
    let sectors: Vec<u64> = (killed.from.next_multiple_of(512)..killed.to - 512).step_by(512).collect();
    for sector in &sectors {
        let result = reopen(&killed, |file| zero(file, *sector, sector + 512));
        assert_eq!(result.expect("a torn tail is no damage"), CONFIRMED, "sector at {sector}");
    }
    // The first one holds the end of what was confirmed, too.
    let result = reopen(&killed, |file| zero(file, killed.from, killed.from.next_multiple_of(512)));
    assert_eq!(result.expect("a torn tail is no damage"), CONFIRMED);
}

#[test]
fn what_was_confirmed_may_not_be_zeros() {
    let killed = killed();
    let mut refused = 0;
    for sector in (0..killed.from - 512).step_by(512) {
        match reopen(&killed, |file| zero(file, sector, sector + 512)) {
            Err(OpenError::Corrupt(_)) => refused += 1,
            other => panic!("sector at {sector}: {other:?}"),
        }
    }
    assert!(refused > 0);
}

#[test]
fn a_torn_tail_does_not_hide_a_flip() {
    let killed = killed();
    for bit in (0..killed.from * 8).step_by(97) {
        // Cut within the unconfirmed batch, behind its first row.
        for cut in [killed.from + 100, killed.to - 1] {
            let result = reopen(&killed, |file| {
                let path = killed.dir.path().join(&killed.journal);
                let byte = fs::read(path).expect("it was copied")[(bit / 8) as usize] ^ (1 << (bit % 8));
                file.write_all_at(&[byte], bit / 8).expect("it can be written");
                file.set_len(cut).expect("it can be cut");
            });
            assert!(matches!(result, Err(OpenError::Corrupt(_))), "bit {bit}, cut at {cut}: {result:?}");
        }
    }
}

#[test]
fn refusing_changes_nothing() {
    let killed = killed();
    let dir = temp_dir();
    copy(killed.dir.path(), dir.path()).expect("it can be copied");
    let path = dir.path().join(&killed.journal);
    let file = File::options().write(true).open(&path).expect("it was copied");
    file.write_all_at(b"\xff", 40).expect("it can be written");
    let before = fs::read(&path).expect("it is there");
    for _ in 0..2 {
        assert!(matches!(open_error(dir.path()), OpenError::Corrupt(_)));
    }
    assert!(fs::read(&path).expect("it is there") == before, "the evidence was changed");
}

fn open_error(dir: &Path) -> OpenError {
    Embedded::open(dir, options().0).err().expect("it does not open")
}
