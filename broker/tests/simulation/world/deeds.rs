//! What applications do of their own accord.

use std::time::Duration;

use switchyard_client::core::{Call, From};
use switchyard_protocol::v1::{self, ConversationKind, MessageKind};

use super::{Event, World};
use crate::device::Asked;
use crate::places;

impl World {
    /// The first conversations: one with everybody, one of two.
    pub(super) fn found(&mut self) {
        self.create(0, ConversationKind::Group, (0..self.plan.users).collect());
        self.create(1, ConversationKind::Direct, vec![0, 1]);
    }

    fn create(&mut self, device: usize, kind: ConversationKind, users: Vec<usize>) {
        let own = self.devices[device].plan.user;
        let others = users.into_iter().filter(|user| *user != own);
        let members = others.map(|user| places::user(user).to_string()).collect();
        // An internal one of two would be one of two for good.
        let name = (kind == ConversationKind::Internal).then(|| "ours".to_owned());
        let create = v1::Create { kind: kind.into(), members, name, ..v1::Create::default() };
        self.call(device, Call::Create(create), Some(Duration::from_secs(60)));
    }

    /// A device hears of a new conversation.
    pub(super) fn join(&mut self, device: usize, place: usize) {
        // A service reads nothing.
        if !places::is_service(&self.devices[device].user) && self.rng.chance(850) {
            let name = self.places[place].clone();
            let from = if self.rng.chance(700) { self.far_back(&name) } else { From::Now };
            self.subscribe(device, &name, from);
        }
    }

    /// An application does something.
    pub(super) fn deed(&mut self, device: usize) {
        if self.healed || self.devices[device].deeds_left == 0 {
            return;
        }
        self.devices[device].deeds_left -= 1;
        let pause = self.rng.below(self.plan.devices[device].deed_pause_us_max);
        self.at(pause, Event::Deed(device));
        if self.places.is_empty() {
            return;
        }
        let place = self.rng.below(self.places.len() as u64) as usize;
        let name = self.places[place].clone();
        if places::is_service(&self.devices[device].user) {
            return self.service_deed(device, name);
        }
        match self.rng.below(100) {
            0..30 => self.send(device, &name),
            30..43 => self.change_message(device, name),
            43..47 => (0..self.rng.within(3, 15)).for_each(|_| self.send(device, &name)),
            47..52 => self.read_anew(device, &name),
            52..56 => self.mark(device, &name),
            56..60 => self.unsubscribe(device, &name),
            60..67 => self.change(device, name),
            67..74 => self.look(device, name),
            74..78 => self.create_some(device),
            78..81 => self.restart(device),
            81..84 => self.send_again(device),
            84..93 => self.decide(device, name),
            93..97 => {
                let shown = self.devices[device].reading().map(|(name, _)| name.to_owned()).take(8).collect();
                self.show(device, shown);
            }
            97 => self.type_in(device, name),
            98..100 => self.watch_some(device, name),
            _ => {}
        }
    }

    /// A service posts, and asks in vain for what is people's alone.
    fn service_deed(&mut self, device: usize, name: String) {
        match self.rng.below(10) {
            0..6 => self.send(device, &name),
            6 => self.send_again(device),
            7 => self.restart(device),
            _ => self.look(device, name),
        }
    }

    /// From the beginning on. Where there is a long past, once its beginning was dropped there or anywhere in it, else near its end.
    fn far_back(&mut self, name: &str) -> From {
        let old_rows = self.plan.profile.old_rows;
        if old_rows == 0 || name != places::old_key().conversation.to_string() {
            return From::After(0);
        }
        let dropped = self.disk.inner().rows[&places::old_key()].first > 1;
        let back = match dropped {
            true if self.rng.chance(500) => old_rows,
            true => self.rng.below(old_rows + 1),
            false => self.rng.below(60),
        };
        From::After(old_rows - back)
    }

