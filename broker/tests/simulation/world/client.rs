//! Devices: what drives an SDK's core, and what its application makes of answers and events.

use bytes::Bytes;
use prost::Message as _;
use switchyard_client::core::{Call, Connection, Effect, From, Input, NoToken, Ticket};
use switchyard_client::{Ended, Error, State};
use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::frame::{self, Form};
use switchyard_protocol::json;
use switchyard_protocol::v1::{self, ServerFrame, client_frame, reply, server_frame};

use super::{Event, World};
use crate::device::{Asked, Watched, When};
use crate::places;
use crate::wire;

impl World {
    pub(super) fn open(&mut self, device: usize) {
        let room = self.devices[device].room();
        self.give(device, Input::Room(room));
        self.give(device, Input::Open);
        if self.devices[device].plan.all {
            let ticket = self.devices[device].ticket(Asked::SubscribeAll);
            self.give(device, Input::SubscribeAll { ticket });
        }
    }

    pub(super) fn close(&mut self, device: usize) {
        self.give(device, Input::Close(std::time::Duration::ZERO));
    }

    /// Hands one input to a device's core and does what it says.
    pub(super) fn give(&mut self, device: usize, input: Input) {
        let now = self.mono();
        self.note(|| format!("{device} in  {input:?}"));
        let mut effects = Vec::new();
        self.devices[device].core.handle(now, input, &mut effects);
        for effect in effects {
            self.note(|| format!("{device} out {effect:?}"));
            self.obey(device, effect);
        }
    }

    fn obey(&mut self, device: usize, effect: Effect) {
        let start = self.devices[device].start;
        match effect {
            Effect::RequestToken => {
                if !self.once_in(40) {
                    let delay = self.rng.within(100, 400_000);
                    self.at(delay, Event::Token(device, start));
                }
            }
            Effect::Connect(connection) => self.connect(device, connection),
            Effect::SendFrame(connection, frame) => {
                let Some(id) = self.devices[device].wire else { return };
                let Some(request) = frame.request else { return };
                let request = match self.spoil {
                    Some(spoil) => spoil.request(request),
                    None => request,
                };
                if let Some(wire) = self.wires.get_mut(&id).filter(|wire| wire.connection == connection) {
                    if matches!(request, client_frame::Request::Hello(_)) {
                        wire.staff = self.devices[device].staff_by_token;
                    }
                    let form = self.devices[device].plan.form;
                    let payload = frame::encode_client(form, frame.id, request);
                    let opcode = if form == Form::Json { wire::TEXT } else { wire::BINARY };
                    self.send_bytes(id, wire::frame(opcode, &payload));
                }
            }
            Effect::Disconnect(_) => self.release(device, true),
            Effect::Deliver(event) => self.deliver_to_app(device, &event),
            Effect::Complete(ticket, result) => self.complete_for_app(device, ticket, result),
            Effect::State(State::Closed(closed)) => {
                self.devices[device].online_since = None;
                if closed != switchyard_client::Closed::Application {
                    let name = &self.devices[device].name;
                    self.oracle.violations.push(format!("the SDK of {name} gave up: {closed}"));
                }
            }
            Effect::State(State::Online(_)) => {
                self.devices[device].online_since = Some(self.mono());
                self.saw("a device is online");
            }
            Effect::State(State::Connecting) => self.devices[device].online_since = None,
            Effect::WakeAt(at) => {
                self.devices[device].wake_at = Some(at);
                let at_us = u64::try_from(at.as_nanos().div_ceil(1_000)).unwrap();
                self.at(at_us.saturating_sub(self.now_us), Event::Wake(device, at_us));
            }
        }
    }

    pub(super) fn wake(&mut self, device: usize, at_us: u64) {
        let due = self.devices[device].wake_at;
        if due.is_some_and(|at| u64::try_from(at.as_nanos().div_ceil(1_000)).unwrap() == at_us) {
            self.devices[device].wake_at = None;
            self.give(device, Input::Tick);
            let it = &self.devices[device];
            if it.core.is_stalled() && !it.taking {
                // Its queue is empty, so that no taking will tell it that there is room; a driver sees it at once.
                let room = it.room();
                self.give(device, Input::Room(room));
            }
        }
    }

