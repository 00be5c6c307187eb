//! The pretended disk as a mounted file system. Translates the kernel's requests and decides nothing. The kernel keeps no
//! writes back (its write-back cache stays off), so each write and sync reaches the disk when a program makes it.
//!
//! Mounting needs `/dev/fuse`, and either root or the `fusermount3` program of the package `fuse3`.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use fuser::{
    BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, LockOwner, MountOption, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory,
    ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, Session, TimeOrNow, WriteFlags,
};
use rustix::mount::{UnmountFlags, unmount};
use tempfile::TempDir;

use super::disk::{Disk, Refusal, Status};

/// How long the kernel may believe what it was told. Nobody else changes the disk, and a restored one is mounted anew.
const BELIEVED: Duration = Duration::from_secs(3600);

const BLOCK_BYTES: u32 = 512;

/// Blocks that it claims to have free: more than any store keeps in reserve.
const FREE_BLOCKS: u64 = 1 << 30;

/// Longest name, as everywhere.
const NAME_BYTES_MAX: u32 = 255;

/// A disk that several mounts serve one after the other.
pub(super) type SharedDisk = Arc<Mutex<Disk>>;

/// Takes the disk.
pub(super) fn lock(disk: &SharedDisk) -> MutexGuard<'_, Disk> {
    disk.lock().expect("the disk does not panic")
}

/// A mount, undone when dropped, however its test ends.
pub(super) struct Mount {
    session: Option<BackgroundSession>,
    dir: TempDir,
}

impl Mount {
    /// Mounts the disk. The sender is told once when the power goes.
    pub(super) fn new<T: Send + 'static>(disk: &SharedDisk, on_cut: Sender<T>, cut: T) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("power-cut-test".into()), MountOption::NoAtime];
        let tell = Mutex::new(Some(move || {
            // Nobody listens when a test has ended already.
            let _ = on_cut.send(cut);
        }));
        let on_cut = move || {
            if let Some(tell) = tell.lock().expect("nothing panics under this lock").take() {
                tell();
            }
        };
        let fs = DiskFs { disk: Arc::clone(disk), on_cut: Box::new(on_cut), listings: Mutex::default() };
        let session = Session::new(fs, dir.path(), &config)
            .and_then(Session::spawn)
            .context("mounting by FUSE: needs /dev/fuse, and root or fusermount3")?;
        Ok(Self { session: Some(session), dir })
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Undoes it and waits until the kernel has let go. Every process that used it must have ended.
    pub(super) fn unmount(mut self) -> anyhow::Result<()> {
        let session = self.session.take().context("mounted once")?;
        let ended = match unmount(self.dir.path(), UnmountFlags::DETACH) {
            Ok(()) => session.join(),
            // Not root: the mounting program undoes it.
            Err(_) => session.umount_and_join(),
        };
        match ended {
            // The kernel has two words for "unmounted" when requests were under way.
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => Ok(()),
            ended => Ok(ended?),
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if self.session.is_some() {
            // If this fails, dropping the session tries in its own way.
            let _ = unmount(self.dir.path(), UnmountFlags::DETACH);
        }
    }
}

struct DiskFs {
    disk: SharedDisk,
    on_cut: Box<dyn Fn() + Send + Sync>,
    listings: Mutex<Listings>,
}

/// Directories that are open.
#[derive(Default)]
struct Listings {
    last: u64,
    open: HashMap<u64, Vec<(OsString, Status)>>,
}

impl DiskFs {
    /// Works on the disk and says so if that pulled the plug.
    fn with<T>(&self, work: impl FnOnce(&mut Disk) -> Result<T, Refusal>) -> Result<T, Errno> {
        let result = work(&mut lock(&self.disk));
        if matches!(result, Err(Refusal::NoPower)) {
            (self.on_cut)();
        }
        result.map_err(errno)
    }

    fn done(&self, reply: ReplyEmpty, work: impl FnOnce(&mut Disk) -> Result<(), Refusal>) {
        match self.with(work) {
            Ok(()) => reply.ok(),
            Err(errno) => reply.error(errno),
        }
    }

    fn entry(&self, reply: ReplyEntry, work: impl FnOnce(&mut Disk) -> Result<Status, Refusal>) {
        match self.with(work) {
            Ok(status) => reply.entry(&BELIEVED, &attributes(status), Generation(0)),
            Err(errno) => reply.error(errno),
        }
    }
}

fn errno(refusal: Refusal) -> Errno {
    match refusal {
        Refusal::Absent => Errno::ENOENT,
        Refusal::Exists => Errno::EEXIST,
        Refusal::NotEmpty => Errno::ENOTEMPTY,
        Refusal::NotDirectory => Errno::ENOTDIR,
        Refusal::IsDirectory => Errno::EISDIR,
        Refusal::OtherDirectory => Errno::EXDEV,
        Refusal::NoPower => Errno::EIO,
    }
}

fn attributes(status: Status) -> FileAttr {
    let (kind, perm, nlink) =
        if status.is_directory { (FileType::Directory, 0o700, 2) } else { (FileType::RegularFile, 0o600, 1) };
    FileAttr {
        ino: INodeNo(status.inode),
        size: status.len,
        blocks: status.len.div_ceil(u64::from(BLOCK_BYTES)),
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind,
        perm,
        nlink,
        uid: rustix::process::getuid().as_raw(),
        gid: rustix::process::getgid().as_raw(),
        rdev: 0,
        blksize: BLOCK_BYTES,
        flags: 0,
    }
}

impl Filesystem for DiskFs {
    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        self.entry(reply, |disk| disk.lookup(parent.0, name));
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        match self.with(|disk| disk.status(ino.0)) {
            Ok(status) => reply.attr(&BELIEVED, &attributes(status)),
            Err(errno) => reply.error(errno),
        }
    }

