//! The simulated store: what is written, what of it a power cut keeps, and what is still on its way. It obeys the
//! contract of `switchyard_store` and no more; a caller that breaks its own part of it is found out here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;
use switchyard_protocol::id::{ConversationKey, UserId};
use switchyard_router::driver::write;
use switchyard_router::machine::{Projection, Written};
use switchyard_router::rules::Rules;
use switchyard_store::{
    BATCH_BYTES_MAX, BUCKET_ROWS, Batch, DecisionPlace, Mark, Outcome, ProjectionWrite, ROWS_MAX, Refusal, Row, RowRef,
    Seq,
};

use crate::disk_undo::Undo;
use crate::profile::Faults;
use crate::rng::Rng;

/// The kind of all rows of homes' logs, and of no others.
pub(crate) const HOME: u32 = 64;

/// How an append ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    Stored,
    Refused(Refusal),
    /// The caller learns nothing, and the rows are there.
    UnknownStored,
    /// The caller learns nothing, and the rows come later.
    UnknownLate,
    /// The caller learns nothing, and nothing comes.
    UnknownNever,
}

/// Something that will be done to the store at a moment that is not settled yet.
#[derive(Debug)]
pub(crate) enum Mutation {
    Append(Batch, Fate),
    Late(Batch),
    Project(ConversationKey, Box<Projection>),
    Raise(Vec<Mark>),
}

/// What it came to.
#[derive(Debug)]
pub(crate) enum Done {
    Append(Batch, Outcome, bool),
    Late,
    Project(ConversationKey, Result<Written, Box<Projection>>),
    /// The marks, and what the machine is told.
    Raise(Vec<Mark>, Result<(), Vec<Mark>>),
}

/// Rows of one conversation.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    /// All that were ever stored, trimmed ones included: the tests look at them.
    pub(crate) blobs: Vec<Bytes>,
    /// So many are certain to survive a power cut.
    pub(crate) durable: u64,
    /// The lowest number above the founding row that is still there.
    pub(crate) first: Seq,
    /// The caller waits for the outcome of a batch.
    in_flight: bool,
    /// Bytes whose outcome the caller does not know: no others may take their numbers.
    open: Option<(Seq, Vec<Bytes>)>,
    ordinal: u64,
    time_ms: u64,
}

/// The number of a mark that was forgotten.
pub(crate) const FORGOTTEN: Seq = Seq::MAX;

/// Where an overlay lies: of a row, or of what one user did to it.
pub(crate) type OverlayPlace = (ConversationKey, Seq, Option<UserId>);

/// Whose mark, and which.
pub(crate) type MarkKey = (ConversationKey, u8, UserId);

#[derive(Debug, Default)]
pub(crate) struct Inner {
    pub(crate) rows: BTreeMap<ConversationKey, Rows>,
    pub(crate) records: BTreeMap<ConversationKey, (Seq, Bytes)>,
    /// Members, by list.
    pub(crate) lists: BTreeMap<(ConversationKey, UserId), (Seq, Option<Bytes>)>,
    /// The same by conversation, as seen from the users.
    pub(crate) members: BTreeMap<(ConversationKey, UserId), (Seq, Option<Bytes>)>,
    /// Lists that nobody is to read any more.
    pub(crate) dropped: BTreeSet<ConversationKey>,
    /// Whose lists those are that began anew.
    pub(crate) list_of: BTreeMap<ConversationKey, ConversationKey>,
    pub(crate) overlays: BTreeMap<OverlayPlace, (Seq, Option<Bytes>)>,
    pub(crate) marks: BTreeMap<MarkKey, (Seq, Bytes)>,
    pub(crate) decisions: BTreeMap<DecisionPlace, (Seq, Option<Bytes>)>,
    pub(crate) undo: Vec<Undo>,
    /// What is on its way, and what became of it if it was done before its time.
    pub(crate) pending: BTreeMap<u64, Mutation>,
    pub(crate) done: BTreeMap<u64, Done>,
    pub(crate) faults: Faults,
    /// Which of the router's rules hold.
    pub(crate) rules: Rules,
    /// What the caller hands over is not looked at: it is told by what comes of it whether that is wrong.
    pub(crate) trusting: bool,
    pub(crate) rng: Option<Rng>,
    pub(crate) violations: Vec<String>,
    /// Keeps early steps from causing each other.
    busy: bool,
    next_mutation: u64,
}

