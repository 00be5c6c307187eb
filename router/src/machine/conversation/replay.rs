//! Rebuilding a conversation from what is stored: its record and members as far as they reach, then the log above them.
//! Pure; the readers of the store feed it, and hand the result to the machine.

use std::collections::BTreeMap;

use switchyard_protocol::id::{ConversationKey, UserId};
use switchyard_protocol::v1::ConversationKind;
use switchyard_store::{Damage, ProjectionWrite, ReadError, Record, Row, Seq, StoredMark, StoredMember};

use crate::annotation::AnnotationEvent;
use crate::machine::activity::progress::{DELIVERED, Progress, READ};
use crate::machine::conversation::State;
use crate::machine::conversation::members::Member;
use crate::machine::conversation::recent::{NO_ID, Recent};
use crate::machine::rights::approval::Approval;
use crate::machine::writing::dedupe::row_hash;
use crate::machine::writing::erasing::Erased;
use crate::machine::writing::targets::{Target, TargetRead};
use crate::machine::{Older, Stand};
use crate::stored::{
    self, ChangeEvent, ConversationRecord, EraseEvent, FewMember, Founding, MemberRecord, MembersEvent, RowKind,
    stored_user,
};
use crate::timeline::damaged;

/// What a conversation's record says.
#[derive(Debug)]
pub struct Recorded {
    applied: Seq,
    fields: ConversationRecord,
}

impl Recorded {
    /// Reads it.
    pub fn read(key: &ConversationKey, record: &Record) -> Result<Self, ReplayError> {
        let fields = stored::decode(&record.fields).ok_or_else(|| damaged(key, record.applied))?;
        Ok(Self { applied: record.applied, fields })
    }

    /// Reads one that is to be written; nothing if it is none.
    pub fn of_write(key: &ConversationKey, write: &ProjectionWrite) -> Option<Self> {
        let ProjectionWrite::Conversation { at, record, .. } = write else { return None };
        Self::read(key, &Record { applied: *at, fields: record.clone() }).ok()
    }

    /// The list of members that it names.
    pub fn list(&self, key: &ConversationKey) -> ConversationKey {
        self.fields.listing().key(key)
    }

    /// Whether it says who is a member: then their rows say nothing more.
    pub fn has_members(&self) -> bool {
        self.fields.few.is_some()
    }

    /// Whether the conversation was erased.
    pub fn is_erased(&self) -> bool {
        self.fields.erased
    }
}

/// A conversation while it is read.
#[derive(Debug)]
pub struct Replay {
    state: State,
    seed: u64,
    /// What the stored record says of itself; nothing if there is none.
    recorded: Option<u64>,
    /// The number of the row that is expected next.
    expected: Seq,
    /// Users whom events above the record touched, and the event's number: their listing rows may never have been written.
    touched: Vec<(String, Seq)>,
    older: Older,
    /// Changes of messages above the record, in order: their overlays may never have been written.
    annotations: Vec<Annotated>,
    targets: Vec<(Seq, Target)>,
    /// What is stored of members' marks, by kind and user.
    marks: Vec<StoredMark>,
    /// Those were not read yet.
    unmarked: bool,
    /// It is no conversation at all, but a user's home.
    home: bool,
}

/// A change of a message, as it was read.
#[derive(Debug)]
struct Annotated {
    event: AnnotationEvent,
    by: UserId,
    seq: Seq,
    time_ms: u64,
}

/// A conversation that was rebuilt.
#[derive(Debug)]
pub(crate) struct Replayed {
    pub(crate) state: State,
    /// The number up to which the stored projections are.
    pub(crate) recorded: u64,
    /// Users whose listing rows are to be written again, and the number that they follow from.
    pub(crate) touched: Vec<(String, Seq)>,
    /// What of it has grown too old.
    pub(crate) older: Older,
    /// Messages whose overlays are to be written again.
    pub(crate) targets: Vec<(Seq, Target)>,
}

