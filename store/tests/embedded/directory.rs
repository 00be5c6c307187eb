//! The data directory: who may open it, what is refused and what is told.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use bytes::Bytes;
use futures_executor::block_on;
use switchyard_protocol::id::UserId;
use switchyard_store::embedded::{Embedded, OpenError, dump, verify};
use switchyard_store::{Batch, DecisionPlace, Epochs, Log, Mark, Marks, ProjectionWrite, Projections, RowRef};

use crate::support::{self, append, batch, body, commit, key, open, options, rows, small, temp_dir};

fn user(name: &str) -> UserId {
    UserId::new(name).expect("a short name")
}

fn open_error(dir: &Path) -> OpenError {
    Embedded::open(dir, options().0).err().expect("it does not open")
}

#[test]
fn one_opener_at_a_time() {
    let dir = temp_dir();
    let store = open(dir.path());
    for error in [open_error(dir.path()), verify(dir.path()).expect_err("it is open")] {
        assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
        assert!(matches!(error, OpenError::Locked { pid: Some(_), .. }));
    }
    assert!(matches!(dump(dir.path(), key(1)), Err(OpenError::Locked { .. })));
    drop(store);
    open(dir.path());
}

#[test]
fn directories_are_private() {
    let dir = temp_dir();
    let data = dir.path().join("a/b");
    drop(open(&data));
    for private in [data.clone(), data.join("store")] {
        let mode = fs::metadata(&private).expect("it was made").permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{}", private.display());
    }
}

#[test]
fn another_schema_is_refused() {
    let dir = temp_dir();
    commit(&open(dir.path()), batch(&key(1), 0, 3));
    let path = dir.path().join("store/schema");
    let ours = fs::read_to_string(&path).expect("a store has a schema");
    let line = "switchyard store schema 7";
    fs::write(&path, format!("{line} {:08x}\n", crc32c::crc32c(line.as_bytes()))).expect("it can be written");
    let error = open_error(dir.path());
    assert!(matches!(error, OpenError::Schema { found: 7, .. }), "{error}");
    assert_eq!(error.to_string(), "the store has schema 7; this binary reads 2 to 6");
    fs::write(&path, ours.replace("schema 6", "schema 2")).expect("it can be written");
    assert!(matches!(open_error(dir.path()), OpenError::Corrupt(_)));
    fs::write(&path, ours).expect("it can be written");
    assert_eq!(rows(&open(dir.path()), &key(1)).expect("intact").len(), 3);
}

/// As an older version left it, and as a crash left it that came while it was brought up to this one.
#[test]
fn a_store_of_an_older_schema_is_opened_and_gets_the_newer_trees() {
    let lacking = [
        ("switchyard store schema 3", &["7", "8"][..]),
        ("switchyard store schema 4", &["8"]),
        ("switchyard store schema 5", &[]),
    ];
    for ((line, trees), half_made) in lacking.into_iter().flat_map(|lacks| [(lacks, false), (lacks, true)]) {
        let dir = temp_dir();
        commit(&open(dir.path()), batch(&key(1), 0, 3));
        let (keyspaces, schema) = (dir.path().join("store/engine/keyspaces"), dir.path().join("store/schema"));
        let ours = fs::read_to_string(&schema).expect("a store has a schema");
        for tree in trees {
            fs::remove_dir_all(keyspaces.join(tree)).expect("the tree was there");
        }
        fs::write(&schema, format!("{line} {:08x}\n", crc32c::crc32c(line.as_bytes()))).expect("it can be written");
        if let Some(first) = trees.first().filter(|_| half_made) {
            fs::create_dir_all(keyspaces.join(first).join("tables")).expect("it can be made");
        }
        let mark = Mark { key: key(1), user: user("ann"), kind: 0, at: 2, value: Bytes::new() };
        let store = open(dir.path());
        assert_eq!(fs::read_to_string(&schema).expect("it is there"), ours);
        block_on(store.raise(std::slice::from_ref(&mark))).expect("it is stored");
        let place = DecisionPlace { home: key(2), kind: 0, about: Bytes::from_static(b"ann") };
        let decision = ProjectionWrite::Decision { place, at: 0, value: Some(Bytes::new()) };
        block_on(store.write(std::slice::from_ref(&decision))).expect("it is stored");
        drop(store);
        let store = open(dir.path());
        assert_eq!(block_on(store.marks(&key(1))).expect("intact").len(), 1);
        assert_eq!(block_on(store.decisions(&key(2))).expect("intact").len(), 1);
        assert_eq!(rows(&store, &key(1)).expect("intact").len(), 3);
        drop(store);
        assert!(verify(dir.path()).expect("it opens").ok);
    }
}

