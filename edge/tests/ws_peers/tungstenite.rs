//! The client of the `tungstenite` crate.

use std::io::{ErrorKind, Read, Write};

use switchyard_protocol::frame::Form;
use tungstenite::client::IntoClientRequest;
use tungstenite::handshake::HandshakeError;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::frame::{CloseFrame, Frame};
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Error, Message, WebSocket};

use super::event::{Event, upgrade_of};
use crate::Peer;

pub(crate) struct Tungstenite;

/// A connection of two byte strings: what the client will read, and what it wrote.
#[derive(Default)]
struct Wire {
    incoming: Vec<u8>,
    read: usize,
    /// Bytes that one read gives.
    read_max: usize,
    written: Vec<u8>,
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let rest = &self.incoming[self.read..];
        if rest.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let count = rest.len().min(buffer.len()).min(self.read_max);
        buffer[..count].copy_from_slice(&rest[..count]);
        self.read += count;
        Ok(count)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.written.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn client(incoming: &[u8]) -> WebSocket<Wire> {
    let wire = Wire { incoming: incoming.to_vec(), read_max: 1, ..Wire::default() };
    // It clears its whole read buffer for every byte.
    let config = WebSocketConfig::default().read_buffer_size(64);
    WebSocket::from_raw_socket(wire, Role::Client, Some(config))
}

/// A message as frames of at most this size.
fn frames(data: Data, payload: &[u8], frame_size: usize) -> Vec<Frame> {
    if payload.is_empty() {
        return vec![Frame::message(Vec::new(), OpCode::Data(data), true)];
    }
    let mut pieces = payload.chunks(frame_size).peekable();
    let mut opcode = OpCode::Data(data);
    let mut frames = Vec::new();
    while let Some(piece) = pieces.next() {
        frames.push(Frame::message(piece.to_vec(), opcode, pieces.peek().is_none()));
        opcode = OpCode::Data(Data::Continue);
    }
    frames
}

impl Peer for Tungstenite {
    fn write(&self, events: &[Event], frame_size: usize) -> Vec<u8> {
        let mut client = client(b"");
        for event in events {
            let messages = match event {
                Event::Text(text) => {
                    frames(Data::Text, text.as_bytes(), frame_size).into_iter().map(Message::Frame).collect()
                }
                Event::Binary(bytes) => {
                    frames(Data::Binary, bytes, frame_size).into_iter().map(Message::Frame).collect()
                }
                Event::Ping(payload) => vec![Message::Ping(payload.clone().into())],
                Event::Pong(payload) => vec![Message::Pong(payload.clone().into())],
                Event::Close(close) => vec![Message::Close(
                    close.clone().map(|(code, reason)| CloseFrame { code: code.into(), reason: reason.into() }),
                )],
            };
            for message in messages {
                client.send(message).expect("the wire takes everything");
            }
        }
        client.into_inner().written
    }

    fn read(&self, bytes: &[u8]) -> Vec<Event> {
        let mut client = client(bytes);
        let mut events = Vec::new();
        loop {
            events.push(match client.read() {
                Ok(Message::Text(text)) => Event::Text(text.to_string()),
                Ok(Message::Binary(bytes)) => Event::Binary(bytes.to_vec()),
                Ok(Message::Ping(payload)) => Event::Ping(payload.to_vec()),
                Ok(Message::Pong(payload)) => Event::Pong(payload.to_vec()),
                Ok(Message::Close(close)) => {
                    Event::Close(close.map(|close| (close.code.into(), close.reason.to_string())))
                }
                Ok(Message::Frame(frame)) => panic!("never read: {frame}"),
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => return events,
                Err(error) => panic!("after {} events: {error}", events.len()),
            });
        }
    }
}

impl Tungstenite {
    /// Its request is understood, and it accepts the answer.
    pub(crate) fn shake_hands(&self) {
        let mut request = "ws://edge.example/v1/ws?x=1".into_client_request().expect("valid");
        let list = "bearer.a.b.c, switchyard.v1.proto, switchyard.v1.json".parse().expect("valid");
        request.headers_mut().insert("Sec-WebSocket-Protocol", list);
        let Err(HandshakeError::Interrupted(mut waiting)) = tungstenite::client(request, Wire::default()) else {
            panic!("it waits for the answer");
        };
        let wire = waiting.get_mut().get_mut();
        let upgrade = upgrade_of(&wire.written);
        assert_eq!((upgrade.head.path.as_str(), upgrade.head.query.as_deref()), ("/v1/ws", Some("x=1")));
        assert_eq!(upgrade.subprotocol, Some(Form::Proto));
        assert_eq!(upgrade.subprotocol_bearer.as_deref(), Some("a.b.c"));
        wire.incoming = upgrade.accept();
        // It takes an answer in very small pieces for an attack.
        wire.read_max = usize::MAX;
        let (_, response) = waiting.handshake().expect("accepted");
        assert_eq!(response.headers()["Sec-WebSocket-Protocol"], "switchyard.v1.proto");
    }
}
