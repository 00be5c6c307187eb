//! Until when a session's token is good, and further ones of the same user.

use std::time::Duration;

use switchyard_cluster::link::Refusal;
use switchyard_cluster::now::Now;
use switchyard_protocol::code::{CloseCode, ErrorCode};
use switchyard_protocol::id::ConversationId;
use switchyard_protocol::v1::{self, reply::Result as Reply};

use super::context::{Context, SessionConfig};
use super::effect::Effect;
use super::gather::Gathering;
use super::kind::RequestKind;
use super::live::{Live, TOLD};
use crate::auth::{Identity, TokenRefusal};

/// What every refused token is answered: the reason is for metrics alone.
const TOKEN_REFUSED: Refusal = Refusal::new(ErrorCode::AuthInvalid, "the token is missing or not valid");

impl Live {
    pub(super) fn renew(&mut self, id: u64, renew: &v1::Renew, cx: &mut Context<'_>) {
        match self.take_token(&renew.token, cx) {
            Ok(ended) => {
                let ended = ended.iter().map(ConversationId::to_string).collect();
                let renewed = v1::Renewed { expires_at_ms: self.expires_at_ms, ended };
                cx.reply(id, RequestKind::Renew, Reply::Renewed(renewed));
            }
            Err((refusal, _)) => cx.refuse(id, RequestKind::Renew, &refusal),
        }
    }

    /// A further token of the same user. Returns what is read no more, see `roles.rs`. If it is refused: what to say, and the
    /// code for closing.
    pub(super) fn take_token(
        &mut self,
        token: &str,
        cx: &mut Context<'_>,
    ) -> Result<Vec<ConversationId>, (Refusal, CloseCode)> {
        let identity = verify(token, cx)?;
        if identity.user != self.user || identity.tenant != self.tenant {
            return Err((Refusal::new(ErrorCode::Forbidden, "the token is another user's"), CloseCode::Auth));
        }
        self.expires_at_ms = identity.expires_at_ms;
        // Of a short-lived token half is used before the next is asked for, or client and server would do nothing else.
        let left = self.token_left(cx.now);
        self.warn_at_ms = self.expires_at_ms.saturating_sub(millis(cx.config.token_warning.min(left / 2)));
        Ok(self.take_roles(&identity, cx))
    }

    /// Warns of the token's end. `true`: it is over.
    pub(super) fn on_time(&mut self, cx: &mut Context<'_>) -> bool {
        self.tell_all_overdue(cx);
        self.finish_kept(cx);
        let left = self.token_left(cx.now);
        if left.is_zero() && cx.now.wall_ms >= self.expires_at_ms.saturating_add(millis(cx.config.token_grace)) {
            return true;
        }
        if left <= cx.config.token_warning && cx.now.wall_ms >= self.warn_at_ms {
            self.warn_at_ms = TOLD;
            let body = v1::event::Body::TokenExpiring(v1::TokenExpiring { in_ms: millis(left) });
            cx.effects.push(Effect::Event(Box::new(v1::Event {
                conversation: String::new(),
                seq: 0,
                body: Some(body),
            })));
        }
        false
    }

    pub(super) fn deadline(&self, now: Now, config: &SessionConfig) -> Duration {
        let left = self.token_left(now);
        let token = if self.warn_at_ms == TOLD {
            let over = Duration::from_millis(now.wall_ms.saturating_sub(self.expires_at_ms));
            now.mono + left + config.token_grace.saturating_sub(over)
        } else {
            let quiet = Duration::from_millis(self.warn_at_ms.saturating_sub(now.wall_ms));
            now.mono + left.saturating_sub(config.token_warning).max(quiet)
        };
        self.all_due().map_or(token, |at| at.min(token))
    }

    /// When a client is to be told what is known by then.
    fn all_due(&self) -> Option<Duration> {
        let gatherings = self.extra.iter().flat_map(|extra| &extra.gatherings);
        gatherings.filter_map(Gathering::due).min()
    }

    fn token_left(&self, now: Now) -> Duration {
        Duration::from_millis(self.expires_at_ms.saturating_sub(now.wall_ms))
    }
}

/// Checks a token, and that what it names can be a key in a store. If it is refused: what to say, and the code for
/// closing a connection that has no other. One that was good and is over is no reason to stay away, with a new one.
pub(super) fn verify(token: &str, cx: &mut Context<'_>) -> Result<Identity, (Refusal, CloseCode)> {
    let result = cx.verifier.verify(token, cx.now.wall_ms).and_then(|identity| {
        let nul = [identity.user.as_str(), identity.tenant.as_str()].iter().any(|id| id.as_bytes().contains(&0));
        if nul { Err(TokenRefusal::Claims) } else { Ok(identity) }
    });
    result.map_err(|reason| {
        cx.effects.push(Effect::TokenRefused(reason));
        (TOKEN_REFUSED, if reason == TokenRefusal::Expired { CloseCode::TokenExpired } else { CloseCode::Auth })
    })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
