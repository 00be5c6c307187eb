//! The opcodes of RFC 6455, section 5.2. Nothing but their names and numbers.

/// What a frame carries.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Opcode {
    /// A further piece of a fragmented message.
    Continuation = 0x0,
    /// UTF-8 text, or the first piece of it.
    Text = 0x1,
    /// Bytes, or the first piece of them.
    Binary = 0x2,
    /// The end of the connection, with an optional code and reason.
    Close = 0x8,
    /// To be answered by a pong with the same payload.
    Ping = 0x9,
    /// The answer to a ping, or a sign of life nobody asked for.
    Pong = 0xA,
}

impl Opcode {
    /// The opcode of these four bits; none for the reserved ones.
    pub fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0x0 => Some(Self::Continuation),
            0x1 => Some(Self::Text),
            0x2 => Some(Self::Binary),
            0x8 => Some(Self::Close),
            0x9 => Some(Self::Ping),
            0xA => Some(Self::Pong),
            _ => None,
        }
    }

    /// The four bits of this opcode.
    pub fn bits(self) -> u8 {
        self as u8
    }

    /// Whether it is a control frame: short, never fragmented, allowed between the pieces of a message.
    pub fn is_control(self) -> bool {
        self.bits() & 0x8 != 0
    }
}
