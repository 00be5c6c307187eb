//! Marks: what is unread is what a count of the rows gives, a mark is where somebody had reason to put it, and one that was
//! stored is never lower again.

use std::collections::BTreeMap;

use switchyard_cluster::link::{MarkAsk, MarksAsk, MarksNow};
use switchyard_cluster::party::EdgeId;
use switchyard_protocol::id::{ConversationKey, UserId};
use switchyard_protocol::v1;
use switchyard_store::{Mark, Seq};

use super::Oracle;
use crate::ask::{Asked, What};
use crate::present::{DELETE, target};
use crate::timeline::Standing;

/// Whose mark.
type Whose = (ConversationKey, UserId);

/// What is known of marks.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// The highest that each asked for.
    said: BTreeMap<Whose, Seq>,
    /// The highest that each was answered, of this process: stored once everything is quiet.
    accepted: BTreeMap<Whose, Seq>,
    /// The highest read mark of each that the store has confirmed.
    kept: BTreeMap<Whose, Seq>,
    /// What each was last told to have unread.
    pub(super) counted: BTreeMap<Whose, u64>,
}

impl Marks {
    pub(super) fn asked(&mut self, key: &ConversationKey, user: &UserId, what: &What) {
        if let What::Mark(MarkAsk { read: Some(read), .. }) = what {
            let said = self.said.entry((key.clone(), user.clone())).or_default();
            *said = (*said).max(*read);
        }
    }

    /// Everything that was answered is stored.
    pub(super) fn quiet(&mut self) {
        for (whose, read) in std::mem::take(&mut self.accepted) {
            let kept = self.kept.entry(whose).or_default();
            *kept = (*kept).max(read);
        }
    }

    /// The process was killed: what it had answered last may be lost.
    pub(super) fn crash(&mut self) {
        self.accepted.clear();
    }
}

impl Oracle {
    /// The store has confirmed these.
    pub(crate) fn marks_are_kept(&mut self, marks: &[Mark]) {
        self.saw("marks kept");
        for mark in marks.iter().filter(|mark| mark.kind == 0) {
            let kept = self.marks.kept.entry((mark.key.clone(), mark.user.clone())).or_default();
            *kept = (*kept).max(mark.at);
        }
    }

    /// What somebody is told to have read and not to have read, of a state with a head between these two.
    pub(super) fn unread(&mut self, asked: &Asked, (low, high): (Seq, Seq), unread: u64, read: Seq) -> Option<String> {
        let whose = (asked.key.clone(), asked.user.clone());
        // What is told without a bound, as in a list that was gathered for a while, may be older than what is stored by now.
        let kept = asked.low.and_then(|_| self.marks.kept.get(&whose).copied()).unwrap_or(0);
        let gone = self.may_be_gone_below(&asked.key);
        let entries = &self.timelines[&asked.key].entries;
        let deletions = entries.iter().enumerate().filter(|(_, entry)| entry.row.kind == DELETE);
        let deletions = deletions.filter_map(|(at, entry)| Some((target(&entry.row)?, at as Seq)));
        let deletions: BTreeMap<Seq, Seq> = deletions.collect();
        let counts = |seq: Seq, head: Seq| {
            let there = deletions.get(&seq).is_none_or(|at| *at > head);
            there
                && entries
                    .get(seq as usize)
                    .is_some_and(|entry| entry.counts() && entry.row.sender() != asked.user.as_str())
        };
        let of_others = |head: Seq| (read + 1..=head).filter(|seq| counts(*seq, head)).count() as u64;
        let right = |head: &Seq| of_others(*head) == unread;
        let cut = |head: &Seq| {
            let kept = (gone.max(read + 1)..=*head).filter(|seq| counts(*seq, *head)).count() as u64;
            gone > 1 && unread < of_others(*head) && unread >= kept
        };
        let mine = (1..=high).rev().find(|seq| {
            entries
                .get(*seq as usize)
                .is_some_and(|entry| entry.is_message() && entry.row.sender() == asked.user.as_str())
        });
        let joined = entries.get(high as usize).and_then(|entry| entry.members.get(&asked.user)).map(|(_, at)| *at);
        // What an older version stored says nothing of marks.
        let given = self.given.get(&asked.key).copied();
        let said = self.marks.said.get(&whose).copied();
        let reason = said.max(mine).max(joined).max(given).unwrap_or(0);
        let wrong = if read < kept {
            Some(format!("{kept} was stored"))
        } else if read > reason {
            Some(format!("nobody said more than {reason}"))
        } else if (low..=high).any(|head| right(&head)) {
            None
        } else if (low..=high).any(|head| cut(&head)) {
            self.saw("unread but gone");
            None
        } else {
            Some(format!("above {read} there are {} up to {high}, {gone} is there", of_others(high)))
        };
        self.saw("unread");
        wrong
    }

