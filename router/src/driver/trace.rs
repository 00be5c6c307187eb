//! What the log says of requests on their way through a router, by the names that edges log, too: where each came from, which
//! events became of it, and what it was answered. Of people it says nothing.

use switchyard_cluster::link::{Answer, Request, RouterLink};
use switchyard_cluster::party::Asker;
use switchyard_cluster::trace::Trace;
use switchyard_protocol::id::ConversationKey;
use switchyard_store::Batch;
use tracing::{Level, debug, enabled};

use crate::machine::{Effect, Machine};

/// What is said of a request that was carried out.
const OK: &str = "ok";

/// A request has come over the link. Those of an edge itself are nobody's.
pub(super) fn came(link: &dyn RouterLink, request: &Request, is_sure: bool) {
    if request.ask.is_answered() {
        let conversation = request.key.conversation;
        debug!(trace = %trace(link, &request.from), %conversation, is_sure, "a request has come");
    }
}

/// Something is to be done for a request.
pub(super) fn goes_on(link: &dyn RouterLink, machine: &Machine, effect: &Effect) {
    if !enabled!(Level::DEBUG) {
        return;
    }
    match effect {
        Effect::Append(batch) => appends(link, batch, &machine.askers(&batch.key)),
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

fn appends(link: &dyn RouterLink, batch: &Batch, askers: &[Asker]) {
    let Batch { key, epoch, first, .. } = batch;
    for (seq, asker) in (*first..).zip(askers) {
        let conversation = key.conversation;
        debug!(trace = %trace(link, asker), %conversation, seq, epoch, "an event goes to the store");
    }
}

fn reads(link: &dyn RouterLink, key: &ConversationKey, asker: &Asker) {
    debug!(trace = %trace(link, asker), conversation = %key.conversation, "the store is read");
}

fn trace(link: &dyn RouterLink, asker: &Asker) -> Trace {
    Trace::of(asker, link.instance(asker.edge))
}
