//! The end of the journal after a crash: of what was never confirmed any part may be missing, and it goes as a whole; what was
//! confirmed is there, or the store says that it is damaged.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use switchyard_store::Outcome;
use switchyard_store::embedded::{Embedded, OpenError};
use tempfile::TempDir;

use crate::support::{
    SECTOR, append, batch, changed, commit, copy, copy_alive, journal, key, random, rows, small, temp_dir,
};

const CONFIRMED: u64 = 100;
const UNCONFIRMED: u64 = 40;

/// Large enough that all rows of a store that has just begun stay in its first segment.
const ROOMY: u64 = 300_000;

/// So little that segments are left, taken over and filled again all the time.
const TIGHT: u64 = 6_000;

/// A store of a killed process: confirmed rows, then one batch without a barrier.
struct Killed {
    dir: TempDir,
    before: BTreeMap<PathBuf, Vec<u8>>,
    /// The sectors of the unconfirmed batch.
    torn: Vec<(PathBuf, usize)>,
}

fn killed() -> Killed {
    let alive = temp_dir();
    let store = Embedded::open(alive.path(), small(ROOMY)).expect("the store opens");
    for round in 0..CONFIRMED / 5 {
        commit(&store, batch(&key(1), round * 5, 5));
    }
    let before = journal(alive.path());
    assert_eq!(append(&store, batch(&key(1), CONFIRMED, UNCONFIRMED)), Outcome::Stored);
    let torn = changed(&before, &journal(alive.path()));
    let dir = temp_dir();
    copy_alive(alive.path(), dir.path());
    assert!(torn.len() > 4, "the batch spans several sectors");
    Killed { dir, before, torn }
}

/// Opens a copy after `change` was made to it.
fn reopen(killed: &Killed, change: impl FnOnce(&Path)) -> Result<u64, OpenError> {
    let dir = temp_dir();
    copy(killed.dir.path(), dir.path()).expect("it can be copied");
    change(dir.path());
    let store = Embedded::open(dir.path(), small(ROOMY))?;
    let count = rows(&store, &key(1)).expect("what is there is intact").len() as u64;
    assert!(count == CONFIRMED || count == CONFIRMED + UNCONFIRMED, "{count} rows: a batch is there in part");
    // It goes on where it stopped, and that survives too.
    commit(&store, batch(&key(1), count, 3));
    drop(store);
    let store = Embedded::open(dir.path(), small(ROOMY)).expect("the store opens");
    assert_eq!(rows(&store, &key(1)).expect("intact").len() as u64, count + 3);
    Ok(count)
}

fn write(dir: &Path, (segment, at): &(PathBuf, usize), bytes: &[u8]) {
    let file = File::options().write(true).open(dir.join(segment)).expect("it was copied");
    file.write_all_at(bytes, *at as u64).expect("it can be written");
}

/// The sectors of everything that was confirmed.
fn confirmed(killed: &Killed) -> Vec<(PathBuf, usize)> {
    changed(&BTreeMap::new(), &killed.before)
}

#[test]
fn any_sectors_of_an_unconfirmed_batch_may_not_have_arrived() {
    let killed = killed();
    assert_eq!(reopen(&killed, |_| ()).expect("nothing is wrong"), CONFIRMED + UNCONFIRMED);
    let mut state = 1;
    for round in 0..80 {
        // Each one alone, then any of them, but at least one.
        let alone = killed.torn.get(round);
        let missing: Vec<_> = killed.torn.iter().filter(|_| alone.is_none() && random(&mut state, 3) == 0).collect();
        let missing = if missing.is_empty() { vec![alone.unwrap_or(&killed.torn[0])] } else { missing };
        let result = reopen(&killed, |dir| missing.iter().for_each(|place| write(dir, place, &[0; SECTOR])));
        assert_eq!(result.expect("a torn tail is no damage"), CONFIRMED, "{missing:?}");
    }
}

#[test]
fn what_was_confirmed_may_not_be_missing() {
    let killed = killed();
    let sectors = confirmed(&killed);
    assert!(sectors.len() > 20, "{sectors:?}");
    for place in &sectors {
        let result = reopen(&killed, |dir| write(dir, place, &[0; SECTOR]));
        assert!(matches!(result, Err(OpenError::Corrupt(_))), "{place:?}: {result:?}");
    }
}

