//! The schema marker: a small checksummed file that says which form the store has. It is written last when a store is
//! made, so a store with a marker is complete.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::ops::RangeInclusive;
use std::path::Path;

use super::super::options::OpenError;

/// The form this binary writes. In that of before no list of members had another name than its conversation's.
pub(in crate::embedded) const SCHEMA: u32 = 6;

/// The oldest form this binary reads: without the tree of overlays, which came with the next, that of marks, with the one after,
/// and that of decisions, with the one after that.
pub(in crate::embedded) const OLDEST: u32 = 2;

/// The forms this binary reads.
pub(in crate::embedded) const ACCEPTED: RangeInclusive<u32> = OLDEST..=SCHEMA;

const NAME: &str = "schema";

fn text(version: u32) -> String {
    let line = format!("switchyard store schema {version}");
    format!("{line} {:08x}\n", crc32c::crc32c(line.as_bytes()))
}

/// Writes and syncs the marker; the directory is the caller's to sync.
pub(in crate::embedded) fn write(store: &Path, version: u32) -> std::io::Result<()> {
    let mut file = File::create(store.join(NAME))?;
    file.write_all(text(version).as_bytes())?;
    file.sync_all()
}

/// Puts the marker of this binary's form in place of an older one, wholly or not at all.
pub(in crate::embedded) fn raise(store: &Path) -> std::io::Result<()> {
    let new = store.join("schema.new");
    let mut file = File::create(&new)?;
    file.write_all(text(SCHEMA).as_bytes())?;
    file.sync_all()?;
    std::fs::rename(new, store.join(NAME))?;
    File::open(store)?.sync_all()
}

/// The store's schema, if it is one that this binary reads; else why not.
pub(in crate::embedded) fn check(store: &Path) -> Result<u32, OpenError> {
    let path = store.join(NAME);
    let found = match std::fs::read_to_string(&path) {
        Ok(found) => found,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidData) => {
            return Err(OpenError::Corrupt(format!("{} is missing or not text", path.display())));
        }
        Err(error) => return Err(OpenError::io(format!("reading {}", path.display()))(error)),
    };
    let version = found.split_whitespace().nth(3).and_then(|word| word.parse().ok());
    match version {
        Some(version) if text(version) != found => {
            Err(OpenError::Corrupt(format!("{} fails its checksum", path.display())))
        }
        Some(version) if ACCEPTED.contains(&version) => Ok(version),
        Some(version) => Err(OpenError::Schema { found: version, accepted: ACCEPTED }),
        None => Err(OpenError::Corrupt(format!("{} does not name a schema", path.display()))),
    }
}
