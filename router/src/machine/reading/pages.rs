//! Reading: pages of history, live streams with what was missed, and what comes back from the store for them.

use switchyard_cluster::link::{Answer, Ask, HistoryAsk, Refusal, SubscribeAsk, SubscribedAnswer};
use switchyard_cluster::now::Now;
use switchyard_cluster::party::Asker;
use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::id::{ConversationKey, UserId};
use switchyard_protocol::v1::{self, event::Body, reply};

use crate::machine::ticket::Ticket;
use crate::machine::writing::annotate::freshen;
use crate::machine::{Effect, Machine, ReadFailed, ReadPlan, ReadResult, Reader, busy, read_refusal, refuse, succeed};

impl Machine {
    pub(in crate::machine) fn history(
        &mut self,
        to: Asker,
        key: &ConversationKey,
        user: UserId,
        ask: HistoryAsk,
        out: &mut Vec<Effect>,
    ) {
        let Some(conversation) = self.loaded_mut(key) else { return };
        let (first, head) = (conversation.state.first_available, conversation.state.head());
        let reader = Reader { user: user.clone(), annotated: conversation.state.profile.annotated };
        let plan = ReadPlan::Messages { from: ask.from, limit: ask.limit, first, head, reader };
        let read = conversation.pipeline().targets.begin_read();
        let ticket = Box::new(Ticket::History { to, key: key.clone(), user, head, read });
        out.push(Effect::Read { key: key.clone(), ticket, plan });
    }

    pub(in crate::machine) fn subscribe(
        &mut self,
        to: Asker,
        key: &ConversationKey,
        user: UserId,
        ask: SubscribeAsk,
        out: &mut Vec<Effect>,
    ) {
        let Some(conversation) = self.loaded_mut(key) else { return };
        conversation.state.members.share(&user);
        let head = conversation.state.head();
        let after = match ask.after {
            Some(after) if after > head => {
                let refusal = Refusal::new(ErrorCode::BadRequest, "the position is above the conversation's head");
                return refuse(to, refusal, out);
            }
            Some(after) if after < head => after,
            _ => return self.subscribed(to, key, user, ask.after.unwrap_or(head), Vec::new(), out),
        };
        let from = (after + 1).max(conversation.state.first_available);
        let reader = Reader { user: user.clone(), annotated: conversation.state.profile.annotated };
        let (events_max, bytes_max) = (ask.events_max, ask.bytes_max);
        let plan = ReadPlan::Events { from, to: head, events_max, bytes_max, reader };
        conversation.pipeline().subscribing.push(to);
        let read = conversation.pipeline().targets.begin_read();
        let ticket = Box::new(Ticket::Missed { to, key: key.clone(), user, after, read });
        out.push(Effect::Read { key: key.clone(), ticket, plan });
    }

    /// The edge is subscribed from here on. Events that were committed while the missed ones were read are said to be
    /// more of them.
    fn subscribed(
        &mut self,
        to: Asker,
        key: &ConversationKey,
        user: UserId,
        after: u64,
        events: Vec<v1::Event>,
        out: &mut Vec<Effect>,
    ) {
        let Some(conversation) = self.loaded_mut(key) else { return };
        // What follows from the answer's head on is live.
        conversation.uncork(out);
        let head = conversation.state.head();
        if !conversation.edges.contains(&to.edge) {
            conversation.edges.push(to.edge);
        }
        let last = events.last().map_or(after, |event| event.seq);
        let missed = v1::ResumedConversation {
            conversation: key.conversation.to_string(),
            events,
            head,
            first_available: conversation.state.first_available,
            more: last < head,
            error: None,
        };
        let by_role = conversation.state.reads_by_role(&user);
        let answer = SubscribedAnswer { key: key.clone(), user, by_role, head, missed };
        out.push(Effect::Answer { to, answer: Answer::Subscribed(Box::new(answer)) });
    }

