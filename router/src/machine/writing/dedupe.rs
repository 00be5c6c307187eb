//! Once, however often it is sent: a send whose client id is known is answered with the first result, one that is new is
//! put in line. Looked for in the work under way, in memory, and in the log as far as memory does not reach.
//!
//! Memory knows nothing of the events that a load did not replay. The first send that asks for them has their ids read as
//! far back as it must look, at most the newest thousand, and they stay known; only what lies farther back is searched for
//! one send alone.

use bytes::Bytes;
use switchyard_cluster::link::{Answer, Refusal, SendAsk};
use switchyard_cluster::now::Now;
use switchyard_cluster::party::Asker;
use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::id::{ConversationKey, UserId};
use switchyard_protocol::limits::{DEDUPE_RECENT, DEDUPE_SINCE_MAX};
use switchyard_store::Row;

use crate::annotation;
use crate::machine::conversation::Conversation;
use crate::machine::conversation::recent::{COUNTS, IdHash, NO_ID};
use crate::machine::ticket::Ticket;
use crate::machine::writing::annotate::NO_SUCH_MESSAGE;
use crate::machine::writing::line::{Lookup, Stage, Waiting};
use crate::machine::writing::pipeline::{ALSO_MAX, Pending, Work};
use crate::machine::writing::targets::{Known, TargetRead};
use crate::machine::{Effect, Machine, ReadFailed, ReadPlan, Slot, busy, read_refusal, refuse};
use crate::rules::{Rule, Rules};
use crate::stored::{RowKind, counts};

/// The hash of a client id under a machine's seed: XXH3-64 over sender and client id with a byte between them that UTF-8
/// cannot hold, without the lowest bit. Never [`NO_ID`].
pub(in crate::machine) fn id_hash(seed: u64, sender: &str, client_id: &str) -> IdHash {
    let mut hash = xxhash_rust::xxh3::Xxh3::with_seed(seed);
    hash.update(sender.as_bytes());
    hash.update(&[0xff]);
    hash.update(client_id.as_bytes());
    (hash.digest() & !COUNTS).max(2)
}

/// The hash of a stored event's client id, and whether it counts; [`NO_ID`] for one that is no message.
pub(crate) fn row_hash(seed: u64, row: &Row) -> IdHash {
    match RowKind::parse(row.kind) {
        Some((kind, _)) if kind.is_message() => {
            let hash = id_hash(seed, row.sender(), row.client_id());
            if counts(row.kind) { hash | COUNTS } else { hash }
        }
        _ => NO_ID,
    }
}

const ID_EXPIRED: Refusal = Refusal::new(
    ErrorCode::IdExpired,
    "the message is older than the server can tell apart: look for it in the history",
);

/// What is to be done about a send.
enum Step {
    /// Nothing: it waits with the same message, which is under way.
    Joined,
    /// It cannot be taken.
    Refuse(Refusal),
    /// Its id is looked for in these rows.
    Search { from: u64, to: u64 },
    /// Memory is to know these ids first.
    ReadIds { from: u64, to: u64 },
    /// It is new, and answers this message, which is to be looked at first.
    Quote { seq: u64 },
    /// It is new.
    Store,
}

impl Conversation {
    /// Goes on looking for a client id: in the work under way, in memory, in the log as far as memory does not reach.
    fn step(&mut self, lookup: &Lookup, rules: Rules) -> Step {
        if let Some(pipeline) = &mut self.pipeline
            && let Some(pending) = pipeline.find(&lookup.user, lookup.send.client_id(), lookup.hash)
        {
            if pending.also.len() >= ALSO_MAX {
                return Step::Refuse(busy("too many wait for the outcome of this message"));
            }
            pending.also.push(lookup.asker);
            return Step::Joined;
        }
        let state = &self.state;
        let (first, head) = (state.first_available, state.head());
        let next = if rules.has(Rule::Dedupe) { lookup.through + 1 } else { head + 1 };
        let seen = state.recent.find(lookup.hash, next);
        // Where retention was, nothing can be told any more.
        let expires = rules.has(Rule::ExpiredRefused);
        if expires && (lookup.seen && lookup.through < first || seen.is_some_and(|seq| seq < first)) {
            return Step::Refuse(ID_EXPIRED);
        }
        if let Some(seq) = seen {
            return Step::Search { from: seq, to: seq };
        }
        let next = next.max(first);
        let known = state.recent.from();
        let ids_from = next.max((head + 1).saturating_sub(DEDUPE_RECENT));
        if ids_from < known {
            return Step::ReadIds { from: ids_from, to: known - 1 };
        }
        // Beyond the reach of `since` nothing can be told; that is said once everything before was looked through.
        let reach = lookup.floor.saturating_add(DEDUPE_SINCE_MAX - 1);
        let unread = (known - 1).min(reach).min(head);
        if next <= unread {
            return Step::Search { from: next, to: unread };
        }
        let too_far = head >= lookup.floor.saturating_add(DEDUPE_SINCE_MAX);
        if too_far || expires && lookup.send.since.is_some() && lookup.floor < first {
            return Step::Refuse(ID_EXPIRED);
        }
        match lookup.send.extra.as_ref().and_then(|extra| extra.reply_to) {
            Some(seq) if lookup.quote.is_none() && !state.may_hold(seq) => Step::Refuse(NO_SUCH_MESSAGE),
            Some(seq) if lookup.quote.is_none() => Step::Quote { seq },
            _ => Step::Store,
        }
    }

