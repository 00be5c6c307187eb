//! Writes a `send` request, the one frame that the generator writes at full rate, straight from its parts.

use bytes::Bytes;
use prost::encoding::{encode_varint, encoded_len_varint};
use switchyard_protocol::frame::Form;

use crate::letter::{Bodies, MessageKey};

/// Field keys of `ClientFrame` and `Send`: number << 3 | wire type.
const FRAME_ID: u8 = 1 << 3;
const FRAME_SEND: u8 = 5 << 3 | 2;
const SEND_CONVERSATION: u8 = 1 << 3 | 2;
const SEND_CLIENT_ID: u8 = 2 << 3 | 2;
const SEND_TEXT: u8 = 4 << 3 | 2;
const SEND_SINCE: u8 = 7 << 3;

/// The request `id` that sends message `key` to a conversation whose head was `since`.
pub fn encode(form: Form, id: u64, conversation: &str, key: MessageKey, since: u64, bodies: &Bodies) -> Bytes {
    let client_id = key.client_id();
    match form {
        Form::Proto => encode_proto(id, conversation, client_id.as_str(), key, since, bodies),
        Form::Json => encode_json(id, conversation, client_id.as_str(), key, since, bodies),
    }
    .into()
}

fn encode_proto(id: u64, conversation: &str, client_id: &str, key: MessageKey, since: u64, bodies: &Bodies) -> Vec<u8> {
    let text_len = bodies.size();
    let field = |len: usize| 1 + encoded_len_varint(len as u64) + len;
    let send_len = field(conversation.len()) + field(client_id.len()) + field(text_len) + 1 + encoded_len_varint(since);
    let mut to = Vec::with_capacity(1 + encoded_len_varint(id) + field(send_len));
    to.push(FRAME_ID);
    encode_varint(id, &mut to);
    to.push(FRAME_SEND);
    encode_varint(send_len as u64, &mut to);
    for (key, text) in [(SEND_CONVERSATION, conversation), (SEND_CLIENT_ID, client_id)] {
        to.push(key);
        encode_varint(text.len() as u64, &mut to);
        to.extend_from_slice(text.as_bytes());
    }
    to.push(SEND_TEXT);
    encode_varint(text_len as u64, &mut to);
    bodies.write(key, &mut to);
    to.push(SEND_SINCE);
    encode_varint(since, &mut to);
    to
}

/// Conversation ids, client ids and bodies of ours hold nothing that JSON escapes.
fn encode_json(id: u64, conversation: &str, client_id: &str, key: MessageKey, since: u64, bodies: &Bodies) -> Vec<u8> {
    let mut to = format!(
        r#"{{"id":{id},"send":{{"conversation":"{conversation}","client_id":"{client_id}","kind":"TEXT","since":{since},"text":""#
    )
    .into_bytes();
    bodies.write(key, &mut to);
    to.extend_from_slice(b"\"}}");
    to
}

#[cfg(test)]
mod tests {
    use switchyard_protocol::frame;
    use switchyard_protocol::v1::{self, client_frame::Request};

    use super::*;

    #[test]
    fn both_forms_are_what_the_protocol_reads() {
        for size in [0, 1, 200, 40_000] {
            let bodies = Bodies::new(1, size);
            let key = MessageKey::new(5, 1_000_000);
            let mut text = Vec::new();
            bodies.write(key, &mut text);
            let conversation = "0123456789abcdefghjkmnpqrs";
            let wanted = Request::Send(v1::Send {
                conversation: conversation.into(),
                client_id: key.client_id().as_str().into(),
                kind: 0,
                text: String::from_utf8(text).expect("letters"),
                since: Some(300),
                ..Default::default()
            });
            let proto = encode(Form::Proto, 700, conversation, key, 300, &bodies);
            assert_eq!(frame::decode_client_proto(&proto), Ok((700, wanted.clone())));
            let json = encode(Form::Json, 700, conversation, key, 300, &bodies);
            let json = std::str::from_utf8(&json).expect("text");
            assert_eq!(frame::decode_client_json(json), Ok((700, wanted)));
        }
    }
}
