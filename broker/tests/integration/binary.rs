//! The binary form of what the plain client says and hears, by the protocol's own crate: so that one test speaks both.

use bytes::Bytes;
use prost::Message as _;
use serde_json::Value;
use switchyard_client::protocol::frame::{self, Form};
use switchyard_client::protocol::v1;

/// A request, from its JSON form.
pub(crate) fn request(text: &str) -> Bytes {
    let (id, request) = frame::decode_client_json(text).unwrap_or_else(|error| panic!("{text}: {error:?}"));
    frame::encode_client(Form::Proto, id, request)
}

/// What the broker says, as JSON.
pub(crate) fn answer(bytes: Bytes) -> Value {
    let frame = v1::ServerFrame::decode(bytes).expect("a frame");
    serde_json::from_slice(&frame::encode_server(Form::Json, &frame)).expect("JSON")
}
