//! What a session writes on a request to find it again when the answer comes, so that it keeps nothing per request.
//!
//! | bits | of a single request | of a part of a request for many conversations |
//! |---|---|---|
//! | 63 | 0 | 1 |
//! | 53-60 | its kind | |
//! | 0-52 | the client's id | |
//! | 16-47 | | the number of the gathering |
//! | 0-15 | | the part |

use switchyard_protocol::limits::INTEGER_MAX;

use super::kind::RequestKind;

const PART: u64 = 1 << 63;
const KIND_SHIFT: u32 = 53;
const KIND_MASK: u64 = 0xff;

/// What an answer is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ticket {
    /// A request with one answer.
    Single {
        /// The client's id of it, at most 2^53 - 1.
        id: u64,
        /// Which request.
        kind: RequestKind,
    },
    /// A part of a request that is answered when all its parts are.
    Part {
        /// Which gathering of the session.
        gathering: u32,
        /// Which of its parts.
        part: u16,
    },
}

impl Ticket {
    /// As it travels.
    pub fn pack(self) -> u64 {
        match self {
            Self::Single { id, kind } => (id & INTEGER_MAX) | (kind as u64) << KIND_SHIFT,
            Self::Part { gathering, part } => PART | u64::from(gathering) << 16 | u64::from(part),
        }
    }

    /// As it was packed.
    pub fn unpack(packed: u64) -> Self {
        if packed & PART != 0 {
            return Self::Part { gathering: (packed >> 16) as u32, part: packed as u16 };
        }
        let kind = RequestKind::ALL.get(((packed >> KIND_SHIFT) & KIND_MASK) as usize);
        Self::Single { id: packed & INTEGER_MAX, kind: kind.copied().unwrap_or(RequestKind::Unreadable) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packing_loses_nothing() {
        for kind in RequestKind::ALL {
            for id in [0, 1, INTEGER_MAX] {
                let ticket = Ticket::Single { id, kind };
                assert_eq!(Ticket::unpack(ticket.pack()), ticket);
            }
        }
        for (gathering, part) in [(0, 0), (u32::MAX, 7), (1, u16::MAX)] {
            let ticket = Ticket::Part { gathering, part };
            assert_eq!(Ticket::unpack(ticket.pack()), ticket);
        }
    }
}
