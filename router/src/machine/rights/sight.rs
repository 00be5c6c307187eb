//! Whether members of a conversation learn by it who of them is online. A group tells it to its members whoever of them has
//! blocked whom, as it goes on in every other way. In one of two, neither learns it of the other before both want the
//! conversation, nor while one of them has blocked the other: then each is told what a stranger is.

use super::kinds::Shape;
use crate::machine::conversation::State;

/// See the module.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::machine) enum Sight {
    /// Each sees the others.
    Each,
    /// Nobody sees the other one.
    None,
    /// Who has blocked whom is not read yet.
    Unknown,
}

impl State {
    /// Whether its members see who is online.
    pub(in crate::machine) fn sight(&self) -> Sight {
        if self.profile.shape() != Shape::Pair {
            return Sight::Each;
        }
        match self.profile.approval.is_open() && !self.blocks.any() {
            false => Sight::None,
            true if self.blocks.is_unread() => Sight::Unknown,
            true => Sight::Each,
        }
    }
}
