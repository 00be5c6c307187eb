//! Answers other than pages and refusals.

use prost::Message as _;
use switchyard_cluster::link::Answer;
use switchyard_cluster::party::Asker;
use switchyard_protocol::id::UserId;
use switchyard_protocol::v1::{self, Role, reply};
use switchyard_store::Seq;

use super::Oracle;
use crate::ask::{Asked, What};
use crate::clients::roles_of;
use crate::timeline::{CHANGE, ERASE, Entry, MEMBERS, Members, Standing, said, touched};

impl Oracle {
    pub(super) fn answer(&mut self, to: Asker, answer: &Answer) {
        if self.home_answer(to, answer) || self.watch_answer(to, answer) {
            return;
        }
        let Some(asked) = self.asked.remove(&(to.session, to.request)) else {
            return self.violate(format!("{to:?} is answered without a question, or twice: {answer:?}"));
        };
        if asked.handed == 0 {
            self.violate(format!("{to:?} is answered before its question arrived"));
        }
        self.sync(&asked.key);
        let problems = match answer {
            Answer::Sent { message, duplicate } => self.sent(&asked, message, *duplicate),
            Answer::Subscribed(answer) => self.subscribed(to, &asked, answer),
            Answer::Watching(_) | Answer::Presence { .. } => vec!["not an answer to this".into()],
            Answer::Refused(refusal) => self.refused(&asked, refusal),
            Answer::Result(result) => self.result(&asked, result),
        };
        for problem in problems {
            self.violate(format!("{asked:?} -> {answer:?}: {problem}"));
        }
    }

    fn sent(&mut self, asked: &Asked, bytes: &[u8], duplicate: bool) -> Vec<String> {
        let What::Send(send) = &asked.what else { return vec!["nothing was sent".into()] };
        let Ok(answer) = v1::Message::decode(bytes) else { return vec!["no message".into()] };
        let seq = answer.seq;
        self.saw(if duplicate { "sent again" } else { "sent" });
        let durable = self.head(&asked.key);
        let Some(entry) = self.entry(&asked.key, seq) else { return vec!["there is no such row".into()] };
        if entry.row.client_id() != send.client_id() || entry.row.sender() != asked.user.as_str() {
            return vec!["another message".into()];
        }
        let before = seq.checked_sub(1).and_then(|before| self.entry(&asked.key, before));
        let mut problems = Vec::new();
        let mut check = |right: bool, problem: &str| {
            if !right {
                problems.push(problem.to_owned());
            }
        };
        check(durable >= Some(seq), "acknowledged before it is certain to be kept");
        // Told for the first time, or to one who waited with the first, it is as it was sent.
        let first = !duplicate || asked.low < Some(seq);
        let shown = first && self.is_sent(asked, &answer) || duplicate && self.is_shown(asked, &answer);
        check(shown, "not what is stored");
        check(
            before.is_some_and(|before| before.knows(&asked.user, &asked.what.to_ask())),
            "not a member when it was stored",
        );
        if !duplicate {
            check(!self.blocked_send(asked), "stored although one has blocked the other");
            check(answer.text == send.text() && answer.kind == i32::from(send.kind), "another body");
            let reply_to = send.extra.as_ref().and_then(|extra| extra.reply_to);
            check(said(&entry.row).2 == reply_to, "an answer to something else");
            check(asked.low < Some(seq), "a number that was told before it was sent");
            check(send.since.is_none_or(|since| since < seq), "a head that was not there was taken for one");
        }
        let order = self.taken_in.entry((asked.key.clone(), asked.user.clone())).or_default();
        if !duplicate {
            let before = order.range(..asked.handed).next_back().is_none_or(|(_, before)| *before < seq);
            let after = order.range(asked.handed + 1..).next().is_none_or(|(_, after)| seq < *after);
            check(before && after, "not in the order in which its sender's messages came");
            order.insert(asked.handed, seq);
        }
        let places = &self.timelines[&asked.key].ids[&(asked.user.clone(), send.client_id().to_owned())];
        let once = places.len() == 1;
        let attempts = self.attempts(asked, send.client_id());
        attempts.open -= 1;
        check(attempts.stored.is_none_or(|stored| stored == seq) || !once, "not the first result");
        check(duplicate || attempts.stored.is_none() || !once, "new a second time");
        check(!duplicate || attempts.made > 1, "a duplicate of nothing");
        check(seq > attempts.low, "numbered below what was told before its first attempt");
        attempts.stored = Some(seq);
        self.tell(&asked.key, seq);
        problems
    }