    fn send(&mut self, device: usize, name: &str) {
        let len = *self.rng.pick(&[0, 0, 20, 200, 1_500]);
        let (client_id, text) = self.devices[device].message(len);
        // At times one that is not theirs to send.
        let system = places::is_service(&self.devices[device].user) != self.rng.chance(20);
        let kind = if system { MessageKind::System } else { MessageKind::Text };
        let send =
            v1::Send { conversation: name.to_owned(), client_id, text, kind: kind.into(), ..v1::Send::default() };
        let timeout = self.rng.chance(200).then(|| Duration::from_millis(self.rng.within(1, 4_000)));
        let call = if self.rng.chance(200) { Call::SendChosen(send) } else { Call::Send(send) };
        self.call(device, call, timeout);
    }

    /// A message with an unknown outcome is sent again under its id.
    fn send_again(&mut self, device: usize) {
        let Some(send) = self.devices[device].unsure.pop() else { return };
        self.saw("a message is sent again by the application");
        self.call(device, Call::Send(send), None);
    }

    fn read_anew(&mut self, device: usize, name: &str) {
        let read = self.devices[device].readings.get(name).copied();
        let from = match read {
            Some(Some(next)) if self.plan.profile.old_rows == 0 => From::After(self.rng.below(next)),
            _ if self.rng.chance(500) => From::Now,
            _ => self.far_back(name),
        };
        self.subscribe(device, name, from);
    }

    fn change(&mut self, device: usize, conversation: String) {
        let member = places::user(self.rng.below(self.plan.users as u64) as usize).to_string();
        let user = self.devices[device].user.clone();
        let call = match self.rng.below(20) {
            0..7 => {
                // Mostly somebody who is not there, if anybody is not.
                let outside =
                    (0..self.plan.users).map(places::user).find(|user| !self.oracle.is_in(user, &conversation));
                let outside = outside.filter(|_| self.rng.chance(700)).map(|user| user.to_string());
                Call::Add(v1::Add { conversation, members: vec![outside.unwrap_or(member)] })
            }
            7..10 => Call::Remove(v1::Remove { conversation, member }),
            10..12 => {
                // Whoever comes back has nothing put away there.
                let places = self.places.clone();
                let away = self.oracle.put_away(&user, &places).filter(|_| self.rng.chance(500));
                Call::Leave(v1::Leave { conversation: away.unwrap_or(conversation) })
            }
            12..14 => {
                let name = Some(format!("of {member}"));
                Call::Update(v1::Update { conversation, name, avatar: None, context: None })
            }
            14 => Call::Promote(v1::Promote { conversation, member, role: None }),
            15 => Call::Promote(v1::Promote { conversation, member, role: Some(v1::Role::Admin.into()) }),
            16 => Call::Demote(v1::Demote { conversation, member, role: None }),
            // Little happens where it is closed.
            17 => Call::Close(v1::Close { conversation }),
            _ => Call::Reopen(v1::Reopen { conversation }),
        };
        self.call(device, call, None);
    }

    /// A message is edited, deleted or given an emoji; mostly one's own, and at times what is none.
    fn change_message(&mut self, device: usize, conversation: String) {
        let user = self.devices[device].user.clone();
        let what = self.rng.below(10);
        let any = self.rng.chance(200);
        let newest = self.oracle.head(&places::key(&conversation));
        let mut seq = 1 + self.rng.below(newest + 1);
        for _ in 0..8 {
            let sender = if what < 6 { Some(&user) } else { None };
            if any || self.oracle.is_message(&conversation, seq, sender) {
                break;
            }
            // Mostly a new one: that is told while it is changed.
            let back = if self.rng.chance(500) { self.rng.below(10).min(newest) } else { self.rng.below(newest + 1) };
            seq = newest - back;
        }
        let call = match what {
            0..4 => {
                let (_, text) = self.devices[device].message(0);
                Call::Edit(v1::Edit { conversation, seq, text, ..v1::Edit::default() })
            }
            4..6 => Call::Delete(v1::Delete { conversation, seq, id: None }),
            _ => {
                let emoji = (*self.rng.pick(&["+1", "-1"])).to_owned();
                let remove = self.rng.chance(400);
                Call::React(v1::React { conversation, seq, id: None, emoji, remove })
            }
        };
        self.call(device, call, None);
    }

