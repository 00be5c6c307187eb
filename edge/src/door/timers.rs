//! Deadlines: one entry in the wheel per connection, moved only when it fires or when something is due sooner; and the
//! steps of going away.

use std::time::Duration;

use mio::Registry;
use switchyard_cluster::link::EdgeLink;
use switchyard_cluster::now::Now;
use switchyard_protocol::code::CloseCode;
use switchyard_protocol::frame;
use switchyard_protocol::v1;

use super::Door;
use super::connection::{ConnectionId, Due, Stage, Stamp};
use super::control::Drain;
use crate::metrics::Ended;
use crate::ws::Opcode;

/// How long before the deadline of a drain goodbyes are said at the latest.
const GOODBYE: Duration = Duration::from_secs(2);

/// How long after the last client was asked to move the goodbyes are said.
const GRACE: Duration = Duration::from_secs(1);

/// How far going away has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Draining {
    /// When those who have not moved are closed.
    close_at: Duration,
    /// When nothing is left.
    end_at: Duration,
    closed: bool,
}

impl<L: EdgeLink> Door<L> {
    /// Sees to it that a connection's timer fires when something is due for it.
    pub(super) fn arm(&mut self, slot: u32, now: Now) {
        let Some(connection) = self.connections.get_mut(slot as usize) else { return };
        let (at, _) = connection.due(now, &self.shared.config);
        if Stamp::from(at) < connection.armed {
            connection.armed = at.into();
            self.wheel.schedule(self.origin + at, connection.id);
        }
    }

    /// Does what has become due.
    pub(super) fn on_time(&mut self, now: Now) {
        let mut fired = std::mem::take(&mut self.fired);
        self.wheel.expire(self.origin + now.mono, &mut fired);
        for id in fired.drain(..) {
            self.on_timer(id, now);
        }
        self.fired = fired;
        if self.desk.edge.0 == 0 && now.mono >= self.sweep_at {
            // One worker sweeps for all.
            self.sweep_at = now.mono + SWEEP;
            self.shared.admission.sweep(super::connection::moment(now));
        }
        self.drain_further(now);
    }

    fn on_timer(&mut self, id: ConnectionId, now: Now) {
        let slot = id.slot();
        let Some(connection) = self.connections.get_mut(slot as usize).filter(|connection| connection.id == id) else {
            return;
        };
        if connection.armed.time() > now.mono {
            // An older entry: a sooner one was made beside it and has done its work.
            return;
        }
        connection.armed = Stamp::NEVER;
        match connection.due(now, &self.shared.config).1 {
            Due::Nothing => {}
            Due::StageOver if matches!(connection.stage, Stage::Open(_)) => {
                self.close(slot, CloseCode::Idle.number(), "no hello", Ended::HandshakeTimeout, now);
            }
            Due::StageOver => return self.remove(slot, Ended::HandshakeTimeout, now),
            Due::Slow => self.close_for(slot, CloseCode::Slow, now),
            Due::Idle => self.close_for(slot, CloseCode::Idle, now),
            Due::Ping => {
                connection.pinged = true;
                if !connection.blocked {
                    let ping = self.outbox.put(Opcode::Ping, b"");
                    self.push(slot, ping);
                }
            }
            Due::Session => self.with_session(slot, now, |session, cx| session.on_time(cx)),
            Due::Rested => {
                connection.rest_until = Stamp::LONG_AGO;
                if connection.unread {
                    self.again.push(slot);
                }
            }
        }
        self.arm(slot, now);
    }

    /// Looks whether the order to go was given.
    pub(super) fn obey(&mut self, now: Now) {
        if self.draining.is_none()
            && let Some(order) = self.shared.control.order()
        {
            self.drain(order, now);
        }
    }

    fn drain(&mut self, order: Drain, now: Now) {
        let latest = order.deadline.saturating_sub(GOODBYE);
        self.draining = Some(Draining {
            close_at: now.mono + (order.after_max + GRACE).min(latest),
            end_at: now.mono + order.deadline,
            closed: false,
        });
        if let Some(mut listener) = self.listener.take() {
            let _ = Registry::deregister(&self.registry, &mut listener);
        }
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let drain = v1::Drain { after_min_ms: millis(order.after_min), after_max_ms: millis(order.after_max) };
        let notice =
            frame::event(v1::Event { conversation: String::new(), seq: 0, body: Some(v1::event::Body::Drain(drain)) });
        for slot in self.slots() {
            let Some(connection) = self.connections.get(slot as usize) else { continue };
            match &connection.stage {
                Stage::Open(open) if !open.session.is_greeting() => self.tell(slot, &notice),
                Stage::Open(_) => self.close_for(slot, CloseCode::Drain, now),
                Stage::Opening(_) => self.remove(slot, Ended::Drain, now),
                Stage::Closing(_) | Stage::Lingering => {}
            }
        }
    }

    fn drain_further(&mut self, now: Now) {
        let Some(draining) = &mut self.draining else { return };
        if now.mono >= draining.end_at {
            for slot in self.slots() {
                self.remove(slot, Ended::Drain, now);
            }
        } else if now.mono >= draining.close_at && !draining.closed {
            draining.closed = true;
            for slot in self.slots() {
                self.close_for(slot, CloseCode::Drain, now);
            }
        }
    }

    /// The next step of going away.
    pub(super) fn draining_deadline(&self) -> Option<Duration> {
        let draining = self.draining.as_ref().filter(|_| !self.connections.is_empty())?;
        Some(if draining.closed { draining.end_at } else { draining.close_at.min(draining.end_at) })
    }

    fn slots(&self) -> Vec<u32> {
        self.connections.iter().filter_map(|(slot, _)| u32::try_from(slot).ok()).collect()
    }
}

/// How often accounts of those who are gone are swept out.
const SWEEP: Duration = Duration::from_secs(1);
