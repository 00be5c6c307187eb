//! The network between devices and doors: it delays, cuts both directions with all that is on its way, leaves either end
//! without knowing it for a while, and carries bytes in pieces as it likes. It keeps the order within a direction.

use std::net::{Ipv4Addr, SocketAddr};

use switchyard_client::core::{Connection, Input, Loss};

use super::{Event, World};
use crate::plan::SECOND_US;
use crate::wire::{self, Got, Wire};

/// The longest time for which nothing flows before it flows again.
const STALL_US_MAX: u64 = 6 * SECOND_US;

impl World {
    /// A device wants a connection.
    pub(super) fn connect(&mut self, device: usize, connection: Connection) {
        self.release(device, false);
        let door = self.rng.below(u64::from(self.plan.doors)) as usize;
        self.next_wire += 1;
        let id = self.next_wire;
        self.wires.insert(id, Wire::new(device, connection, door, 0, self.plan.send_buffer));
        self.devices[device].wire = Some(id);
        let delay = self.rng.within(50, 20_000);
        if !self.once_in(self.plan.unreachable_one_in) {
            self.at(delay, Event::Reach(id));
        } else if self.rng.chance(800) {
            self.at(delay, Event::ResetClient(id));
        }
    }

    /// A connection comes to the server.
    pub(super) fn reach(&mut self, id: u64) {
        let Some(wire) = self.wires.get_mut(&id) else { return };
        let Some(process) = self.process.as_mut().filter(|process| process.listening) else {
            return self.at(500, Event::ResetClient(id));
        };
        wire.life = self.life;
        let peer = SocketAddr::from((Ipv4Addr::new(10, 0, 0, wire.device as u8), 1_000));
        let (door, device) = (wire.door, wire.device);
        process.doors[door].listener.0.borrow_mut().push_back((std::rc::Rc::clone(&wire.pipe), peer));
        process.doors[door].newcomers = true;
        self.wake_door(door);
        self.send_bytes(id, wire::upgrade(self.plan.devices[device].form));
        if self.once_in(self.plan.cut_one_in) {
            let life = self.rng.below(self.plan.cut_us_max);
            self.at(life, Event::Cut(id));
        }
    }

    /// A client's end writes.
    pub(super) fn send_bytes(&mut self, id: u64, bytes: Vec<u8>) {
        let split = if self.rng.chance(50) { self.rng.below(bytes.len() as u64) as usize } else { 0 };
        let (first, second) = bytes.split_at(split);
        for part in [first, second] {
            if !part.is_empty() {
                self.send_piece(id, Some(part.to_vec()));
            }
        }
    }

    fn send_piece(&mut self, id: u64, piece: Option<Vec<u8>>) {
        let delay = self.net_delay();
        let now_us = self.now_us;
        let Some(wire) = self.wires.get_mut(&id) else { return };
        wire.outgoing.push_back(piece);
        wire.to_server_at = wire.to_server_at.max(now_us + delay);
        let in_us = wire.to_server_at - now_us;
        self.at(in_us, Event::ToServer(id));
    }

    fn net_delay(&mut self) -> u64 {
        if self.rng.chance(20) { self.rng.within(1_000, 200_000) } else { self.rng.within(20, 3_000) }
    }

    pub(super) fn arrive_at_server(&mut self, id: u64) {
        let now_us = self.now_us;
        let Some(wire) = self.wires.get_mut(&id).filter(|wire| !wire.cut) else { return };
        if wire.stalled_until > now_us {
            let later = wire.stalled_until - now_us;
            return self.at(later, Event::ToServer(id));
        }
        let Some(piece) = wire.outgoing.pop_front() else { return };
        let mut pipe = wire.pipe.borrow_mut();
        match piece {
            Some(bytes) => pipe.arrived.extend(bytes),
            None => pipe.ended = true,
        }
        drop(pipe);
        self.mark_ready(id, false);
    }

    /// A door has written, or let go.
    pub(super) fn carry(&mut self, door: usize) {
        let life = self.life;
        let mut begun = Vec::new();
        for (id, wire) in &mut self.wires {
            if wire.door != door || wire.life != life || wire.carrying || wire.cut {
                continue;
            }
            let pipe = wire.pipe.borrow();
            if !pipe.written.is_empty() || pipe.finished {
                wire.carrying = true;
                begun.push((*id, wire.device));
            }
        }
        for (id, device) in begun {
            let delay = self.read_delay(device);
            self.at(delay, Event::ToClient(id));
        }
    }

    fn read_delay(&mut self, device: usize) -> u64 {
        if self.once_in(self.plan.devices[device].sleepy_one_in) {
            self.saw("a client does not read");
            return self.rng.within(100_000, 4 * SECOND_US);
        }
        self.net_delay()
    }