impl Replayed {
    /// A conversation of which there is nothing.
    pub(crate) fn unborn() -> Self {
        let state = State::unborn();
        Self { state, recorded: 0, touched: Vec::new(), older: Older::default(), targets: Vec::new() }
    }
}

/// Why a conversation could not be rebuilt.
pub type ReplayError = ReadError;

impl Replay {
    /// From the founding row on: there is no record.
    pub fn from_founding(seed: u64, marks: Vec<StoredMark>) -> Self {
        Self { marks, ..Self::of(State::unborn(), seed, None) }
    }

    /// The same, for the record cannot be read: where the marks are is known once the log was read.
    pub fn without_record(seed: u64) -> Self {
        Self { unmarked: true, ..Self::of(State::unborn(), seed, None) }
    }

    /// The lists whose marks are still to be read, now that the log was: the record may have named any of them.
    pub fn unread_marks(&mut self, key: &ConversationKey) -> Vec<ConversationKey> {
        if !self.unmarked {
            return Vec::new();
        }
        self.state.listing.rebuilt();
        self.state.listing.all(key)
    }

    /// They were read.
    pub fn marks(&mut self, key: &ConversationKey, marks: &[StoredMark]) -> Result<(), ReplayError> {
        self.state.members.all_mut().iter_mut().try_for_each(|member| restore(key, member, marks))
    }

    /// From a record and, if that does not name them, the members' rows; the marks are given later. The log is to be read from
    /// [`Record::applied`] on, that row included.
    pub fn from_record(
        key: &ConversationKey,
        seed: u64,
        record: Recorded,
        rows: Vec<StoredMember>,
    ) -> Result<Self, ReplayError> {
        let Recorded { applied, mut fields } = record;
        let members = match fields.few.take() {
            Some(few) => few.members.into_iter().map(|member| named(key, applied, member)).collect(),
            None => rows.into_iter().map(|row| listed(key, row)).collect::<Result<Vec<_>, _>>(),
        }?;
        let mut state = State::unborn();
        let approval = fields.approval();
        state.listing = fields.listing();
        state.erased = if fields.erased { Erased::Begun } else { Erased::No };
        state.profile.kind = fields.kind();
        state.profile.pair = fields.pair;
        state.profile.name = fields.name.map(Into::into);
        state.profile.avatar = fields.avatar.map(Into::into);
        state.profile.context = fields.context.map(Into::into);
        state.profile.created_ms = fields.created_ms;
        state.profile.closed = fields.closed;
        state.profile.pins = fields.pins.into();
        state.profile.annotated = fields.annotated;
        state.deleted = fields.deleted;
        state.deleted.sort_unstable();
        state.first_available = fields.first_available.max(1);
        for (user, value) in members {
            // Founders begin before the first message. Whose mark was not stored by an older version, or is lost, begins
            // with the record: what lies before it is nobody's news any more.
            let founder = value.joined == 0 && fields.marked;
            let progress = if founder { Progress::joined(0, 0) } else { Progress::unknown(value.joined) };
            state.members.put(Member { user, role: value.role(), joined: value.joined, progress });
        }
        if fields.present.is_none() {
            state.listing.counted(state.members.len());
        }
        let maker = fields.requested_by.as_deref().and_then(stored_user).and_then(|maker| state.members.place(&maker));
        state.profile.approval = Approval::stored(approval, maker);
        state.next = applied;
        state.recent = Recent::after(applied);
        Ok(Self::of(state, seed, Some(applied)))
    }

    /// What is stored of the marks of its members, and of those who come after the record.
    pub fn give_marks(&mut self, key: &ConversationKey, marks: Vec<StoredMark>) -> Result<(), ReplayError> {
        self.marks(key, &marks)?;
        self.marks = marks;
        Ok(())
    }

    fn of(state: State, seed: u64, recorded: Option<Seq>) -> Self {
        let expected = recorded.unwrap_or(0);
        Self {
            state,
            seed,
            recorded,
            expected,
            touched: Vec::new(),
            older: Older::default(),
            annotations: Vec::new(),
            targets: Vec::new(),
            marks: Vec::new(),
            unmarked: false,
            home: false,
        }
    }