    fn result(&mut self, asked: &Asked, result: &reply::Result) -> Vec<String> {
        match (result, &asked.what) {
            (reply::Result::Detail(detail), What::Get) if roles_of(&asked.user).is_service() => {
                self.extent(asked, detail.conversation.as_ref())
            }
            (reply::Result::Detail(detail), What::Get) => self.detail(asked, detail.conversation.as_ref()),
            (reply::Result::Created(created), What::Create(_)) => {
                let mut problems = self.detail(asked, created.conversation.as_ref());
                self.saw(if created.created { "created" } else { "created already" });
                if created.created {
                    if self.forced(asked) {
                        problems.push("created with somebody who has blocked the asker".into());
                    }
                    let by = self.entry(&asked.key, 0).is_some_and(|entry| entry.row.sender() == asked.user.as_str());
                    if !by {
                        problems.push("created by somebody else".into());
                    }
                    problems.extend(self.listed(asked, 0));
                }
                problems
            }
            (reply::Result::Members(page), What::Members { after, limit }) => {
                let right = self.at_some_time(asked, |at| {
                    let Some((_, entry)) = at else { return false };
                    let rest =
                        entry.members.iter().filter(|(user, _)| after.as_ref().is_none_or(|after| *user > after));
                    let mut all: Vec<v1::Member> = rest
                        .map(|(user, (role, _))| v1::Member { user: user.to_string(), role: (*role).into() })
                        .collect();
                    let more = all.len() > *limit;
                    all.truncate(*limit);
                    entry.shows(&asked.user) && page.members == all && page.more == more
                });
                self.saw("members");
                if right { Vec::new() } else { vec!["never the members".into()] }
            }
            (reply::Result::Marked(marked), What::Mark(ask)) => self.marked(asked, *ask, marked),
            (reply::Result::Unread(counts), What::Unread) => self.counted(asked, counts),
            (reply::Result::Marks(page), What::Marks(ask)) => self.marks_page(asked, ask, page),
            (reply::Result::Changed(changed), _) => self.changed(asked, changed.seq),
            (reply::Result::Page(page), What::History(ask)) => self.page(asked, *ask, page),
            _ => vec!["not an answer to this".into()],
        }
    }

    pub(super) fn detail(&mut self, asked: &Asked, detail: Option<&v1::Conversation>) -> Vec<String> {
        let Some(detail) = detail else { return vec!["no detail".into()] };
        self.saw("detail");
        let mut problems = self.fresh(asked, detail.head, detail.first_available);
        let Some(entry) = self.entry(&asked.key, detail.head) else { return vec!["beyond the log".into()] };
        let expected = v1::Conversation {
            id: asked.key.conversation.to_string(),
            kind: entry.profile.kind,
            name: entry.profile.name.clone(),
            avatar: entry.profile.avatar.clone(),
            context: entry.profile.context.clone(),
            head: detail.head,
            first_available: detail.first_available,
            member_count: entry.members.len() as u64,
            role: entry.role(&asked.user).unwrap_or(if entry.desk() { Role::Moderator } else { Role::Member }).into(),
            created_ms: entry.profile.created_ms,
            closed: entry.profile.closed,
            pins: entry.profile.pins.iter().map(|seq| format!("{}.{seq}", asked.key.conversation)).collect(),
            unread: detail.unread,
            read: detail.read,
            archived: detail.archived,
            blocked: detail.blocked,
            request: entry.profile.side(&asked.user).map(Into::into),
            declined: entry.profile.standing == Standing::Declined,
        };
        if !entry.shows(&asked.user) {
            problems.push("told to somebody who is no member".into());
        }
        if !self.blocked_as_told(asked, detail) {
            problems.push("whether the other one is blocked is told wrongly".into());
        }
        if *detail != expected {
            problems.push(format!("should be {expected:?}"));
        }
        if self.entry(&asked.key, detail.head).is_some_and(|entry| entry.role(&asked.user).is_some()) {
            problems.extend(self.unread(asked, (detail.head, detail.head), detail.unread, detail.read));
        } else if (detail.unread, detail.read) != (0, 0) {
            problems.push("who is no member has no marks".into());
        }
        self.tell(&asked.key, detail.head);
        problems
    }

