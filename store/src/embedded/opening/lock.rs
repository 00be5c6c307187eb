//! The exclusive lock on a data directory. The operating system drops it with the process, however that ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::super::options::OpenError;

/// Held as long as the store is open.
pub(in crate::embedded) struct DirLock {
    file: File,
}

impl DirLock {
    /// Takes the lock at once or says who has it.
    pub(in crate::embedded) fn acquire(dir: &Path) -> Result<Self, OpenError> {
        let path = dir.join("lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(OpenError::io(format!("opening {}", path.display())))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let pid = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
                return Err(OpenError::Locked { dir: dir.into(), pid });
            }
            Err(TryLockError::Error(source)) => {
                return Err(OpenError::Io { what: format!("locking {}", path.display()), source });
            }
        }
        // The number is for people only, so failing to write it changes nothing but the text of somebody's error.
        let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Self { file })
    }
}

impl Drop for DirLock {
    fn drop(&mut self) {
        // Closing alone would leave it to a process that was just forked and has not yet begun to run its program.
        if let Err(error) = self.file.unlock() {
            tracing::warn!(%error, "unlocking the data directory");
        }
    }
}
