//! What the log says of requests on their way through a door, by the names that owners log, too. Of people it says nothing: nor
//! whose home is asked, which could be told from its key.

use switchyard_cluster::link::{EdgeLink, Request};
use switchyard_cluster::trace::{SessionName, Trace};
use switchyard_protocol::v1::reply::Result as Reply;
use tracing::debug;

use super::Door;
use super::connection::ConnectionId;
use crate::metrics::Ended;
use crate::session::{RequestKind, Ticket};

/// What is said of a request that was carried out.
const OK: &str = "ok";

impl<L: EdgeLink> Door<L> {
    pub(super) fn log_begun(&self, id: ConnectionId) {
        debug!(session = %self.name(id), "a session begins");
    }

    pub(super) fn log_ended(&self, id: ConnectionId, why: Ended) {
        debug!(session = %self.name(id), reason = why.label(), "a session ends");
    }

    /// A request, or a part of one, goes to an owner. What the edge says by itself is nobody's.
    pub(super) fn log_asked(&self, request: &Request, ticket: Ticket) {
        if !request.ask.is_answered() {
            return;
        }
        let kind = match ticket {
            Ticket::Single { kind, .. } => kind.name(),
            Ticket::Part { .. } => "part",
        };
        let is_shown = !request.ask.is_of_home();
        debug!(
            trace = %Trace::of(&request.from, self.desk.instance),
            request = kind,
            conversation = is_shown.then(|| display(request.key.conversation)),
            shard = is_shown.then(|| request.shard().number()),
            "a request goes to its owner"
        );
    }

    /// A request has its answer.
    pub(super) fn log_answered(&self, id: ConnectionId, request: u64, kind: RequestKind, result: &Reply) {
        let code = if let Reply::Error(error) = result { &error.code } else { OK };
        debug!(trace = %self.trace(id, request), request = kind.name(), code, "a request is answered");
    }

    /// The same of a message that is stored.
    pub(super) fn log_sent(&self, id: ConnectionId, request: u64) {
        debug!(trace = %self.trace(id, request), request = RequestKind::Send.name(), code = OK, "a request is answered");
    }

    fn trace(&self, id: ConnectionId, request: u64) -> Trace {
        Trace { session: self.name(id), request }
    }

    fn name(&self, id: ConnectionId) -> SessionName {
        self.desk.instance.session(self.desk.edge, id.number())
    }
}