    /// Has these rows searched for a send's client id.
    fn search(&mut self, key: &ConversationKey, waiting: &mut Waiting, (from, to): (u64, u64), out: &mut Vec<Effect>) {
        waiting.stage = Stage::Read;
        let lookup = &mut waiting.lookup;
        lookup.seen = self.state.recent.from() <= from;
        lookup.through = to;
        // What the log has of it may wait to be told; whoever sent it first is to hear first.
        self.uncork(out);
        let (sender, client_id) = (lookup.user.clone(), lookup.send.client_id().to_owned());
        let read = self.pipeline().targets.begin_read();
        let ticket = Box::new(Ticket::Lookup { key: key.clone(), number: waiting.number, read });
        let annotated = self.state.profile.annotated;
        let plan = ReadPlan::Find { from, to, sender, client_id, annotated };
        out.push(Effect::Read { key: key.clone(), ticket, plan });
    }
}

impl Machine {
    pub(in crate::machine) fn send(
        &mut self,
        now: Now,
        asker: Asker,
        key: &ConversationKey,
        user: UserId,
        send: SendAsk,
        out: &mut Vec<Effect>,
    ) {
        let hash = id_hash(self.seed, user.as_str(), send.client_id());
        let Some(Slot::Loaded(conversation)) = self.slots.get_mut(key) else { return };
        let head = conversation.state.head();
        let floor = match send.since {
            Some(since) if since > head => {
                let refusal = Refusal::new(ErrorCode::BadRequest, "since is above the conversation's head");
                return refuse(asker, refusal, out);
            }
            Some(since) => since + 1,
            None => (head + 1).saturating_sub(DEDUPE_RECENT).max(1),
        };
        let lookup = Lookup { asker, user, send, hash, quote: None, through: floor - 1, floor, seen: false };
        let behind = conversation.pipeline.as_ref().is_some_and(|pipeline| pipeline.line.holds(&lookup.user));
        if !behind {
            match conversation.step(&lookup, self.config.rules) {
                Step::Joined => return,
                Step::Refuse(refusal) => return refuse(asker, refusal, out),
                Step::Store => {
                    let message = pending(now, lookup);
                    return conversation.enqueue(key, message, &mut self.ready, out);
                }
                Step::Search { .. } | Step::ReadIds { .. } | Step::Quote { .. } => {}
            }
        }
        if conversation.full() {
            return refuse(asker, busy("too many events wait in this conversation"), out);
        }
        conversation.pipeline().line.push(lookup, Stage::Turn);
        if !behind {
            self.go_on(now, key, out);
        }
    }

    /// Does what can be done for the sends in line, in their order.
    fn go_on(&mut self, now: Now, key: &ConversationKey, out: &mut Vec<Effect>) {
        let (seed, rules) = (self.seed, self.config.rules);
        let Some(Slot::Loaded(conversation)) = self.slots.get_mut(key) else { return };
        let mut line = std::mem::take(&mut conversation.pipeline().line);
        while let Some(place) = line.turn() {
            let Some(waiting) = line.at(place) else { break };
            let Lookup { user, asker, .. } = &waiting.lookup;
            let step = if conversation.state.standing(user, asker.roles).sends() {
                conversation.step(&waiting.lookup, rules)
            } else {
                Step::Refuse(Refusal::NOT_FOUND)
            };
            match step {
                Step::Search { from, to } => {
                    conversation.search(key, waiting, (from, to), out);
                    continue;
                }
                Step::ReadIds { from, to } => {
                    waiting.stage = Stage::Ids;
                    if line.reading_from.is_none() {
                        line.reading_from = Some(from);
                        let ticket = Box::new(Ticket::Ids { key: key.clone() });
                        out.push(Effect::Read { key: key.clone(), ticket, plan: ReadPlan::Ids { from, to, seed } });
                    }
                    continue;
                }
                Step::Quote { seq } => {
                    waiting.stage = Stage::Read;
                    let read = conversation.pipeline().targets.begin_read();
                    let ticket = Box::new(Ticket::Lookup { key: key.clone(), number: waiting.number, read });
                    out.push(Effect::Read { key: key.clone(), ticket, plan: ReadPlan::Target { seq, reactor: None } });
                    continue;
                }
                Step::Joined | Step::Refuse(_) | Step::Store => {}
            }
            let Some(lookup) = line.remove(place) else { break };
            match step {
                Step::Store => {
                    let message = pending(now, lookup);
                    conversation.line_up(key, message, &mut self.ready);
                }
                Step::Refuse(refusal) => refuse(lookup.asker, refusal, out),
                Step::Joined | Step::Search { .. } | Step::ReadIds { .. } | Step::Quote { .. } => {}
            }
        }
        conversation.pipeline().line = line;
        conversation.rest();
    }