    pub(in crate::machine) fn read_done(
        &mut self,
        now: Now,
        ticket: Ticket,
        result: Result<ReadResult, ReadFailed>,
        out: &mut Vec<Effect>,
    ) {
        let ended = match &ticket {
            Ticket::History { key, read, .. } | Ticket::Missed { key, read, .. } | Ticket::Lookup { key, read, .. } => {
                Some((key.clone(), *read))
            }
            Ticket::Last { key, read, .. } => Some((key.clone(), *read)),
            _ => None,
        };
        self.answer_read(now, ticket, result, out);
        if let Some((key, read)) = ended
            && let Some(conversation) = self.loaded_mut(&key)
        {
            conversation.pipeline().targets.end_read(read);
            conversation.forget_targets();
            conversation.rest();
            if conversation.passing {
                self.drop_unwanted(&key);
            }
        }
    }

    fn answer_read(&mut self, now: Now, ticket: Ticket, result: Result<ReadResult, ReadFailed>, out: &mut Vec<Effect>) {
        match (ticket, result) {
            (Ticket::Age { key }, Ok(ReadResult::Older(older))) => self.aged(&key, older, out),
            // It is looked at again in due time.
            (Ticket::Age { .. }, Err(_)) => {}
            (Ticket::Lookup { key, number, .. }, Ok(ReadResult::Found(found))) => {
                self.looked_up(now, &key, number, Ok(found), out);
            }
            (Ticket::Lookup { key, number, .. }, Ok(ReadResult::Target(read))) => {
                self.answered_read(now, &key, number, read, out);
            }
            (Ticket::Target { key, seq }, Ok(ReadResult::Target(read))) => {
                self.target_read(now, &key, seq, Ok(read), out);
            }
            (Ticket::Target { key, seq }, Err(failed)) => self.target_read(now, &key, seq, Err(failed), out),
            (Ticket::Lookup { key, number, .. }, Err(failed)) => self.looked_up(now, &key, number, Err(failed), out),
            (Ticket::Ids { key }, Ok(ReadResult::Ids { from, hashes })) => {
                self.ids_read(now, &key, Ok((from, hashes)), out);
            }
            (Ticket::Ids { key }, Err(failed)) => self.ids_read(now, &key, Err(failed), out),
            (Ticket::Mark { to, key, user, read }, Ok(ReadResult::Ordinal(ordinal))) => {
                if self.still_reading(to, &key, &user, out).is_some() {
                    self.marked(now, to, &key, &user, (read, ordinal), out);
                }
            }
            (Ticket::History { to, key, user, head, .. }, Ok(ReadResult::Messages { mut messages, more })) => {
                let Some(first_available) = self.still_reading(to, &key, &user, out) else { return };
                if let Some(conversation) = self.loaded_mut(&key) {
                    freshen(conversation, &user, messages.iter_mut());
                }
                succeed(to, reply::Result::Page(v1::Page { messages, first_available, head, more }), out);
            }
            (Ticket::Last { survey, key, listing, .. }, Ok(ReadResult::Messages { messages, .. })) => {
                self.last_read(survey, &key, listing, Ok(messages), out);
            }
            (Ticket::Last { survey, key, listing, .. }, Err(failed)) => {
                self.last_read(survey, &key, listing, Err(failed), out);
            }
            (Ticket::Missed { to, key, user, after, .. }, Ok(ReadResult::Events(mut events))) => {
                let wanted = self.still_subscribing(to, &key);
                if self.still_reading(to, &key, &user, out).is_none() {
                    return;
                }
                if let Some(conversation) = self.loaded_mut(&key) {
                    let messages = events.iter_mut().filter_map(|event| match &mut event.body {
                        Some(Body::Message(message) | Body::Updated(message)) => Some(message),
                        _ => None,
                    });
                    freshen(conversation, &user, messages);
                }
                if wanted {
                    self.subscribed(to, &key, user, after, events, out);
                } else {
                    // Its edge would never give up what it does not know it has.
                    refuse(to, busy("the subscription was given up"), out);
                }
            }
            (Ticket::Admission { to, key, user, admission }, Ok(ReadResult::Roles(known))) => {
                self.admitted(now, to, &key, user, admission, Ok(known), out);
            }
            (Ticket::Admission { to, key, user, admission }, Err(failed)) => {
                self.admitted(now, to, &key, user, admission, Err(failed), out);
            }
            (Ticket::Invite(request), Ok(ReadResult::Welcome(welcome))) => {
                self.invited(now, request, Ok(welcome), out);
            }
            (Ticket::Invite(request), Err(failed)) => self.invited(now, request, Err(failed), out),
            (Ticket::Detail { to, key, user }, Ok(ReadResult::Archived(archived))) => {
                self.detailed(to, &key, &user, Ok(archived), out);
            }
            (Ticket::Detail { to, key, user }, Err(failed)) => self.detailed(to, &key, &user, Err(failed), out),
            (Ticket::Shared { number, .. }, Ok(ReadResult::Shared(shared))) => {
                self.homes.shared_read(now, number, Ok(shared), out);
            }
            (Ticket::Shared { number, .. }, Err(failed)) => self.homes.shared_read(now, number, Err(failed), out),
            (Ticket::Missed { to, key, user, .. }, Err(failed)) => {
                self.still_subscribing(to, &key);
                if self.still_reading(to, &key, &user, out).is_some() {
                    refuse(to, read_refusal(failed), out);
                }
            }
            (Ticket::History { to, key, user, .. } | Ticket::Mark { to, key, user, .. }, Err(failed)) => {
                if self.still_reading(to, &key, &user, out).is_some() {
                    refuse(to, read_refusal(failed), out);
                }
            }
            (ticket, Ok(_)) => unreachable!("the driver answers a read with what was asked: {ticket:?}"),
        }
    }