#[test]
fn a_store_that_was_never_finished_is_made_anew() {
    let dir = temp_dir();
    fs::create_dir_all(dir.path().join("store.new/engine")).expect("it can be made");
    fs::write(dir.path().join("store.new/engine/0.jnl"), b"half").expect("it can be written");
    commit(&open(dir.path()), batch(&key(1), 0, 3));
    assert!(!dir.path().join("store.new").exists());
    assert_eq!(rows(&open(dir.path()), &key(1)).expect("intact").len(), 3);
}

#[test]
fn missing_parts_are_noticed() {
    for missing in
        ["schema", "journal/0", "journal/1", "engine/keyspaces/1", "engine/keyspaces/2/current", "engine/version"]
    {
        let dir = temp_dir();
        let store = Embedded::open(dir.path(), small(1)).expect("the store opens");
        for first in 0..5 {
            commit(&store, batch(&key(1), first, 1));
        }
        drop(store);
        let path = dir.path().join("store").join(missing);
        if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.expect("it was there");
        let error = open_error(dir.path());
        assert!(matches!(error, OpenError::Corrupt(_)), "{missing}: {error}");
    }
}

#[test]
fn what_is_no_journal_is_noticed() {
    type Change = fn(&Path) -> std::io::Result<()>;
    let changes: [(&str, Change); 5] = [
        ("a foreign file", |journal| fs::write(journal.join("notes"), b"mine")),
        ("a name spelt otherwise", |journal| fs::copy(journal.join("0"), journal.join("01")).map(drop)),
        ("a segment under another's name", |journal| fs::copy(journal.join("0"), journal.join("1")).map(drop)),
        ("a segment cut short", |journal| File::options().write(true).open(journal.join("0"))?.set_len(400 * 1024)),
        ("a segment of no length", |journal| File::options().write(true).open(journal.join("0"))?.set_len(0)),
    ];
    for (what, change) in changes {
        let dir = temp_dir();
        let half_a_megabyte = small(512 * 1024);
        commit(&Embedded::open(dir.path(), half_a_megabyte).expect("the store opens"), batch(&key(1), 0, 3));
        change(&dir.path().join("store/journal")).expect("it can be changed");
        let error = open_error(dir.path());
        assert!(matches!(error, OpenError::Corrupt(_)), "{what}: {error}");
    }
}

#[test]
fn a_segment_that_was_never_finished_is_removed() {
    let dir = temp_dir();
    commit(&open(dir.path()), batch(&key(1), 0, 3));
    let unfinished = dir.path().join("store/journal/1.new");
    fs::write(&unfinished, b"half").expect("it can be written");
    assert_eq!(rows(&open(dir.path()), &key(1)).expect("intact").len(), 3);
    assert!(!unfinished.exists());
}

/// The engine keeps a journal of its own, in which nothing lies: whatever becomes of it changes nothing.
#[test]
fn the_engines_own_journal_does_not_matter() {
    let dir = temp_dir();
    let store = Embedded::open(dir.path(), small(1)).expect("the store opens");
    for first in 0..20 {
        commit(&store, batch(&key(1), first, 1));
    }
    drop(store);
    let journal = dir.path().join("store/engine/0.jnl");
    for change in [None, Some(&b"garbage"[..]), Some(&[0; 4096])] {
        match change {
            None => fs::remove_file(&journal),
            Some(bytes) => fs::write(&journal, bytes),
        }
        .expect("it is there");
        fs::write(dir.path().join("store/engine/7.jnl"), b"more").expect("it can be written");
        assert_eq!(rows(&open(dir.path()), &key(1)).expect("intact").len(), 20);
        assert!(verify(dir.path()).expect("it opens").ok);
    }
}