    /// What a service is told of a conversation: how far it goes, and nothing of what is in it.
    fn extent(&mut self, asked: &Asked, told: Option<&v1::Conversation>) -> Vec<String> {
        let Some(told) = told else { return vec!["no extent".into()] };
        self.saw("a service is told how far it goes");
        let mut problems = self.fresh(asked, told.head, told.first_available);
        let Some(entry) = self.entry(&asked.key, told.head) else { return vec!["beyond the log".into()] };
        let expected = v1::Conversation {
            id: asked.key.conversation.to_string(),
            kind: entry.profile.kind,
            head: told.head,
            first_available: told.first_available,
            closed: entry.profile.closed,
            ..v1::Conversation::default()
        };
        if *told != expected {
            problems.push(format!("should be {expected:?}"));
        }
        self.tell(&asked.key, told.head);
        problems
    }

    /// What every answer with a head has to keep.
    pub(super) fn fresh(&mut self, asked: &Asked, head: Seq, first_available: Seq) -> Vec<String> {
        let mut problems = Vec::new();
        if self.head(&asked.key) < Some(head) {
            problems.push("a head that is not certain to be kept".into());
        }
        if asked.low > Some(head) {
            problems.push("a head older than what was told before".into());
        }
        if first_available > self.may_be_gone_below(&asked.key) {
            problems.push("more is said to be gone than may be".into());
        }
        if self.disk.inner().rows.get(&asked.key).is_some_and(|rows| rows.first > first_available) {
            problems.push("what is gone is said to be there".into());
        }
        if let Some(since_ms) = self.begins_ms {
            let (counted, aged) = self.gone_below(&asked.key, since_ms);
            if first_available < counted.max(aged) {
                problems.push(format!("nobody dropped what lies below {counted} or {aged}"));
            }
            if counted > 1 {
                self.saw("begins later by number");
            }
            if aged > 1 {
                self.saw("begins later by age");
            }
        }
        problems
    }

    fn changed(&mut self, asked: &Asked, seq: Seq) -> Vec<String> {
        let mut problems = Vec::new();
        if self.head(&asked.key) < Some(seq) {
            problems.push("acknowledged before it is certain to be kept".to_owned());
        }
        if matches!(asked.what, What::Annotate(_) | What::Pin { .. }) {
            problems.extend(self.annotated(asked, seq));
            self.tell(&asked.key, seq);
            return problems;
        }
        let Some(entry) = self.entry(&asked.key, seq) else { return vec!["there is no such row".into()] };
        let kind = match asked.what {
            What::Update { .. } | What::Close | What::Reopen | What::Accept | What::Decline => CHANGE,
            What::Erase => ERASE,
            _ => MEMBERS,
        };
        let mine = asked.low < Some(seq) && entry.row.kind == kind && entry.row.sender() == asked.user.as_str();
        let before = seq.checked_sub(1).and_then(|before| self.entry(&asked.key, before));
        let wrong = before.filter(|_| mine).map(|before| effect(asked, before, entry));
        let already = self.at_some_time(asked, |at| at.is_some_and(|(at, entry)| at == seq && is_so(entry, asked)));
        match wrong {
            Some(None) if self.forced(asked) => problems.push("somebody was brought who has blocked the asker".into()),
            Some(None) => {
                self.saw(match asked.what {
                    What::Close => "closed",
                    What::Reopen => "reopened",
                    What::Promote { .. } | What::Demote { .. } => "role",
                    What::Accept => "accepted",
                    What::Decline => "declined",
                    What::Erase => "erased",
                    _ => "changed",
                });
                problems.extend(self.listed(asked, seq));
                if matches!(asked.what, What::Erase) {
                    problems.extend(self.unlisted(asked, seq));
                }
            }
            _ if already => self.saw(if matches!(asked.what, What::Close) { "closed again" } else { "already" }),
            Some(Some(wrong)) => problems.push(wrong),
            None => problems.push("nothing of the kind happened".into()),
        }
        self.tell(&asked.key, seq);
        problems
    }