    /// The log was searched for a client id.
    pub(in crate::machine) fn looked_up(
        &mut self,
        now: Now,
        key: &ConversationKey,
        number: u64,
        found: Result<Option<Bytes>, ReadFailed>,
        out: &mut Vec<Effect>,
    ) {
        let Some(conversation) = self.loaded_mut(key) else { return };
        let Conversation { state, pipeline: Some(pipeline), .. } = conversation else { return };
        let Some(place) = pipeline.line.place(number) else { return };
        match found {
            Ok(None) => {
                if let Some(waiting) = pipeline.line.at(place) {
                    waiting.stage = Stage::Turn;
                }
            }
            found => {
                let Some(lookup) = pipeline.line.remove(place) else { return };
                let answer = match found {
                    // Who was put out meanwhile learns nothing.
                    _ if !state.standing(&lookup.user, lookup.asker.roles).sends() => {
                        Answer::Refused(Refusal::NOT_FOUND)
                    }
                    Ok(Some(message)) => {
                        let message = pipeline.targets.freshened(message, &lookup.user, &state.profile.pins);
                        Answer::Sent { message, duplicate: true }
                    }
                    Ok(None) => return,
                    Err(failed) => Answer::Refused(read_refusal(failed)),
                };
                out.push(Effect::Answer { to: lookup.asker, answer });
            }
        }
        self.go_on(now, key, out);
    }

    /// The message that a send answers was read.
    pub(in crate::machine) fn answered_read(
        &mut self,
        now: Now,
        key: &ConversationKey,
        number: u64,
        read: Option<Box<TargetRead>>,
        out: &mut Vec<Effect>,
    ) {
        let Some(conversation) = self.loaded_mut(key) else { return };
        let Conversation { state, pipeline: Some(pipeline), .. } = conversation else { return };
        let Some(place) = pipeline.line.place(number) else { return };
        // What is known of it because it is being changed is newer.
        let shown = read.map(|read| {
            let seq = read.message.seq;
            pipeline.targets.get(seq).map_or_else(|| Known::from(*read).shown(), Known::shown)
        });
        match shown.filter(|message| !message.deleted) {
            Some(message) => {
                if let Some(waiting) = pipeline.line.at(place) {
                    waiting.lookup.quote = Some(Box::new(annotation::quote(&message)));
                    waiting.stage = Stage::Turn;
                }
            }
            None => {
                let Some(lookup) = pipeline.line.remove(place) else { return };
                let member = state.standing(&lookup.user, lookup.asker.roles).sends();
                refuse(lookup.asker, if member { NO_SUCH_MESSAGE } else { Refusal::NOT_FOUND }, out);
            }
        }
        self.go_on(now, key, out);
    }

    /// The newest client ids were read.
    pub(in crate::machine) fn ids_read(
        &mut self,
        now: Now,
        key: &ConversationKey,
        read: Result<(u64, Vec<IdHash>), ReadFailed>,
        out: &mut Vec<Effect>,
    ) {
        let Some(conversation) = self.loaded_mut(key) else { return };
        let Conversation { state, pipeline: Some(pipeline), .. } = conversation else { return };
        let Some(wanted) = pipeline.line.reading_from.take() else { return };
        let failed = match read {
            Ok((from, hashes)) => {
                state.recent.extend_below(from, &hashes);
                let reached = state.recent.full() || state.recent.from() <= wanted.max(state.first_available);
                (!reached).then_some(ReadFailed::Unavailable)
            }
            Err(failed) => Some(failed),
        };
        match failed {
            None => pipeline.line.ids_known(),
            Some(failed) => {
                for lookup in pipeline.line.take_waiting_for_ids() {
                    let member = state.standing(&lookup.user, lookup.asker.roles).sends();
                    refuse(lookup.asker, if member { read_refusal(failed) } else { Refusal::NOT_FOUND }, out);
                }
            }
        }
        self.go_on(now, key, out);
    }
}

/// A send whose id is new.
fn pending(now: Now, lookup: Lookup) -> Pending {
    Pending {
        asker: lookup.asker,
        also: Vec::new(),
        user: lookup.user,
        since: now.mono,
        told_unknown: false,
        work: Work::Message { send: lookup.send, hash: lookup.hash, quote: lookup.quote },
    }
}