/// The store.
#[derive(Debug, Default)]
pub(crate) struct Disk(Mutex<Inner>);

impl Disk {
    pub(crate) fn new(rng: Rng, faults: Faults) -> Self {
        Self(Mutex::new(Inner { rng: Some(rng), faults, ..Inner::default() }))
    }

    pub(crate) fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("nothing panics under this lock")
    }

    /// Puts something on its way; it is done by [`settle`](Self::settle) at the latest.
    pub(crate) fn begin(&self, mutation: Mutation) -> u64 {
        let mut inner = self.inner();
        let id = inner.next_mutation;
        inner.next_mutation += 1;
        inner.pending.insert(id, mutation);
        id
    }

    /// Does what is on its way, unless it was done before.
    pub(crate) fn settle(&self, id: u64) -> Option<Done> {
        self.execute(id);
        self.inner().done.remove(&id)
    }

    fn execute(&self, id: u64) {
        let Some(mutation) = self.inner().pending.remove(&id) else { return };
        let done = match mutation {
            Mutation::Append(batch, fate) => {
                let (outcome, late) = self.inner().append(&batch, fate);
                Done::Append(batch, outcome, late)
            }
            Mutation::Late(batch) => {
                self.inner().put_rows(&batch);
                Done::Late
            }
            Mutation::Project(key, projection) => {
                let lists = projection.members.iter().filter_map(|write| match write {
                    ProjectionWrite::Listed { list, .. } => Some((list.clone(), key.clone())),
                    _ => None,
                });
                self.inner().list_of.extend(lists);
                // Its barrier is for these, or what was dropped could be looked for again.
                let drops = !projection.dropped.is_empty();
                let decides = projection.members.iter().any(|write| matches!(write, ProjectionWrite::Decision { .. }));
                let rules = self.inner().rules;
                let result = write::project(self, rules, &key, projection);
                if decides && result.is_ok() {
                    // Its barrier was for these; listings may be lost all the same here, harder than in any store.
                    self.inner().keep_decisions();
                }
                if drops && result.is_ok() {
                    self.inner().settle();
                }
                Done::Project(key, result)
            }
            Mutation::Raise(marks) => {
                let result = write::raise(self, marks.clone());
                if result.is_ok() {
                    // Its barrier was for these; projections may be lost all the same here.
                    self.inner().undo.retain(|undo| !matches!(undo, Undo::Mark(..)));
                }
                Done::Raise(marks, result)
            }
        };
        self.inner().done.insert(id, done);
    }

    /// Other threads go on while a read is between two of its steps.
    pub(crate) fn meanwhile(&self) {
        // Between two futures that are polled together nothing else is done here.
        if futures_executor::enter().is_err() {
            return;
        }
        let id = {
            let mut inner = self.inner();
            let count = inner.pending.len() as u64;
            let Some(rng) = inner.rng.as_mut() else { return };
            if count == 0 || !rng.chance(150) {
                return;
            }
            let at = rng.below(count) as usize;
            if inner.busy {
                return;
            }
            inner.busy = true;
            inner.pending.keys().nth(at).copied()
        };
        if let Some(id) = id {
            self.execute(id);
        }
        self.inner().busy = false;
    }

    /// The power is cut. What was durable stays; of the rest any part that the contract allows.
    pub(crate) fn crash(&self, rng: &mut Rng) {
        // What was on its way may have come to be done.
        let ids: Vec<u64> = self.inner().pending.keys().copied().collect();
        for id in ids {
            if rng.chance(300) {
                self.execute(id);
            }
        }
        let mut inner = self.inner();
        inner.pending.clear();
        inner.done.clear();
        inner.busy = false;
        inner.lose(rng);
        for rows in inner.rows.values_mut() {
            // At most one batch of each conversation is not confirmed.
            if rng.chance(500) {
                rows.blobs.truncate(rows.durable as usize);
            }
            rows.reopen();
        }
        inner.rows.retain(|_, rows| !rows.blobs.is_empty());
        for (key, rows) in &mut inner.rows {
            rows.recount(key);
        }
    }
}

