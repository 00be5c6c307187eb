//! What must hold before the engine may open its files, checked without it, because on its own it would quietly cut its
//! journal at the first byte that it does not understand, delete trees whose manifest it misses, and believe manifests
//! without looking at their checksums.
//!
//! # The journal
//! Every write batch begins with a [`Witness`]. A journal that the engine has sealed was synced as a whole, so anything
//! wrong in it is damage. In the active one a batch that is not intact is either damage or the torn tail of a crash,
//! which was never confirmed and is cut off here. It is **damage** if
//! 1. any later witness (of a whole batch or of a torn one) says that it was synced, or
//! 2. it is of full length and wrong inside, or the journal ends with a batch's last bytes, and no sector of it shows the
//!    zeros that a write which never reached the disk leaves behind, or
//! 3. numbers of intact batches do not follow each other.
//!
//! **Not detected:** a flip in what the very last barrier before a *power cut* confirmed, if that power cut also tore what
//! was written after it so that no later witness is left, and the flip hit a length or tag; and whole sectors of the last
//! such stretch turned to zeros. A crash of the process alone tears nothing that was synced and leaves no zeros, so there
//! every flip is found.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::journal::{Fault, Reader, TRAILER};
use super::options::OpenError;
use super::witness::Witness;

/// What a disk writes wholly or not at all.
const SECTOR_BYTES: u64 = 512;

/// Zeros at a sector's end that are taken for a write that did not arrive. Fewer occur within rows.
const ZEROS_OF_A_TEAR: usize = 8;

/// How far the engine's numbers may run ahead of ours between two batches; it uses a few for its own changes.
const ENGINE_NUMBERS_BETWEEN: u64 = 1 << 32;

/// Checks everything, then cuts off a torn tail. Returns the number of the last write batch in the journals, or nothing
/// if they are empty.
pub(super) fn prepare(engine: &Path) -> Result<Option<u64>, OpenError> {
    // Without this file the engine would begin anew.
    if !engine.join("version").is_file() {
        return Err(OpenError::Corrupt(format!("{}: the engine's version is missing", engine.display())));
    }
    check_manifests(&engine.join("keyspaces"))?;
    let journals = journals(engine)?;
    let mut chain = Chain::default();
    let mut torn = None;
    for (index, path) in journals.iter().enumerate() {
        let active = index + 1 == journals.len();
        if let Some(end) = check_journal(path, active, &mut chain)? {
            torn = Some((path, end));
        }
    }
    if let Some((path, end)) = torn {
        tracing::info!(journal = %path.display(), end, "cutting off writes that were never confirmed");
        let file = File::options().write(true).open(path).and_then(|file| {
            file.set_len(end)?;
            file.sync_all()
        });
        file.map_err(OpenError::io(format!("cutting {}", path.display())))?;
    }
    Ok(chain.last.map(|(witness, _)| witness.number))
}

