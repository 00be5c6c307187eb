//! The replies to requests that several owners answer, once all have, or whoever waited has waited long enough.

use switchyard_cluster::link::Refusal;
use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::limits::{
    BODY_BYTES_MAX, FRAME_BYTES_MAX, MEMBERS_PER_REQUEST_MAX, PAGE_MESSAGES_MAX, POSITIONS_MAX, RESUME_EVENTS_MAX,
    SUBSCRIPTIONS_MAX,
};
use switchyard_protocol::v1::{self, reply::Result as Reply};

use super::context::{Context, SessionConfig};
use super::effect::Effect;
use super::fit::fit;
use super::gather::{Gathered, Gathering, told};
use super::kind::RequestKind;
use super::live::Live;

const STILL_WAITING: Refusal = Refusal {
    code: ErrorCode::Overloaded,
    message: "not answered yet: an event tells its head once it is",
    retry_after_ms: None,
};

const HOME_STILL_WAITING: Refusal = Refusal {
    code: ErrorCode::Overloaded,
    message: "it is not known yet which they are: events tell their heads once they are subscribed",
    retry_after_ms: None,
};

impl Live {
    /// All its questions are asked.
    pub(super) fn gathered(&mut self, gathering: Gathering, cx: &mut Context<'_>) {
        if gathering.is_complete(cx.now.mono) {
            self.finish(gathering, cx);
        } else {
            self.extra.get_or_insert_default().add(gathering);
        }
    }

    /// Answers requests whose answers were kept for a while.
    pub(super) fn finish_kept(&mut self, cx: &mut Context<'_>) {
        let now = cx.now.mono;
        let complete = |gathering: &mut Gathering| gathering.all.is_none() && gathering.is_complete(now);
        let gatherings = self.extra.iter_mut().flat_map(|extra| extra.gatherings.extract_if(.., complete));
        let kept: Vec<Gathering> = gatherings.collect();
        if kept.is_empty() {
            return;
        }
        self.drop_extra();
        for gathering in kept {
            self.finish(gathering, cx);
        }
    }

    pub(super) fn finish(&mut self, gathering: Gathering, cx: &mut Context<'_>) {
        if gathering.all.is_some() {
            return self.finish_all(&gathering, cx);
        }
        let (id, kind) = (gathering.id, gathering.kind);
        self.in_flight = self.in_flight.saturating_sub(1);
        self.pages = self.pages.saturating_sub(Gathering::pages(kind, gathering.len()));
        let Gathered { gaps, resumed, subscribed, opened, shown, unread } = gathering.finish();
        for gap in gaps {
            cx.effects.push(Effect::Event(Box::new(gap)));
        }
        let mut result = match kind {
            RequestKind::Resume => Reply::Resumed(v1::Resumed { conversations: resumed }),
            RequestKind::Hello => Reply::Welcome(self.greeting(subscribed, None, cx)),
            RequestKind::Open => Reply::Opened(v1::Opened { opened }),
            RequestKind::Unread => Reply::Unread(sum(unread)),
            _ => Reply::Subscribed(v1::Subscribed { subscribed, all: None }),
        };
        fit(self.form, &mut result);
        cx.reply(id, kind, result);
        cx.effects.extend(shown.into_iter().map(Effect::Shown));
    }

    /// All owners have answered.
    fn finish_all(&mut self, gathering: &Gathering, cx: &mut Context<'_>) {
        if gathering.all.as_ref().is_some_and(|all| !all.told) {
            self.tell_all(gathering, cx);
        }
    }

    /// Answers a wish for all conversations.
    pub(super) fn tell_all(&mut self, gathering: &Gathering, cx: &mut Context<'_>) {
        let Some(all) = &gathering.all else { return };
        let (id, kind) = (gathering.id, gathering.kind);
        self.finished(kind);
        let subscribed = gathering.subscribed_so_far(&STILL_WAITING);
        let all = match &all.home {
            Some(Ok(total)) => v1::SubscribedAll { total: *total, error: None },
            None => v1::SubscribedAll { total: 0, error: Some(told(&HOME_STILL_WAITING)) },
            // Whoever says hello is let in all the same, and may ask again.
            Some(Err(refusal)) if kind != RequestKind::Hello => return cx.refuse(id, kind, refusal),
            Some(Err(refusal)) => v1::SubscribedAll { total: 0, error: Some(told(refusal)) },
        };
        let result = match kind {
            RequestKind::Hello => Reply::Welcome(self.greeting(subscribed, Some(all), cx)),
            _ => Reply::Subscribed(v1::Subscribed { subscribed, all: Some(all) }),
        };
        cx.reply(id, kind, result);
    }

    fn greeting(
        &self,
        subscribed: Vec<v1::SubscribedTo>,
        all: Option<v1::SubscribedAll>,
        cx: &Context<'_>,
    ) -> v1::Welcome {
        v1::Welcome {
            session: cx.instance.session(cx.edge, cx.session).to_string(),
            user: self.user.as_str().to_owned(),
            tenant: self.tenant.as_str().to_owned(),
            heartbeat_ms: cx.config.heartbeat_ms,
            server_time_ms: cx.now.wall_ms,
            limits: Some(limits(cx.config)),
            subscribed,
            all: all.map(Box::new),
        }
    }
}

/// The reply, once all owners have answered.
fn sum(conversations: Vec<v1::UnreadConversation>) -> v1::UnreadCounts {
    let total = conversations.iter().map(|one| one.unread).sum();
    let unread = conversations.iter().filter(|one| one.unread > 0).count() as u64;
    v1::UnreadCounts { conversations, total, unread, requests: None }
}

fn limits(config: &SessionConfig) -> v1::Limits {
    v1::Limits {
        body_bytes_max: BODY_BYTES_MAX as u64,
        frame_bytes_max: FRAME_BYTES_MAX as u64,
        page_messages_max: PAGE_MESSAGES_MAX as u64,
        resume_events_max: RESUME_EVENTS_MAX as u64,
        positions_max: POSITIONS_MAX as u64,
        subscriptions_max: SUBSCRIPTIONS_MAX as u64,
        members_per_request_max: MEMBERS_PER_REQUEST_MAX as u64,
        requests_in_flight_max: u64::from(config.requests_in_flight_max),
    }
}
