//! The server's side of WebSocket (RFC 6455) without input or output: bytes in, messages and bytes out.
//!
//! Must not own a socket, a clock or a buffer of an idle connection: the caller reads into a scratch buffer that all
//! connections of its thread share, and this module keeps what a partial frame or a fragmented message leaves behind.
//! Knows nothing of what the messages mean. Extensions (compression) are never negotiated.
//!
//! | part | does |
//! |---|---|
//! | [`handshake`] | reads an HTTP request head as it arrives, tells upgrades from other requests, answers |
//! | [`decode`] | frames of a client to messages |
//! | [`encode`] | messages to frames of a server |

pub mod decode;
pub mod encode;
pub mod handshake;
mod header;
mod mask;
mod message;
mod opcode;
mod violation;

pub use decode::{Decoder, Incoming};
pub use opcode::Opcode;
pub use violation::Violation;
