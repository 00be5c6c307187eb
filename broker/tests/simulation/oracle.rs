//! The judge: compares what applications were told with what the store keeps, by rules of its own. It sees only what an
//! application sees, and the rows.

mod changes;
mod decisions;
mod gone;
mod marks;
mod presence;
mod roles;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use switchyard_client::core::Call;
use switchyard_client::{Ended, Error, Event};
use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::id::{ConversationKey, UserId};
use switchyard_protocol::v1::{self, reply};
use switchyard_router::config::Retention;
use switchyard_store::{BUCKET_ROWS, Seq};

use crate::disk::Disk;
use crate::places;
use crate::profile::Profile;
use crate::timeline::{self, MESSAGE, Timeline};
use changes::{Wish, is_shown};
use decisions::Decisions;
use roles::{Staff, reads};

/// What an application was told of one submission of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    Stored(Seq),
    /// Surely not stored by this submission.
    NotStored,
    Unknown,
}

/// A message that somebody wanted to send.
#[derive(Debug)]
struct Wanted {
    key: ConversationKey,
    text: String,
    /// The highest number that anybody had been told of in this conversation when it was first submitted.
    after: Seq,
    /// Where the judge's clock stood then.
    step: u64,
    submissions: usize,
    verdicts: Vec<Verdict>,
}

/// See the module.
pub(crate) struct Oracle {
    disk: Arc<Disk>,
    timelines: BTreeMap<ConversationKey, Timeline>,
    wanted: BTreeMap<(UserId, String), Wanted>,
    /// Changes of messages that somebody asked for.
    wishes: BTreeMap<ConversationKey, BTreeSet<Wish>>,
    /// How far each has said that they have read.
    said: BTreeMap<(ConversationKey, UserId), Seq>,
    /// The highest number of which a sender was told, by conversation.
    told: BTreeMap<ConversationKey, Seq>,
    decisions: Decisions,
    staff: Staff,
    /// Answers to requests that somebody wanted to give.
    answers: BTreeSet<(ConversationKey, UserId, bool)>,
    /// Of which conversations somebody was told that they are erased, and when.
    erased: BTreeMap<ConversationKey, u64>,
    /// The judge's clock: what was asked and answered.
    steps: u64,
    retention: Retention,
    /// Rows of the old group that nobody of this run sent.
    old_rows: u64,
    /// The time that the owner was told last.
    pub(crate) wall_ms: u64,
    pub(crate) violations: Vec<String>,
}

impl Oracle {
    pub(crate) fn new(disk: Arc<Disk>, profile: &Profile) -> Self {
        Self {
            disk,
            timelines: BTreeMap::new(),
            wanted: BTreeMap::new(),
            wishes: BTreeMap::new(),
            said: BTreeMap::new(),
            told: BTreeMap::new(),
            decisions: Decisions::default(),
            staff: Staff::default(),
            answers: BTreeSet::new(),
            erased: BTreeMap::new(),
            steps: 0,
            retention: profile.config.retention,
            old_rows: profile.old_rows,
            wall_ms: 0,
            violations: Vec::new(),
        }
    }

    fn violate(&mut self, what: String) {
        self.violations.push(what);
    }

    /// The rows of a conversation that are certain to stay: their state after each.
    fn timeline(&mut self, key: &ConversationKey) -> (&Timeline, usize) {
        let timeline = self.timelines.entry(key.clone()).or_default();
        let inner = self.disk.inner();
        let Some(rows) = inner.rows.get(key) else { return (timeline, 0) };
        timeline.sync(key, &rows.blobs);
        (timeline, usize::try_from(rows.durable).unwrap())
    }

    fn conversations(&self) -> Vec<ConversationKey> {
        self.disk.inner().rows.keys().filter(|key| !places::is_home(key)).cloned().collect()
    }

    /// The power was cut: rows that were not certain may be others from now on.
    pub(crate) fn crash(&mut self) {
        let keys = self.conversations();
        self.timelines.retain(|key, _| keys.contains(key));
        for key in keys {
            self.timeline(&key);
        }
    }

    /// Rows are stored for certain: they are read now, for their texts may be overwritten later.
    pub(crate) fn stored(&mut self, key: &ConversationKey) {
        if places::is_home(key) {
            return;
        }
        let known = self.timelines.get(key).map_or(0, |timeline| timeline.entries.len());
        self.timeline(key);
        self.none_is_blocked(key, known);
    }

