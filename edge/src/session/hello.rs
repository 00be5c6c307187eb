//! The first frame: who is there. Also the one that may follow when a token came with the upgrade already.

use switchyard_cluster::link::Refusal;
use switchyard_protocol::code::{CloseCode, ErrorCode};
use switchyard_protocol::limits::{ID_BYTES_MAX, POSITIONS_MAX};
use switchyard_protocol::v1;

use super::check::bad;
use super::context::Context;
use super::effect::Effect;
use super::kind::RequestKind;
use super::live::Live;
use super::token::verify;
use super::{Phase, Session};
use crate::auth::Identity;

const KIND: RequestKind = RequestKind::Hello;

impl Session {
    pub(super) fn on_hello(&mut self, id: u64, hello: v1::Hello, cx: &mut Context<'_>) {
        if let Err(refusal) = self.check_hello(id, &hello) {
            return self.refuse_hello(id, &refusal, cx);
        }
        match &mut self.phase {
            Phase::Greeting => match self.admit(&hello.token, cx) {
                Ok((mut live, identity)) => {
                    // Whose home is asked anyway is known anew: also who was more before, and is a customer now.
                    if hello.subscribe.as_ref().is_some_and(|subscribe| subscribe.all) {
                        live.is_to_tell(&identity);
                    }
                    self.phase = Phase::Live(live);
                }
                Err((refusal, code)) => {
                    cx.refuse(id, KIND, &refusal);
                    return self.close(code, cx);
                }
            },
            // Who it is came with the upgrade; a second token must say the same.
            Phase::Live(live) if !hello.token.is_empty() => {
                if let Err((refusal, code)) = live.take_token(&hello.token, cx) {
                    cx.refuse(id, KIND, &refusal);
                    return self.close(code, cx);
                }
            }
            Phase::Live(_) => {}
        }
        if let Phase::Live(live) = &mut self.phase {
            live.greeted = true;
            match hello.subscribe.unwrap_or_default() {
                subscribe if subscribe.all => live.subscribe_all(id, KIND, cx),
                subscribe => live.welcome(id, &subscribe.conversations, cx),
            }
        }
    }

    /// In a session it counts as any request does; before one, as any frame that is wrong.
    fn refuse_hello(&mut self, id: u64, refusal: &Refusal, cx: &mut Context<'_>) {
        if self.is_greeting() {
            cx.refuse(id, KIND, refusal);
            self.count_bad_frame(cx);
        } else if self.begin(id, KIND, 1, cx).is_some() {
            cx.refuse(id, KIND, refusal);
        }
    }

    fn check_hello(&self, id: u64, hello: &v1::Hello) -> Result<(), Refusal> {
        super::check::integer(id)?;
        if self.live().is_some_and(|live| live.greeted) {
            return Err(bad("hello was said already"));
        }
        if hello.device.len() > ID_BYTES_MAX || hello.device.as_bytes().contains(&0) {
            return Err(bad("a device's id has at most 128 bytes and no NUL"));
        }
        match &hello.subscribe {
            Some(subscribe) if subscribe.conversations.len() > POSITIONS_MAX => {
                Err(bad("too many conversations in one request"))
            }
            _ => Ok(()),
        }
    }

    fn admit(&self, token: &str, cx: &mut Context<'_>) -> Result<(Live, Identity), (Refusal, CloseCode)> {
        let identity = verify(token, cx)?;
        if let Err(refusal) = cx.gate.admit(&identity) {
            let (message, retry_after_ms) = ("too many connections", refusal.retry_after_ms);
            let refusal = Refusal { code: ErrorCode::RateLimited, message, retry_after_ms };
            // Others will go: whoever finds no room now is to come again.
            return Err((refusal, CloseCode::Overloaded));
        }
        cx.effects.push(Effect::Admitted);
        Ok((Live::new(&identity, self.form), identity))
    }
}