    /// The bounds of the head at which a request can have been answered.
    fn heads(&self, asked: &Asked) -> (Seq, Seq) {
        let high = self.head(&asked.key).unwrap_or(0);
        (asked.low.unwrap_or(0).min(high), high)
    }

    fn told_to_a_member(&self, asked: &Asked) -> Option<String> {
        let member = self.at_some_time(asked, |at| at.is_some_and(|(_, entry)| entry.shows(&asked.user)));
        (!member).then(|| "told to somebody who is no member".to_owned())
    }

    /// Whether it may have been staff who are no members: they have no marks.
    fn may_be_no_member(&self, asked: &Asked) -> bool {
        self.at_some_time(asked, |at| at.is_some_and(|(_, entry)| entry.desk() && entry.role(&asked.user).is_none()))
    }

    pub(super) fn marked(&mut self, asked: &Asked, ask: MarkAsk, marked: &v1::Marked) -> Vec<String> {
        self.saw("marked");
        let Some(marks) = &marked.marks else { return vec!["no marks".into()] };
        let mut problems: Vec<String> = self.told_to_a_member(asked).into_iter().collect();
        if self.may_be_no_member(asked) && marks.read == 0 && marked.unread == 0 {
            return problems;
        }
        if marks.user != asked.user.as_str() || ask.read > Some(marks.read) || ask.delivered > Some(marks.delivered) {
            problems.push("lower than what was said, or somebody else's".into());
        }
        let accepted = self.marks.accepted.entry((asked.key.clone(), asked.user.clone())).or_default();
        *accepted = (*accepted).max(marks.read);
        if marks.delivered < marks.read {
            problems.push("read and not delivered".into());
        }
        problems.extend(self.unread(asked, self.heads(asked), marked.unread, marks.read));
        problems
    }

    pub(super) fn counted(&mut self, asked: &Asked, counts: &v1::UnreadCounts) -> Vec<String> {
        let [one] = &counts.conversations[..] else { return vec!["not of one conversation".into()] };
        let mut problems: Vec<String> = self.told_to_a_member(asked).into_iter().collect();
        if self.may_be_no_member(asked) && one.read == 0 && one.unread == 0 {
            return problems;
        }
        problems.extend(self.unread(asked, self.heads(asked), one.unread, one.read));
        self.marks.counted.insert((asked.key.clone(), asked.user.clone()), one.unread);
        problems
    }

    pub(super) fn marks_page(&mut self, asked: &Asked, ask: &MarksAsk, page: &v1::MarkPage) -> Vec<String> {
        self.saw("marks");
        let mut problems: Vec<String> = self.told_to_a_member(asked).into_iter().collect();
        let right = self.at_some_time(asked, |at| {
            let Some((_, entry)) = at else { return false };
            let member = |user: &str| entry.members.keys().any(|member| member.as_str() == user);
            let all = entry.members.keys().filter(|user| ask.after.as_ref().is_none_or(|after| *user > after)).count();
            let whole =
                ask.passed.is_some() || page.marks.len() == all.min(ask.limit) && page.more == (all > ask.limit);
            whole && page.marks.iter().all(|marks| member(&marks.user))
        });
        if !right || page.marks.len() > ask.limit || !page.marks.is_sorted_by(|a, b| a.user < b.user) {
            problems.push("never the members".into());
        }
        if page
            .marks
            .iter()
            .any(|marks| Some(marks.read) < ask.passed || marks.passed_ms.is_some() != ask.passed.is_some())
        {
            problems.push("not those who have read so far".into());
        }
        problems
    }

    /// An edge is told of marks.
    pub(super) fn marks_told(&mut self, edge: EdgeId, now: &MarksNow) {
        self.saw("marks told");
        let reads = self.streams.get(&(edge, now.key.clone())).is_some_and(|stream| stream.last.is_some());
        if !reads || now.marks.is_empty() || !now.marks.is_sorted_by(|a, b| a.user < b.user) {
            self.violate(format!("{edge:?} is told {now:?}"));
        }
        let head = self.committed.get(&now.key).copied();
        let profile = self.timelines.get(&now.key).and_then(|timeline| timeline.entries.last()).map(|it| &it.profile);
        let requested = profile.is_some_and(|profile| profile.standing != Standing::Open);
        // Rows may be there that are not committed.
        if requested && !now.own && self.committed.get(&now.key).copied() == self.head(&now.key) {
            self.violate(format!("a request's marks are told to both: {now:?}"));
        }
        if now.marks.iter().any(|marks| head.is_some() && Some(marks.read.max(marks.delivered)) > head) {
            self.violate(format!("marks above {head:?}: {now:?}"));
        }
    }
}
