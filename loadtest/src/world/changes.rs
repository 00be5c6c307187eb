//! Edits, deletions and emoji out: which message one is made of, and what became of it. They take part in their sender's
//! operations as messages do, and are sent again where their outcome is unknown: asked twice, each is done once.

use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::v1::{self, client_frame::Request, reply};

use crate::letter;
use crate::mix::EMOJI;
use crate::net::Net;
use crate::oracle::{Change, Fault};
use crate::outbox::Outcome;

use super::mixed::Op;
use super::send::{REFUSED_AGAIN, UNKNOWN_AGAIN};
use super::{Flow, State, Timer, World, count_refusal, encode};

const MS: u64 = 1_000_000;

/// Shares are drawn to a hundredth of a percent.
const DRAWS: u64 = 10_000;

impl World {
    /// An operation of this publisher's is due: whether it is a change of a message, and not a message.
    pub(super) fn launch_change(&mut self, slot: usize, due: u64, net: &mut Net) -> bool {
        let seed = self.plan.seed;
        let Some(mixing) = self.mixing.as_mut() else { return false };
        let draw = mixing.draw(seed);
        let share = (draw % DRAWS) as f64 * 100.0 / DRAWS as f64;
        let mix = mixing.mix;
        if share >= mix.changes() {
            return false;
        }
        let own = share < mix.edits + mix.deletes;
        let session = &mut self.sessions[slot];
        let conversation = &mut self.conversations[session.conversation];
        let (Some(story), Some(part)) = (conversation.story.as_mut(), session.part.as_mut()) else { return false };
        let user = slot as u32;
        let picked = story.pick(user, own, |attempt| letter::mix(draw, attempt));
        let Some((seq, target)) = picked.and_then(|seq| Some((seq, story.target_mut(seq)?))) else { return false };
        let change = if share < mix.edits {
            target.edit()
        } else if own {
            target.delete()
        } else {
            target.react(user, (draw / DRAWS % EMOJI.len() as u64) as u8)
        };
        let op = Op {
            slot,
            target: seq,
            change,
            intended: due,
            since: 0,
            outcome: Outcome::Waiting,
            sent: false,
            again: false,
            unsure: false,
        };
        part.waiting.push_back(mixing.begin(op));
        self.meter.tally.changes_open += 1;
        self.pump_changes(slot, net);
        true
    }

    /// Sends what waits, as far as the server takes it.
    pub(super) fn pump_changes(&mut self, slot: usize, net: &mut Net) {
        let session = &mut self.sessions[slot];
        let (Some(mixing), Some(part)) = (self.mixing.as_mut(), session.part.as_mut()) else { return };
        if session.state != State::Joined {
            return;
        }
        let sends = session.outbox.as_ref().map_or(0, |outbox| outbox.flying);
        let conversation = &self.conversations[session.conversation];
        while sends + part.flying < session.in_flight_max
            && let Some(id) = part.waiting.pop_front()
        {
            let Some(op) = mixing.open.get_mut(&id) else { continue };
            op.again = op.sent;
            if op.again {
                self.meter.tally.retries += 1;
            } else {
                (op.sent, op.since) = (true, conversation.ledger.acked_head());
            }
            op.outcome = Outcome::Flying;
            part.flying += 1;
            let conversation_id = conversation.id.clone();
            let seq = op.target;
            let request = match op.change {
                Change::Edit(version) => {
                    let key = conversation.story.as_ref().and_then(|story| story.key_of(seq));
                    let text = key.map(|key| self.bodies.edited(key, version)).unwrap_or_default();
                    Request::Edit(v1::Edit { conversation: conversation_id, seq, text, ..v1::Edit::default() })
                }
                Change::Delete => Request::Delete(v1::Delete { conversation: conversation_id, seq, id: None }),
                Change::React { emoji, remove } => {
                    let emoji = EMOJI.get(usize::from(emoji)).copied().unwrap_or_default().to_owned();
                    Request::React(v1::React { conversation: conversation_id, seq, id: None, emoji, remove })
                }
            };
            net.send(slot, encode(self.plan.form, id, request));
        }
    }

    /// A change was answered.
    pub(super) fn on_change(&mut self, slot: usize, id: u64, result: &reply::Result, net: &mut Net, now: u64) {
        let flying = |op: &&Op| op.slot == slot && op.outcome == Outcome::Flying;
        let op = self.mixing.as_ref().and_then(|mixing| mixing.open.get(&id)).filter(flying).copied();
        let Some(op) = op else { return self.on_unasked(slot, id) };
        match result {
            reply::Result::Changed(changed) => self.on_changed(slot, id, op, changed, now),
            reply::Result::Error(error) => {
                self.on_change_refused(id, op, error, now);
                self.pump_changes(slot, net);
                return self.pump(slot, net);
            }
            other => {
                let other = format!("{other:?}");
                return self.verdict.add(Fault::Altered, 1, || format!("the answer to change {id} is {other}"));
            }
        }
        match self.plan.flow {
            Flow::Acks(_) | Flow::Deliveries(_) => self.launch_after(slot, now, net),
            Flow::Timed => {}
        }
        self.pump_changes(slot, net);
        self.pump(slot, net);
    }