/// Segments keep the size that they were made with; later ones have another.
#[test]
fn another_segment_size_is_no_other_store() {
    let dir = temp_dir();
    let mut first = 0;
    for segment_bytes in [1, 500_000, 4_000, 700_000] {
        let store = Embedded::open(dir.path(), small(segment_bytes)).expect("the store opens");
        for _ in 0..6 {
            commit(&store, batch(&key(1), first, 50));
            first += 50;
        }
        assert_eq!(rows(&store, &key(1)).expect("intact").len() as u64, first);
    }
}

#[test]
fn tools_make_nothing() {
    let dir = temp_dir();
    assert!(matches!(verify(dir.path()), Err(OpenError::Absent(_))));
    assert!(matches!(dump(dir.path(), key(1)), Err(OpenError::Absent(_))));
    assert_eq!(fs::read_dir(dir.path()).expect("it is there").count(), 0);
}

#[test]
fn verify_and_dump_tell_what_is_there() {
    let dir = temp_dir();
    {
        let store = open(dir.path());
        assert_eq!(block_on(store.open_epoch()), Ok(1));
        for first in (0..600).step_by(100) {
            commit(&store, batch(&key(1), first, 100));
        }
        commit(&store, batch(&key(2), 0, 1));
        assert_eq!(block_on(store.trim(&key(1), 50)), Ok(50));
    }
    let report = verify(dir.path()).expect("it opens");
    assert!(report.ok, "{report:?}");
    assert_eq!((report.conversations, report.events, report.corrupt.len()), (2, 550, 0));
    let dumped: Vec<_> = dump(dir.path(), key(1)).expect("it opens").map(|row| row.expect("intact")).collect();
    assert_eq!(dumped.len(), 551);
    for (seq, row) in &dumped {
        assert_eq!(row.body, body(&key(1), *seq));
    }
    assert_eq!(dump(dir.path(), key(9)).expect("it opens").count(), 0);
    let before = support::journal(dir.path());
    verify(dir.path()).expect("it opens");
    assert!(support::journal(dir.path()) == before, "a reading tool wrote");
    // An epoch is durable by itself, and reading tools do not raise it.
    assert_eq!(block_on(open(dir.path()).open_epoch()), Ok(2));
}

#[test]
fn verify_finds_what_contradicts_itself() {
    let dir = temp_dir();
    {
        let store = open(dir.path());
        commit(&store, batch(&key(1), 0, 3));
        commit(&store, batch(&key(1), 5, 3));
        let odd = |seq, first, ordinal, epoch| {
            let row = RowRef { epoch, first, ordinal, kind: 1, sender: "", client_id: "", time_ms: 0, body: b"" };
            row.encode(&key(2), seq)
        };
        let rows = vec![odd(0, 0, 5, 3), odd(1, 1, 4, 3), odd(2, 2, 5, 2), odd(3, 9, 5, 3), odd(4, 2, 5, 3)];
        append(&store, Batch { key: key(2), epoch: 3, first: 0, rows });
        let mut blob = odd(0, 0, 0, 1).to_vec();
        blob[7] ^= 4;
        append(&store, Batch { key: key(3), epoch: 3, first: 0, rows: vec![blob.into()] });
    }
    let report = verify(dir.path()).expect("it opens");
    assert!(!report.ok);
    let found: Vec<_> = report
        .corrupt
        .iter()
        .map(|corruption| {
            let conversation = corruption.conversation.as_ref().expect("each is a row").conversation;
            (conversation.as_bytes()[0], corruption.seq.expect("each is a row"), corruption.reason.as_str())
        })
        .collect();
    assert_eq!(
        found,
        [
            (1, 3, "missing"),
            (2, 1, "its ordinal falls"),
            (2, 2, "its epoch falls"),
            (2, 3, "its batch begins behind it"),
            (2, 3, "it neither begins a batch nor continues the one before"),
            (2, 4, "it neither begins a batch nor continues the one before"),
            (3, 0, "checksum mismatch"),
        ]
    );
}
