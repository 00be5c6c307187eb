//! How much a user has not read: asked of the owner of each conversation that is named, and added up; of all of them, asked of
//! the user's home.

use std::time::Duration;

use switchyard_cluster::home::HomeAsk;
use switchyard_cluster::link::{Answer, Ask};
use switchyard_protocol::id::ConversationKey;
use switchyard_protocol::limits::POSITIONS_MAX;
use switchyard_protocol::v1::{self, reply::Result as Reply};

use super::check::{self, bad};
use super::context::Context;
use super::gather::{Gathering, unexpected};
use super::kind::RequestKind;
use super::live::Live;
use super::ticket::Ticket;

impl Live {
    /// Counts what is unread in these conversations.
    pub(super) fn unread(&mut self, id: u64, unread: &v1::Unread, cx: &mut Context<'_>) {
        let kind = RequestKind::Unread;
        if unread.all {
            let home = ConversationKey::home(&self.tenant, &self.user).conversation;
            let checked = match unread.conversations.is_empty() {
                true => Ok((home, Ask::Home(HomeAsk::Unread))),
                false => Err(bad("what is unread in all, or in those that are named")),
            };
            return self.ask_checked(id, kind, checked, cx);
        }
        if unread.conversations.len() > POSITIONS_MAX {
            return cx.refuse(id, kind, &bad("too many conversations in one request"));
        }
        let mut gathering = self.begin_gathering(id, kind, unread.conversations.len());
        for text in &unread.conversations {
            match check::conversation(text) {
                Ok(conversation) => {
                    let part = gathering.ask(conversation, 0);
                    self.ask(Ticket::Part { id, gathering: gathering.number, part }, conversation, Ask::Unread, cx);
                }
                Err(refusal) => gathering.refuse(text, refusal),
            }
        }
        self.gathered(gathering, cx);
    }
}

/// Puts an owner's answer where the others of its request are. Whether it was awaited.
pub(super) fn take(gathering: &mut Gathering, part: u16, asked: Duration, answer: Answer) -> bool {
    let counted = match answer {
        Answer::Result(result) => match *result {
            Reply::Unread(counts) => counts.conversations.into_iter().next().ok_or_else(unexpected),
            _ => Err(unexpected()),
        },
        Answer::Refused(refusal) => Err(refusal),
        Answer::Sent { .. } | Answer::Subscribed(_) | Answer::Watching(_) | Answer::Presence { .. } => {
            Err(unexpected())
        }
    };
    gathering.counted(part, asked, counted)
}
