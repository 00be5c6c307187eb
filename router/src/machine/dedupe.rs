//! Once, however often it is sent: a send whose client id is known is answered with the first result, one that is new is
//! put in line. Looked for in the work under way, in memory, and in the log as far as memory does not reach.

use bytes::Bytes;
use switchyard_cluster::link::{Answer, Asker, Refusal, SendAsk};
use switchyard_cluster::now::Now;
use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::id::{ConversationKey, UserId};
use switchyard_protocol::limits::{DEDUPE_RECENT, DEDUPE_SINCE_MAX};

use super::pipeline::{ALSO_MAX, Pending, Work};
use super::recent::IdHash;
use super::ticket::{Lookup, Ticket};
use super::{Effect, Machine, ReadPlan, Slot, busy, refuse};

/// The hash of a client id under a machine's seed: XXH3-64 over sender and client id with a byte between them that UTF-8
/// cannot hold. Never [`NO_ID`](super::recent::NO_ID).
pub(super) fn id_hash(seed: u64, sender: &str, client_id: &str) -> IdHash {
    let mut hash = xxhash_rust::xxh3::Xxh3::with_seed(seed);
    hash.update(sender.as_bytes());
    hash.update(&[0xff]);
    hash.update(client_id.as_bytes());
    hash.digest().max(1)
}

const ID_EXPIRED: Refusal = Refusal::new(
    ErrorCode::IdExpired,
    "the message is older than the server can tell apart: look for it in the history",
);

impl Machine {
    pub(super) fn send(
        &mut self,
        now: Now,
        asker: Asker,
        key: &ConversationKey,
        user: UserId,
        send: SendAsk,
        out: &mut Vec<Effect>,
    ) {
        let hash = id_hash(self.seed, user.as_str(), send.client_id());
        let Some(conversation) = self.loaded_mut(key) else { return };
        let head = conversation.state.head();
        let floor = match send.since {
            Some(since) if since > head => {
                let refusal = Refusal::new(ErrorCode::BadRequest, "since is above the conversation's head");
                return refuse(asker, refusal, out);
            }
            Some(since) => since + 1,
            None => (head + 1).saturating_sub(DEDUPE_RECENT).max(1),
        };
        let lookup = Lookup { key: key.clone(), asker, user, send, hash, through: floor - 1, floor, seen: false };
        self.look_up(now, lookup, out);
    }

    /// Goes on looking for a client id: in the work under way, in memory, in the log as far as memory does not reach.
    fn look_up(&mut self, now: Now, mut lookup: Lookup, out: &mut Vec<Effect>) {
        let key = lookup.key.clone();
        let Some(Slot::Loaded(conversation)) = self.slots.get_mut(&key) else {
            return refuse(lookup.asker, busy("the conversation left memory"), out);
        };
        if let Some(pipeline) = &mut conversation.pipeline
            && let Some(pending) = pipeline.find(&lookup.user, lookup.send.client_id(), lookup.hash)
        {
            if pending.also.len() >= ALSO_MAX {
                return refuse(lookup.asker, busy("too many wait for the outcome of this message"), out);
            }
            pending.also.push(lookup.asker);
            return;
        }
        let state = &conversation.state;
        let head = state.head();
        let next = lookup.through + 1;
        // Where it may still be: the newest number in memory that looks like it, or what memory does not reach. Beyond the
        // reach of `since` nothing can be told; that is said once everything before was looked through.
        let reach = lookup.floor.saturating_add(DEDUPE_SINCE_MAX - 1);
        let unread = (state.recent.from() - 1).min(reach).min(head);
        let seen = state.recent.find(lookup.hash, next);
        let range = match seen {
            Some(seq) => Some((seq, seq)),
            None => (next <= unread).then_some((next, unread)),
        };
        // Where retention was, nothing can be told any more.
        let first = state.first_available;
        if lookup.seen && lookup.through < first || seen.is_some_and(|seq| seq < first) {
            return refuse(lookup.asker, ID_EXPIRED, out);
        }
        lookup.seen = seen.is_some();
        if let Some((from, to)) = range {
            let sender = lookup.user.clone();
            let client_id = lookup.send.client_id().to_owned();
            lookup.through = to;
            // What the log has of it may wait to be told; whoever sent it first is to hear first.
            conversation.uncork(out);
            let pipeline = conversation.pipeline();
            if pipeline.full() {
                return refuse(lookup.asker, busy("too many events wait in this conversation"), out);
            }
            pipeline.looking_up += 1;
            let plan = ReadPlan::Find { from, to, sender, client_id };
            out.push(Effect::Read { key, ticket: Box::new(Ticket::Lookup(lookup)), plan });
            return;
        }
        let too_far = head >= lookup.floor.saturating_add(DEDUPE_SINCE_MAX);
        if too_far || lookup.send.since.is_some() && lookup.floor < first {
            return refuse(lookup.asker, ID_EXPIRED, out);
        }
        let work = Work::Message { send: lookup.send, hash: lookup.hash };
        let pending = Pending {
            asker: lookup.asker,
            also: Vec::new(),
            user: lookup.user,
            since: now.mono,
            told_unknown: false,
            work,
        };
        conversation.enqueue(&key, pending, &mut self.ready, out);
    }

    pub(super) fn looked_up(&mut self, now: Now, lookup: Lookup, found: Option<Bytes>, out: &mut Vec<Effect>) {
        self.lookup_ended(&lookup.key);
        match found {
            Some(message) => {
                out.push(Effect::Answer { to: lookup.asker, answer: Answer::Sent { message, duplicate: true } });
            }
            None => self.look_up(now, lookup, out),
        }
    }

    pub(super) fn lookup_failed(&mut self, _now: Now, lookup: Lookup, refusal: Refusal, out: &mut Vec<Effect>) {
        self.lookup_ended(&lookup.key);
        refuse(lookup.asker, refusal, out);
    }

    fn lookup_ended(&mut self, key: &ConversationKey) {
        if let Some(conversation) = self.loaded_mut(key)
            && let Some(pipeline) = &mut conversation.pipeline
        {
            pipeline.looking_up = pipeline.looking_up.saturating_sub(1);
        }
    }
}
