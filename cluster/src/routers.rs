//! What routers say to one another, and each to itself: owners to homes, homes to owners.

use switchyard_protocol::shard::Shard;

use crate::home::{MemberNotice, Survey, Surveyed};
use crate::presence::{Census, Counted, Part, Watch};

/// From one router to another, or to itself.
#[derive(Clone, PartialEq, Debug)]
pub enum RouterMessage {
    /// A user came to a conversation or went from it. May give way to [`Missed`](Self::Missed).
    Member(MemberNotice),
    /// Some notices were not delivered: what homes have in memory may be old.
    Missed,
    /// A home asks owners about its user's conversations. A link to several routers splits it by owner.
    Survey(Survey),
    /// What an owner says to that: once for each router that it was sent to.
    Surveyed(Surveyed),
    /// A session watches a user: for the user's home.
    Watch(Box<Watch>),
    /// One of two has blocked the other: for the home of either.
    Part(Box<Part>),
    /// An owner asks homes how many of its conversation's members are online. A link to several routers splits it by home.
    Census(Census),
    /// What a router says to that: once for each that it was sent to.
    Counted(Counted),
}

impl RouterMessage {
    /// The shard whose owner it is for; a survey or a census is for several, and [`Missed`](Self::Missed) for a whole router.
    pub fn shard(&self) -> Option<Shard> {
        match self {
            Self::Member(notice) => Some(notice.home.shard()),
            Self::Surveyed(surveyed) => Some(surveyed.home.shard()),
            Self::Watch(watch) => Some(watch.ask.home.shard()),
            Self::Part(part) => Some(part.parted.home.shard()),
            Self::Counted(counted) => Some(Shard::of_conversation(&counted.key)),
            Self::Survey(_) | Self::Census(_) | Self::Missed => None,
        }
    }
}
