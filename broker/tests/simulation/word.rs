//! What the server promises on one connection, frame by frame, apart from what an SDK makes of it: from where live events
//! flow, in which order, and until when a session may last.

use std::collections::BTreeMap;

use switchyard_protocol::code::CloseCode;
use switchyard_protocol::v1::{self, ServerFrame, reply, server_frame::Frame};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Word {
    /// By conversation, the number above which live events come next.
    above: BTreeMap<String, u64>,
    /// The session was renewed until then.
    renewed_until_ms: u64,
}

impl Word {
    /// Takes a frame; says what is wrong with it.
    pub(crate) fn take(&mut self, frame: &ServerFrame) -> Option<String> {
        match frame.frame.as_ref()? {
            Frame::Event(event) if event.seq > 0 => {
                let above = self.above.entry(event.conversation.clone()).or_default();
                let wrong = (event.seq <= *above).then(|| format!("a live event not above {above}: {event:?}"));
                *above = event.seq.max(*above);
                wrong
            }
            Frame::Event(_) => None,
            Frame::Reply(reply) => match reply.result.as_ref()? {
                reply::Result::Resumed(resumed) => resumed.conversations.iter().find_map(|one| self.resumed(one)),
                reply::Result::Subscribed(subscribed) => {
                    let granted = subscribed.subscribed.iter().filter(|one| one.error.is_none());
                    granted.for_each(|one| self.begin(&one.conversation, one.head));
                    None
                }
                reply::Result::Renewed(renewed) => {
                    self.renewed_until_ms = renewed.expires_at_ms;
                    None
                }
                _ => None,
            },
        }
    }

    fn resumed(&mut self, one: &v1::ResumedConversation) -> Option<String> {
        if one.error.is_some() {
            return None;
        }
        self.begin(&one.conversation, one.head);
        let last = one.events.last()?.seq;
        (one.more != (last < one.head)).then(|| format!("a page up to {last} of {} says more: {}", one.head, one.more))
    }

    fn begin(&mut self, conversation: &str, head: u64) {
        let above = self.above.entry(conversation.to_owned()).or_default();
        *above = head.max(*above);
    }

    /// The server says goodbye.
    pub(crate) fn close(&self, code: u16, now_ms: u64) -> Option<String> {
        let early = code == CloseCode::TokenExpired.number() && now_ms < self.renewed_until_ms;
        early.then(|| format!("closed for its token at {now_ms}, renewed until {}", self.renewed_until_ms))
    }
}