    /// Somebody asks for something: where the judge's clock stands.
    pub(crate) fn asks(&mut self, user: &UserId, call: &Call) -> u64 {
        self.steps += 1;
        let step = self.steps;
        match call {
            Call::Send(send) | Call::SendChosen(send) => self.submitted(user, send),
            Call::Accept(accept) => self.answers.extend([(places::key(&accept.conversation), user.clone(), true)]),
            Call::Decline(decline) => {
                self.answers.extend([(places::key(&decline.conversation), user.clone(), false)]);
            }
            _ => {}
        }
        self.wished(user, call);
        self.decides(user, call, step);
        step
    }

    /// The highest number that a sender was told of there.
    pub(crate) fn told_in(&self, name: &str) -> Seq {
        self.told.get(&places::key(name)).copied().unwrap_or(0)
    }

    fn submitted(&mut self, user: &UserId, send: &v1::Send) {
        let key = places::key(&send.conversation);
        let (after, step) = (self.told.get(&key).copied().unwrap_or(0), self.steps);
        let wanted = self.wanted.entry((user.clone(), send.client_id.clone())).or_insert_with(|| Wanted {
            key,
            text: send.text.clone(),
            after,
            step,
            submissions: 0,
            verdicts: Vec::new(),
        });
        wanted.submissions += 1;
    }

    /// An application was told what became of a message.
    pub(crate) fn completed(&mut self, user: &UserId, send: &v1::Send, result: &Result<reply::Result, Error>) {
        let verdict = match result {
            Ok(reply::Result::Sent(v1::Sent { message: Some(message), .. })) => {
                self.told_of(user, send, message);
                Verdict::Stored(message.seq)
            }
            Ok(other) => return self.violate(format!("a send is answered by {other:?}")),
            Err(Error::Unknown { .. }) => Verdict::Unknown,
            Err(Error::BadAnswer) => return self.violate("an SDK does not understand the answer to a send".into()),
            Err(Error::Rejected { code: Some(ErrorCode::IdExpired), .. }) => Verdict::Unknown,
            Err(Error::Rejected { code: Some(ErrorCode::Forbidden), .. }) => {
                self.forbidden(user, send);
                Verdict::NotStored
            }
            Err(_) => Verdict::NotStored,
        };
        if let Some(wanted) = self.wanted.get_mut(&(user.clone(), send.client_id.clone())) {
            wanted.verdicts.push(verdict);
        }
    }

    fn told_of(&mut self, user: &UserId, send: &v1::Send, message: &v1::Message) {
        let key = places::key(&send.conversation);
        let seq = message.seq;
        self.same_message(&key, user, 0, message);
        // Sent again, it may have been changed meanwhile.
        let changed = message.deleted || message.edited_ms.is_some() || message.text == send.text;
        if (message.sender.as_str(), &message.client_id) != (user.as_str(), &send.client_id) || !changed {
            self.violate(format!("{user} sent {send:?} and was told of {message:?}"));
        }
        let after = self.wanted.get(&(user.clone(), send.client_id.clone())).map_or(0, |wanted| wanted.after);
        if seq <= after {
            self.violate(format!("{message:?} was sent after number {after} was known"));
        }
        let told = self.told.entry(key).or_default();
        *told = seq.max(*told);
    }

    /// An application that had asked is gone and will not hear the answer.
    pub(crate) fn abandoned(&mut self, user: &UserId, client_id: &str) {
        if let Some(wanted) = self.wanted.get_mut(&(user.clone(), client_id.to_owned())) {
            wanted.verdicts.push(Verdict::Unknown);
        }
    }

    /// A message in an answer is what is stored, as it was at some moment from `low` on.
    fn same_message(&mut self, key: &ConversationKey, user: &UserId, low: Seq, message: &v1::Message) {
        let (timeline, durable) = self.timeline(key);
        if !is_shown(timeline, durable, key, Some(user), low, message) {
            let at = usize::try_from(message.seq).unwrap();
            let stored = timeline.entries.get(at).map(|entry| timeline::message(key, message.seq, &entry.row));
            let changes = timeline.annotations.get(&message.seq);
            let problem =
                format!("told of {message:?}, stored ({durable} for certain) is {stored:?}, changed by {changes:?}");
            self.violate(problem);
        }
    }

