//! What the log says of requests on their way through a router, by the names that edges log, too: where each came from, which
//! events became of it and what the store said of them, and what it was answered. Of people it says nothing: nor whose home is asked,
//! which could be told from its key.

use switchyard_cluster::link::{Answer, Request, RouterLink};
use switchyard_cluster::party::Asker;
use switchyard_cluster::trace::Trace;
use switchyard_protocol::id::ConversationKey;
use tracing::field::display;
use tracing::{Level, debug, enabled};

use crate::machine::{CommitOutcome, Effect, Input, Machine};

/// What is said of a request that was carried out.
const OK: &str = "ok";

/// A request has come over the link. What an edge says by itself is nobody's.
pub(super) fn came(link: &dyn RouterLink, request: &Request, is_sure: bool) {
    if request.ask.is_answered() {
        let conversation = (!request.ask.is_of_home()).then(|| display(request.key.conversation));
        debug!(trace = %trace(link, &request.from), conversation, is_sure, "a request has come");
    }
}

/// The store, or what reads it, has done something.
pub(super) fn done(link: &dyn RouterLink, machine: &Machine, input: &Input) {
    if !enabled!(Level::DEBUG) {
        return;
    }
    let Input::Committed { key, outcome } = input else { return };
    let outcome = match outcome {
        CommitOutcome::Committed => "stored",
        CommitOutcome::Refused { .. } => "refused",
        CommitOutcome::Unknown(_) => "unknown",
    };
    for asker in machine.askers(key) {
        debug!(trace = %trace(link, &asker), outcome, "the store has answered");
    }
}

/// Something is to be done for a request.
pub(super) fn goes_on(link: &dyn RouterLink, machine: &Machine, effect: &Effect) {
    if !enabled!(Level::DEBUG) {
        return;
    }
    match effect {
        Effect::Append(batch) => {
            let conversation = machine.is_conversation(&batch.key).then(|| display(batch.key.conversation));
            for (seq, asker) in (batch.first..).zip(machine.askers(&batch.key)) {
                let epoch = batch.epoch;
                debug!(trace = %trace(link, &asker), conversation, seq, epoch, "an event goes to the store");
            }
        }
        Effect::Read { key, ticket, .. } => {
            if let Some(asker) = ticket.asker() {
                reads(link, key, asker);
            }
        }
        Effect::Decoy { key, to } => reads(link, key, to),
        Effect::Answer { to, answer } => {
            let code = if let Answer::Refused(refusal) = answer { refusal.code.name() } else { OK };
            debug!(trace = %trace(link, to), code, "a request is answered");
        }
        _ => {}
    }
}

fn reads(link: &dyn RouterLink, key: &ConversationKey, asker: &Asker) {
    debug!(trace = %trace(link, asker), conversation = %key.conversation, "the store is read");
}

fn trace(link: &dyn RouterLink, asker: &Asker) -> Trace {
    Trace::of(asker, link.instance(asker.edge))
}
