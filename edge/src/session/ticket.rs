//! What a session notes on a question to find its request again when the answer comes, so that it keeps nothing per request.
//! The client's id of the request travels beside it.
//!
//! | bits | of a request with one question | of a part of a request with several |
//! |---|---|---|
//! | 63 | 0 | 1 |
//! | 16-47 | | the number of the gathering |
//! | 0-15 | its kind | the part |

use switchyard_cluster::party::Asker;

use super::kind::RequestKind;

const PART: u64 = 1 << 63;

/// What an answer is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ticket {
    /// A request with one answer.
    Single {
        /// The client's id of it.
        id: u64,
        /// Which request.
        kind: RequestKind,
    },
    /// A part of a request that is answered when all its parts are.
    Part {
        /// The client's id of the request; 0 if the session asks by itself.
        id: u64,
        /// Which gathering of the session.
        gathering: u32,
        /// Which of its parts.
        part: u16,
    },
}

impl Ticket {
    /// The client's id of the request.
    pub fn id(self) -> u64 {
        match self {
            Self::Single { id, .. } | Self::Part { id, .. } => id,
        }
    }

    /// As it travels, without the id.
    pub fn pack(self) -> u64 {
        match self {
            Self::Single { kind, .. } => kind as u64,
            Self::Part { gathering, part, .. } => PART | u64::from(gathering) << 16 | u64::from(part),
        }
    }

    /// What was noted on this question.
    pub fn of(asker: &Asker) -> Self {
        let (id, packed) = (asker.request, asker.ticket);
        if packed & PART != 0 {
            return Self::Part { id, gathering: (packed >> 16) as u32, part: packed as u16 };
        }
        let kind = RequestKind::ALL.get(usize::from(packed as u16));
        Self::Single { id, kind: kind.copied().unwrap_or(RequestKind::Unreadable) }
    }
}

#[cfg(test)]
mod tests {
    use switchyard_cluster::party::EdgeId;
    use switchyard_protocol::limits::INTEGER_MAX;

    use super::*;

    #[test]
    fn packing_loses_nothing() {
        let come_back = |ticket: Ticket| {
            let asker = Asker { request: ticket.id(), ticket: ticket.pack(), ..Asker::edge(EdgeId(0)) };
            assert_eq!(Ticket::of(&asker), ticket);
        };
        for id in [0, 1, INTEGER_MAX] {
            for kind in RequestKind::ALL {
                come_back(Ticket::Single { id, kind });
            }
            for (gathering, part) in [(0, 0), (u32::MAX, 7), (1, u16::MAX)] {
                come_back(Ticket::Part { id, gathering, part });
            }
        }
    }
}
