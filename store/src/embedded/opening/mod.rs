//! The data directory: made in a way that a crash at any moment leaves either no store or a whole one, and opened again.
//!
//! ```text
//! <data>/lock            held while open, with the holder's process number
//! <data>/store/schema    see schema.rs
//! <data>/store/journal/  see journal/mod.rs; <n> is a segment, <n>.new one being made, removed when found
//! <data>/store/engine/   the engine's files
//! <data>/store.new/      a store being made; removed when found
//! ```

pub(in crate::embedded) mod lock;
mod manifests;
pub(in crate::embedded) mod schema;

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::engine::{Engine, Expect};
use super::journal;
use super::memory::restore::{self, Restored};
use super::options::{OpenError, Options};
use lock::DirLock;

/// Makes the data directory, readable by its owner alone, if it is not there.
pub(in crate::embedded) fn make_dir(dir: &Path) -> Result<(), OpenError> {
    let made = || format!("making {}", dir.display());
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(OpenError::io(made()))?;
    let dir = dir.canonicalize().map_err(OpenError::io(made()))?;
    match dir.parent() {
        // Without this the new directory itself would not survive a power cut. A parent that may not be read cannot have
        // been made here, so it holds the directory already.
        Some(parent) => match sync(parent) {
            Err(error) if error.kind() != io::ErrorKind::PermissionDenied => Err(OpenError::io(made())(error)),
            _ => Ok(()),
        },
        None => Ok(()),
    }
}

/// An opened store directory.
pub(in crate::embedded) struct Opened {
    pub(in crate::embedded) engine: Engine,
    /// Where the journal lies.
    pub(in crate::embedded) journal_dir: PathBuf,
    /// What it says.
    pub(in crate::embedded) restored: Restored,
    /// Dropped last.
    pub(in crate::embedded) lock: DirLock,
}

/// Opens the store in a data directory that exists; makes one if there is none and that is wished.
pub(in crate::embedded) fn open(dir: &Path, options: &Options, create: bool) -> Result<Opened, OpenError> {
    if !create && !dir.join("store").is_dir() {
        return Err(OpenError::Absent(dir.into()));
    }
    let lock = DirLock::acquire(dir)?;
    let store = dir.join("store");
    if !store.exists() {
        make_store(dir, &store, options)?;
    }
    let found = schema::check(&store)?;
    let expect = if found < schema::SCHEMA { Expect::Older(found) } else { Expect::Whole };
    let (engine, journal_dir) = (store.join("engine"), store.join("journal"));
    for tree in expect.new_dirs() {
        manifests::forget_unfinished(&engine, &tree)?;
    }
    manifests::check(&engine)?;
    let restored = restore::restore(journal::open(&journal_dir)?)?;
    let engine = Engine::open(&engine, options, expect)?;
    if found < schema::SCHEMA {
        // The new trees are there. From here on an older binary must not open it, for it would not see what they say.
        let raised = sync_all(&store).and_then(|()| schema::raise(&store));
        raised.map_err(OpenError::io(format!("raising the schema in {}", store.display())))?;
    }
    Ok(Opened { engine, journal_dir, restored, lock })
}

/// Makes a whole store beside its place, syncs every file and directory of it, and puts it there with one rename.
fn make_store(dir: &Path, store: &Path, options: &Options) -> Result<(), OpenError> {
    let new = dir.join("store.new");
    let making = || format!("making {}", new.display());
    match fs::remove_dir_all(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(OpenError::io(making())(error)),
        _ => {}
    }
    DirBuilder::new().mode(0o700).create(&new).map_err(OpenError::io(making()))?;
    journal::make_dir(&new.join("journal"), options.segment_bytes).map_err(OpenError::io(making()))?;
    drop(Engine::open(&new.join("engine"), options, Expect::Nothing)?);
    schema::write(&new, schema::SCHEMA).map_err(OpenError::io(making()))?;
    sync_all(&new).map_err(OpenError::io(making()))?;
    fs::rename(&new, store).map_err(OpenError::io(format!("naming {}", store.display())))?;
    sync(dir).map_err(OpenError::io(format!("syncing {}", dir.display())))
}

/// Syncs a directory with everything in it; what the engine removes meanwhile need not stay.
fn sync_all(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path: PathBuf = entry?.path();
        match if path.is_dir() { sync_all(&path) } else { sync(&path) } {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    sync(dir)
}

fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::super::Embedded;
    use super::*;

    #[test]
    fn a_store_of_the_oldest_schema_gets_the_trees_that_it_lacks() {
        let dir = tempfile::tempdir().expect("a directory");
        drop(Embedded::open(dir.path(), Options::default()).expect("a new store"));
        let store = dir.path().join("store");
        let engine = Engine::open(&store.join("engine"), &Options::default(), Expect::Whole).expect("it is whole");
        engine.db.delete_keyspace(engine.overlays.clone()).expect("it was there");
        drop(engine);
        let lacking = Embedded::open(dir.path(), Options::default()).err().expect("a tree is missing");
        assert!(matches!(lacking, OpenError::Corrupt(_)), "{lacking}");
        schema::write(&store, schema::OLDEST).expect("it can be written");
        for _ in 0..2 {
            drop(Embedded::open(dir.path(), Options::default()).expect("it is raised"));
            assert_eq!(schema::check(&store).expect("it is read"), schema::SCHEMA);
        }
    }
}