/// The journals, oldest first. The engine numbers them without a hole and removes the oldest.
fn journals(engine: &Path) -> Result<Vec<PathBuf>, OpenError> {
    let what = || format!("listing {}", engine.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(engine).map_err(OpenError::io(what()))? {
        let path = entry.map_err(OpenError::io(what()))?.path();
        if path.extension().is_some_and(|extension| extension == "jnl") {
            let number: Option<u64> = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
            let number =
                number.ok_or_else(|| OpenError::Corrupt(format!("{} is not the name of a journal", path.display())))?;
            found.push((number, path));
        }
    }
    found.sort();
    if found.windows(2).any(|pair| pair[1].0 != pair[0].0 + 1) || found.is_empty() {
        return Err(OpenError::Corrupt(format!("a journal is missing in {}", engine.display())));
    }
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// The last intact batch, over all journals.
#[derive(Default)]
struct Chain {
    last: Option<(Witness, u64)>,
}

impl Chain {
    fn follow(&mut self, witness: Witness, engine_number: u64) -> Result<(), &'static str> {
        if let Some((last, last_engine_number)) = self.last
            && (witness.number != last.number + 1 || engine_number <= last_engine_number)
        {
            return Err("write batches do not follow each other");
        }
        let ahead = engine_number.checked_sub(witness.engine_number);
        if ahead.is_none_or(|ahead| ahead > ENGINE_NUMBERS_BETWEEN) {
            return Err("the engine's number of a write batch was altered");
        }
        self.last = Some((witness, engine_number));
        Ok(())
    }
}

/// Reads a journal to its end. Returns where a torn tail begins, if there is one.
fn check_journal(path: &Path, active: bool, chain: &mut Chain) -> Result<Option<u64>, OpenError> {
    let reading = || format!("reading {}", path.display());
    let corrupt = |at: u64, reason: &str| OpenError::Corrupt(format!("{} at byte {at}: {reason}", path.display()));
    let file = File::open(path).map_err(OpenError::io(reading()))?;
    let mut reader = Reader::new(&file);
    let mut end = 0;
    let fault = loop {
        match reader.batch() {
            Ok(None) => return Ok(None),
            Ok(Some(batch)) => {
                let witness = batch.witness.ok_or_else(|| corrupt(end, "a write batch without a witness"))?;
                chain.follow(witness, batch.engine_number).map_err(|reason| corrupt(end, reason))?;
                end = reader.pos();
            }
            Err(Fault::Io(error)) => return Err(OpenError::io(reading())(error)),
            Err(fault) => break fault,
        }
    };
    let fault_end = matches!(fault, Fault::Sum).then(|| reader.pos());
    let tail = Tail::read(&file, end).map_err(OpenError::io(reading()))?;
    if tail.bytes.is_empty() {
        return Ok(None);
    }
    if !active {
        return Err(corrupt(end, "a sealed journal is damaged"));
    }
    match tail.damage(fault_end, chain.last.map(|(witness, _)| witness.number)) {
        Some(reason) => Err(corrupt(end, reason)),
        None => Ok(Some(end)),
    }
}

/// What follows the last intact batch, without the zeros at the end.
struct Tail {
    start: u64,
    bytes: Vec<u8>,
}

impl Tail {
    fn read(mut file: &File, start: u64) -> io::Result<Self> {
        static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        let mut zeros = 0;
        let mut chunk = vec![0; ZEROS.len()];
        loop {
            let read = file.read(&mut chunk)?;
            if read == 0 {
                break;
            }
            if chunk[..read] == ZEROS[..read] {
                zeros += read;
            } else {
                bytes.resize(bytes.len() + zeros, 0);
                zeros = 0;
                bytes.extend_from_slice(&chunk[..read]);
            }
        }
        bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
        Ok(Self { start, bytes })
    }

    /// Why this is damage and not the torn tail of a crash, if it is. `fault_end` is where the first batch in it ends,
    /// if it is of full length; `last` is the number of the intact batch before it.
    fn damage(&self, fault_end: Option<u64>, last: Option<u64>) -> Option<&'static str> {
        let witnesses: Vec<Witness> = Witness::find_all(&self.bytes).collect();
        let synced = witnesses.iter().map(|witness| witness.synced).max().unwrap_or(0);
        // Without a batch before it, the lowest number seen here is the first that could be wrong.
        let last = last.or_else(|| witnesses.iter().map(|witness| witness.number - 1).min());
        if last.is_some_and(|last| synced > last) {
            return Some("a write that was confirmed is damaged");
        }
        if let Some(end) = fault_end {
            let len = usize::try_from(end - self.start).expect("it was read into memory");
            return (!self.is_torn(len)).then_some("a whole write fails its checksum");
        }
        let ends_whole = self.bytes.last_chunk::<4>().is_some_and(|last| {
            let differing = u32::from_le_bytes(*last) ^ u32::from_le_bytes(TRAILER);
            differing.count_ones() <= 1
        });
        (ends_whole && !self.is_torn(self.bytes.len())).then_some("the last write is damaged")
    }

    /// Whether a sector of the first `len` bytes, other than the last one, ends with zeros.
    fn is_torn(&self, len: usize) -> bool {
        let bytes = &self.bytes[..len.min(self.bytes.len())];
        let first = usize::try_from(SECTOR_BYTES - self.start % SECTOR_BYTES).expect("a sector is small");
        (first..bytes.len()).step_by(SECTOR_BYTES as usize).any(|sector_end| {
            let from = sector_end.saturating_sub(ZEROS_OF_A_TEAR);
            bytes[from..sector_end].iter().all(|byte| *byte == 0)
        })
    }
}

/// Each tree's manifest against the checksum in the file that names it.
fn check_manifests(trees: &Path) -> Result<(), OpenError> {
    for entry in fs::read_dir(trees).map_err(OpenError::io(format!("listing {}", trees.display())))? {
        let tree = entry.map_err(OpenError::io(format!("listing {}", trees.display())))?.path();
        let corrupt = |what: &str| OpenError::Corrupt(format!("{}: {what}", tree.display()));
        let current = fs::read(tree.join("current")).map_err(|_| corrupt("the name of the manifest is missing"))?;
        let current: [u8; 25] = current.try_into().map_err(|_| corrupt("the name of the manifest is damaged"))?;
        let id = u64::from_le_bytes(current[..8].try_into().expect("8 bytes of 25"));
        let sum = u128::from_le_bytes(current[8..24].try_into().expect("16 bytes of 25"));
        let manifest = fs::read(tree.join(format!("v{id}"))).map_err(|_| corrupt("the manifest is missing"))?;
        if xxhash_rust::xxh3::xxh3_128(&manifest) != sum || current[24] != 0 {
            return Err(corrupt("the manifest fails its checksum"));
        }
    }
    Ok(())
}