    pub(super) fn token(&mut self, device: usize, start: u64) {
        if self.devices[device].start != start {
            return;
        }
        let token = if self.once_in(self.plan.no_token_one_in) {
            Err(NoToken::Later)
        } else {
            let (ttl, now_ms) = (self.plan.token_ttl, self.now().wall_ms);
            let it = &mut self.devices[device];
            let staff = self.oracle.is_staff(&it.user);
            let lost = self.plan.role_ends.is_some_and(|(user, _)| user == it.plan.user) && !staff;
            let role = if lost { "" } else { self.plan.role(it.plan.user) };
            Ok(it.token(ttl, now_ms, role, staff))
        };
        self.give(device, Input::Token(token));
    }

    /// A frame has come.
    pub(super) fn receive(&mut self, device: usize, wire: u64, connection: Connection, message: &Bytes) {
        let it = &self.devices[device];
        let room = it.room();
        let frame = match it.plan.form {
            Form::Proto => ServerFrame::decode(message.clone()).ok(),
            Form::Json => {
                let text = std::str::from_utf8(message).unwrap();
                json::decode_server(text, |id| it.core.expected_reply(id)).ok()
            }
        };
        let frame = match self.spoil {
            Some(spoil) => frame.and_then(|frame| spoil.frame(frame)),
            None => frame,
        };
        if let (Some(frame), Some(wire)) = (&frame, self.wires.get_mut(&wire)) {
            self.oracle.violations.extend(wire.word.take(frame));
            if let Some(server_frame::Frame::Reply(reply)) = &frame.frame
                && matches!(reply.result, Some(reply::Result::Renewed(_)))
            {
                wire.staff = it.staff_by_token;
            }
            self.oracle.sent(&it.user, wire.staff, frame);
        }
        if it.core.room() < room {
            self.give(device, Input::Room(room));
        }
        let input = match frame {
            Some(frame) => Input::Received(connection, frame),
            None => Input::Heard(connection),
        };
        self.give(device, input);
    }

    fn deliver_to_app(&mut self, device: usize, event: &switchyard_client::Event) {
        let it = &mut self.devices[device];
        it.queue += 1;
        if it.queue > it.plan.events_max {
            self.oracle.violations.push(format!("{} gets more events than it has room for", it.name));
        }
        let name = event.conversation();
        match event {
            switchyard_client::Event::Presence(told) => {
                // What was watched through a conversation is over by now, if the application learned of that first.
                if let Some(watched) = it.watched.get_mut(&told.user) {
                    watched.online = Some(told.online);
                    self.oracle.seen(&it.user, told, watched);
                }
                self.seen.entry("somebody comes or goes").and_modify(|times| *times += 1).or_insert(1);
                return self.will_take(device);
            }
            switchyard_client::Event::Listed { head, .. } => {
                if let Some(head) = head {
                    it.readings.entry(name.to_owned()).or_insert(Some(head + 1));
                }
                self.seen.entry("a conversation comes").and_modify(|times| *times += 1).or_insert(1);
                return self.will_take(device);
            }
            switchyard_client::Event::Relisted { .. } => {
                self.seen.entry("a conversation is shown otherwise").and_modify(|times| *times += 1).or_insert(1);
                return self.will_take(device);
            }
            switchyard_client::Event::Unlisted { .. } => {
                self.seen.entry("a conversation goes").and_modify(|times| *times += 1).or_insert(1);
                return self.will_take(device);
            }
            _ => {}
        }
        let Some(next) = it.readings.get(name).copied() else {
            return self.oracle.violations.push(format!("{} gets what it does not read: {event:?}", it.name));
        };
        if let switchyard_client::Event::Marks { marks, .. } = event {
            self.oracle.marks_told(&it.user, name, marks);
            self.seen.entry("marks are told").and_modify(|times| *times += 1).or_insert(1);
        } else if let switchyard_client::Event::Typing { users, .. } = event {
            self.oracle.typing_told(&it.user, name, users);
            if users.is_empty() {
                it.typing.remove(name);
            } else {
                it.typing.insert(name.to_owned(), users.clone());
            }
            self.seen.entry("somebody is seen typing").and_modify(|times| *times += 1).or_insert(1);
        } else if let switchyard_client::Event::Ended { reason, .. } = event {
            self.oracle.ended(&it.user, name, next, reason);
            it.readings.remove(name);
            it.reads_no_more(name);
            self.seen.entry("a subscription ends").and_modify(|times| *times += 1).or_insert(1);
        } else {
            let (next, gap) = self.oracle.delivered(&it.user, next, event);
            it.readings.insert(name.to_owned(), next);
            for kind in gap {
                self.seen.entry(kind).and_modify(|times| *times += 1).or_insert(1);
            }
        }
        self.will_take(device);
    }

