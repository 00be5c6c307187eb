//! What was erased: from the answer to that on nobody is shown anything of it, whatever they ask for.

use switchyard_client::core::Call;
use switchyard_protocol::id::UserId;
use switchyard_protocol::v1::reply;

use super::Oracle;
use crate::places;

impl Oracle {
    /// Somebody was told that a conversation is erased.
    pub(crate) fn erased(&mut self, name: &str) {
        self.steps += 1;
        let now = self.steps;
        self.erased.entry(places::key(name)).or_insert(now);
    }

    /// Somebody who asked at that step was answered.
    pub(crate) fn shown(&mut self, user: &UserId, call: &Call, result: &reply::Result, step: u64) {
        let names: Vec<&str> = match result {
            reply::Result::Listed(page) => page
                .conversations
                .iter()
                .filter_map(|entry| entry.conversation.as_ref())
                .map(|it| it.id.as_str())
                .collect(),
            reply::Result::Unread(counts) => {
                let counted = counts.conversations.iter().filter(|one| one.error.is_none());
                counted.map(|one| one.conversation.as_str()).collect()
            }
            reply::Result::Page(_) => match call {
                Call::History(history) => vec![&history.conversation],
                _ => Vec::new(),
            },
            reply::Result::Members(_) => match call {
                Call::Members(members) => vec![&members.conversation],
                _ => Vec::new(),
            },
            reply::Result::Detail(detail) => detail.conversation.iter().map(|it| it.id.as_str()).collect(),
            reply::Result::Changed(changed) => vec![&changed.conversation],
            _ => Vec::new(),
        };
        let gone = |name: &&&str| self.erased.get(&places::key(name)).is_some_and(|since| *since < step);
        if let Some(name) = names.iter().find(gone) {
            let problem = format!("{name} was erased when {user} asked for {call:?}, and was told {result:?}");
            self.violate(problem);
        }
    }
}
