//! A disk that can be filled: a file system of its own in memory, which is this process's mount namespace's.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

/// What it holds: a node without data takes a hundredth of it, for its log's files have holes, and one under load has all of its log there.
const SIZE: &str = "size=256m";

/// The file that takes all that is left.
const BALLAST: &str = "ballast";

/// It is written in pieces of so many bytes, and by a page where those find no room any more.
const PIECE: usize = 1 << 20;
const PAGE: usize = 1 << 12;

/// See the module. It goes, with what it holds, when this is dropped.
pub(crate) struct SmallDisk {
    dir: PathBuf,
}

impl SmallDisk {
    /// Mounts one at this folder, which is made.
    pub(super) fn mount(dir: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("{} cannot be made", dir.display()))?;
        let size = std::ffi::CString::new(SIZE)?;
        mount("tmpfs", dir, "tmpfs", MountFlags::empty(), size.as_c_str())
            .with_context(|| format!("no disk can be mounted at {}", dir.display()))?;
        Ok(Self { dir: dir.to_owned() })
    }

    /// Leaves no room on it, and says how many bytes that took.
    pub(crate) fn fill(&self) -> anyhow::Result<u64> {
        let path = self.dir.join(BALLAST);
        let mut file = File::options().create(true).append(true).open(&path)?;
        for size in [PIECE, PAGE] {
            let piece = vec![0; size];
            loop {
                match file.write_all(&piece) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => bail!("{} cannot be written: {error}", path.display()),
                }
            }
        }
        Ok(file.metadata()?.len())
    }

    /// Makes room again.
    pub(crate) fn free(&self) -> anyhow::Result<()> {
        let path = self.dir.join(BALLAST);
        fs::remove_file(&path).with_context(|| format!("{} cannot be removed", path.display()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Whoever still has a file open there keeps nothing from going on.
        let _ = unmount(&self.dir, UnmountFlags::DETACH);
    }
}