    /// An application gets a numbered event, or the word of a gap. Returns the number that it may expect next, and what
    /// kinds of gap it was.
    pub(crate) fn delivered(
        &mut self,
        user: &UserId,
        next: Option<u64>,
        event: &Event,
    ) -> (Option<u64>, Vec<&'static str>) {
        let Some(next) = next else {
            self.violate(format!("{user} gets {event:?} before the subscription is confirmed"));
            return (None, Vec::new());
        };
        match (event, event.seq()) {
            (_, Some(seq)) => (Some(self.event(user, next, seq, event)), Vec::new()),
            (Event::Gap { missed_from, first_available, .. }, None) => {
                let key = places::key(event.conversation());
                let (counted, aged) = self.gone_below(&key);
                if *missed_from != next || *first_available <= next || *first_available > counted.max(aged) {
                    let dropped = format!("what lies below {counted} and {aged} may be gone");
                    self.violate(format!("{user} expects {next}, {dropped}, and is told of {event:?}"));
                }
                let kinds = [
                    (counted > 1, "a gap is told for too many events"),
                    (aged > 1, "a gap is told for old age"),
                    (first_available - next > BUCKET_ROWS, "a gap is told more than a thousand events wide"),
                ];
                (Some(*first_available), kinds.into_iter().filter_map(|(is, kind)| is.then_some(kind)).collect())
            }
            (_, None) => {
                self.violate(format!("{user} gets {event:?}, which has no number"));
                (Some(next), Vec::new())
            }
        }
    }

    /// Below these numbers nothing need be kept any more: for there are more events, and for they are too old. The newest
    /// thousand stay in any case.
    fn gone_below(&mut self, key: &ConversationKey) -> (Seq, Seq) {
        let (retention, wall_ms) = (self.retention, self.wall_ms);
        let (timeline, durable) = self.timeline(key);
        let Some(founding) = timeline.entries.first() else { return (1, 1) };
        let rule = if founding.direct() { retention.direct } else { retention.group };
        let head = (durable as u64).saturating_sub(1);
        let counted =
            rule.events_max.map_or(0, |keep| head.saturating_sub(keep.max(1_000)) / BUCKET_ROWS * BUCKET_ROWS);
        let old = |run: &u64| {
            let newest = &timeline.entries[usize::try_from(run * BUCKET_ROWS - 1).unwrap()].row;
            rule.age_max.is_some_and(|max| u128::from(wall_ms) > u128::from(newest.time_ms) + max.as_millis())
        };
        let aged = (1..=head.saturating_sub(1_000) / BUCKET_ROWS).take_while(old).last().unwrap_or(0) * BUCKET_ROWS;
        (counted.max(1), aged.max(1))
    }

    /// An application gets an event. Returns the number that comes after it.
    fn event(&mut self, user: &UserId, next: u64, seq: u64, event: &Event) -> u64 {
        let key = places::key(event.conversation());
        if seq != next {
            self.violate(format!("{user} expects number {next} and gets {event:?}"));
        }
        let same = self.is_event(user, &key, seq, event);
        let staff = self.staff.ever(user);
        let (timeline, durable) = self.timeline(&key);
        let at = usize::try_from(seq).unwrap();
        let stored = timeline.entries.get(at).map(|_| timeline.live(&key, seq).body);
        // A member of the state before it or of any later one: whoever came back may read what was missed.
        let states = timeline.entries.get(at.saturating_sub(1)..durable).unwrap_or_default();
        let is_reader = states.iter().rev().any(|entry| reads(entry, user, staff));
        if at >= durable || !same {
            self.violate(format!("{user} gets {event:?}, stored ({durable} for certain) is {stored:?}"));
        } else if !is_reader {
            self.violate(format!("{user} is no member and gets {event:?}"));
        }
        seq + 1
    }

    /// An application is told that it reads a conversation no more.
    pub(crate) fn ended(&mut self, user: &UserId, name: &str, next: Option<u64>, why: &Ended) {
        let staff = self.staff.ever(user) && self.is_staff(user);
        let (timeline, _) = self.timeline(&places::key(name));
        let from = usize::try_from(next.unwrap_or(1).saturating_sub(1)).unwrap();
        let states = timeline.entries.get(from..).unwrap_or_default();
        let was_out = states.iter().any(|entry| !reads(entry, user, staff));
        let allowed = match why {
            Ended::Removed => true,
            Ended::Refused(error) => matches!(error.code(), Some(ErrorCode::NotFound | ErrorCode::Forbidden)),
        };
        if !was_out || !allowed {
            self.violate(format!("{user} reads {name} no more after {next:?}: {why:?}"));
        }
    }

    /// An application has read a page, which must show what anybody had been told of up to `low` when it was asked for.
    pub(crate) fn page(&mut self, user: &UserId, name: &str, page: &v1::Page, low: Seq) {
        let key = places::key(name);
        for message in &page.messages {
            self.same_message(&key, user, low, message);
        }
        let staff = self.staff.ever(user);
        let (timeline, _) = self.timeline(&key);
        if !timeline.entries.iter().any(|entry| reads(entry, user, staff)) {
            self.violate(format!("{user} was never a member of {name} and reads a page"));
        }
    }