    fn will_take(&mut self, device: usize) {
        let it = &mut self.devices[device];
        if !std::mem::replace(&mut it.taking, true) {
            let (most, start) = (it.plan.read_pause_us_max, it.start);
            let pause = self.rng.below(most);
            self.at(pause, Event::Take(device, start));
        }
    }

    pub(super) fn take_events(&mut self, device: usize, start: u64) {
        let it = &mut self.devices[device];
        if it.start != start {
            return;
        }
        it.queue = 0;
        it.taking = false;
        if it.core.is_stalled() {
            let room = it.room();
            self.saw("an application is behind");
            self.give(device, Input::Room(room));
        }
    }

    fn complete_for_app(&mut self, device: usize, ticket: Ticket, result: Result<reply::Result, Error>) {
        if self.leaving {
            return;
        }
        let it = &mut self.devices[device];
        let Some(asked) = it.waiting.remove(&ticket) else {
            return self.oracle.violations.push(format!("{} gets an answer to {ticket:?} once more", it.name));
        };
        match asked {
            Asked::Call(Call::Send(send) | Call::SendChosen(send), _) => self.sent(device, send, result),
            Asked::Call(call, when) => self.answered(device, &call, when, result),
            Asked::SubscribeAll => self.reads_all(device, result),
            Asked::Unsubscribe | Asked::Typing | Asked::Mark | Asked::Unwatch => {}
            Asked::Watch(other) => self.watching(device, &other, result),
            Asked::Show => self.shown(device, result),
            Asked::Subscribe(name) => self.subscribed(device, &name, result),
        }
    }

    fn sent(&mut self, device: usize, send: v1::Send, result: Result<reply::Result, Error>) {
        let it = &mut self.devices[device];
        self.oracle.completed(&it.user, &send, &result);
        match result {
            Ok(_) if places::is_service(&it.user) => self.saw("a service has posted"),
            Ok(_) => self.saw("a message is sent"),
            Err(Error::Unknown { since }) => {
                it.unsure.push(v1::Send { since, ..send });
                self.saw("an outcome is unknown");
            }
            Err(Error::Rejected { code: Some(ErrorCode::Closed), .. }) => {
                self.saw("a message is rejected where it is closed");
            }
            Err(Error::Rejected { code: Some(ErrorCode::Forbidden), .. }) => self.saw("a message is forbidden"),
            Err(Error::Rejected { .. }) => self.saw("a message is rejected"),
            Err(_) => self.saw("a message is given up"),
        }
    }

    fn reads_all(&mut self, device: usize, result: Result<reply::Result, Error>) {
        let it = &mut self.devices[device];
        match result {
            Ok(reply::Result::Subscribed(subscribed)) => {
                for one in subscribed.subscribed.into_iter().filter(|one| one.error.is_none()) {
                    it.readings.entry(one.conversation).or_insert(Some(one.head + 1));
                }
                self.saw("all conversations are read");
            }
            other => self.oracle.violations.push(format!("{} subscribed to all and got {other:?}", it.name)),
        }
    }

    fn shown(&mut self, device: usize, result: Result<reply::Result, Error>) {
        let it = &mut self.devices[device];
        match result {
            Ok(reply::Result::Opened(opened)) => {
                it.typing.clear();
                for one in opened.opened.into_iter().filter(|one| !one.users.is_empty()) {
                    it.typing.insert(one.conversation, one.users);
                }
                self.saw("conversations are shown");
            }
            Ok(other) => self.oracle.violations.push(format!("{} opened and got {other:?}", it.name)),
            Err(_) => it.typing.clear(),
        }
    }

    /// An application shows these, and nothing else any more.
    pub(super) fn show(&mut self, device: usize, conversations: Vec<String>) {
        let it = &mut self.devices[device];
        it.typing.retain(|name, _| conversations.contains(name));
        let ticket = it.ticket(Asked::Show);
        self.give(device, Input::Show { ticket, conversations });
    }

    pub(super) fn type_in(&mut self, device: usize, conversation: String) {
        let on = self.rng.chance(800);
        let ticket = self.devices[device].ticket(Asked::Typing);
        self.give(device, Input::Typing { ticket, conversation, on });
    }

