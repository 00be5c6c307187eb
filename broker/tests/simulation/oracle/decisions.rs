//! What users decide: whom they block, what they put away. From what was asked and answered follows what holds for certain at
//! any time; where an answer is missing, or a request may have gone out twice, nothing does until all is at rest.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message as _;
use switchyard_client::core::Call;
use switchyard_protocol::id::{ConversationKey, UserId};
use switchyard_protocol::v1;
use switchyard_store::{Row, Seq};

use super::Oracle;
use crate::places;
use crate::timeline::{self, CHANGE, MEMBERS, Standing, form};

/// What somebody can decide, this way or that.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum About {
    User(UserId),
    Conversation(ConversationKey),
}

/// Whether one thing is decided. It is not, to begin with.
#[derive(Clone, Copy, Debug, Default)]
struct Switch {
    /// It is, for certain, since the judge's clock stood there.
    on: Option<u64>,
    /// It is not, for certain, since then; nothing for ever.
    off: Option<u64>,
    /// Requests of either kind without an answer, by any device.
    waiting: u64,
    /// It was asked for the last time then.
    asked: u64,
    /// A request may have been carried out at another time than its answer says, or may still be.
    loose: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Decisions {
    switches: BTreeMap<(UserId, About), Switch>,
    /// The newest number of what was put away, when that was asked for and when it was answered.
    put_away_at: BTreeMap<(UserId, ConversationKey), (Seq, Seq)>,
}

impl Switch {
    fn is_on(self, by: u64) -> bool {
        !self.loose && self.on.is_some_and(|since| since < by)
    }

    /// Whether it may have been on at some time since then.
    fn may_be_on(self, since: u64) -> bool {
        self.loose || self.waiting > 0 || self.asked > 0 && self.off.is_none_or(|off| off >= since)
    }
}

/// What a call decides: about what, and whether that way.
fn decision(call: &Call) -> Option<(About, bool)> {
    match call {
        Call::Block(block) => Some((About::User(timeline::user(&block.user)), true)),
        Call::Unblock(block) => Some((About::User(timeline::user(&block.user)), false)),
        Call::Archive(archive) => Some((About::Conversation(places::key(&archive.conversation)), true)),
        Call::Unarchive(archive) => Some((About::Conversation(places::key(&archive.conversation)), false)),
        _ => None,
    }
}

impl Decisions {
    fn of(&self, user: &UserId, about: About) -> Switch {
        self.switches.get(&(user.clone(), about)).copied().unwrap_or_default()
    }

    fn blocks(&self, user: &UserId, other: &UserId) -> Switch {
        self.of(user, About::User(other.clone()))
    }
}

impl Oracle {
    /// Somebody asks for something.
    pub(crate) fn decides(&mut self, user: &UserId, call: &Call, step: u64) {
        let Some((about, on)) = decision(call) else { return };
        if let About::Conversation(key) = &about
            && on
        {
            let head = self.head(key);
            self.decisions.put_away_at.insert((user.clone(), key.clone()), (head, Seq::MAX));
        }
        let switch = self.decisions.switches.entry((user.clone(), about)).or_default();
        switch.waiting += 1;
        switch.asked = step;
        (switch.on, switch.off) = (None, None);
    }

    /// Its application is told that it is done, or not; or it is gone and will not hear. `once`: it cannot have gone out twice.
    pub(crate) fn decided(&mut self, user: &UserId, call: &Call, step: u64, done: Option<bool>, once: bool) {
        let Some((about, on)) = decision(call) else { return };
        self.steps += 1;
        let now = self.steps;
        if let About::Conversation(key) = &about
            && on
        {
            let head = self.head(key);
            let (_, to) = self.decisions.put_away_at.entry((user.clone(), key.clone())).or_default();
            *to = head;
        }
        let switch = self.decisions.switches.entry((user.clone(), about)).or_default();
        switch.waiting -= 1;
        switch.loose |= !once || done.is_none();
        if done == Some(true) && switch.asked == step && switch.waiting == 0 {
            *(if on { &mut switch.on } else { &mut switch.off }) = Some(now);
        }
    }

    /// The other one of a conversation of two for good, if it is one and this is one of the two.
    fn peer(&mut self, key: &ConversationKey, user: &UserId) -> Option<UserId> {
        let (timeline, _) = self.timeline(key);
        let founding = timeline.entries.first()?;
        let of_two = founding.direct() && founding.members.contains_key(user);
        founding.members.keys().find(|other| of_two && *other != user).cloned()
    }

