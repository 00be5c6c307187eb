//! What people do beside writing: the share of operations that edit, delete or react, and whether readers mark and list.

use serde::Serialize;

/// The emoji that are given. Each has a bit in what a user has given a message.
pub const EMOJI: [&str; 4] = ["\u{1f44d}", "\u{2764}\u{fe0f}", "\u{1f602}", "\u{1f389}"];

/// Edits of one message: fewer than a server allows.
pub const VERSIONS_MAX: u8 = 99;

/// Shares are in percent of a sender's operations; the rest are messages.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize)]
pub struct Mix {
    /// Edits of own messages.
    pub edits: f64,
    /// Deletions of own messages.
    pub deletes: f64,
    /// Emoji given to messages of the conversation, or taken away.
    pub reactions: f64,
    /// Readers say once a second how far they have read.
    pub marks: bool,
    /// Readers list their conversations now and then.
    pub lists: bool,
}

impl Mix {
    /// As people do it.
    pub const USUAL: Self = Self { edits: 5.0, deletes: 2.0, reactions: 10.0, marks: true, lists: true };

    /// Whether there is anything but messages.
    pub fn is_off(&self) -> bool {
        *self == Self::default()
    }

    /// Operations that are no messages, in percent.
    pub fn changes(&self) -> f64 {
        self.edits + self.deletes + self.reactions
    }
}