    fn on_changed(&mut self, slot: usize, id: u64, op: Op, changed: &v1::Changed, now: u64) {
        let Some(mixing) = self.mixing.as_mut() else { return };
        mixing.open.remove(&id);
        mixing.tick += 1;
        let tick = mixing.tick;
        self.landed(slot);
        self.meter.tally.changes_open -= 1;
        self.meter.changed(op.intended, now);
        let conversation = &mut self.conversations[self.sessions[slot].conversation];
        let (seq, name) = (changed.seq, &conversation.id);
        if changed.conversation != *name {
            let told = changed.conversation.clone();
            return self.verdict.add(Fault::Foreign, 1, || format!("a change of {name} is said to be one of {told}"));
        }
        let early = !op.again && seq <= op.since;
        self.verdict.add(Fault::OutOfOrder, u64::from(early), || {
            format!("user {slot} got number {seq} for a change asked for after {} was acknowledged", op.since)
        });
        conversation.ledger.acked_change(seq);
        if let Some(story) = conversation.story.as_mut() {
            let whose = (slot as u32, op.target, op.change);
            // A number that cannot be is one fault, whatever stands there.
            story.acknowledged(seq, whose, op.again || early, tick, &mut self.verdict);
        }
    }

    fn on_change_refused(&mut self, id: u64, op: Op, error: &v1::Error, now: u64) {
        let slot = op.slot;
        self.landed(slot);
        let code = ErrorCode::from_number(error.number);
        let unknown = matches!(code, Some(ErrorCode::UnknownOutcome | ErrorCode::Internal) | None);
        let again = code.is_none_or(ErrorCode::retry);
        let unsure = op.unsure || unknown;
        count_refusal(&mut self.refusals, error);
        let wait = |usual: u64| error.retry_after_ms.map_or(usual, |ms| ms.max(1) * MS);
        if unsure && again {
            if let Some(op) = self.mixing.as_mut().and_then(|mixing| mixing.open.get_mut(&id)) {
                (op.outcome, op.unsure) = (Outcome::Held, unsure);
            }
            return self.at(now + wait(UNKNOWN_AGAIN), slot, Timer::Change(id));
        }
        if let Some(mixing) = self.mixing.as_mut() {
            mixing.open.remove(&id);
        }
        self.meter.tally.changes_open -= 1;
        self.meter.tally.changes_refused += 1;
        let conversation = &mut self.conversations[self.sessions[slot].conversation];
        if let Some(target) = conversation.story.as_mut().and_then(|story| story.target_mut(op.target)) {
            let denied = code == Some(ErrorCode::NotFound) && !target.may_be_gone();
            target.refused(slot as u32, op.change, unsure);
            self.verdict.add(Fault::Stale, u64::from(denied), || {
                format!("user {slot} is told that there is no message {}, which is there", op.target)
            });
        }
        self.at(now + wait(REFUSED_AGAIN), slot, Timer::Launch);
    }

    /// A change is not under way on this connection any more.
    fn landed(&mut self, slot: usize) {
        if let Some(part) = self.sessions[slot].part.as_mut() {
            part.flying -= 1;
        }
    }

    /// A held change's pause is over.
    pub(super) fn release_change(&mut self, slot: usize, id: u64, net: &mut Net) {
        let (Some(mixing), Some(part)) = (self.mixing.as_mut(), self.sessions[slot].part.as_mut()) else { return };
        if let Some(op) = mixing.open.get_mut(&id)
            && op.outcome == Outcome::Held
        {
            op.outcome = Outcome::Waiting;
            part.waiting.push_back(id);
            self.pump_changes(slot, net);
        }
    }

    /// The connection is gone: what was not answered may be done or not, and is asked for again on the next one.
    pub(super) fn changes_cut_off(&mut self, slot: usize) {
        let (Some(mixing), Some(part)) = (self.mixing.as_mut(), self.sessions[slot].part.as_mut()) else { return };
        part.cut_off();
        for (id, op) in mixing.open.iter_mut().filter(|(_, op)| op.slot == slot) {
            if matches!(op.outcome, Outcome::Flying | Outcome::Held) {
                (op.outcome, op.unsure) = (Outcome::Waiting, true);
                part.waiting.push_back(*id);
            }
        }
    }

    /// Changes without an answer whose sender's connection stands.
    pub(super) fn changes_unanswered(&self) -> u64 {
        let open = self.mixing.iter().flat_map(|mixing| mixing.open.values());
        open.filter(|op| self.sessions[op.slot].state == State::Joined).count() as u64
    }
}
