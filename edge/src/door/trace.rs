//! What the log says of requests on their way through a door, by the names that owners log, too. Of people it says nothing.

use switchyard_cluster::link::{EdgeLink, Request};
use switchyard_cluster::trace::{SessionName, Trace};
use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::v1::reply::Result as Reply;
use tracing::{debug, warn};

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

    /// A request, or a part of one, goes to an owner.
    pub(super) fn log_asked(&self, request: &Request, ticket: Ticket) {
        let trace = || Trace::of(&request.from, self.desk.instance);
        let kind = || match ticket {
            Ticket::Single { kind, .. } => kind.name(),
            Ticket::Part { .. } => "part",
        };
        debug!(
            trace = %trace(),
            request = kind(),
            conversation = %request.key.conversation,
            shard = request.shard().number(),
            "a request goes to its owner"
        );
    }

    /// A request has its answer. One that failed for a fault of ours is told of at any level.
    pub(super) fn log_answered(&self, id: ConnectionId, request: u64, kind: RequestKind, result: &Reply) {
        let trace = || Trace { session: self.name(id), request };
        match result {
            Reply::Error(error) if error.number == ErrorCode::Internal.number() => {
                warn!(trace = %trace(), request = kind.name(), "a request failed: the fault is the server's");
            }
            Reply::Error(error) => {
                debug!(trace = %trace(), request = kind.name(), code = error.code, "a request is answered");
            }
            _ => debug!(trace = %trace(), request = kind.name(), code = OK, "a request is answered"),
        }
    }

    /// The same of a message that is stored.
    pub(super) fn log_sent(&self, id: ConnectionId, request: u64) {
        let trace = || Trace { session: self.name(id), request };
        debug!(trace = %trace(), request = RequestKind::Send.name(), code = OK, "a request is answered");
    }

    fn name(&self, id: ConnectionId) -> SessionName {
        self.desk.instance.session(self.desk.edge, id.number())
    }
}