    /// Create and add are acknowledged when their listing rows are written.
    fn listed(&self, asked: &Asked, seq: Seq) -> Vec<String> {
        let Some(entry) = self.entry(&asked.key, seq) else { return vec!["no such row".into()] };
        let inner = self.disk.inner();
        let mut missing = Vec::new();
        for user in touched(&entry.row) {
            if inner.members.get(&(asked.key.clone(), user.clone())).is_none_or(|(at, _)| *at < seq) {
                missing.push(format!("the listing of {user} is not written"));
            }
        }
        missing
    }
}

/// Whether there is nothing left to do: what was asked for is so already.
fn is_so(entry: &Entry, asked: &Asked) -> bool {
    match &asked.what {
        What::Add(users) => users.iter().all(|user| entry.role(user).is_some()),
        What::Promote { member, role } => entry.role(member) >= Some(*role),
        What::Demote { member, role } => entry.role(member).is_some_and(|has| has <= *role),
        What::Close => entry.profile.closed,
        What::Reopen => !entry.profile.closed,
        What::Accept => entry.direct() && entry.profile.standing == Standing::Open,
        What::Decline => entry.profile.standing == Standing::Declined,
        _ => false,
    }
}

/// Whether the event did what was asked.
fn effect(asked: &Asked, state: &Entry, next: &Entry) -> Option<String> {
    let (before, after) = (&*state.members, &*next.members);
    let gone = |user| before.contains_key(user) && !after.contains_key(user);
    let others = |user: &UserId| {
        let rest =
            |members: &Members| members.clone().into_iter().filter(|(other, _)| other != user).collect::<Vec<_>>();
        rest(before) == rest(after)
    };
    let has = |user, role| next.role(user) == Some(role) && others(user);
    let closed = (state.profile.closed, next.profile.closed);
    let right = match &asked.what {
        What::Add(users) => users.iter().all(|user| after.contains_key(user)) && after.len() > before.len(),
        What::Remove(user) => gone(user) && after.len() + 1 == before.len(),
        What::Leave => gone(&asked.user) && after.len() + 1 == before.len(),
        What::Update { .. } => before == after && closed.0 == closed.1,
        What::Promote { member, role } => has(member, *role) && state.role(member) < Some(*role),
        What::Demote { member, role } => has(member, *role) && state.role(member) > Some(*role),
        What::Close => before == after && closed == (false, true),
        What::Reopen => before == after && closed == (true, false),
        What::Accept => before == after && next.profile.standing == Standing::Open,
        What::Decline => before == after && next.profile.standing == Standing::Declined,
        What::Erase => after.is_empty(),
        _ => false,
    };
    // A group with members always has an admin.
    let headless = next.has_roles() && !after.is_empty() && !after.values().any(|(role, _)| *role == Role::Admin);
    match (right, headless) {
        (false, _) => Some(format!("it made {after:?} of {before:?}, closed {closed:?}")),
        (true, true) => Some(format!("nobody is admin of {after:?}")),
        (true, false) => None,
    }
}
