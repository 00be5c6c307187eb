//! One connection as the network and the client's end see it, and the client's half of RFC 6455: the upgrade, masked frames
//! out, plain frames in.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use switchyard_client::core::Connection;
use switchyard_protocol::frame::Form;

use crate::sockets::Pipe;
use crate::word::Word;

/// See the module.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) device: usize,
    pub(crate) connection: Connection,
    pub(crate) door: usize,
    /// Which process is at the other end.
    pub(crate) life: u64,
    pub(crate) pipe: Rc<RefCell<Pipe>>,
    /// Nothing flows any more, whoever knows of it.
    pub(crate) cut: bool,
    /// Nothing flows before this time.
    pub(crate) stalled_until: u64,
    /// On its way to the server, in order; nothing for the end.
    pub(crate) outgoing: VecDeque<Option<Vec<u8>>>,
    /// The last of it arrives at this time.
    pub(crate) to_server_at: u64,
    /// Something is on its way to the client.
    pub(crate) carrying: bool,
    /// The client has let go.
    pub(crate) released: bool,
    pub(crate) upgraded: bool,
    /// What the server has promised on it.
    pub(crate) word: Word,
    /// The token that it begins with, or one that was taken since, says that the user is staff.
    pub(crate) staff: bool,
    incoming: BytesMut,
}

/// What the client makes of the bytes that came.
#[derive(Debug)]
pub(crate) enum Got {
    /// The answer to the upgrade.
    Status(u16),
    /// A frame.
    Message(Bytes),
    Ping(Bytes),
    Pong,
    /// The goodbye.
    Close(u16, String),
}

pub(crate) const BINARY: u8 = 2;
pub(crate) const TEXT: u8 = 1;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PONG: u8 = 10;

impl Wire {
    pub(crate) fn new(device: usize, connection: Connection, door: usize, life: u64, room: usize) -> Self {
        Self {
            device,
            connection,
            door,
            life,
            pipe: Rc::new(RefCell::new(Pipe { room, ..Pipe::default() })),
            cut: false,
            stalled_until: 0,
            outgoing: VecDeque::new(),
            to_server_at: 0,
            carrying: false,
            released: false,
            upgraded: false,
            word: Word::default(),
            staff: false,
            incoming: BytesMut::new(),
        }
    }

    pub(crate) fn take(&mut self, bytes: &[u8]) {
        self.incoming.extend_from_slice(bytes);
    }

    /// The next whole thing that has come.
    pub(crate) fn next(&mut self) -> Option<Got> {
        if !self.upgraded {
            let end = self.incoming.windows(4).position(|window| window == b"\r\n\r\n")?;
            let head = self.incoming.split_to(end + 4);
            let status = std::str::from_utf8(&head[9..12]).unwrap().parse().unwrap();
            self.upgraded = status == 101;
            return Some(Got::Status(status));
        }
        let [first, second, rest @ ..] = &self.incoming[..] else { return None };
        assert!(first & 0x80 != 0 && second & 0x80 == 0, "servers send whole frames without a mask");
        let (head, len) = match (second & 0x7f, rest) {
            (126, [a, b, ..]) => (4, usize::from(u16::from_be_bytes([*a, *b]))),
            (127, [a @ .., _]) if a.len() >= 8 => {
                (10, usize::try_from(u64::from_be_bytes(a[..8].try_into().unwrap())).unwrap())
            }
            (126 | 127, _) => return None,
            (len, _) => (2, usize::from(len)),
        };
        if self.incoming.len() < head + len {
            return None;
        }
        let opcode = first & 0xf;
        let payload = self.incoming.split_to(head + len).freeze().slice(head..);
        Some(match opcode {
            TEXT | BINARY => Got::Message(payload),
            9 => Got::Ping(payload),
            PONG => Got::Pong,
            CLOSE => {
                let code = payload.get(..2).map_or(1005, |code| u16::from_be_bytes([code[0], code[1]]));
                Got::Close(code, String::from_utf8(payload.get(2..).unwrap_or_default().to_vec()).unwrap())
            }
            other => panic!("a frame with opcode {other}"),
        })
    }
}

/// The request for an upgrade.
pub(crate) fn upgrade(form: Form) -> Vec<u8> {
    let protocol = form.subprotocol();
    format!(
        "GET /v1/ws HTTP/1.1\r\nHost: switchyard\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: {protocol}\r\n\r\n"
    )
    .into_bytes()
}

/// A client's frame.
pub(crate) fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x5a, 0, 0xff, 0x31];
    let mut frame = vec![0x80 | opcode];
    match payload.len() {
        len @ 0..126 => frame.push(0x80 | len as u8),
        len @ 126..65_536 => {
            frame.push(0x80 | 126);
            frame.extend((len as u16).to_be_bytes());
        }
        len => {
            frame.push(0x80 | 127);
            frame.extend((len as u64).to_be_bytes());
        }
    }
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}