    /// Whether the asker has archived the conversation was read: all else is told as it is now.
    fn detailed(
        &mut self,
        to: Asker,
        key: &ConversationKey,
        user: &UserId,
        archived: Result<bool, ReadFailed>,
        out: &mut Vec<Effect>,
    ) {
        if self.still_reading(to, key, user, out).is_some() {
            match (archived, self.loaded_mut(key)) {
                (Ok(archived), Some(conversation)) => {
                    let detail = v1::Conversation { archived, ..conversation.state.detail(key, user) };
                    succeed(to, reply::Result::Detail(v1::Detail { conversation: Some(detail) }), out);
                }
                (Err(failed), _) => refuse(to, read_refusal(failed), out),
                (Ok(_), None) => refuse(to, read_refusal(ReadFailed::Unavailable), out),
            }
        }
        if let Some(conversation) = self.loaded_mut(key) {
            conversation.pipeline().end_reading(&Ask::Get);
            conversation.rest();
        }
    }

    /// Ends the wait for missed events; whether the asker's edge has wanted them all the time.
    fn still_subscribing(&mut self, to: Asker, key: &ConversationKey) -> bool {
        let pipeline = self.loaded_mut(key).and_then(|conversation| conversation.pipeline.as_mut());
        let Some(pipeline) = pipeline else { return false };
        let place = pipeline.subscribing.iter().position(|asker| *asker == to);
        place.map(|at| pipeline.subscribing.swap_remove(at)).is_some()
    }

    /// The first available number, if the asker may still read; else they are answered as a stranger.
    fn still_reading(&mut self, to: Asker, key: &ConversationKey, user: &UserId, out: &mut Vec<Effect>) -> Option<u64> {
        match self.loaded_mut(key) {
            Some(conversation) if conversation.state.standing(user, to.roles).reads() => {
                Some(conversation.state.first_available)
            }
            Some(_) => {
                refuse(to, Refusal::NOT_FOUND, out);
                None
            }
            // It left memory meanwhile, which takes much longer than a read: ask again.
            None => {
                refuse(to, read_refusal(ReadFailed::Unavailable), out);
                None
            }
        }
    }
}
