//! A full disk: sends are refused, reads go on, and it heals when there is room. A broken one ends all promises.

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::{fs, io};

use futures_executor::block_on;
use switchyard_store::embedded::{Embedded, Options};
use switchyard_store::{BarrierError, Epochs, Log, Outcome, ProjectionError, ProjectionWrite, Projections, Refusal};
use tempfile::TempDir;

use crate::support::{append, batch, commit, key, open, options, rows, temp_dir};

#[test]
fn below_the_reserve_nothing_is_stored_and_all_is_read() {
    let dir = TempDir::new().expect("a temporary directory");
    commit(&open(dir.path()), batch(&key(1), 0, 5));
    let (wide, fatal) = options();
    let store = Embedded::open(dir.path(), Options { free_bytes_min: u64::MAX, ..wide }).expect("the store opens");
    assert_eq!(append(&store, batch(&key(1), 5, 1)), Outcome::Refused(Refusal::Full));
    let record = ProjectionWrite::Conversation { key: key(1), at: 1, record: b"x"[..].into() };
    assert_eq!(block_on(store.write(&[record])), Err(ProjectionError::Full));
    assert_eq!(block_on(store.barrier()), Ok(()));
    assert_eq!(rows(&store, &key(1)).expect("intact").len(), 5);
    drop(store);
    let store = open(dir.path());
    assert_eq!(rows(&store, &key(1)).expect("intact").len(), 5);
    commit(&store, batch(&key(1), 5, 1));
    assert!(fatal.0.lock().expect("no panic").is_empty());
}

/// A small file system in memory.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount(mib: u32) -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "tmpfs"])
            .arg(dir.path())
            .output()
            .expect("the program `mount` is needed");
        let told = String::from_utf8_lossy(&mounted.stderr);
        assert!(mounted.status.success(), "only root may mount a small disk, which this test needs: {told}");
        Self(dir)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_small_disk_fills_and_heals() {
    let disk = SmallDisk::mount(64);
    let data = disk.path().join("data");
    let ballast = disk.path().join("ballast");
    let (wide, fatal) = options();
    let reserve = 16 << 20;
    let small = Options { free_bytes_min: reserve, segment_bytes: 1 << 20, ..wide };
    let store = Embedded::open(&data, small.clone()).expect("the store opens");
    fs::write(&ballast, vec![1; 16 << 20]).expect("there is room");
    let mut next = 0;
    let full = |next: &mut u64, store: &Embedded| {
        for _ in 0..10_000 {
            match append(store, batch(&key(1), *next, 50)) {
                Outcome::Stored => *next += 50,
                outcome => return outcome,
            }
            block_on(store.barrier()).expect("the disk works");
        }
        panic!("it never fills")
    };
    assert_eq!(full(&mut next, &store), Outcome::Refused(Refusal::Full));
    assert_eq!(rows(&store, &key(1)).expect("intact").len() as u64, next);
    fs::remove_file(&ballast).expect("it is there");
    // What the engine still writes out by itself may take a moment to give its room back.
    while append(&store, batch(&key(1), next, 50)) != Outcome::Stored {
        std::thread::yield_now();
    }
    block_on(store.barrier()).expect("the disk works");
    next += 50;
    assert_eq!(full(&mut next, &store), Outcome::Refused(Refusal::Full));
    drop(store);
    let store = Embedded::open(&data, small).expect("a full disk does not keep it from opening");
    assert_eq!(block_on(store.open_epoch()), Ok(1), "nor from being served");
    assert_eq!(block_on(store.trim(&key(1), 100)), Ok(100), "nor from being trimmed");
    assert_eq!(rows(&store, &key(1)).expect("intact").len() as u64, next - 99);
    assert!(fatal.0.lock().expect("no panic").is_empty());
}

/// Takes all room but for so many bytes.
fn fill(disk: &SmallDisk, ballast: &Path, left: u64) {
    loop {
        let free = rustix::fs::statvfs(disk.path()).map(|stat| stat.f_bavail * stat.f_frsize).expect("it is mounted");
        match fs::write(ballast, vec![1; (free - left) as usize]) {
            Ok(()) => return,
            // The store took some of it meanwhile, which it does only a few times.
            Err(error) if error.kind() == io::ErrorKind::StorageFull => fs::remove_file(ballast).expect("it is there"),
            Err(error) => panic!("the disk cannot be filled: {error}"),
        }
    }
}

