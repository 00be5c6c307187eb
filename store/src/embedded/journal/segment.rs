//! The files of the journal: made whole and full of zeros, so that writing to them later changes nothing but their sectors,
//! and used again and again.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use super::super::options::OpenError;
use super::sector::{Place, SECTOR_BYTES};

/// The shortest segment: the largest record fits beside the one that begins a segment.
const SEGMENT_BYTES_MIN: u64 = 384 * 1024;

/// The longest segment, so that sectors are counted in 32 bits with room to spare.
const SEGMENT_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Zeros written at a time, and brought to the disk before more follow: whoever waits for a sync of the segment in use waits for no more
/// than that.
const ZEROS_BYTES: usize = 512 * 1024;

/// What the name of a segment that is being made ends with.
const UNFINISHED: &str = ".new";

/// An open segment.
#[derive(Clone, Debug)]
pub(in crate::embedded) struct Segment {
    pub(super) place: Place,
    file: Arc<File>,
    /// Held by a write and by a sync. Were the kernel sending a page to the disk while a sector of it is being written, that
    /// sector could get there half old, which nothing could tell from damage.
    turn: Arc<Mutex<()>>,
}

impl Segment {
    /// Makes a segment that survives a power cut as soon as this returns; before that, none of this name is there.
    pub(in crate::embedded) fn make(dir: &Path, number: u32, wished_bytes: u64) -> io::Result<Self> {
        let bytes = wished_bytes.clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX).next_multiple_of(SECTOR_BYTES as u64);
        let new = dir.join(format!("{number}{UNFINISHED}"));
        let made = Self::fill(&new, bytes).and_then(|file| {
            fs::rename(&new, dir.join(number.to_string()))?;
            sync_dir(dir)?;
            Ok(file)
        });
        match made {
            Ok(file) => Ok(Self::new(number, bytes, file)),
            Err(error) => {
                // It may be the one file too many on a full disk.
                let _ = fs::remove_file(&new);
                Err(error)
            }
        }
    }

    fn fill(path: &Path, bytes: u64) -> io::Result<File> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        let zeros = vec![0; ZEROS_BYTES];
        let mut at = 0;
        while at < bytes {
            let now = usize::try_from(bytes - at).map_or(ZEROS_BYTES, |left| left.min(ZEROS_BYTES));
            file.write_all_at(&zeros[..now], at)?;
            file.sync_data()?;
            at += now as u64;
        }
        file.sync_all()?;
        Ok(file)
    }

    fn new(number: u32, bytes: u64, file: File) -> Self {
        let sectors = u32::try_from(bytes / SECTOR_BYTES as u64).expect("a segment has a limit");
        Self { place: Place { segment: number, sectors }, file: Arc::new(file), turn: Arc::default() }
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().expect("nothing panics under this lock")
    }

    /// Writes whole sectors, to the kernel only. Waits for a sync that is under way.
    pub(super) fn write(&self, first: u32, sectors: &[u8]) -> io::Result<()> {
        let _turn = self.turn();
        self.file.write_all_at(sectors, u64::from(first) * SECTOR_BYTES as u64)
    }

    /// Brings all that was written to the disk.
    pub(in crate::embedded) fn sync(&self) -> io::Result<()> {
        let _turn = self.turn();
        self.file.sync_data()
    }

    /// Its number.
    pub(in crate::embedded) fn number(&self) -> u32 {
        self.place.segment
    }
}

/// Makes the journal's directory, with its first segment.
pub(in crate::embedded) fn make_dir(dir: &Path, wished_bytes: u64) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(dir)?;
    Segment::make(dir, 0, wished_bytes).map(drop)
}

/// Opens all segments and reads them, in the order of their numbers.
pub(super) fn open_all(dir: &Path) -> Result<Vec<(Segment, Vec<u8>)>, OpenError> {
    let listing = || OpenError::io(format!("listing {}", dir.display()));
    let mut numbers = Vec::new();
    for entry in fs::read_dir(dir).map_err(listing())? {
        let path = entry.map_err(listing())?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some(number) = name.strip_suffix(UNFINISHED).and_then(number_of) {
            tracing::info!(number, "removing a segment that was never finished");
            fs::remove_file(&path).map_err(OpenError::io(format!("removing {}", path.display())))?;
            continue;
        }
        match number_of(name) {
            Some(number) => numbers.push(number),
            None => return Err(OpenError::Corrupt(format!("{} is no part of a journal", path.display()))),
        }
    }
    numbers.sort_unstable();
    if numbers.is_empty() || (0..).zip(&numbers).any(|(expected, number)| expected != *number) {
        return Err(OpenError::Corrupt(format!("a segment is missing in {}", dir.display())));
    }
    numbers.into_iter().map(|number| open(dir, number)).collect()
}

/// The number that a name spells in the only way it can.
fn number_of(name: &str) -> Option<u32> {
    name.parse().ok().filter(|number: &u32| number.to_string() == name)
}

fn open(dir: &Path, number: u32) -> Result<(Segment, Vec<u8>), OpenError> {
    let path = dir.join(number.to_string());
    let reading = || OpenError::io(format!("reading {}", path.display()));
    let file = OpenOptions::new().read(true).write(true).open(&path).map_err(reading())?;
    let bytes = file.metadata().map_err(reading())?.len();
    if !(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&bytes) || bytes % SECTOR_BYTES as u64 != 0 {
        return Err(OpenError::Corrupt(format!("{} has a length that no segment has", path.display())));
    }
    let mut contents = vec![0; usize::try_from(bytes).expect("a segment has a limit")];
    match file.read_exact_at(&mut contents, 0) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
            return Err(OpenError::Corrupt(format!("{} became shorter", path.display())));
        }
        read => read.map_err(reading())?,
    }
    Ok((Segment::new(number, bytes, file), contents))
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_written_while_a_sync_is_under_way() {
        let dir = tempfile::tempdir().expect("a directory");
        let segment = Segment::make(dir.path(), 0, SEGMENT_BYTES_MIN).expect("there is room");
        let sector = [7; SECTOR_BYTES];
        let file = File::open(dir.path().join("0")).expect("it is there");
        let read = || {
            let mut found = [0; SECTOR_BYTES];
            file.read_exact_at(&mut found, 0).expect("it is long enough");
            found
        };
        let (begins, begun) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let sync = segment.turn();
            let writer = scope.spawn(|| {
                begins.send(()).expect("the test waits");
                segment.write(0, &sector)
            });
            begun.recv().expect("the writer comes");
            for _ in 0..1_000 {
                std::thread::yield_now();
                assert_eq!(read(), [0; SECTOR_BYTES]);
            }
            drop(sync);
            writer.join().expect("it does not panic").expect("it is written");
        });
        segment.sync().expect("the disk works");
        assert_eq!(read(), sector);
    }
}
