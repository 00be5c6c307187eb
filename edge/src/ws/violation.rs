//! What a client can do wrong in its frames, and with which code the connection is closed for it.
//!
//! The reasons are fixed texts: nothing that a client sent may come back in a close frame or in a log.

/// A breach of RFC 6455 or of a limit. Final: the connection is closed with [`Violation::close_code`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum Violation {
    /// A client must mask every frame.
    #[error("frame is not masked")]
    Unmasked,
    /// A reserved bit is set, though no extension was negotiated.
    #[error("reserved bit is set")]
    ReservedBit,
    /// An opcode that RFC 6455 keeps for later.
    #[error("reserved opcode")]
    ReservedOpcode,
    /// A control frame without the final bit.
    #[error("fragmented control frame")]
    FragmentedControl,
    /// A control frame with more than 125 bytes.
    #[error("control frame is too long")]
    LongControl,
    /// A length that a shorter form could have held.
    #[error("length is not in its shortest form")]
    LongLength,
    /// A 64-bit length with the top bit set.
    #[error("length has its top bit set")]
    NegativeLength,
    /// A continuation where no message is under way.
    #[error("continuation of no message")]
    StrayContinuation,
    /// A new message while a fragmented one is under way.
    #[error("message within a fragmented message")]
    InterruptedMessage,
    /// A close frame with a single byte, which can be no code.
    #[error("close frame without a whole code")]
    ClosePayload,
    /// A close code that must not be sent.
    #[error("close code must not be sent")]
    CloseCode,
    /// Text, or the reason of a close frame, that is not UTF-8.
    #[error("text is not UTF-8")]
    InvalidUtf8,
    /// More bytes in a message than the connection's present limit.
    #[error("message is too big")]
    TooBig,
    /// More pieces of one message than [`FRAGMENTS_MAX`](super::decode::FRAGMENTS_MAX). RFC 6455 allows any number, so this is policy and
    /// not an error of protocol.
    #[error("message has too many fragments")]
    TooManyFragments,
}

impl Violation {
    /// The code for the close frame: 1002 protocol, 1007 not UTF-8, 1008 policy, 1009 too big.
    pub fn close_code(self) -> u16 {
        match self {
            Self::InvalidUtf8 => 1007,
            Self::TooManyFragments => 1008,
            Self::TooBig => 1009,
            Self::Unmasked
            | Self::ReservedBit
            | Self::ReservedOpcode
            | Self::FragmentedControl
            | Self::LongControl
            | Self::LongLength
            | Self::NegativeLength
            | Self::StrayContinuation
            | Self::InterruptedMessage
            | Self::ClosePayload
            | Self::CloseCode => 1002,
        }
    }
}