    /// Somebody is blocked, a conversation put away, a request answered, a group erased, or one of these taken back.
    fn decide(&mut self, device: usize, conversation: String) {
        let user = self.devices[device].user.clone();
        let other = places::user(self.rng.below(self.plan.users as u64) as usize);
        let what = self.rng.below(20);
        if what < 9 && other == user {
            return;
        }
        let places = self.places.clone();
        let request = self.oracle.request_to(&places, &user).unwrap_or_else(|| conversation.clone());
        let call = match what {
            0..5 => Call::Block(v1::Block { user: other.to_string() }),
            5..9 => Call::Unblock(v1::Unblock { user: other.to_string() }),
            9..12 => Call::Archive(v1::Archive { conversation }),
            12..14 => {
                // Mostly one that is put away: of others it changes nothing.
                let away = self.oracle.put_away(&user, &places).filter(|_| self.rng.chance(800));
                Call::Unarchive(v1::Unarchive { conversation: away.unwrap_or(conversation) })
            }
            14..16 => Call::Accept(v1::Accept { conversation: request }),
            16..19 => Call::Decline(v1::Decline { conversation: request }),
            _ => Call::Erase(v1::Erase { conversation }),
        };
        self.call(device, call, None);
    }

    /// Somebody is watched: through this conversation or their direct one.
    fn watch_some(&mut self, device: usize, name: String) {
        let other = places::user(self.rng.below(self.plan.users as u64) as usize);
        if other == self.devices[device].user {
            return;
        }
        match self.rng.below(10) {
            0 => self.unwatch(device, &other),
            1..6 => self.watch(device, Some(name), &other),
            _ => self.watch(device, None, &other),
        }
    }

    fn look(&mut self, device: usize, conversation: String) {
        let call = match self.rng.below(7) {
            5..7 => Call::Unread(v1::Unread { conversations: vec![conversation], all: false }),
            4 => Call::List(v1::List::default()),
            0 => Call::Get(v1::Get { conversation }),
            1 => Call::Members(v1::Members { conversation, after: None, limit: 0 }),
            2 => Call::History(v1::History { conversation, limit: 5, ..v1::History::default() }),
            _ => Call::History(v1::History { conversation, after: Some(0), ..v1::History::default() }),
        };
        self.call(device, call, None);
    }

    fn create_some(&mut self, device: usize) {
        let other = self.rng.below(self.plan.users as u64) as usize;
        if self.plan.roles.iter().any(|role| !role.is_empty()) && self.rng.chance(600) {
            match self.rng.below(5) {
                0 => self.create(device, ConversationKind::CustomerSeller, vec![other]),
                1 => self.create(device, ConversationKind::SellerSupport, Vec::new()),
                2 => self.create(device, ConversationKind::Internal, vec![1, 3.min(self.plan.users - 1)]),
                _ => self.create(device, ConversationKind::CustomerSupport, Vec::new()),
            }
        } else if other == self.devices[device].plan.user || self.rng.chance(500) {
            self.create(device, ConversationKind::Group, (0..self.plan.users).collect());
        } else {
            self.create(device, ConversationKind::Direct, vec![other]);
        }
    }

    /// The application is killed and started again, and reads on from where it was.
    fn restart(&mut self, device: usize) {
        self.saw("an application starts again");
        self.note(|| format!("{device} starts again"));
        self.release(device, false);
        let seed = self.rng.next();
        let lost = self.devices[device].restart(device, seed);
        for asked in lost.into_values() {
            let user = self.devices[device].user.clone();
            match asked {
                Asked::Call(Call::Send(send) | Call::SendChosen(send), _) => {
                    self.oracle.abandoned(&user, &send.client_id);
                }
                Asked::Call(call, when) => self.oracle.decided(&user, &call, when.step, None, false),
                _ => {}
            }
        }
        self.open(device);
        let readings = self.devices[device].readings.clone();
        for (name, next) in readings {
            let from = next.map_or(From::Now, |next| From::After(next - 1));
            self.subscribe(device, &name, from);
        }
    }

    /// The last that a device says: nothing may be waiting for something to come after it.
    pub(super) fn last_words(&mut self, device: usize) {
        for name in self.places.clone() {
            if self.oracle.is_member(&self.devices[device].user, &name) {
                let (client_id, text) = self.devices[device].message(0);
                let send = v1::Send { conversation: name, client_id, text, ..v1::Send::default() };
                self.call(device, Call::Send(send), None);
            }
        }
    }
}
