//! What users are in the tenant, as edges tell it when sessions start: so that it is known of somebody who is not there. It
//! is kept as a mark of the user's home, whose number is the time at which the token was issued: the newest token counts.
//! Nothing is written for who is what was known, nor for a customer of whom nothing was; and no home is loaded for it.
//!
//! It is a hint for who may be in a conversation with whom. What somebody may do is in their own token alone.

use switchyard_cluster::now::Now;
use switchyard_cluster::party::{Asker, Home};
use switchyard_protocol::roles::Roles;
use switchyard_protocol::v1::{self, reply};
use switchyard_store::{Mark, StoredMark};

use crate::machine::{Effect, Machine, ReadFailed, Repeat, busy, read_refusal, refuse, succeed};

/// The kind of the mark of a home that says what its user is; see `progress.rs` and `presence/rows.rs` for the others.
const ROLES: u8 = 4;

/// Users in one write, so that it takes the store some milliseconds; the rest follows when it is done.
const USERS_PER_WRITE_MAX: usize = 1_024;

/// Users of whom something may wait to be written: some thousand sessions that start within a fraction of a second.
const USERS_WAITING_MAX: usize = 8_192;

/// Tokens say when they were issued in seconds: of two of the same second, the one that was told last counts.
const TOKEN_TIME_MS: u64 = 1_000;

/// What an edge told of a user.
#[derive(Clone, Debug)]
pub struct ToldRoles {
    /// Who; nothing once they were answered.
    pub(in crate::machine) to: Option<Asker>,
    /// Whose home keeps it.
    pub home: Home,
    /// What they are.
    pub roles: Roles,
    /// When the token was issued.
    pub issued_ms: u64,
}

impl ToldRoles {
    /// What is to be written where this is stored; nothing if that is as good.
    pub fn mark(&self, stored: &[StoredMark]) -> Option<Mark> {
        let known = stored.iter().find(|mark| mark.kind == ROLES);
        let at = match known {
            Some(known) if roles_of(known) == self.roles => return None,
            Some(known) if self.issued_ms + TOKEN_TIME_MS <= known.at => return None,
            Some(known) => self.issued_ms.max(known.at + 1),
            None if !self.roles.is_beyond_user() => return None,
            None => self.issued_ms,
        };
        let Home { key, user } = self.home.clone();
        Some(Mark { key, user, kind: ROLES, at, value: vec![self.roles.bits()].into() })
    }
}

/// What a user is, whose home has these marks.
pub fn known_roles(stored: &[StoredMark]) -> Roles {
    stored.iter().find(|mark| mark.kind == ROLES).map_or(Roles::NONE, roles_of)
}

fn roles_of(mark: &StoredMark) -> Roles {
    mark.value.first().map_or(Roles::NONE, |bits| Roles::from_bits(*bits))
}

/// See the module.
#[derive(Debug, Default)]
pub(in crate::machine) struct TellingRoles {
    waiting: Vec<ToldRoles>,
    /// Some are being written.
    writing: bool,
    /// The store did not take them, and they are tried again: until then nobody waits for it.
    failing: bool,
}

impl TellingRoles {
    /// Whether everything is written, or on its way.
    pub(in crate::machine) fn is_stored(&self) -> bool {
        self.waiting.is_empty()
    }
}

impl Machine {
    /// An edge tells what a user is.
    pub(in crate::machine) fn roles_told(&mut self, told: ToldRoles, out: &mut Vec<Effect>) {
        let telling = &mut self.telling_roles;
        let Some(to) = told.to else { return };
        if telling.waiting.len() >= USERS_WAITING_MAX {
            return refuse(to, busy("too much is told of what users are"), out);
        }
        let answered = telling.failing;
        telling.waiting.push(ToldRoles { to: (!answered).then_some(to), ..told });
        if answered {
            refuse(to, read_refusal(ReadFailed::Unavailable), out);
        }
    }

    /// Has written what was told, all at once.
    pub(in crate::machine) fn write_roles(&mut self, out: &mut Vec<Effect>) {
        let telling = &mut self.telling_roles;
        if telling.writing || telling.waiting.is_empty() {
            return;
        }
        telling.writing = true;
        let some = telling.waiting.len().min(USERS_PER_WRITE_MAX);
        out.push(Effect::KeepRoles(telling.waiting.drain(..some).collect()));
    }

    /// It is written, or not.
    pub(in crate::machine) fn roles_kept(
        &mut self,
        now: Now,
        mut told: Vec<ToldRoles>,
        result: Result<(), ReadFailed>,
        out: &mut Vec<Effect>,
    ) {
        let telling = &mut self.telling_roles;
        let answered = told.iter_mut().chain(telling.waiting.iter_mut().filter(|_| result.is_err()));
        for to in answered.filter_map(|told| told.to.take()) {
            match result {
                Ok(()) => succeed(to, reply::Result::Done(v1::Done {}), out),
                Err(failed) => refuse(to, read_refusal(failed), out),
            }
        }
        telling.failing = result.is_err();
        telling.writing = telling.failing;
        if telling.failing {
            self.repeat(now, Repeat::KeepRoles(told));
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use switchyard_protocol::id::{ConversationKey, TenantId, UserId};

    use super::*;

    fn told(roles: Roles, issued_ms: u64) -> ToldRoles {
        let (tenant, user) = (TenantId::new("t").expect("a valid id"), UserId::new("u").expect("a valid id"));
        let home = Home { key: ConversationKey::home(&tenant, &user), user };
        ToldRoles { to: None, home, roles, issued_ms }
    }

    fn stored(roles: Roles, at: u64) -> StoredMark {
        let user = UserId::new("u").expect("a valid id");
        StoredMark { user, kind: ROLES, at, value: Bytes::from(vec![roles.bits()]) }
    }

    fn written(roles: Roles, issued_ms: u64, stored: &[StoredMark]) -> Option<(Roles, u64)> {
        told(roles, issued_ms).mark(stored).map(|mark| (Roles::from_bits(mark.value[0]), mark.at))
    }

    #[test]
    fn only_news_is_written() {
        assert_eq!(written(Roles::NONE, 5_000, &[]), None, "a customer of whom nothing is known");
        assert_eq!(written(Roles::USER, 5_000, &[]), None);
        assert_eq!(written(Roles::SELLER, 5_000, &[]), Some((Roles::SELLER, 5_000)));
        let seller = [stored(Roles::SELLER, 5_000)];
        assert_eq!(written(Roles::SELLER, 9_000, &seller), None, "as it is known");
        assert_eq!(written(Roles::NONE, 9_000, &seller), Some((Roles::NONE, 9_000)), "no seller any more");
    }

    #[test]
    fn the_newest_token_counts() {
        let seller = [stored(Roles::SELLER, 5_000)];
        assert_eq!(written(Roles::SUPPORT, 3_000, &seller), None, "an older token");
        assert_eq!(written(Roles::SUPPORT, 5_000, &seller), Some((Roles::SUPPORT, 5_001)), "of the same second");
        assert_eq!(known_roles(&seller), Roles::SELLER);
        assert_eq!(known_roles(&[]), Roles::NONE);
    }
}