    /// The number of the first row to read.
    pub fn from(&self) -> Seq {
        self.expected
    }

    /// The next row, in order and without a hole.
    pub fn row(&mut self, key: &ConversationKey, seq: Seq, row: &Row) -> Result<(), ReplayError> {
        if seq != self.expected {
            let reason = Damage::Missing;
            return Err(ReadError::Corrupt { key: key.clone(), seq: self.expected, reason });
        }
        self.expected += 1;
        let kind = RowKind::parse(row.kind).map(|(kind, _)| kind);
        self.home |= kind == Some(RowKind::Home);
        if kind == Some(RowKind::Founding) {
            let founding: Founding = stored::decode(&row.body).ok_or_else(|| damaged(key, seq))?;
            self.state.found(&founding, row.sender(), row.time_ms);
            self.restore(key, founding.members.iter().map(|member| &*member.user))?;
            if self.recorded.is_none() {
                self.touched.extend(founding.members.into_iter().map(|member| (member.user, seq)));
            }
        } else if Some(seq) == self.recorded {
            if kind == Some(RowKind::Erase) {
                self.erased(key, seq, row)?;
            }
            // The record has what this event did; from the row come its place and time.
            for member in self.state.members.all_mut() {
                member.progress.begin_if_unknown(seq, row.ordinal);
            }
        } else {
            self.apply(key, seq, row, kind)?;
        }
        self.state.next = seq + 1;
        self.state.ordinal = row.ordinal;
        self.state.time_ms = row.time_ms;
        Ok(())
    }

    fn apply(&mut self, key: &ConversationKey, seq: Seq, row: &Row, kind: Option<RowKind>) -> Result<(), ReplayError> {
        match kind {
            Some(RowKind::Message | RowKind::RichMessage) => {
                let hash = row_hash(self.seed, row);
                let sender = stored_user(row.sender()).and_then(|user| self.state.members.place(&user));
                self.state.commit_message(hash, sender, row.time_ms);
            }
            Some(RowKind::Members) => {
                let event: MembersEvent = stored::decode(&row.body).ok_or_else(|| damaged(key, seq))?;
                self.state.commit_members(&event, row.time_ms);
                self.restore(key, event.added.iter().map(|member| &*member.user))?;
                self.touched.extend(event.users().map(|user| (user.to_owned(), seq)));
            }
            Some(RowKind::Change) => {
                let event: ChangeEvent = stored::decode(&row.body).ok_or_else(|| damaged(key, seq))?;
                self.state.commit_change(&event, row.time_ms);
            }
            Some(kind @ (RowKind::Edit | RowKind::Delete | RowKind::React)) => {
                let event = AnnotationEvent::decode(kind, &row.body).and_then(Result::ok);
                let event = event.ok_or_else(|| damaged(key, seq))?;
                let by = UserId::new(row.sender()).map_err(|_| damaged(key, seq))?;
                self.state.commit_annotation(&event, row.time_ms);
                self.annotations.push(Annotated { event, by, seq, time_ms: row.time_ms });
            }
            Some(RowKind::Erase) => {
                // Those whose listings may still be there. Of what was changed there is nothing to be shown.
                let members = self.state.members.after(None).iter().map(|member| (member.user.to_string(), seq));
                self.touched.extend(members);
                self.annotations.clear();
                self.state.commit_erase(row.time_ms);
                self.erased(key, seq, row)?;
            }
            // A kind of a later version: it has its number, and this version knows no more of it.
            Some(RowKind::Founding | RowKind::Home) | None => self.state.recent.push(NO_ID),
        }
        Ok(())
    }

    /// Takes up whether anything is left of it.
    fn erased(&mut self, key: &ConversationKey, seq: Seq, row: &Row) -> Result<(), ReplayError> {
        let event: EraseEvent = stored::decode(&row.body).ok_or_else(|| damaged(key, seq))?;
        self.state.erased = if event.left { Erased::Begun } else { Erased::Cleared };
        Ok(())
    }