    /// An application watches somebody, or does so no more.
    pub(super) fn watch(
        &mut self,
        device: usize,
        conversation: Option<String>,
        other: &switchyard_protocol::id::UserId,
    ) {
        let it = &mut self.devices[device];
        let through = conversation.filter(|name| it.readings.get(name).is_some_and(Option::is_some));
        let from = self.oracle.watches_from(&it.user, other, through.as_deref());
        let online = it.watched.get(other.as_str()).and_then(|watched| watched.online);
        let users = vec![other.to_string()];
        it.watched.insert(other.to_string(), Watched { through: through.clone(), from, online });
        let ticket = it.ticket(Asked::Watch(other.to_string()));
        self.give(device, Input::Watch { ticket, users, conversation: through });
    }

    pub(super) fn unwatch(&mut self, device: usize, other: &switchyard_protocol::id::UserId) {
        let it = &mut self.devices[device];
        it.watched.remove(other.as_str());
        let ticket = it.ticket(Asked::Unwatch);
        self.give(device, Input::Unwatch { ticket, users: vec![other.to_string()], conversation: None, all: false });
    }

    fn watching(&mut self, device: usize, other: &str, result: Result<reply::Result, Error>) {
        let it = &mut self.devices[device];
        let told = match result {
            Ok(reply::Result::Watched(told)) => told.presence.into_iter().find(|told| told.user == other),
            other => return self.oracle.violations.push(format!("{} watched and got {other:?}", it.name)),
        };
        // It may have been given up meanwhile.
        let Some(watched) = it.watched.get_mut(other) else { return };
        match told {
            Some(told) if told.error.is_none() => {
                watched.online = Some(told.online);
                self.oracle.seen(&it.user, &told, watched);
                self.saw("somebody is watched");
            }
            _ => drop(it.watched.remove(other)),
        }
    }

    fn subscribed(&mut self, device: usize, name: &str, result: Result<reply::Result, Error>) {
        let it = &mut self.devices[device];
        match result {
            Ok(reply::Result::Subscribed(subscribed)) => {
                let Some([one]) = subscribed.subscribed.first_chunk::<1>() else { return };
                if let Some(next @ None) = it.readings.get_mut(name) {
                    *next = Some(one.head + 1);
                }
            }
            Err(Error::Unsubscribed) => {}
            Err(error) => {
                let next = it.readings.remove(name).flatten();
                it.reads_no_more(name);
                self.oracle.ended(&it.user, name, next, &Ended::Refused(error));
                self.saw("a subscription is refused");
            }
            Ok(other) => self.oracle.violations.push(format!("{} subscribed and got {other:?}", it.name)),
        }
    }

    fn answered(&mut self, device: usize, call: &Call, when: When, result: Result<reply::Result, Error>) {
        let When { low, step, wire } = when;
        let user = self.devices[device].user.clone();
        let done = match &result {
            Ok(result) => {
                self.oracle.shown(&user, call, result, step);
                Some(true)
            }
            Err(Error::Rejected { .. }) => Some(false),
            Err(_) => None,
        };
        let once = wire.is_some() && wire == self.devices[device].wire;
        self.oracle.decided(&user, call, step, done, once);
        match (call, result) {
            (_, Ok(reply::Result::Created(created))) => {
                let conversation = created.conversation.unwrap_or_default();
                if !self.places.contains(&conversation.id) {
                    self.announce(conversation.id);
                }
            }
            (Call::List(list), Ok(reply::Result::Listed(page))) => {
                for entry in &page.conversations {
                    self.oracle.listing(&user, entry, self.resting);
                }
                let ids = page.conversations.into_iter().filter_map(|entry| Some(entry.conversation?.id));
                let ids = Some(ids.collect());
                if list.archived {
                    self.devices[device].archived = ids;
                } else {
                    self.devices[device].list = ids;
                }
                self.saw("a list is read");
            }
            (Call::History(history), Ok(reply::Result::Page(page))) => {
                let resting = self.resting;
                let low = if resting { self.oracle.head(&places::key(&history.conversation)) } else { low };
                self.oracle.page(&user, &history.conversation, &page, low);
                self.saw("a page is read");
            }
            (Call::Edit(_) | Call::Delete(_) | Call::React(_), Ok(reply::Result::Changed(changed))) => {
                self.oracle.message_changed(&user, call, &changed);
                self.saw(match call {
                    Call::Edit(_) => "a message is edited",
                    Call::Delete(_) => "a message is deleted",
                    _ => "an emoji is given or taken away",
                });
            }
            (Call::Edit(_) | Call::Delete(_) | Call::React(_), Err(Error::Rejected { .. })) => {
                self.saw("a change of a message is rejected");
            }
            (Call::Unread(_), Ok(reply::Result::Unread(counts))) => self.counted(device, &user, &counts, low),
            (Call::Blocks(_), Ok(reply::Result::Blocks(page))) if self.resting => {
                self.oracle.blocks_are(&user, &page.users);
            }
            (Call::Block(_), Ok(_)) => self.saw("somebody is blocked"),
            (Call::Unblock(_), Ok(_)) => self.saw("somebody is blocked no more"),
            (Call::Archive(_), Ok(_)) => self.saw("a conversation is put away"),
            (Call::Unarchive(_), Ok(_)) => self.saw("a conversation is put back"),
            (_, Ok(reply::Result::Changed(changed))) => {
                self.oracle.changed(&user, &changed);
                match call {
                    Call::Erase(_) => {
                        self.oracle.erased(&changed.conversation);
                        self.saw("a conversation is erased");
                    }
                    Call::Accept(_) => self.saw("a request is accepted"),
                    Call::Decline(_) => self.saw("a request is declined"),
                    Call::Add(_) => self.oracle.brought(&user, &changed.conversation, changed.seq, step),
                    _ => {}
                }
                self.saw("members or names change");
            }
            _ => {}
        }
    }