    /// Messages that came to be stored, from this number on: no message that somebody wrote after it was answered that one of the
    /// two has blocked the other, as long as nobody asks for an end of that.
    pub(super) fn none_is_blocked(&mut self, key: &ConversationKey, from: usize) {
        let (timeline, _) = self.timeline(key);
        let new = timeline.entries.iter().skip(from).filter(|entry| entry.is_message());
        let new: Vec<_> =
            new.map(|entry| (timeline::user(entry.row.sender()), entry.row.client_id().to_owned())).collect();
        for (sender, client_id) in new {
            let Some(peer) = self.peer(key, &sender) else { continue };
            let Some(wanted) = self.wanted.get(&(sender.clone(), client_id)) else { continue };
            let written = wanted.step;
            let blocked = |by: &UserId, of: &UserId| self.decisions.blocks(by, of).is_on(written);
            if blocked(&peer, &sender) || blocked(&sender, &peer) {
                let problem = format!("{sender} and {peer} are blocked, and this is stored: {wanted:?}");
                self.violate(problem);
            }
        }
    }

    /// Somebody may not write a message that they wanted to: there must be a reason.
    pub(super) fn forbidden(&mut self, user: &UserId, send: &v1::Send) {
        let key = places::key(&send.conversation);
        let Some(wanted) = self.wanted.get(&(user.clone(), send.client_id.clone())) else { return };
        if places::is_service(user) != (send.kind() == v1::MessageKind::System) {
            return;
        }
        let (since, after) = (wanted.step, wanted.after);
        let peer = self.peer(&key, user);
        let blocked = peer.as_ref().is_some_and(|peer| {
            let (ours, theirs) = (self.decisions.blocks(user, peer), self.decisions.blocks(peer, user));
            ours.may_be_on(since) || theirs.may_be_on(since)
        });
        let (timeline, _) = self.timeline(&key);
        let states = timeline.entries.iter().skip(after as usize);
        let declined = states.into_iter().any(|entry| entry.profile.declines(user));
        if !blocked && !declined {
            self.violate(format!("{user} may write to {peer:?} and was forbidden to: {send:?}"));
        }
    }

    /// Somebody was told that they brought others into a conversation: none who had blocked them before they asked.
    pub(crate) fn brought(&mut self, user: &UserId, name: &str, seq: Seq, step: u64) {
        let key = places::key(name);
        let (timeline, _) = self.timeline(&key);
        let Some(entry) = timeline.entries.get(seq as usize) else { return };
        if entry.row.kind != MEMBERS || entry.row.sender() != user.as_str() {
            return;
        }
        let members = entry.members.iter().filter(|(other, (_, at))| *at == seq && *other != user);
        let new: Vec<UserId> = members.map(|(other, _)| other.clone()).collect();
        let forced = new.into_iter().find(|other| self.decisions.blocks(other, user).is_on(step));
        if let Some(forced) = forced {
            self.violate(format!("{forced} has blocked {user}, who brought them into {name} at {seq}"));
        }
    }

    /// Whether neither of these has ever asked to block the other.
    pub(super) fn never_blocked(&self, user: &UserId, other: &UserId) -> bool {
        let never = |by: &UserId, of: &UserId| self.decisions.blocks(by, of).asked == 0;
        never(user, other) && never(other, user)
    }

    /// All is at rest: whether somebody has blocked the other for certain.
    pub(super) fn is_blocked(&self, by: &UserId, of: &UserId) -> bool {
        self.decisions.blocks(by, of).is_on(u64::MAX)
    }

    /// All is at rest: whom somebody has blocked, as they were told.
    pub(crate) fn blocks_are(&mut self, user: &UserId, told: &[String]) {
        let told: BTreeSet<UserId> = told.iter().map(|name| timeline::user(name)).collect();
        let of_user = self.decisions.switches.iter().filter(|((by, _), _)| by == user);
        let wrong = of_user.filter_map(|((_, about), switch)| match about {
            About::User(other) => {
                let wrong = switch.is_on(u64::MAX) != told.contains(other) && !switch.unsure();
                wrong.then(|| format!("{user} was told to have blocked {told:?}; of {other} is known {switch:?}"))
            }
            About::Conversation(_) => None,
        });
        let wrong: Vec<String> = wrong.collect();
        let others = told.iter().filter(|other| self.decisions.blocks(user, other).asked == 0);
        let strange: Vec<String> =
            others.map(|other| format!("{user} never blocked {other}, and was told so")).collect();
        self.violations.extend(wrong.into_iter().chain(strange));
    }

