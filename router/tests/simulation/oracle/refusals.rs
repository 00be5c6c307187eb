//! Refusals: each has to be justified by a state that the conversation had while the request was under way.

use switchyard_cluster::link::Refusal;
use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::v1::Role;

use super::Oracle;
use super::rights::{self, forbidden, headless};
use crate::ask::{Asked, What};
use crate::timeline::Entry;

impl Oracle {
    pub(super) fn refused(&mut self, asked: &Asked, refusal: &Refusal) -> Vec<String> {
        let just = match refusal.code {
            ErrorCode::NotFound => self.just_not_found(asked, refusal),
            ErrorCode::Forbidden => {
                self.saw("forbidden");
                let members_add = self.config.members_add;
                self.just_blocked(asked)
                    || self.annotation_forbidden(asked)
                    || rights::no_pair(asked)
                    || self.at_some_time(asked, |at| at.is_some_and(|(_, entry)| forbidden(entry, asked, members_add)))
            }
            ErrorCode::BadRequest => {
                self.saw("bad request");
                let named = match &asked.what {
                    What::Send(send) => send.since,
                    What::Subscribe(ask) => ask.after,
                    What::Mark(ask) => ask.read.max(ask.delivered),
                    _ => None,
                };
                named.is_some_and(|named| self.at_some_time(asked, |at| at.is_some_and(|(seq, _)| seq < named)))
            }
            ErrorCode::IdExpired => self.just_expired(asked),
            ErrorCode::Closed => self.just_closed(asked),
            ErrorCode::Conflict => {
                self.saw("conflict");
                let too_late = |entry: &Entry| headless(entry, asked) || rights::settled(entry, asked);
                self.at_some_time(asked, |at| at.is_some_and(|(_, entry)| too_late(entry)))
            }
            ErrorCode::UnknownOutcome => {
                self.saw("unknown");
                let writes = !matches!(
                    asked.what,
                    What::History(_)
                        | What::Subscribe(_)
                        | What::Get
                        | What::Members { .. }
                        | What::Mark(_)
                        | What::Unread
                        | What::Marks(_)
                        | What::Unsubscribe
                );
                (self.faulty || self.silent) && writes
            }
            ErrorCode::Overloaded => {
                self.saw("overloaded");
                let left = self.streams.get(&(asked.edge, asked.key.clone())).map_or(0, |stream| stream.left);
                let given_up = matches!(asked.what, What::Subscribe(_)) && asked.handed < left;
                (self.faulty || self.silent || given_up || self.many_attempts(asked))
                    && refusal.retry_after_ms.is_some()
            }
            _ => false,
        };
        let ask = asked.what.to_ask();
        let was_member = self.at_some_time(asked, |at| at.is_some_and(|(_, entry)| entry.knows(&asked.user, &ask)));
        let secret = !was_member && !matches!(refusal.code, ErrorCode::NotFound | ErrorCode::Overloaded);
        // Founding is the one thing that somebody who is no member yet may be told about.
        let just = just && (!secret || matches!(asked.what, What::Create(_)));
        if let What::Send(send) = &asked.what {
            let attempts = self.attempts(asked, send.client_id());
            attempts.open -= 1;
            if refusal.code == ErrorCode::UnknownOutcome {
                attempts.unknown += 1;
            }
        }
        if just { Vec::new() } else { vec!["not justified".into()] }
    }

    fn just_not_found(&mut self, asked: &Asked, refusal: &Refusal) -> bool {
        let ask = asked.what.to_ask();
        let stranger = self.at_some_time(asked, |at| at.is_none_or(|(_, entry)| !entry.knows(&asked.user, &ask)));
        if stranger && *refusal == Refusal::NOT_FOUND {
            self.saw("not found");
            return true;
        }
        if let Some(target) = asked.what.about()
            && self.may_be_no_message(asked, target)
        {
            self.saw("no such message");
            return *refusal != Refusal::NOT_FOUND;
        }
        if matches!(asked.what, What::Leave) {
            self.saw("no such member");
            return self.at_some_time(asked, |at| at.is_some_and(|(_, entry)| entry.role(&asked.user).is_none()));
        }
        let (What::Remove(user) | What::Promote { member: user, .. } | What::Demote { member: user, .. }) = &asked.what
        else {
            return false;
        };
        let removes = matches!(asked.what, What::Remove(_));
        self.saw("no such member");
        self.at_some_time(asked, |at| {
            at.is_some_and(|(_, entry)| {
                let admin = entry.has_roles() && entry.role(&asked.user) == Some(Role::Admin);
                entry.role(user).is_none() && (admin || removes && entry.above(&asked.user))
            })
        })
    }

    /// Whether it was closed at some time, and what was asked would have written to it. What was stored before is not told
    /// to be refused.
    fn just_closed(&mut self, asked: &Asked) -> bool {
        self.saw("refused as closed");
        let stored = match &asked.what {
            What::Send(send) => self.is_within_reach(asked, send.client_id(), send.since),
            _ => false,
        };
        !stored
            && self.at_some_time(asked, |at| {
                at.is_some_and(|(_, entry)| entry.profile.closed && rights::writes(&asked.what, &asked.user))
            })
    }

    /// Whether a message with this id is stored where it is looked for. An attempt waits with an earlier one, which may have
    /// done without `since`.
    fn is_within_reach(&self, asked: &Asked, client_id: &str, since: Option<u64>) -> bool {
        let head = self.head(&asked.key).unwrap_or(0);
        let id = (asked.key.clone(), asked.user.clone(), client_id.to_owned());
        let bare = self.ids.get(&id).is_some_and(|attempts| attempts.bare);
        let reach = match since.filter(|_| !bare) {
            Some(since) => since + 1..=since.saturating_add(10_000),
            None => (head + 1).saturating_sub(1_000)..=head,
        };
        let places = self.timelines[&asked.key].ids.get(&(asked.user.clone(), client_id.to_owned()));
        places.is_some_and(|places| places.iter().any(|place| *place <= head && reach.contains(place)))
    }

    /// Whether one message was sent so often that not all may wait for it.
    fn many_attempts(&self, asked: &Asked) -> bool {
        let What::Send(send) = &asked.what else { return false };
        let id = (asked.key.clone(), asked.user.clone(), send.client_id().to_owned());
        self.ids.get(&id).is_some_and(|attempts| attempts.made > 32)
    }

    fn just_expired(&mut self, asked: &Asked) -> bool {
        self.saw("expired");
        let What::Send(send) = &asked.what else { return false };
        let gone = self.may_be_gone_below(&asked.key);
        let head = self.head(&asked.key).unwrap_or(0);
        if let Some(since) = send.since {
            return head >= since + 1 + 10_000 || since + 1 < gone;
        }
        let places = self.timelines[&asked.key].ids.get(&(asked.user.clone(), send.client_id().to_owned()));
        places.is_some_and(|places| places.iter().any(|place| *place < gone))
    }
}
