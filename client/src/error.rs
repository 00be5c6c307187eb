//! What callers of the SDK branch on when something did not work.

use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::v1;

/// Why a request has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The server refused it, for good. It was not carried out. Of a message that the application sends again with a
    /// `since` of its own, this is said of the present attempt alone.
    #[error("refused ({number}): {message}")]
    Rejected {
        /// The reason, if this version of the SDK knows its number.
        code: Option<ErrorCode>,
        /// The reason's number on the wire.
        number: u32,
        /// The server's words for a developer.
        message: String,
        /// The name of the request in the server's logs, where it was this request's alone: for whoever runs the server.
        trace: Option<Box<str>>,
    },
    /// There was no answer in time, and nothing was changed by it: it asked only for data, or was never sent.
    #[error("no answer in time")]
    TimedOut,
    /// It was sent, and whether it was carried out is not known. A message may be sent again under the same id and with
    /// this `since`: it is stored once. A direct conversation may be asked for again: there is one. What else changes
    /// something may happen twice.
    #[error("it is not known whether this was carried out")]
    Unknown {
        /// For a message, the head that was known at its first attempt, or 0 if none was.
        since: Option<u64>,
    },
    /// Too much waits to be sent already. Nothing was queued.
    #[error("too many requests are waiting to be sent")]
    TooManyPending,
    /// Larger than the server takes. It was not sent.
    #[error("the request is larger than the server takes")]
    TooLarge,
    /// A subscription's position lies beyond the end of the conversation: it is from another conversation or server.
    #[error("position {position} lies beyond the end of the conversation, {head}")]
    AheadOfServer {
        /// Where the application said it was.
        position: u64,
        /// The last number that the server has.
        head: u64,
    },
    /// The subscription was given up before it was confirmed.
    #[error("unsubscribed before it was confirmed")]
    Unsubscribed,
    /// The server's answer is not what was asked for.
    #[error("the server's answer is not understood")]
    BadAnswer,
    /// The address is not one that this client can connect to.
    #[error("not a usable address: {0}")]
    BadUrl(String),
    /// The client is closed, and nothing was changed by this request: it asked only for data or events, or was never sent.
    #[error("closed: {0}")]
    Closed(Closed),
}

/// Why a client stopped for good.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Closed {
    /// The application closed it.
    #[error("by the application")]
    Application,
    /// The server closed the connection with a code that says not to come again.
    #[error("by the server with code {code} {reason}")]
    Server {
        /// The close code: 4501 to 4999.
        code: u16,
        /// The reason that came with it.
        reason: String,
    },
    /// The server refused the hello.
    #[error("hello was refused ({number}): {message}")]
    Refused {
        /// The error's number on the wire.
        number: u32,
        /// The server's words.
        message: String,
    },
    /// What answers at the address is not a Switchyard that takes this client.
    #[error("the address answered with HTTP status {0}")]
    Http(u16),
    /// The token provider said that there will be no token.
    #[error("no token: {0}")]
    Token(String),
    /// The new token is another user's. What waits to be sent was the first user's, so nothing goes out under it.
    #[error("the token is now another user's")]
    UserChanged,
}

impl Error {
    /// The code of a refusal, if it is one.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Rejected { code, .. } => *code,
            _ => None,
        }
    }

    pub(crate) fn rejected(error: &v1::Error) -> Self {
        Self::Rejected {
            code: ErrorCode::from_number(error.number),
            number: error.number,
            message: error.message.clone(),
            trace: None,
        }
    }
}