    /// One of these conversations that somebody has put away for certain, if there is one.
    pub(crate) fn put_away(&self, user: &UserId, names: &[String]) -> Option<String> {
        let is_away = |name: &&String| self.decisions.of(user, About::Conversation(places::key(name))).is_on(u64::MAX);
        names.iter().find(is_away).cloned()
    }

    /// All is at rest: what somebody has put away is in the list of that and no other, the rest in the usual one, and in both
    /// what is theirs.
    pub(crate) fn lists_are(&mut self, user: &UserId, usual: &BTreeSet<String>, away: &BTreeSet<String>) {
        let mut wrong = Vec::new();
        let both: Vec<&String> = usual.intersection(away).collect();
        if !both.is_empty() {
            wrong.push(format!("{user} has {both:?} put away, and in the usual list too"));
        }
        for name in usual.union(away) {
            let key = places::key(name);
            let switch = self.decisions.of(user, About::Conversation(key.clone()));
            let joined =
                self.timeline(&key).0.entries.last().and_then(|entry| entry.members.get(user)).map(|(_, at)| *at);
            let (low, high) = self.decisions.put_away_at.get(&(user.clone(), key)).copied().unwrap_or_default();
            let came_again = joined.is_some_and(|joined| joined > high);
            let perhaps = joined.is_some_and(|joined| joined > low && joined <= high);
            let due = switch.is_on(u64::MAX) && !came_again;
            if !switch.unsure() && !perhaps && due != away.contains(name) {
                wrong.push(format!("{user} has {name} put away: {}, and {switch:?}", away.contains(name)));
            }
        }
        self.violations.extend(wrong);
    }

    /// What is said of a conversation that follows from its events alone: whether it is closed, and a request, and whose.
    pub(super) fn stands_as(&mut self, user: &UserId, told: &v1::Conversation) {
        let key = places::key(&told.id);
        let (timeline, _) = self.timeline(&key);
        let Some(last) = timeline.entries.last() else { return };
        let request = last.profile.side(user).map(i32::from);
        let declined = last.profile.standing == Standing::Declined;
        if (told.request, told.declined, told.closed) != (request, declined, last.profile.closed) {
            let profile = last.profile.clone();
            self.violate(format!("{user} is told {told:?} of what is {profile:?}"));
        }
    }

    /// Why an answer to a request may not be stored; nothing if it may: it is the other one's who was asked, and wanted.
    pub(super) fn wrong_answer(
        &self,
        key: &ConversationKey,
        before: &timeline::Entry,
        entry: &timeline::Entry,
    ) -> bool {
        let Some(accepted) = answer(&entry.row) else { return false };
        let by = timeline::user(entry.row.sender());
        let asked = before.profile.maker.as_ref().is_some_and(|maker| *maker != by);
        !asked || !self.answers.contains(&(key.clone(), by, accepted))
    }

    /// A request that waits for this user's answer, if there is one.
    pub(crate) fn request_to(&mut self, names: &[String], user: &UserId) -> Option<String> {
        let waits = |name: &&String| {
            let (timeline, _) = self.timeline(&places::key(name));
            let last = timeline.entries.last();
            last.is_some_and(|last| {
                last.members.contains_key(user) && last.profile.side(user) == Some(v1::RequestSide::ToMe)
            })
        };
        names.iter().find(waits).cloned()
    }

    /// Somebody is told who types.
    pub(crate) fn typing_told(&mut self, user: &UserId, name: &str, users: &[String]) {
        // Their own devices tell each other.
        if users.iter().any(|one| one != user.as_str()) && self.only_asks(&places::key(name), user) {
            self.violate(format!("{user} waits for an answer to {name}, and is told that {users:?} type"));
        }
    }

    /// Whether this user never was told more of that conversation than that they wait for an answer.
    pub(super) fn only_asks(&mut self, key: &ConversationKey, user: &UserId) -> bool {
        let (timeline, _) = self.timeline(key);
        let mut states = timeline.entries.iter();
        !timeline.entries.is_empty() && states.all(|entry| entry.profile.side(user) == Some(v1::RequestSide::ByMe))
    }
}

impl Switch {
    /// Whether it is not known how it stands.
    fn unsure(self) -> bool {
        self.loose || self.waiting > 0 || self.asked > 0 && self.on.is_none() && self.off.is_none()
    }
}

/// What a row says of a request.
fn answer(row: &Row) -> Option<bool> {
    if row.kind == CHANGE { form::Change::decode(row.body.clone()).ok()?.accepted } else { None }
}