    fn counted(&mut self, device: usize, user: &switchyard_protocol::id::UserId, counts: &v1::UnreadCounts, low: u64) {
        for one in counts.conversations.iter().filter(|one| one.error.is_none()) {
            let low = if self.resting { self.oracle.head(&places::key(&one.conversation)) } else { low };
            self.oracle.unread(user, &one.conversation, (one.read, one.unread), low);
            let marked = self.devices[device].marked.get(&one.conversation).copied().unwrap_or(0);
            if self.resting && one.read < marked {
                let name = &self.devices[device].name;
                let problem = format!("{name} has said {marked} of {}, and is told {one:?}", one.conversation);
                self.oracle.violations.push(problem);
            }
        }
        self.saw("unread messages are counted");
    }

    /// An application says how far its user has read.
    pub(super) fn mark(&mut self, device: usize, conversation: &str) {
        let it = &mut self.devices[device];
        let Some(next) = it.readings.get(conversation).copied().flatten().filter(|next| *next > 1) else { return };
        let read = 1 + self.rng.below(next - 1);
        let said = it.marked.entry(conversation.to_owned()).or_default();
        *said = read.max(*said);
        let (user, ticket) = (it.user.clone(), it.ticket(Asked::Mark));
        self.oracle.marked(&user, conversation, read);
        self.give(device, Input::Mark { ticket, conversation: conversation.to_owned(), read, delivered: 0 });
    }

    /// Everybody hears of a conversation.
    pub(super) fn announce(&mut self, name: String) {
        self.places.push(name);
        let at = self.places.len() - 1;
        for device in 0..self.devices.len() {
            let delay = self.rng.within(1, 50_000);
            self.at(delay, Event::Join(device, at));
        }
    }

    /// An application asks for something.
    pub(super) fn call(&mut self, device: usize, call: Call, timeout: Option<std::time::Duration>) {
        let user = self.devices[device].user.clone();
        let step = self.oracle.asks(&user, &call);
        let low = match &call {
            Call::History(history) => self.oracle.told_in(&history.conversation),
            Call::Unread(v1::Unread { conversations, .. }) => match &conversations[..] {
                [one] => self.oracle.told_in(one),
                _ => 0,
            },
            _ => 0,
        };
        let wire = self.devices[device].wire;
        let ticket = self.devices[device].ticket(Asked::Call(call.clone(), When { low, step, wire }));
        self.give(device, Input::Submit { ticket, call, timeout });
    }

    pub(super) fn subscribe(&mut self, device: usize, name: &str, from: From) {
        let it = &mut self.devices[device];
        let next = match from {
            From::After(position) => Some(position + 1),
            From::Now => it.readings.get(name).copied().flatten(),
        };
        it.readings.insert(name.to_owned(), next);
        let ticket = it.ticket(Asked::Subscribe(name.to_owned()));
        self.give(device, Input::Subscribe { ticket, conversation: name.to_owned(), from });
    }

    pub(super) fn unsubscribe(&mut self, device: usize, name: &str) {
        let it = &mut self.devices[device];
        it.readings.remove(name);
        it.reads_no_more(name);
        let ticket = it.ticket(Asked::Unsubscribe);
        self.give(device, Input::Unsubscribe { ticket, conversation: name.to_owned() });
    }
}
