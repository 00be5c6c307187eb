//! One connection's life: on its way, in the WebSocket handshake, open. The handshake and the framing are the library's;
//! what is ours is that nothing blocks and that a turn's frames leave in one write.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use switchyard_protocol::frame::Form;
use tungstenite::error::Error;
use tungstenite::handshake::client::ClientHandshake;
use tungstenite::handshake::{HandshakeError, MidHandshake};
use tungstenite::{Message, Utf8Bytes, WebSocket};

use super::stream::Stream;
use super::target::Target;

/// What a link says.
#[derive(Debug)]
pub enum Heard {
    /// Nothing more for now.
    Nothing,
    /// The handshake is done.
    Opened,
    /// A whole message.
    Frame(Bytes),
    /// It is over.
    Closed(Away),
}

/// Why a link is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Away {
    /// The close frame's code, if there was one.
    pub code: Option<u16>,
    /// In words.
    pub why: String,
}

enum Phase {
    Connecting(TcpStream),
    Handshaking(MidHandshake<ClientHandshake<Stream>>),
    Open(Box<WebSocket<Stream>>),
    Over,
}

impl std::fmt::Debug for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Connecting(_) => "Connecting",
            Self::Handshaking(_) => "Handshaking",
            Self::Open(_) => "Open",
            Self::Over => "Over",
        })
    }
}

/// A connection.
#[derive(Debug)]
pub(super) struct Link {
    phase: Phase,
    form: Form,
    /// It stands in the list of links to flush.
    queued: bool,
    /// The socket took only a part; the rest goes when there is room.
    blocked: bool,
    /// A ping was read, whose answer waits in the library for the next flush.
    answer: bool,
}

impl Link {
    pub(super) fn connect(target: &Target, slot: usize, registry: &Registry) -> io::Result<Self> {
        let mut tcp = target.dial(slot)?;
        registry.register(&mut tcp, Token(slot), Interest::READABLE | Interest::WRITABLE)?;
        let phase = Phase::Connecting(tcp);
        Ok(Self { phase, form: target.form(), queued: false, blocked: false, answer: false })
    }

    pub(super) fn wake(&mut self, writable: bool, ended: bool) {
        match &mut self.phase {
            Phase::Open(socket) => socket.get_mut().wake(ended),
            Phase::Handshaking(handshake) => handshake.get_mut().get_mut().wake(ended),
            Phase::Connecting(_) | Phase::Over => {}
        }
        if writable && self.blocked {
            self.flush();
        }
    }

    pub(super) fn hear(&mut self, target: &Target) -> Heard {
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Connecting(tcp) => self.hear_connecting(tcp, target),
            Phase::Handshaking(handshake) => self.hear_handshaking(handshake),
            Phase::Open(mut socket) => {
                let heard = self.hear_open(&mut socket);
                if !matches!(heard, Heard::Closed(_)) {
                    self.phase = Phase::Open(socket);
                }
                heard
            }
            Phase::Over => Heard::Nothing,
        }
    }

    fn hear_connecting(&mut self, tcp: TcpStream, target: &Target) -> Heard {
        match tcp.take_error() {
            Ok(None) => {}
            Ok(Some(error)) | Err(error) => return closed(None, format!("cannot connect: {error}")),
        }
        if tcp.peer_addr().is_err() {
            // Neither refused nor there: the event was of an earlier socket.
            self.phase = Phase::Connecting(tcp);
            return Heard::Nothing;
        }
        match ClientHandshake::start(Stream::new(tcp), target.request(), Some(target.config())) {
            Ok(handshake) => self.hear_handshaking(handshake),
            Err(error) => closed(None, format!("handshake: {error}")),
        }
    }

    fn hear_handshaking(&mut self, handshake: MidHandshake<ClientHandshake<Stream>>) -> Heard {
        match handshake.handshake() {
            Ok((socket, _response)) => {
                self.phase = Phase::Open(Box::new(socket));
                Heard::Opened
            }
            Err(HandshakeError::Interrupted(handshake)) => {
                self.phase = Phase::Handshaking(handshake);
                Heard::Nothing
            }
            Err(HandshakeError::Failure(Error::Http(response))) => {
                closed(None, format!("the upgrade was answered with {}", response.status()))
            }
            Err(HandshakeError::Failure(error)) => closed(None, format!("handshake: {error}")),
        }
    }

    fn hear_open(&mut self, socket: &mut WebSocket<Stream>) -> Heard {
        loop {
            return match socket.read() {
                Ok(Message::Binary(bytes)) => Heard::Frame(bytes),
                Ok(Message::Text(text)) => Heard::Frame(text.into()),
                Ok(Message::Ping(_)) => {
                    self.answer = true;
                    continue;
                }
                Ok(Message::Pong(_) | Message::Frame(_)) => continue,
                Ok(Message::Close(frame)) => {
                    // The library has queued the answer to it.
                    let _ = socket.flush();
                    let code = frame.as_ref().map(|frame| frame.code.into());
                    let why = frame.map_or_else(String::new, |frame| frame.reason.to_string());
                    closed(code, why)
                }
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => Heard::Nothing,
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => closed(None, error.to_string()),
            };
        }
    }

    /// Queues a frame; true if the link must be put on the list of links to flush.
    pub(super) fn queue(&mut self, frame: Bytes) -> bool {
        let Phase::Open(socket) = &mut self.phase else { return false };
        let message = match self.form {
            Form::Proto => Message::Binary(frame),
            Form::Json => match Utf8Bytes::try_from(frame) {
                Ok(text) => Message::Text(text),
                Err(_) => return false,
            },
        };
        // What goes wrong here goes wrong at the next read as well, and is said there.
        if let Err(Error::Io(error)) = socket.write(message) {
            self.blocked |= error.kind() == io::ErrorKind::WouldBlock;
        }
        !std::mem::replace(&mut self.queued, true)
    }

    /// Whether a pong waits to be flushed, and the link is not on the list yet.
    pub(super) fn owes_an_answer(&mut self) -> bool {
        std::mem::take(&mut self.answer) && !std::mem::replace(&mut self.queued, true)
    }

    pub(super) fn flush(&mut self) {
        self.queued = false;
        let Phase::Open(socket) = &mut self.phase else { return };
        self.blocked = matches!(socket.flush(), Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock);
    }

    /// Resets the connection: no goodbye, and no port of ours that waits for late segments.
    pub(super) fn cut(self) {
        let reset = |tcp: &TcpStream| {
            let _ = socket2::SockRef::from(tcp).set_linger(Some(Duration::ZERO));
        };
        match &self.phase {
            Phase::Connecting(tcp) => reset(tcp),
            Phase::Handshaking(handshake) => reset(handshake.get_ref().get_ref().tcp()),
            Phase::Open(socket) => reset(socket.get_ref().tcp()),
            Phase::Over => {}
        }
    }

    pub(super) fn close(&mut self) {
        if let Phase::Open(socket) = &mut self.phase {
            let _ = socket.close(None);
            let _ = socket.flush();
        }
    }
}

fn closed(code: Option<u16>, why: String) -> Heard {
    Heard::Closed(Away { code, why })
}
