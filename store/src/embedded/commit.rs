//! Everything that is stored goes through here: one lock, one witness per write batch, and the verdict when the disk
//! says no.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use fjall::{Database, OwnedWriteBatch, PersistMode};
use switchyard_protocol::limits::INTEGER_MAX;

use crate::EpochError;
use crate::key::KeyBuf;
use crate::log::{BATCH_BYTES_MAX, BUCKET_ROWS, BarrierError, Batch, Outcome, ROWS_MAX, Refusal};

use super::barrier::SharedSync;
use super::engine::{Engine, EngineFault};
use super::number;
use super::options::{FatalHook, OpenError, Options};
use super::space::{Purpose, Space};
use super::witness::{self, Witness};

/// Bytes of rows in one write batch of the engine, which it makes visible at once and keeps in memory meanwhile.
const WRITE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Room that a row takes besides its blob: key, and what journal and trees put around it.
const ROW_OVERHEAD: usize = 256;

const EPOCH_KEY: &[u8] = b"epoch";

/// Why a write batch was not stored.
pub(super) enum CommitError {
    /// Nothing of it is there.
    Full,
    /// Nothing of it is there, and nothing will be stored any more.
    Closed,
    /// It may be there. The fatal hook has been called.
    Failed,
}

/// The one writer.
pub(super) struct Committer {
    /// The number of the last write batch.
    number: Mutex<u64>,
    /// The same, for the barrier to read.
    committed: AtomicU64,
    /// The last write batch that a barrier confirmed.
    synced: AtomicU64,
    failed: AtomicBool,
    epoch_lock: Mutex<()>,
    sync: SharedSync,
    syncs: bool,
    space: Space,
    fatal: FatalHook,
}

impl Committer {
    /// Goes on from the witness in the store, which must not be older than the journals.
    pub(super) fn new(
        engine: &Engine,
        journal_number: Option<u64>,
        space: Space,
        options: &Options,
    ) -> Result<Self, OpenError> {
        let damaged = |reason: &str| OpenError::Corrupt(format!("the last witness: {reason}"));
        let stored = match engine.log.get(witness::KEY).map_err(EngineFault::from) {
            Ok(Some(value)) => Witness::decode(&value).ok_or_else(|| damaged("checksum mismatch"))?.number,
            Ok(None) => 0,
            Err(EngineFault::Damage(reason) | EngineFault::Unavailable(reason)) => return Err(damaged(&reason)),
        };
        if journal_number.is_some_and(|number| number != stored) {
            return Err(damaged("the engine did not take over its whole journal"));
        }
        Ok(Self {
            number: Mutex::new(stored),
            committed: AtomicU64::new(stored),
            // Opening synced the journal.
            synced: AtomicU64::new(stored),
            failed: AtomicBool::new(false),
            epoch_lock: Mutex::new(()),
            sync: SharedSync::default(),
            syncs: options.syncs(),
            space,
            fatal: options.fatal.clone(),
        })
    }

    /// Stores one write batch of about so many bytes; `fill` adds its rows after the witness.
    pub(super) fn commit(
        &self,
        engine: &Engine,
        purpose: Purpose,
        bytes: usize,
        rows: usize,
        fill: impl FnOnce(&mut OwnedWriteBatch),
    ) -> Result<(), CommitError> {
        if !self.space.has_room((bytes + rows * ROW_OVERHEAD) as u64, purpose) {
            return Err(CommitError::Full);
        }
        let mut number = self.number.lock().expect("nothing panics under this lock");
        if self.failed.load(Ordering::Acquire) {
            return Err(CommitError::Closed);
        }
        let mut batch =
            OwnedWriteBatch::with_capacity(engine.db.clone(), rows + 1).durability(Some(PersistMode::Buffer));
        let witness = Witness {
            number: *number + 1,
            synced: self.synced.load(Ordering::Acquire),
            engine_number: engine.db.seqno(),
        };
        batch.insert(&engine.log, witness::KEY, Bytes::copy_from_slice(&witness.encode()));
        fill(&mut batch);
        match batch.commit() {
            Ok(()) => {
                *number += 1;
                self.committed.store(*number, Ordering::Release);
                Ok(())
            }
            // Said before anything is written: a worker of the engine met an error of the disk.
            Err(fjall::Error::Poisoned) => {
                self.fail("the storage engine has stopped after an error of the disk");
                Err(CommitError::Closed)
            }
            Err(error) => {
                self.fail(&format!("a write failed: {error}"));
                Err(CommitError::Failed)
            }
        }
    }