impl Rows {
    /// Rows that were there before the run.
    pub(crate) fn begin_with(&mut self, key: &ConversationKey, blobs: &[Bytes]) {
        self.blobs = blobs.to_vec();
        self.reopen();
        self.recount(key);
    }

    fn reopen(&mut self) {
        self.durable = self.blobs.len() as u64;
        self.open = None;
        self.in_flight = false;
        self.first = self.first.max(1);
    }

    fn recount(&mut self, key: &ConversationKey) {
        let seq = self.blobs.len() as u64 - 1;
        let row = Row::decode(key, seq, &self.blobs[seq as usize]).expect("it was checked when it was stored");
        (self.ordinal, self.time_ms) = (row.ordinal, row.time_ms);
    }
}

impl Inner {
    pub(crate) fn violate(&mut self, what: String) {
        self.violations.push(what);
    }

    pub(crate) fn fails(&mut self, in_thousand: impl Fn(&Faults) -> u64) -> bool {
        let chance = in_thousand(&self.faults);
        chance > 0 && self.rng.as_mut().is_some_and(|rng| rng.chance(chance))
    }

    /// The caller hands a batch over: its part of the contract is checked.
    pub(crate) fn hand_over(&mut self, batch: &Batch) {
        let rows = self.rows.entry(batch.key.clone()).or_default();
        let mut wrong = Vec::new();
        if rows.in_flight {
            wrong.push("a second batch of a conversation is in flight".to_owned());
        }
        rows.in_flight = true;
        rows.first = rows.first.max(1);
        if let Some((first, blobs)) = &rows.open
            && (*first != batch.first || *blobs != batch.rows)
        {
            wrong.push(format!("numbers from {} are used while {first} is unknown", batch.first));
        }
        let bytes: usize = batch.rows.iter().map(Bytes::len).sum();
        if batch.rows.is_empty() || batch.rows.len() > ROWS_MAX || bytes > BATCH_BYTES_MAX {
            wrong.push(format!("a batch of {} rows and {bytes} bytes", batch.rows.len()));
        }
        let last = batch.first + batch.rows.len() as u64 - 1;
        if batch.first / BUCKET_ROWS != last / BUCKET_ROWS {
            wrong.push(format!("a batch {}..={last} crosses a bucket", batch.first));
        }
        if !self.trusting {
            self.violations.extend(wrong);
        }
    }

    /// The caller was told what became of it.
    pub(crate) fn told(&mut self, key: &ConversationKey) {
        if let Some(rows) = self.rows.get_mut(key) {
            rows.in_flight = false;
        }
    }

    /// The outcome, and whether the rows will come later.
    fn append(&mut self, batch: &Batch, fate: Fate) -> (Outcome, bool) {
        match fate {
            Fate::Refused(refusal) => (Outcome::Refused(refusal), false),
            Fate::Stored => {
                self.put_rows(batch);
                (Outcome::Stored, false)
            }
            Fate::UnknownStored | Fate::UnknownLate | Fate::UnknownNever => {
                if fate == Fate::UnknownStored {
                    self.put_rows(batch);
                }
                self.open(batch);
                (Outcome::Unknown, fate == Fate::UnknownLate)
            }
        }
    }

    fn open(&mut self, batch: &Batch) {
        if let Some(rows) = self.rows.get_mut(&batch.key) {
            rows.open = Some((batch.first, batch.rows.clone()));
        }
    }

    /// A barrier: `Ok` makes the batch and all projections so far durable.
    pub(crate) fn barrier(&mut self, batch: &Batch, confirmed: bool) {
        if !confirmed {
            return self.open(batch);
        }
        if let Some(rows) = self.rows.get_mut(&batch.key) {
            rows.open = None;
            rows.durable = rows.durable.max(batch.first + batch.rows.len() as u64);
        }
        self.undo.clear();
    }

