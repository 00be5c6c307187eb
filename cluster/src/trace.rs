//! The names under which one request is found in the log of every process that it goes through. Each hop makes them of whom it
//! answers, and only where they are logged.

use std::fmt;

use uuid::Uuid;

use crate::party::{Asker, EdgeId};

/// Bits of a [`SessionName`] that tell sessions of one edge apart.
const SESSION_BITS: u32 = 62;

/// A process that clients come to, among all that ever ran: 48 random bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Instance([u8; 6]);

impl Instance {
    /// Of random bits.
    pub const fn new(random: [u8; 6]) -> Self {
        Self(random)
    }

    /// What a client of this edge is told that its session is called.
    pub fn session(self, edge: EdgeId, session: u64) -> SessionName {
        // RFC 9562, section 5.8: 48 bits, the version, 12 bits, the variant, 62 bits. Of sessions on the same place of an edge
        // 2^30 come between two of one name.
        let [a, b, c, d, e, f] = self.0;
        let [high, low] = edge.0.to_be_bytes();
        let [s0, s1, s2, s3, s4, s5, s6, s7] = (session & ((1 << SESSION_BITS) - 1)).to_be_bytes();
        SessionName(Uuid::new_v8([a, b, c, d, e, f, high, low, s0, s1, s2, s3, s4, s5, s6, s7]))
    }
}

/// A session in logs, and as its client is told: a UUID of version 8.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SessionName(Uuid);

impl fmt::Display for SessionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A request in logs: its session's name and, behind a slash, the client's id of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Trace {
    /// Whose.
    pub session: SessionName,
    /// Which.
    pub request: u64,
}

impl Trace {
    /// Of a request that came from an edge of this process.
    pub fn of(asker: &Asker, instance: Instance) -> Self {
        Self { session: instance.session(asker.edge, asker.session), request: asker.request }
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.session, self.request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_of_other_processes_edges_and_numbers_have_other_names() {
        let name =
            |instance: u8, edge, session| Instance::new([instance; 6]).session(EdgeId(edge), session).to_string();
        let names = [name(1, 0, 7), name(2, 0, 7), name(1, 1, 7), name(1, 0, 8), name(1, 0, 1 << 61)];
        for (at, one) in names.iter().enumerate() {
            assert!(names.iter().skip(at + 1).all(|other| other != one), "{names:?}");
        }
        assert_eq!(names[0], "01010101-0101-8000-8000-000000000007");
    }
}