    /// An application was told that it changed something.
    pub(crate) fn changed(&mut self, user: &UserId, changed: &v1::Changed) {
        // Where it was so already, the number is that of the newest event, whatever that is.
        let (_, durable) = self.timeline(&places::key(&changed.conversation));
        if changed.seq >= durable as u64 {
            self.violate(format!("{user} was told of {changed:?}, which is not there"));
        }
    }

    /// Whether somebody is among the members there, whatever their token says.
    pub(crate) fn is_in(&mut self, user: &UserId, name: &str) -> bool {
        self.timeline(&places::key(name)).0.entries.last().is_some_and(|entry| entry.role(user).is_some())
    }

    pub(crate) fn is_member(&mut self, user: &UserId, name: &str) -> bool {
        let staff = self.is_staff(user);
        let (timeline, _) = self.timeline(&places::key(name));
        timeline.entries.last().is_some_and(|entry| reads(entry, user, staff))
    }

    /// Why a reader that expects this number next is not where it should be in the end.
    pub(crate) fn unrest(&mut self, user: &UserId, name: &str, next: Option<u64>) -> Option<String> {
        let (timeline, _) = self.timeline(&places::key(name));
        let rows = timeline.entries.len() as u64;
        match next {
            None => Some(format!("waits for {name}")),
            Some(next) if next != rows => Some(format!("expects {next} of {rows} in {name}")),
            Some(_) if !self.is_member(user, name) => Some(format!("reads {name} and is no member")),
            Some(_) => None,
        }
    }

    /// All has come to rest: what is stored is what was wanted.
    pub(crate) fn finish(&mut self) {
        for key in &self.conversations() {
            self.rows_are_wanted(key);
            self.changes_are_wanted(key);
        }
        let mut wrong = Vec::new();
        for ((user, client_id), wanted) in &self.wanted {
            let timeline = self.timelines.get(&wanted.key);
            let places = timeline.and_then(|timeline| timeline.ids.get(&(user.clone(), client_id.clone())));
            let places = places.map(Vec::as_slice).unwrap_or_default();
            let certain = wanted.verdicts.len() == wanted.submissions;
            let not_stored = certain && wanted.verdicts.iter().all(|verdict| *verdict == Verdict::NotStored);
            let right = wanted.verdicts.iter().all(|verdict| match verdict {
                Verdict::Stored(seq) => places == [*seq],
                Verdict::NotStored | Verdict::Unknown => true,
            });
            if !right || places.len() > 1 || (not_stored && !places.is_empty()) || !certain {
                wrong.push(format!("{user}'s {client_id} is stored at {places:?}: {wanted:?}"));
            }
        }
        self.violations.append(&mut wrong);
    }

    /// Every stored message is one that its sender wanted there, as a member.
    fn rows_are_wanted(&mut self, key: &ConversationKey) {
        self.timeline(key);
        let Some(timeline) = self.timelines.get(key) else { return };
        let mut wrong = Vec::new();
        let mut before = None;
        let given = if *key == places::old_key() { self.old_rows } else { 0 };
        for (seq, entry) in (0..).zip(&timeline.entries) {
            if entry.row.kind >= MESSAGE && seq > given {
                let sender = timeline::user(entry.row.sender());
                let wanted = self.wanted.get(&(sender.clone(), entry.row.client_id().to_owned()));
                let right =
                    wanted.is_some_and(|wanted| wanted.key == *key && wanted.text.as_bytes() == &entry.row.body[..]);
                // Services post what is theirs anywhere, and people theirs where they are members.
                let service = places::is_service(&sender);
                let member = before.is_some_and(|before: &timeline::Entry| service || before.role(&sender).is_some())
                    && entry.is_system() == service;
                // Nothing is stored after a close until a reopening; who sends it again gets the first result.
                let open = before.is_some_and(|before| !before.profile.closed && !before.profile.declines(&sender));
                if !right || !member || !open {
                    wrong.push(format!("{sender} did not want, or may not have, {:?}: {wanted:?}", entry.row));
                }
            }
            if before.is_some_and(|before| self.wrong_answer(key, before, entry)) {
                wrong.push(format!("a request is answered that did not wait for it, or not so: {:?}", entry.row));
            }
            before = Some(entry);
        }
        self.violations.append(&mut wrong);
    }
}
