//! What a session notes on a question to find its request again when the answer comes, so that it keeps nothing per request.
//! The client's id of the request travels beside it.
//!
//! | bits | of a request with one question | of a part of a request with several |
//! |---|---|---|
//! | 63 | 0 | 1 |
//! | 48-62 | when it was asked, in milliseconds | the same |
//! | 16-47 | | the number of the gathering |
//! | 0-15 | its kind | the part |

use std::time::Duration;

use switchyard_cluster::party::Asker;

use super::kind::RequestKind;

const PART: u64 = 1 << 63;

/// Where the time begins, and what is kept of it: half a minute, then it begins anew.
const ASKED_AT: u32 = 48;
const ASKED_MS: u64 = 0x7fff;

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

    /// As it travels, without the id and the time.
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

/// It is asked now.
pub fn ask_at(asker: &mut Asker, now: Duration) {
    let asked = (now.as_millis() as u64 & ASKED_MS) << ASKED_AT;
    asker.ticket = asker.ticket & !(ASKED_MS << ASKED_AT) | asked;
}

/// When this was asked, in whole milliseconds: later than it was, by multiples of 33 s, where that was longer ago.
pub fn asked_at(asker: &Asker, now: Duration) -> Duration {
    let (now, asked) = (now.as_millis() as u64, asker.ticket >> ASKED_AT & ASKED_MS);
    Duration::from_millis(now.saturating_sub(now.wrapping_sub(asked) & ASKED_MS))
}

#[cfg(test)]
mod tests {
    use switchyard_cluster::party::EdgeId;
    use switchyard_protocol::limits::INTEGER_MAX;

    use super::*;

    #[test]
    fn packing_loses_nothing() {
        let come_back = |ticket: Ticket| {
            for asked in [0, 12, 32_767, 32_768, u64::MAX >> 1].map(Duration::from_millis) {
                let mut asker = Asker { request: ticket.id(), ticket: ticket.pack(), ..Asker::edge(EdgeId(0)) };
                ask_at(&mut asker, Duration::from_millis(32_767));
                ask_at(&mut asker, asked);
                assert_eq!(Ticket::of(&asker), ticket);
                for ago in [0, 1, 25, 32_767].map(Duration::from_millis) {
                    assert_eq!(asked_at(&asker, asked + ago + Duration::from_micros(300)), asked);
                }
            }
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