    fn setattr(
        &self,
        _req: &Request,
        ino: INodeNo,
        _mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let resized = self.with(|disk| {
            if let Some(len) = size {
                disk.set_len(ino.0, len)?;
            }
            disk.status(ino.0)
        });
        match resized {
            Ok(status) => reply.attr(&BELIEVED, &attributes(status)),
            Err(errno) => reply.error(errno),
        }
    }

    fn mkdir(&self, _req: &Request, parent: INodeNo, name: &OsStr, _mode: u32, _umask: u32, reply: ReplyEntry) {
        self.entry(reply, |disk| disk.create_directory(parent.0, name));
    }

    fn unlink(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.done(reply, |disk| disk.remove_file(parent.0, name));
    }

    fn rmdir(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.done(reply, |disk| disk.remove_directory(parent.0, name));
    }

    fn rename(
        &self,
        _req: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        if !(flags - RenameFlags::RENAME_NOREPLACE).is_empty() {
            return reply.error(Errno::EINVAL);
        }
        let replace = flags.is_empty();
        self.done(reply, |disk| disk.rename((parent.0, name), (newparent.0, newname), replace));
    }

    fn link(&self, _req: &Request, ino: INodeNo, newparent: INodeNo, newname: &OsStr, reply: ReplyEntry) {
        self.entry(reply, |disk| disk.link(ino.0, newparent.0, newname));
    }

    fn create(
        &self,
        _req: &Request,
        parent: INodeNo,
        name: &OsStr,
        _mode: u32,
        _umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        match self.with(|disk| disk.create_file(parent.0, name)) {
            Ok(status) => {
                reply.created(&BELIEVED, &attributes(status), Generation(0), FileHandle(0), FopenFlags::empty());
            }
            Err(errno) => reply.error(errno),
        }
    }

    fn read(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.with(|disk| disk.read(ino.0, offset, size as usize)) {
            Ok(bytes) => reply.data(&bytes),
            Err(errno) => reply.error(errno),
        }
    }

    fn write(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.with(|disk| disk.write(ino.0, offset, data)) {
            Ok(()) => reply.written(u32::try_from(data.len()).expect("the kernel writes at most a few MB at once")),
            Err(errno) => reply.error(errno),
        }
    }

    fn fsync(&self, _req: &Request, ino: INodeNo, _fh: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        self.done(reply, |disk| disk.sync_file(ino.0));
    }

    /// A listing is of one moment, so that removing what it names skips nothing.
    fn opendir(&self, _req: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        match self.with(|disk| disk.names(ino.0)) {
            Ok(names) => {
                let mut listings = self.listings.lock().expect("nothing panics under this lock");
                listings.last += 1;
                let handle = listings.last;
                listings.open.insert(handle, names);
                reply.opened(FileHandle(handle), FopenFlags::empty());
            }
            Err(errno) => reply.error(errno),
        }
    }

    fn readdir(&self, _req: &Request, _ino: INodeNo, fh: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let listings = self.listings.lock().expect("nothing panics under this lock");
        let Some(names) = listings.open.get(&fh.0) else { return reply.error(Errno::EBADF) };
        for (next, (name, status)) in (1..).zip(names).skip(usize::try_from(offset).unwrap_or(usize::MAX)) {
            let kind = if status.is_directory { FileType::Directory } else { FileType::RegularFile };
            if reply.add(INodeNo(status.inode), next, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn releasedir(&self, _req: &Request, _ino: INodeNo, fh: FileHandle, _flags: OpenFlags, reply: ReplyEmpty) {
        self.listings.lock().expect("nothing panics under this lock").open.remove(&fh.0);
        reply.ok();
    }

    fn fsyncdir(&self, _req: &Request, ino: INodeNo, _fh: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        self.done(reply, |disk| disk.sync_directory(ino.0));
    }

    fn statfs(&self, _req: &Request, _ino: INodeNo, reply: ReplyStatfs) {
        reply.statfs(FREE_BLOCKS, FREE_BLOCKS, FREE_BLOCKS, 0, 0, BLOCK_BYTES, NAME_BYTES_MAX, BLOCK_BYTES);
    }
}
