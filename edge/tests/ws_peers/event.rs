//! What goes over a connection, in a form that the edge and both clients can be compared in.

use switchyard_edge::ws::Incoming;
use switchyard_edge::ws::handshake::{HeadReader, Request, Upgrade};

/// A message or control frame.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Event {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
}

impl From<Incoming<'_>> for Event {
    fn from(incoming: Incoming<'_>) -> Self {
        match incoming {
            Incoming::Text(text) => Self::Text(text.to_owned()),
            Incoming::Binary(payload) => Self::Binary(payload.to_vec()),
            Incoming::Ping(payload) => Self::Ping(payload.to_vec()),
            Incoming::Pong(payload) => Self::Pong(payload.to_vec()),
            Incoming::Close(close) => Self::Close(close.map(|(code, reason)| (code, reason.to_owned()))),
        }
    }
}

/// The upgrade in a client's request, which must be one.
pub(crate) fn upgrade_of(request: &[u8]) -> Upgrade {
    match HeadReader::new().feed(request) {
        Ok(Some(Request::Upgrade(upgrade))) => *upgrade,
        other => panic!("not an upgrade: {other:?}"),
    }
}