#[test]
fn a_flip_is_found_beside_a_torn_tail() {
    let killed = killed();
    let mut state = 1;
    for (segment, at) in confirmed(&killed).iter().chain(&killed.torn) {
        for _ in 0..2 {
            let bit = random(&mut state, 8 * SECTOR as u64) as usize;
            let byte = at + bit / 8;
            let result = reopen(&killed, |dir| {
                let last = killed.torn.last().expect("there are several");
                write(dir, last, &[0; SECTOR]);
                let flipped = fs::read(dir.join(segment)).expect("it was copied")[byte] ^ (1 << (bit % 8));
                write(dir, &(segment.clone(), byte), &[flipped]);
            });
            assert!(matches!(result, Err(OpenError::Corrupt(_))), "bit {bit} of {segment:?} at {at}: {result:?}");
        }
    }
}

#[test]
fn refusing_changes_nothing() {
    let killed = killed();
    write(killed.dir.path(), &(killed.torn[0].0.clone(), 40), b"\xff\xff");
    let before = journal(killed.dir.path());
    for _ in 0..2 {
        let error = Embedded::open(killed.dir.path(), small(ROOMY)).err().expect("it does not open");
        assert!(matches!(error, OpenError::Corrupt(_)), "{error}");
    }
    assert!(journal(killed.dir.path()) == before, "the evidence was changed");
}

/// A store that was closed says so, and thereby what its last rows were.
#[test]
fn after_a_clean_end_the_last_rows_may_not_be_missing_either() {
    let dir = temp_dir();
    let store = Embedded::open(dir.path(), small(ROOMY)).expect("the store opens");
    commit(&store, batch(&key(1), 0, 3));
    let before = journal(dir.path());
    assert_eq!(append(&store, batch(&key(1), 3, 40)), Outcome::Stored);
    let last = changed(&before, &journal(dir.path()));
    drop(store);
    for place in &last {
        let damaged = temp_dir();
        copy(dir.path(), damaged.path()).expect("it can be copied");
        write(damaged.path(), place, &[0; SECTOR]);
        let error = Embedded::open(damaged.path(), small(ROOMY)).err().expect("it does not open");
        assert!(matches!(error, OpenError::Corrupt(_)), "{place:?}: {error}");
    }
}

/// Power cut after power cut on one store, each at an unconfirmed batch, of which any sectors are what they were before:
/// zeros, or older records where a segment was filled before.
#[test]
fn tails_are_torn_again_and_again() {
    let mut dir = temp_dir();
    let mut state = 7;
    let (mut count, mut torn_twice_at) = (0, 0);
    let mut places: Vec<(PathBuf, usize)> = Vec::new();
    for round in 0..60 {
        let store = Embedded::open(dir.path(), small(TIGHT)).unwrap_or_else(|error| panic!("round {round}: {error}"));
        let found = rows(&store, &key(1)).expect("intact").len() as u64;
        assert!(found == count || found == count + 10, "round {round}: {found} rows, {count} confirmed");
        count = found;
        for _ in 0..random(&mut state, 6) {
            commit(&store, batch(&key(1), count, 10));
            count += 10;
        }
        // The batch itself may begin a segment, which is synced then; nothing of that may be missing.
        let before = journal(dir.path());
        assert_eq!(append(&store, batch(&key(1), count, 10)), Outcome::Stored);
        let after = journal(dir.path());
        let mut torn = changed(&before, &after);
        torn.retain(|(_, at)| *at > 0);
        let next = temp_dir();
        copy_alive(dir.path(), next.path());
        drop(store);
        let keep_all = random(&mut state, 4) == 0;
        for place in torn.iter().filter(|_| !keep_all) {
            if random(&mut state, 2) == 0 {
                let old = before.get(&place.0).map_or(&[0; SECTOR][..], |old| &old[place.1..place.1 + SECTOR]);
                write(next.path(), place, old);
            }
        }
        torn_twice_at += usize::from(torn.first().is_some_and(|place| places.contains(place)));
        places = torn;
        dir = next;
    }
    assert!(torn_twice_at > 3, "the same place was torn again {torn_twice_at} times only");
    assert!(journal(dir.path()).len() > 1, "one segment was enough: nothing was filled again");
}
