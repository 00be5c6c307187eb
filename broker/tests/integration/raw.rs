//! A bare socket, for what no library would send: WebSocket frames byte by byte, and HTTP that is none.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use crate::plain::{GUARD, JSON};
use crate::site::Site;

/// A key that any client may use; the answer to it is of no interest here.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// Opcodes of RFC 6455.
pub(crate) const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// The bit of a message's last frame.
pub(crate) const FINAL: u8 = 0x80;

/// See the module.
pub(crate) struct Raw {
    stream: TcpStream,
}

impl Raw {
    /// A connection on which nothing was said.
    pub(crate) fn connect(site: &Site) -> Self {
        let stream = TcpStream::connect(site.address()).expect("it listens");
        Self::on(stream)
    }

    /// The same on a socket that is there.
    pub(crate) fn on(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(GUARD)).expect("a socket");
        stream.set_write_timeout(Some(GUARD)).expect("a socket");
        Self { stream }
    }

    /// An upgraded connection of a user whose token came with the request.
    pub(crate) fn open(site: &Site, subprotocol: &str, user: &str) -> Self {
        let mut raw = Self::connect(site);
        raw.upgrade(subprotocol, &format!("Authorization: Bearer {}\r\n", site.token(user)));
        raw
    }

    /// An upgraded connection in JSON of nobody yet.
    pub(crate) fn open_unknown(site: &Site) -> Self {
        let mut raw = Self::connect(site);
        raw.upgrade(JSON, "");
        raw
    }

    /// Asks for a WebSocket with these further header lines, which it gets.
    pub(crate) fn upgrade(&mut self, subprotocol: &str, lines: &str) -> String {
        let head = upgrade_head(&format!("Sec-WebSocket-Protocol: {subprotocol}\r\n{lines}"));
        assert!(self.send(head.as_bytes()));
        let answer = self.head();
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        answer
    }

    /// Reads an HTTP head.
    pub(crate) fn head(&mut self) -> String {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            self.stream.read_exact(&mut byte).expect("a head");
            head.extend(byte);
        }
        String::from_utf8(head).expect("text")
    }

    /// Writes bytes; `false` if the broker has gone.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Sends a masked frame; `first` is its first byte.
    pub(crate) fn frame(&mut self, first: u8, payload: &[u8]) -> bool {
        self.send(&frame(first, payload))
    }

    /// The next frame of the broker: its first byte and payload; none when it has hung up.
    pub(crate) fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut head = [0; 2];
        self.stream.read_exact(&mut head).ok()?;
        let length = match head[1] {
            126 => {
                let mut bytes = [0; 2];
                self.stream.read_exact(&mut bytes).ok()?;
                usize::from(u16::from_be_bytes(bytes))
            }
            127 => {
                let mut bytes = [0; 8];
                self.stream.read_exact(&mut bytes).ok()?;
                usize::try_from(u64::from_be_bytes(bytes)).expect("a length")
            }
            short => usize::from(short),
        };
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload).ok()?;
        Some((head[0], payload))
    }

    /// Reads until the broker says goodbye; gives its code.
    pub(crate) fn goodbye(&mut self) -> u16 {
        loop {
            let (first, payload) = self.next().expect("a goodbye before the end");
            if first & 0x0f == CLOSE {
                return u16::from_be_bytes([payload[0], payload[1]]);
            }
        }
    }

    /// Reads to the end; whatever was said.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // A reset is an end too.
        if let Err(error) = self.stream.read_to_end(&mut rest) {
            assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "it was not cut off");
        }
        rest
    }

    /// Says that nothing more will be sent, and reads an HTTP answer: its status.
    pub(crate) fn http_status(&mut self) -> u16 {
        let _ = self.stream.shutdown(Shutdown::Write);
        let answer = String::from_utf8_lossy(&self.rest()).into_owned();
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        status.unwrap_or_else(|| panic!("no answer but {answer:?}"))
    }
}

/// The head of a request for a WebSocket with these further lines.
pub(crate) fn upgrade_head(lines: &str) -> String {
    format!(
        "GET /v1/ws HTTP/1.1\r\nHost: edge.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{lines}\r\n"
    )
}

/// A frame masked with zeros, in the shortest form of its length.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..=125 => frame.push(0x80 | u8::try_from(length).expect("short")),
        length @ 126..=65_535 => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(length).expect("short").to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend_from_slice(payload);
    frame
}
