//! Refusals: each has to be justified by a state that the conversation had while the request was under way.

use switchyard_cluster::link::Refusal;
use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::v1::Role;

use super::Oracle;
use crate::ask::{Asked, What};
use crate::timeline::Entry;

impl Oracle {
    pub(super) fn refused(&mut self, asked: &Asked, refusal: &Refusal) -> Vec<String> {
        let just = match refusal.code {
            ErrorCode::NotFound => self.just_not_found(asked, refusal),
            ErrorCode::Forbidden => {
                self.saw("forbidden");
                let members_add = self.config.members_add;
                self.at_some_time(asked, |at| at.is_some_and(|(_, entry)| forbidden(entry, asked, members_add)))
            }
            ErrorCode::BadRequest => {
                self.saw("bad request");
                let named = match &asked.what {
                    What::Send(send) => send.since,
                    What::Subscribe(ask) => ask.after,
                    _ => None,
                };
                named.is_some_and(|named| self.at_some_time(asked, |at| at.is_some_and(|(seq, _)| seq < named)))
            }
            ErrorCode::IdExpired => self.just_expired(asked),
            ErrorCode::UnknownOutcome => {
                self.saw("unknown");
                let writes = !matches!(
                    asked.what,
                    What::History(_) | What::Subscribe(_) | What::Get | What::Members { .. } | What::Unsubscribe
                );
                self.faulty && writes
            }
            ErrorCode::Overloaded => {
                self.saw("overloaded");
                let left = self.streams.get(&(asked.edge, asked.key.clone())).map_or(0, |stream| stream.left);
                let given_up = matches!(asked.what, What::Subscribe(_)) && asked.handed < left;
                (self.faulty || given_up || self.many_attempts(asked)) && refusal.retry_after_ms.is_some()
            }
            _ => false,
        };
        let was_member = self.at_some_time(asked, |at| at.is_some_and(|(_, entry)| entry.role(&asked.user).is_some()));
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
        let stranger = self.at_some_time(asked, |at| at.is_none_or(|(_, entry)| entry.role(&asked.user).is_none()));
        if stranger && *refusal == Refusal::NOT_FOUND {
            self.saw("not found");
            return true;
        }
        let What::Remove(user) = &asked.what else { return false };
        self.saw("no such member");
        self.at_some_time(asked, |at| {
            at.is_some_and(|(_, entry)| {
                entry.role(user).is_none() && entry.role(&asked.user).is_some_and(|role| role != Role::Member)
            })
        })
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

/// The table of rights: whether a member in this state may not do this.
fn forbidden(entry: &Entry, asked: &Asked, members_add: bool) -> bool {
    let Some(role) = entry.role(&asked.user) else { return false };
    let direct = entry.direct();
    match &asked.what {
        What::Add(_) => direct || (role == Role::Member && !members_add),
        What::Remove(user) => {
            direct || role == Role::Member || (role == Role::Moderator && entry.role(user) == Some(Role::Admin))
        }
        What::Leave => direct,
        What::Update { .. } => direct || role == Role::Member,
        _ => false,
    }
}