    /// A client's end takes what has come.
    pub(super) fn arrive_at_client(&mut self, id: u64) {
        let now_us = self.now_us;
        let piece = if self.rng.chance(200) { self.rng.within(1, 300) as usize } else { usize::MAX };
        let Some(wire) = self.wires.get_mut(&id).filter(|wire| !wire.cut) else { return };
        if wire.stalled_until > now_us {
            let later = wire.stalled_until - now_us;
            return self.at(later, Event::ToClient(id));
        }
        wire.carrying = false;
        let mut pipe = wire.pipe.borrow_mut();
        let taken = piece.min(pipe.written.len());
        let bytes: Vec<u8> = pipe.written.drain(..taken).collect();
        let more = !pipe.written.is_empty();
        let over = pipe.finished && !more;
        let writable = std::mem::take(&mut pipe.refused);
        if wire.released && !bytes.is_empty() {
            // Nobody is there any more, and the server hears of it.
            pipe.reset = true;
        }
        drop(pipe);
        if !wire.released {
            wire.take(&bytes);
        }
        let (released, device) = (wire.released, wire.device);
        if writable || released {
            self.mark_ready(id, true);
        }
        self.take_in(id);
        if more {
            if let Some(wire) = self.wires.get_mut(&id) {
                wire.carrying = true;
            }
            let delay = self.read_delay(device);
            self.at(delay, Event::ToClient(id));
        } else if over {
            self.reset_client(id);
            self.wires.remove(&id);
        }
    }

    /// Everything whole that has come goes to the device.
    fn take_in(&mut self, id: u64) {
        let wall_ms = self.now().wall_ms;
        loop {
            let Some(wire) = self.wires.get_mut(&id).filter(|wire| !wire.released) else { return };
            let (device, connection) = (wire.device, wire.connection);
            let Some(got) = wire.next() else { return };
            let wrong = match &got {
                Got::Close(code, _) => wire.word.close(*code, wall_ms),
                _ => None,
            };
            self.oracle.violations.extend(wrong);
            self.note(|| format!("{device} <- {got:?}"));
            match got {
                Got::Status(101) => self.give(device, Input::Connected(connection)),
                Got::Status(status) => {
                    self.release(device, false);
                    self.give(device, Input::Disconnected(connection, Loss::Http(status)));
                }
                Got::Message(bytes) => self.receive(device, id, connection, &bytes),
                Got::Ping(payload) => {
                    self.send_bytes(id, wire::frame(wire::PONG, &payload));
                    self.give(device, Input::Heard(connection));
                }
                Got::Pong => self.give(device, Input::Heard(connection)),
                Got::Close(code, reason) => {
                    self.release(device, true);
                    self.give(device, Input::Disconnected(connection, Loss::Closed { code, reason }));
                }
            }
        }
    }

    /// A client's end lets go of its connection, with or without a goodbye.
    pub(super) fn release(&mut self, device: usize, goodbye: bool) {
        let Some(id) = self.devices[device].wire.take() else { return };
        let Some(wire) = self.wires.get_mut(&id) else { return };
        wire.released = true;
        if wire.life == 0 {
            // It never came to the server; if it still does, nobody is there.
            self.wires.remove(&id);
            return;
        }
        if goodbye && wire.upgraded {
            self.send_bytes(id, wire::frame(wire::CLOSE, &1000_u16.to_be_bytes()));
        }
        self.send_piece(id, None);
    }

    /// The way is cut, for good or for a while; either end may learn of it early, late, or never.
    pub(super) fn cut(&mut self, id: u64) {
        if self.healed {
            return;
        }
        let stalls = self.rng.chance(250);
        let stall = self.rng.within(1_000, STALL_US_MAX);
        let now_us = self.now_us;
        let Some(wire) = self.wires.get_mut(&id) else { return };
        if stalls {
            wire.stalled_until = now_us + stall;
            return self.saw("a connection stalls");
        }
        wire.cut = true;
        wire.outgoing.clear();
        self.note(|| format!("cut {id}"));
        self.saw("a connection is cut");
        for event in [Event::ResetClient(id), Event::ResetServer(id)] {
            if self.rng.chance(700) {
                let most = if self.rng.chance(500) { 3_000 } else { 3 * SECOND_US };
                let delay = self.rng.below(most);
                self.at(delay, event);
            }
        }
    }

    /// A client's end learns that its connection is over.
    pub(super) fn reset_client(&mut self, id: u64) {
        let Some(wire) = self.wires.get_mut(&id) else { return };
        let (device, connection) = (wire.device, wire.connection);
        if self.devices[device].wire != Some(id) {
            return;
        }
        wire.released = true;
        self.devices[device].wire = None;
        self.give(device, Input::Disconnected(connection, Loss::Broken));
    }

    pub(super) fn reset_server(&mut self, id: u64) {
        let Some(wire) = self.wires.get_mut(&id) else { return };
        wire.pipe.borrow_mut().reset = true;
        self.mark_ready(id, true);
    }

    /// The door's poll will tell of this socket.
    fn mark_ready(&mut self, id: u64, writable: bool) {
        let Some(wire) = self.wires.get(&id).filter(|wire| wire.life == self.life) else { return };
        let Some(process) = &mut self.process else { return };
        let door = wire.door;
        *process.doors[door].ready.entry(id).or_default() |= writable;
        self.wake_door(door);
    }

    /// The process at the other end is gone.
    pub(super) fn cut_all(&mut self) {
        let life = self.life;
        let ids: Vec<u64> = self.wires.iter().filter(|(_, wire)| wire.life == life).map(|(id, _)| *id).collect();
        for id in ids {
            if let Some(wire) = self.wires.get_mut(&id) {
                wire.cut = true;
            }
            // A dead machine says nothing, a dead process does.
            if !self.once_in(8) {
                let delay = self.rng.below(50_000);
                self.at(delay, Event::ResetClient(id));
            }
        }
    }
}
