//! Error and close codes. Their numbers lie in ranges that say whether trying again helps, and a freed number is never
//! used again.

use serde::{Deserialize, Serialize};

macro_rules! error_codes {
    ($($(#[doc = $about:literal])* $variant:ident = $number:literal, $name:literal;)*) => {
        /// Why a request was not carried out. 1000-1999: the same request may succeed later; 2000-2999: it will not.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
        #[repr(u32)]
        pub enum ErrorCode {
            $($(#[doc = $about])* #[serde(rename = $name)] $variant = $number,)*
        }

        impl ErrorCode {
            /// All codes, for tables and tests.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name on the wire.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What it says, for the document of the protocol.
            pub fn about(self) -> &'static str {
                match self { $(Self::$variant => concat!($($about),*).trim_ascii(),)* }
            }

            /// The code with this number, if it has one here.
            pub fn from_number(number: u32) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)* _ => None }
            }

            /// The code with this name, if it has one here.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

error_codes! {
    /// A budget is used up; come again after `retry_after_ms`.
    RateLimited = 1001, "RATE_LIMITED";
    /// The server has no room for this now; come again after `retry_after_ms`.
    Overloaded = 1002, "OVERLOADED";
    /// Whether it happened is not known; sending it again with the same client id is safe.
    UnknownOutcome = 1003, "UNKNOWN_OUTCOME";
    /// A fault of the server's.
    Internal = 1004, "INTERNAL";
    /// The token is missing, wrong or over.
    AuthInvalid = 2001, "AUTH_INVALID";
    /// The asker may see it, but not do this.
    Forbidden = 2002, "FORBIDDEN";
    /// It does not exist, or the asker may not know that it does.
    NotFound = 2003, "NOT_FOUND";
    /// The request is not well-formed, or beyond a limit.
    BadRequest = 2004, "BAD_REQUEST";
    /// It contradicts what is there.
    Conflict = 2005, "CONFLICT";
    /// `since` is too far back to tell whether this client id was used: look in the history.
    IdExpired = 2006, "ID_EXPIRED";
    /// The conversation is closed.
    Closed = 2007, "CLOSED";
}

impl ErrorCode {
    /// Its number on the wire.
    pub fn number(self) -> u32 {
        self as u32
    }

    /// Whether the same request may succeed later.
    pub fn retry(self) -> bool {
        self.number() < 2_000
    }
}

macro_rules! close_codes {
    ($($(#[doc = $about:literal])* $variant:ident = $number:literal, $reason:literal;)*) => {
        /// Why the server closes a WebSocket. 4001-4499: come again; 4501-4999: do not.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr(u16)]
        pub enum CloseCode {
            $($(#[doc = $about])* $variant = $number,)*
        }

        impl CloseCode {
            /// All codes, for tables and tests.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// A word for logs and metrics, and the reason in the close frame.
            pub fn reason(self) -> &'static str {
                match self { $(Self::$variant => $reason,)* }
            }

            /// What it says, for the document of the protocol.
            pub fn about(self) -> &'static str {
                match self { $(Self::$variant => concat!($($about),*).trim_ascii(),)* }
            }
        }
    };
}

close_codes! {
    /// The server is going away; connect again.
    Drain = 4001, "drain";
    /// The client read too slowly for too long.
    Slow = 4002, "slow";
    /// The server has no room.
    Overloaded = 4003, "overloaded";
    /// Nothing was heard for too long.
    Idle = 4004, "idle";
    /// What this connection was for has moved.
    Moved = 4005, "moved";
    /// The token ran out; come again with a new one.
    TokenExpired = 4006, "token_expired";
    /// The token is missing or wrong.
    Auth = 4501, "auth";
    /// The user is suspended, or the session was revoked.
    Suspended = 4502, "suspended";
    /// The client does not speak this protocol.
    Protocol = 4503, "protocol";
    /// Too many connections or requests.
    TooMany = 4504, "too_many";
}

impl CloseCode {
    /// Its number in the close frame.
    pub fn number(self) -> u16 {
        self as u16
    }

    /// Whether a client with this number may come again by itself.
    pub fn retry(number: u16) -> bool {
        !(4_501..=4_999).contains(&number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_distinct_and_found_again() {
        for &code in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_number(code.number()), Some(code));
            assert_eq!(ErrorCode::from_name(code.name()), Some(code));
        }
    }

    #[test]
    fn close_codes_say_whether_to_come_again() {
        for &code in CloseCode::ALL {
            assert_eq!(CloseCode::retry(code.number()), code.number() < 4_500);
        }
    }
}
