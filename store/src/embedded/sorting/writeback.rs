//! Has the disk take a file of the engine piece by piece while it is being written. The engine syncs it once, at its end; all of it would
//! then go to the disk at once, and whoever waits for the journal's sync would wait for that.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Bytes that may wait: a disk takes them in about the time of one sync.
const UNSYNCED_BYTES_MAX: usize = 512 * 1024;

/// The files of one tree.
pub(super) struct Writeback {
    tables: PathBuf,
    unsynced: usize,
}

impl Writeback {
    /// For the tree in this directory.
    pub(super) fn new(tree: &Path) -> Self {
        Self { tables: tree.join("tables"), unsynced: 0 }
    }

    /// So many bytes more were given to the engine. What fails here fails again when the engine syncs, which is what counts.
    pub(super) fn written(&mut self, bytes: usize) {
        self.unsynced += bytes;
        if self.unsynced >= UNSYNCED_BYTES_MAX {
            self.unsynced = 0;
            let _ = newest(&self.tables).and_then(|table| File::open(table).ok()).map(|table| table.sync_data());
        }
    }
}

/// The file that is being written: their names are numbers that grow.
fn newest(tables: &Path) -> Option<PathBuf> {
    let names = fs::read_dir(tables).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let newest = names.filter_map(|name| name.parse::<u64>().ok()).max()?;
    Some(tables.join(newest.to_string()))
}
