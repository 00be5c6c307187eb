//! Delivery: each numbered event once and in order, holes noticed, gaps told, and no more than the application has room
//! for. What it has no room for stays with the server, and is fetched when there is room again.

use switchyard_protocol::v1::{self, event::Body};

use super::io::Effect;
use super::timeline::Arrival;
use super::{Core, Name};
use crate::event::{Ended, Event};

impl Core {
    pub(super) fn on_event(&mut self, event: v1::Event) {
        match event.body {
            Some(Body::Drain(drain)) => return self.on_drain(drain),
            Some(Body::TokenExpiring(_)) => return self.renew(),
            Some(Body::Presence(presence)) => return self.on_presence(presence),
            Some(Body::Listed(change)) => return self.on_listed(&event.conversation, *change),
            _ => {}
        }
        let name = match self.timelines.get_key_value(&*event.conversation) {
            Some((name, _)) => name.clone(),
            None => return self.on_event_of_unknown(&event),
        };
        match event.body {
            Some(Body::Head(v1::Head { head })) => self.on_head(&name, head),
            Some(Body::Gap(gap)) => {
                self.on_head(&name, gap.head);
                self.on_gap(&name, gap.first_available);
            }
            Some(Body::Typing(typers)) => return self.tell_typers(&name, typers),
            Some(Body::Marks(changed)) => return self.on_marks(&name, changed),
            _ if event.seq > 0 => self.on_numbered(&name, event),
            _ => return,
        }
        self.drain(&name);
        self.look_after(&name);
    }

    fn on_head(&mut self, name: &Name, head: u64) {
        if let Some(timeline) = self.timelines.get_mut(name) {
            timeline.head = timeline.head.max(head);
        }
    }

    pub(super) fn on_numbered(&mut self, name: &Name, event: v1::Event) {
        let has_room = self.room > 0;
        let Some(timeline) = self.timelines.get_mut(name) else { return };
        if let Arrival::Next(event) = timeline.arrive(event, has_room, &mut self.held_bytes) {
            self.deliver(name, event);
        }
    }

    /// What lies before `first_available` is gone. Without room the position stays, and the gap will be told again.
    pub(super) fn on_gap(&mut self, name: &Name, first_available: u64) {
        let Some(timeline) = self.timelines.get_mut(name) else { return };
        let Some(position) = timeline.position else { return };
        let missed_from = position.saturating_add(1);
        if first_available <= missed_from || self.room == 0 {
            return;
        }
        timeline.position = Some(first_available - 1);
        self.room -= 1;
        self.effects.push(Effect::Deliver(Event::Gap { conversation: name.to_string(), missed_from, first_available }));
    }

    /// Delivers what is held and follows the position.
    pub(super) fn drain(&mut self, name: &Name) {
        while self.room > 0 {
            let Some(timeline) = self.timelines.get_mut(name) else { return };
            let Some(event) = timeline.take_next(&mut self.held_bytes) else { return };
            self.deliver(name, event);
        }
    }

    fn deliver(&mut self, name: &Name, event: v1::Event) {
        let Some(timeline) = self.timelines.get_mut(name) else { return };
        let seq = event.seq;
        timeline.position = Some(seq);
        // A removal that is not the last event was undone by a later one, else the server would send nothing more.
        let last = seq >= timeline.head;
        let me = self.identity.as_ref().map(|(user, _)| user);
        let removed = match &event.body {
            Some(Body::Members(change)) => last && me.is_some_and(|me| change.removed.contains(me)),
            // Nothing follows that.
            Some(Body::Change(change)) => change.erased == Some(true),
            _ => false,
        };
        self.room -= 1;
        self.watch_after(&event);
        self.effects.push(Effect::Deliver(told(event)));
        if removed {
            self.end_subscription(name, Ended::Removed);
        }
    }

    /// Asks for what a timeline lacks, and remembers it if it only lacks the application's attention.
    pub(super) fn look_after(&mut self, name: &Name) {
        let has_room = self.room > 0;
        let Some(timeline) = self.timelines.get_mut(name) else { return };
        let behind = timeline.position.is_some_and(|position| position < timeline.head);
        if !has_room && behind && !std::mem::replace(&mut timeline.stalled, true) {
            self.stalled.push_back(name.clone());
        }
        if timeline.lacks(has_room) {
            self.want(name);
        }
    }

    /// The application has taken events.
    pub(super) fn on_room(&mut self, room: usize) {
        self.room = room;
        while self.room > 0 {
            let Some(notice) = self.notices.pop_front() else { break };
            self.room -= 1;
            self.effects.push(Effect::Deliver(notice));
        }
        for _ in 0..self.stalled.len() {
            if self.room == 0 {
                return;
            }
            let Some(name) = self.stalled.pop_front() else { return };
            if let Some(timeline) = self.timelines.get_mut(&name) {
                timeline.stalled = false;
            }
            self.drain(&name);
            self.look_after(&name);
        }
        self.tell_held_typers();
        self.tell_held_marks();
        self.tell_held_presence();
    }
}

/// An event as the application sees it.
fn told(event: v1::Event) -> Event {
    let v1::Event { conversation, seq, body } = event;
    match body {
        // The frame around a message says where it belongs; a sender need not repeat it inside.
        Some(Body::Message(message)) if message.seq == 0 || message.conversation.is_empty() => {
            Event::Message(v1::Message { conversation, seq, ..message })
        }
        Some(Body::Message(message)) => Event::Message(message),
        Some(Body::Members(change)) => Event::Members { conversation, seq, change },
        Some(Body::Change(change)) => Event::Changed { conversation, seq, change },
        Some(Body::Updated(message)) => Event::Updated { conversation, seq, message },
        Some(Body::Deleted(deleted)) => Event::Deleted { conversation, seq, deleted },
        Some(Body::Reacted(reacted)) => Event::Reacted { conversation, seq, reacted },
        _ => Event::Other { conversation, seq },
    }
}
