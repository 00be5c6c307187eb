//! The server's loop: an ack to the sender, the message to its partner, to both or to the whole room.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd as _;

use mio::net::TcpListener;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use super::pipe::{Pipe, READ_BYTES};
use super::{ACK, EVENT, HEAD, HELLO, SEND, put};

const LISTENER: Token = Token(usize::MAX);
const PARENT: Token = Token(usize::MAX - 1);

/// Who gets a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Audience {
    /// The connection whose number follows the sender's.
    Partner,
    /// The sender and its partner, whose numbers differ in the lowest bit.
    Pair,
    /// Everybody.
    Room,
}

pub(super) struct Server {
    poll: Poll,
    listener: TcpListener,
    pipes: Vec<Option<Pipe>>,
    /// By the number in the hello: which pipe.
    numbered: Vec<usize>,
    dirty: Vec<usize>,
    audience: Audience,
}

impl Server {
    /// Listens on a free port of loopback.
    pub(super) fn bind(audience: Audience) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self { poll, listener, pipes: Vec::new(), numbered: Vec::new(), dirty: Vec::new(), audience })
    }

    pub(super) fn addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until standard input ends: until the parent is gone.
    pub(super) fn run(mut self) -> io::Result<()> {
        let stdin = io::stdin();
        self.poll.registry().register(&mut SourceFd(&stdin.as_raw_fd()), PARENT, Interest::READABLE)?;
        let mut events = Events::with_capacity(1_024);
        let mut buffer = vec![0; READ_BYTES];
        loop {
            match self.poll.poll(&mut events, None) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            }
            for event in &events {
                match event.token() {
                    PARENT => return Ok(()),
                    LISTENER => self.accept()?,
                    Token(at) => {
                        if event.is_writable() {
                            self.queue(at);
                        }
                        self.read(at, &mut buffer);
                    }
                }
            }
            while let Some(at) = self.dirty.pop() {
                if let Some(pipe) = self.pipes.get_mut(at).and_then(Option::as_mut)
                    && pipe.flush().is_err()
                {
                    self.drop_pipe(at);
                }
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let (mut tcp, _) = match self.listener.accept() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                other => other?,
            };
            tcp.set_nodelay(true)?;
            let at = self.pipes.len();
            self.poll.registry().register(&mut tcp, Token(at), Interest::READABLE | Interest::WRITABLE)?;
            self.pipes.push(Some(Pipe::new(tcp)));
        }
    }

    fn drop_pipe(&mut self, at: usize) {
        if let Some(pipe) = self.pipes.get_mut(at) {
            *pipe = None;
        }
    }

    fn queue(&mut self, at: usize) {
        if let Some(pipe) = self.pipes.get_mut(at).and_then(Option::as_mut)
            && !pipe.out.is_empty()
            && !std::mem::replace(&mut pipe.queued, true)
        {
            self.dirty.push(at);
        }
    }

    fn read(&mut self, at: usize, buffer: &mut [u8]) {
        let Some(mut pipe) = self.pipes.get_mut(at).and_then(Option::take) else { return };
        // The pipe is out of its place while its frames are looked at: what goes back to it is gathered here.
        let mut own = std::mem::take(&mut pipe.out);
        let alive = pipe.read(buffer, |frame| match frame.kind {
            HELLO => self.greet(frame.sender as usize, at),
            SEND => {
                put(ACK, frame.sender, frame.count, &[], &mut own);
                self.deliver(frame.sender as usize, frame.whole, at, &mut own);
            }
            _ => {}
        });
        pipe.out = own;
        if alive.unwrap_or(false) {
            if let Some(place) = self.pipes.get_mut(at) {
                *place = Some(pipe);
            }
            self.queue(at);
        }
    }

    fn greet(&mut self, number: usize, at: usize) {
        if number >= self.numbered.len() {
            self.numbered.resize(number + 1, usize::MAX);
        }
        if let Some(place) = self.numbered.get_mut(number) {
            *place = at;
        }
    }

    /// Appends the message to its readers' waiting frames; the sender's, if it is one, are `own`.
    fn deliver(&mut self, sender: usize, whole: &[u8], from: usize, own: &mut Vec<u8>) {
        let readers = match self.audience {
            Audience::Partner => sender + 1..sender + 2,
            Audience::Pair => sender & !1..(sender & !1) + 2,
            Audience::Room => 0..self.numbered.len(),
        };
        for number in readers {
            let Some(&at) = self.numbered.get(number) else { continue };
            if at == from {
                append_event(whole, own);
            } else if let Some(pipe) = self.pipes.get_mut(at).and_then(Option::as_mut) {
                append_event(whole, &mut pipe.out);
                if !std::mem::replace(&mut pipe.queued, true) {
                    self.dirty.push(at);
                }
            }
        }
    }
}

/// The frame as it came, but for its kind.
fn append_event(whole: &[u8], to: &mut Vec<u8>) {
    let start = to.len();
    to.extend_from_slice(whole);
    if let Some(kind) = to.get_mut(start + 4) {
        *kind = EVENT;
    }
    debug_assert!(whole.len() >= HEAD);
}
