//! Live streams: what each edge is granted, and what it gets from then on.

use prost::Message as _;
use switchyard_cluster::link::{LiveEvent, SubscribedAnswer};
use switchyard_cluster::party::{Asker, EdgeId};
use switchyard_protocol::id::UserId;
use switchyard_protocol::v1::{self, Role, server_frame};

use super::Oracle;
use crate::ask::{Asked, What};
use crate::timeline::{ERASE, Entry, MEMBERS};

/// Whether this user would be shown it without a role as well.
fn lasts(entry: &Entry, user: &UserId) -> bool {
    match entry.role(user) {
        Some(role) => !(entry.internal() || entry.desk() && role == Role::Moderator),
        None => false,
    }
}

impl Oracle {
    pub(super) fn subscribed(&mut self, to: Asker, asked: &Asked, answer: &SubscribedAnswer) -> Vec<String> {
        let What::Subscribe(ask) = asked.what else { return vec!["nothing was subscribed to".into()] };
        self.saw(if answer.missed.events.is_empty() { "subscribed" } else { "resumed" });
        let head = answer.head;
        let mut problems = self.fresh(asked, head, answer.missed.first_available);
        let mut check = |right: bool, problem: &str| {
            if !right {
                problems.push(problem.to_owned());
            }
        };
        check(answer.key == asked.key && answer.user == asked.user && answer.missed.head == head, "not to this");
        check(self.committed.get(&asked.key).is_none_or(|committed| *committed == head), "not the head");
        let member = self.entry(&asked.key, head).is_some_and(|entry| entry.shows(&asked.user));
        check(member, "granted to somebody who is no member");
        let lasts = self.entry(&asked.key, head).is_some_and(|entry| lasts(entry, &asked.user));
        check(lasts != answer.by_role, "it depends on a role, or does not");
        if let Some(problem) = self.missed(asked, ask, &answer.missed) {
            check(false, &problem);
        }
        let stream = self.streams.entry((to.edge, asked.key.clone())).or_default();
        check(stream.last.is_none_or(|last| last == head), "the stream is elsewhere");
        // A grant whose end is on its way already is none: nothing may follow it.
        if asked.handed > stream.left {
            stream.last = Some(head);
        }
        self.tell(&asked.key, head);
        problems
    }

    pub(super) fn publish(&mut self, edge: EdgeId, live: &LiveEvent) {
        self.saw("published");
        self.sync(&live.key);
        let problem = self.publish_problem(edge, live);
        if let Some(problem) = problem {
            self.violate(format!("{edge:?} gets {} of {}: {problem}", live.seq, live.key.conversation));
        }
        self.streams.entry((edge, live.key.clone())).or_default().last = Some(live.seq);
        self.tell(&live.key, live.seq);
    }

    fn publish_problem(&self, edge: EdgeId, live: &LiveEvent) -> Option<String> {
        let Some(last) = self.streams.get(&(edge, live.key.clone())).and_then(|stream| stream.last) else {
            return Some("it is not subscribed".into());
        };
        if live.seq != last + 1 {
            return Some(format!("{last} went before it"));
        }
        if self.head(&live.key) < Some(live.seq) {
            return Some("published before it is certain to be kept".into());
        }
        let entry = self.entry(&live.key, live.seq)?;
        let frame = v1::ServerFrame::decode(live.frame.clone()).ok()?;
        let told = match &frame.frame {
            Some(server_frame::Frame::Event(told)) => self.is_live(&live.key, live.seq, told),
            _ => false,
        };
        if !told {
            return Some(format!("{frame:?} is not what is stored"));
        }
        let before = &self.entry(&live.key, last)?.members;
        let gone: Vec<&UserId> = before.keys().filter(|user| !entry.members.contains_key(*user)).collect();
        if entry.row.kind == ERASE {
            return (!live.last || !live.removed.is_empty()).then(|| "not as its last event".to_owned());
        }
        if live.last {
            return Some("as its last event".to_owned());
        }
        let told = live.removed.iter().collect::<Vec<_>>();
        (told != gone || (entry.row.kind != MEMBERS && !told.is_empty())).then(|| format!("{gone:?} went"))
    }
}