    fn put_rows(&mut self, batch: &Batch) {
        let rows = self.rows.entry(batch.key.clone()).or_default();
        let mut wrong = Vec::new();
        for (at, blob) in batch.rows.iter().enumerate() {
            let seq = batch.first + at as u64;
            if let Some(stored) = rows.blobs.get(seq as usize) {
                if stored != blob {
                    wrong.push(format!("row {seq} is overwritten with other bytes"));
                }
                continue;
            }
            match Row::decode(&batch.key, seq, blob) {
                Ok(row) => wrong.extend(rows.misfit(batch, seq, &row)),
                Err(damage) => wrong.push(format!("row {seq}: {damage}")),
            }
            rows.blobs.push(blob.clone());
        }
        self.violations.extend(wrong);
    }

    /// One projection write, by the rule that the higher number stays.
    pub(crate) fn put(&mut self, write: &ProjectionWrite) {
        match write {
            ProjectionWrite::Overlay { key, target, at, value } => {
                self.put_overlay((key.clone(), *target, None), *at, Some(value.clone()));
            }
            ProjectionWrite::Reactor { key, target, user, at, value } => {
                self.put_overlay((key.clone(), *target, Some(user.clone())), *at, value.clone());
            }
            ProjectionWrite::Decision { place, at, value } => {
                let before = self.decisions.get(place).cloned();
                if before.as_ref().is_none_or(|(stored, _)| stored < at) {
                    self.decisions.insert(place.clone(), (*at, value.clone()));
                    self.undo.push(Undo::Decision(place.clone(), before));
                }
            }
            ProjectionWrite::Conversation { key, at, record } => {
                let before = self.records.get(key).cloned();
                if before.as_ref().is_none_or(|(stored, _)| stored < at) {
                    self.records.insert(key.clone(), (*at, record.clone()));
                    self.undo.push(Undo::Record(key.clone(), before));
                }
            }
            ProjectionWrite::Member { key, list, user, at, value } => {
                let entry = (key.clone(), user.clone());
                let before = self.members.get(&entry).cloned();
                if before.as_ref().is_none_or(|(stored, _)| stored < at) {
                    self.members.insert(entry, (*at, value.clone()));
                    self.undo.push(Undo::Membership(key.clone(), user.clone(), before));
                }
                let list = ConversationKey { tenant: key.tenant.clone(), conversation: *list };
                self.put_member(list, user, *at, value.clone());
            }
            ProjectionWrite::Listed { list, user, at, value } => {
                self.put_member(list.clone(), user, *at, Some(value.clone()));
            }
        }
    }

    fn put_member(&mut self, list: ConversationKey, user: &UserId, at: Seq, value: Option<Bytes>) {
        if self.dropped.contains(&list) {
            return;
        }
        let entry = (list.clone(), user.clone());
        let before = self.lists.get(&entry).cloned();
        if before.as_ref().is_none_or(|(stored, _)| *stored < at) {
            self.lists.insert(entry, (at, value));
            self.undo.push(Undo::Member(list, user.clone(), before));
        }
    }

    /// A list of members goes, and their marks; whoever reads it from now on is wrong.
    pub(crate) fn drop_list(&mut self, list: &ConversationKey) {
        if !self.dropped.insert(list.clone()) {
            return;
        }
        let users: Vec<UserId> = self.lists.keys().filter(|(of, _)| of == list).map(|(_, user)| user.clone()).collect();
        let members = users.into_iter().filter_map(|user| {
            let stored = self.lists.remove(&(list.clone(), user.clone()))?;
            Some((user, stored))
        });
        let members = members.collect();
        let places: Vec<MarkKey> = self.marks.keys().filter(|(of, _, _)| of == list).cloned().collect();
        let marks = places.into_iter().filter_map(|place| {
            let stored = self.marks.remove(&place)?;
            Some((place, stored))
        });
        let marks = marks.collect();
        self.undo.push(Undo::DropList(list.clone(), members, marks));
    }

    /// Somebody reads a list of members.
    pub(crate) fn read_list(&mut self, list: &ConversationKey) {
        if self.dropped.contains(list) {
            self.violate(format!("a list of members is read that was dropped: {list:?}"));
        }
    }