#[test]
fn a_write_that_fails_is_never_confirmed() {
    let disk = SmallDisk::mount(32);
    let data = disk.path().join("data");
    let ballast = disk.path().join("ballast");
    let (without_reserve, fatal) = options();
    let without_reserve = Options { segment_bytes: 1 << 20, ..without_reserve };
    let store = Embedded::open(&data, without_reserve).expect("the store opens");
    commit(&store, batch(&key(1), 0, 50));
    // The journal was made in advance and needs no room. So that writing to it fails, the room that it has is taken away.
    let journal = fs::File::options().write(true).open(data.join("store/journal/0")).expect("a store has a journal");
    let hole = rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE;
    rustix::fs::fallocate(&journal, hole, 128 << 10, 512 << 10).expect("such a disk can do it");
    fill(&disk, &ballast, 40_000);
    let mut confirmed = 50;
    let failed = loop {
        match append(&store, batch(&key(1), confirmed, 50)) {
            Outcome::Stored => block_on(store.barrier()).expect("what was written can be synced"),
            outcome => break outcome,
        }
        confirmed += 50;
    };
    assert_eq!(failed, Outcome::Unknown);
    assert_eq!(fatal.0.lock().expect("no panic").len(), 1, "the process would have ended, once");
    assert_eq!(append(&store, batch(&key(2), 0, 1)), Outcome::Refused(Refusal::Closed));
    assert!(matches!(block_on(store.barrier()), Err(BarrierError::Failed(_))));
    assert_eq!(rows(&store, &key(1)).expect("intact").len() as u64, confirmed);
    drop(store);
    fs::remove_file(&ballast).expect("it is there");
    let store = open(&data);
    let found = rows(&store, &key(1)).expect("intact").len() as u64;
    assert!(found == confirmed || found == confirmed + 50, "{found} rows, {confirmed} confirmed");
    commit(&store, batch(&key(1), found, 50));
}

#[test]
fn a_journal_that_cannot_grow_refuses_and_loses_nothing() {
    let disk = SmallDisk::mount(32);
    let data = disk.path().join("data");
    let ballast = disk.path().join("ballast");
    let (without_reserve, fatal) = options();
    let store = Embedded::open(&data, Options { segment_bytes: 1 << 20, ..without_reserve }).expect("the store opens");
    fill(&disk, &ballast, 40_000);
    let mut confirmed = 0;
    let refused = loop {
        match append(&store, batch(&key(1), confirmed, 50)) {
            Outcome::Stored => block_on(store.barrier()).expect("the disk works"),
            outcome => break outcome,
        }
        confirmed += 50;
    };
    assert_eq!(refused, Outcome::Refused(Refusal::Full));
    assert!(confirmed > 1_000, "a segment was there, and needed no room: {confirmed}");
    assert_eq!(rows(&store, &key(1)).expect("intact").len() as u64, confirmed);
    fs::remove_file(&ballast).expect("it is there");
    commit(&store, batch(&key(1), confirmed, 50));
    assert!(fatal.0.lock().expect("no panic").is_empty());
}

#[test]
fn rows_that_cannot_be_sorted_to_disk_end_all_promises_and_are_kept() {
    let disk = SmallDisk::mount(32);
    let data = disk.path().join("data");
    let ballast = disk.path().join("ballast");
    let (without_reserve, fatal) = options();
    let store = Embedded::open(&data, Options { segment_bytes: 1 << 20, ..without_reserve }).expect("the store opens");
    let mut confirmed = 0;
    while !data.join("store/journal/1").exists() {
        commit(&store, batch(&key(1), confirmed, 50));
        confirmed += 50;
    }
    fill(&disk, &ballast, 40_000);
    let failed = loop {
        match append(&store, batch(&key(1), confirmed, 50)) {
            Outcome::Stored if block_on(store.barrier()).is_ok() => confirmed += 50,
            outcome => break outcome,
        }
    };
    assert_ne!(failed, Outcome::Refused(Refusal::Full));
    assert_eq!(fatal.0.lock().expect("no panic").len(), 1, "the process would have ended, once");
    assert_eq!(append(&store, batch(&key(2), 0, 1)), Outcome::Refused(Refusal::Closed));
    drop(store);
    fs::remove_file(&ballast).expect("it is there");
    let found = rows(&open(&data), &key(1)).expect("intact").len() as u64;
    assert!(found == confirmed || found == confirmed + 50, "{found} rows, {confirmed} confirmed");
}

#[test]
fn damage_met_in_the_background_ends_all_promises() {
    let dir = temp_dir();
    let (wide, fatal) = options();
    let store = Embedded::open(dir.path(), Options { segment_bytes: 40_000, ..wide }).expect("the store opens");
    let tables = dir.path().join("store/engine/keyspaces/1/tables");
    let mut first = 0;
    // Every sorted file is damaged as soon as it is there, until the engine merges one of them.
    while fatal.0.lock().expect("no panic").is_empty() {
        for table in fs::read_dir(&tables).expect("a tree has tables") {
            let path = table.expect("it can be listed").path();
            if let Ok(file) = fs::File::options().write(true).open(path) {
                file.write_all_at(&[0xa5; 64], 1_000).expect("it can be written");
            }
        }
        // Of two conversations, so that files overlap and must be merged.
        for number in [1, 2] {
            let outcome = append(&store, batch(&key(number), first, 50));
            assert!(matches!(outcome, Outcome::Stored | Outcome::Refused(Refusal::Closed)), "{outcome:?}");
        }
        first += 50;
    }
    assert_eq!(append(&store, batch(&key(1), first, 50)), Outcome::Refused(Refusal::Closed));
    assert!(matches!(block_on(store.barrier()), Err(BarrierError::Failed(_))));
    assert!(rows(&store, &key(1)).is_err());
    assert_eq!(fatal.0.lock().expect("no panic").len(), 1);
}