    /// Gives these members, who have just joined, what is stored of their marks.
    fn restore<'a>(&mut self, key: &ConversationKey, users: impl Iterator<Item = &'a str>) -> Result<(), ReplayError> {
        for user in users.filter_map(stored_user) {
            if let Some(member) = self.state.members.get_mut(&user) {
                restore(key, member, &self.marks)?;
            }
        }
        Ok(())
    }

    /// What kind of conversation it is.
    pub fn kind(&self) -> ConversationKind {
        self.state.profile.kind
    }

    /// Whether these rows are no conversation's, but of a user's home, which nobody may read by its name.
    pub fn is_home(&self) -> bool {
        self.home
    }

    /// The two of a conversation of two.
    pub(crate) fn pair(&self) -> Option<[UserId; 2]> {
        self.state.pair()
    }

    /// How these two stand to each other.
    pub(crate) fn blocks(&mut self, rows: [Stand; 2]) {
        self.state.blocks.read(rows);
    }

    /// Who its members are, as far as it was read.
    pub fn members(&self) -> Vec<UserId> {
        self.state.members.after(None).iter().map(|member| member.user.clone()).collect()
    }

    /// The lowest event that the record says is there.
    pub fn first_available(&self) -> Seq {
        self.state.first_available
    }

    /// What the store says of the timeline's beginning: the lowest event that is there, and what has grown too old.
    pub fn begins(&mut self, first: Seq, older: Older) {
        self.state.first_available = self.state.first_available.max(first);
        self.older = older;
    }

    /// Messages that events above the record changed, each with who gave it emoji there.
    pub fn changed(&self) -> BTreeMap<Seq, Vec<UserId>> {
        let mut changed: BTreeMap<Seq, Vec<UserId>> = BTreeMap::new();
        for Annotated { event, by, .. } in &self.annotations {
            let reactors = changed.entry(event.target()).or_default();
            if matches!(event, AnnotationEvent::React(_)) && !reactors.contains(by) {
                reactors.push(by.clone());
            }
        }
        changed
    }

    /// One of them, as it is stored.
    pub fn found(&mut self, read: TargetRead) {
        let seq = read.message.seq;
        let mut target = Target::read(read);
        for Annotated { event, by, seq: at, time_ms } in &self.annotations {
            if event.target() == seq {
                target.apply(event, by, *at, *time_ms);
            }
        }
        self.targets.push((seq, target));
    }

    pub(crate) fn finish(self) -> Replayed {
        let Self { state, touched, older, targets, .. } = self;
        Replayed { state, recorded: self.recorded.unwrap_or(0), touched, older, targets }
    }
}

/// A member whom a record names.
fn named(key: &ConversationKey, applied: Seq, member: FewMember) -> Result<(UserId, MemberRecord), ReplayError> {
    let FewMember { user, record } = member;
    stored_user(&user).map(|user| (user, record)).ok_or_else(|| damaged(key, applied))
}

/// A member of whom there is a row.
fn listed(key: &ConversationKey, row: StoredMember) -> Result<(UserId, MemberRecord), ReplayError> {
    let record = stored::decode(&row.value).ok_or_else(|| damaged(key, row.at))?;
    Ok((row.user, record))
}

/// Gives a member what is stored of their marks, which are sorted by kind and user.
fn restore(key: &ConversationKey, member: &mut Member, marks: &[StoredMark]) -> Result<(), ReplayError> {
    for kind in [READ, DELIVERED] {
        let found = marks.binary_search_by(|mark| (mark.kind, &mark.user).cmp(&(kind, &member.user)));
        if let Some(mark) = found.ok().and_then(|at| marks.get(at)) {
            member.progress.restore(kind, mark.at, &mark.value).ok_or_else(|| damaged(key, mark.at))?;
        }
    }
    Ok(())
}