    fn put_overlay(&mut self, place: OverlayPlace, at: Seq, value: Option<Bytes>) {
        let before = self.overlays.get(&place).cloned();
        if before.as_ref().is_none_or(|(stored, _)| *stored < at) {
            self.overlays.insert(place.clone(), (at, value));
            self.undo.push(Undo::Overlay(place, before));
        }
    }

    /// A committed row is overwritten: that is for erasing, so all but its body must be what it was.
    pub(crate) fn erase(&mut self, batch: &Batch) -> Outcome {
        let [blob] = batch.rows.as_slice() else {
            self.violate("rows are erased one by one".into());
            return Outcome::Refused(Refusal::Malformed);
        };
        let rows = self.rows.get_mut(&batch.key).filter(|rows| batch.first < rows.durable);
        let Some(before) = rows.and_then(|rows| rows.blobs.get_mut(batch.first as usize)) else {
            self.violate(format!("row {} is erased and was never committed", batch.first));
            return Outcome::Refused(Refusal::Malformed);
        };
        let decode = |blob| Row::decode(&batch.key, batch.first, blob).expect("it was made for this place");
        let (old, new) = (decode(before), decode(blob));
        let same = RowRef { body: &[], ..new.as_ref() } == RowRef { body: &[], ..old.as_ref() };
        let old_blob = std::mem::replace(before, blob.clone());
        if !same || new.body.len() > old.body.len() {
            self.violate(format!("row {} is overwritten with another one", batch.first));
        }
        self.undo.push(Undo::Erase(batch.key.clone(), batch.first, old_blob, false));
        Outcome::Stored
    }

    /// One mark, by the same rule.
    pub(crate) fn put_mark(&mut self, mark: &Mark) {
        if self.dropped.contains(&mark.key) {
            return;
        }
        let place = (mark.key.clone(), mark.kind, mark.user.clone());
        let before = self.marks.get(&place).cloned();
        if before.as_ref().is_none_or(|(stored, _)| *stored < mark.at) {
            self.marks.insert(place.clone(), (mark.at, mark.value.clone()));
            self.undo.push(Undo::Mark(place, before));
        }
    }

    /// All marks of a conversation go.
    pub(crate) fn forget_marks(&mut self, key: &ConversationKey) {
        let of_key: Vec<MarkKey> =
            self.marks.keys().filter(|(conversation, _, _)| conversation == key).cloned().collect();
        for (key, kind, user) in of_key {
            self.put_mark(&Mark { key, user, kind, at: FORGOTTEN, value: Bytes::new() });
        }
    }

    pub(crate) fn trim(&mut self, key: &ConversationKey, below: Seq) -> Seq {
        let Some(rows) = self.rows.get_mut(key) else { return 1 };
        let before = rows.first;
        let below = below.min(rows.blobs.len() as u64 - 1).max(before);
        if below > before {
            rows.first = below;
            self.undo.push(Undo::Trim(key.clone(), before));
        }
        below
    }
}

impl Rows {
    /// What is wrong with a row that is to follow those that are there.
    fn misfit(&mut self, batch: &Batch, seq: Seq, row: &Row) -> Vec<String> {
        let mut wrong = Vec::new();
        let next = self.blobs.len() as u64;
        if seq != next {
            wrong.push(format!("row {seq} is stored where {next} is next"));
        }
        if (row.epoch, row.first) != (batch.epoch, batch.first) {
            wrong.push(format!("row {seq} says epoch {} and first {}", row.epoch, row.first));
        }
        // All messages but SYSTEM ones.
        let ordinal = self.ordinal + u64::from((16..HOME).contains(&row.kind) && row.kind % 16 != 3);
        if row.ordinal != ordinal {
            wrong.push(format!("row {seq} has ordinal {} instead of {ordinal}", row.ordinal));
        }
        if row.time_ms < self.time_ms {
            wrong.push(format!("row {seq} is older than the one before it"));
        }
        if (row.kind == 1) != (seq == 0) && row.kind != HOME {
            wrong.push(format!("row {seq} has kind {}", row.kind));
        }
        (self.ordinal, self.time_ms) = (row.ordinal, row.time_ms);
        wrong
    }
}