    pub(super) fn append(&self, engine: &Engine, batches: &[Batch]) -> Vec<Outcome> {
        let mut outcomes: Vec<Outcome> = batches.iter().map(judge).collect();
        let mut from = 0;
        while from < batches.len() {
            let mut to = from;
            let (mut bytes, mut rows) = (0, 0);
            while to < batches.len() && (bytes == 0 || bytes < WRITE_BYTES_MAX) {
                if outcomes[to] == Outcome::Stored {
                    bytes += batch_bytes(&batches[to]);
                    rows += batches[to].rows.len();
                }
                to += 1;
            }
            let wanted = from..to;
            from = to;
            if rows == 0 {
                continue;
            }
            let result = self.commit(engine, Purpose::Grow, bytes, rows, |write| {
                for index in wanted.clone().filter(|index| outcomes[*index] == Outcome::Stored) {
                    insert_rows(engine, write, &batches[index]);
                }
            });
            let outcome = match result {
                Ok(()) => continue,
                Err(CommitError::Full) => Outcome::Refused(Refusal::Full),
                Err(CommitError::Closed) => Outcome::Refused(Refusal::Closed),
                Err(CommitError::Failed) => Outcome::Unknown,
            };
            for slot in outcomes[wanted].iter_mut().filter(|slot| **slot == Outcome::Stored) {
                *slot = outcome;
            }
        }
        outcomes
    }

    pub(super) fn barrier(&self, db: &Database) -> Result<(), BarrierError> {
        self.sync
            .run(|| {
                if self.failed.load(Ordering::Acquire) {
                    return Err("the disk failed before".to_owned());
                }
                let committed = self.committed.load(Ordering::Acquire);
                if committed == self.synced.load(Ordering::Acquire) {
                    return Ok(());
                }
                let mode = if self.syncs { PersistMode::SyncData } else { PersistMode::Buffer };
                match db.persist(mode) {
                    Ok(()) => {
                        self.synced.fetch_max(committed, Ordering::AcqRel);
                        Ok(())
                    }
                    Err(error) => {
                        let reason = format!("a sync failed: {error}");
                        self.fail(&reason);
                        Err(reason)
                    }
                }
            })
            .map_err(BarrierError::Failed)
    }

    pub(super) fn open_epoch(&self, engine: &Engine) -> Result<u64, EpochError> {
        let _one_at_a_time = self.epoch_lock.lock().expect("nothing panics under this lock");
        let unavailable = |reason: &str| EpochError::Unavailable(reason.to_owned());
        let stored = match engine.meta.get(EPOCH_KEY).map_err(EngineFault::from) {
            Ok(None) => 0,
            Ok(Some(value)) => {
                number::decode(EPOCH_KEY, &value).ok_or_else(|| unavailable("the stored epoch fails its checksum"))?
            }
            Err(EngineFault::Damage(reason) | EngineFault::Unavailable(reason)) => return Err(unavailable(&reason)),
        };
        let epoch = stored + 1;
        let value = number::encode(EPOCH_KEY, epoch);
        let stored = self.commit(engine, Purpose::Recover, value.len(), 1, |batch| {
            batch.insert(&engine.meta, EPOCH_KEY, value);
        });
        stored.map_err(|error| {
            unavailable(match error {
                CommitError::Full => "the disk is full",
                CommitError::Closed | CommitError::Failed => "the disk failed",
            })
        })?;
        self.barrier(&engine.db).map_err(|error| unavailable(&error.to_string()))?;
        Ok(epoch)
    }

    /// Nothing is promised from here on.
    pub(super) fn fail(&self, reason: &str) {
        if !self.failed.swap(true, Ordering::AcqRel) {
            (self.fatal)(reason);
        }
    }
}

/// Whether a batch keeps the rules of [`Batch`].
fn judge(batch: &Batch) -> Outcome {
    let rows = batch.rows.len() as u64;
    if batch.rows.len() > ROWS_MAX || batch.rows.iter().map(Bytes::len).sum::<usize>() > BATCH_BYTES_MAX {
        return Outcome::Refused(Refusal::TooLarge);
    }
    let last = batch.first.checked_add(rows.wrapping_sub(1)).filter(|_| rows > 0);
    match last {
        Some(last) if last <= INTEGER_MAX && last / BUCKET_ROWS == batch.first / BUCKET_ROWS => Outcome::Stored,
        _ => Outcome::Refused(Refusal::Malformed),
    }
}

fn batch_bytes(batch: &Batch) -> usize {
    batch.rows.iter().map(Bytes::len).sum()
}

fn insert_rows(engine: &Engine, write: &mut OwnedWriteBatch, batch: &Batch) {
    let conversation = KeyBuf::conversation(&batch.key);
    for (seq, row) in (batch.first..).zip(&batch.rows) {
        write.insert(&engine.log, conversation.with_seq(seq).as_slice(), row.clone());
    }
}
