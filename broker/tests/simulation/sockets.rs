//! What a door knows as sockets, with the network behind it played by the simulation: bytes that have arrived, a send
//! buffer with little room, and the end of either direction. Decides nothing about when anything happens.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::OwnedFd;
use std::rc::Rc;

use crate::rng::Rng;

/// The sockets themselves, under the name that the doors' files know.
pub(crate) mod net {
    pub(crate) use super::TcpStream;
}

/// The number of a socket among those of its door.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Token(pub(crate) usize);

/// Which readiness is of interest: always both.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Interest;

impl Interest {
    pub(crate) const READABLE: Self = Self;
    pub(crate) const WRITABLE: Self = Self;
}

impl std::ops::BitOr for Interest {
    type Output = Self;

    fn bitor(self, _: Self) -> Self {
        self
    }
}

/// Tells the simulation which slot a socket was given.
#[derive(Debug)]
pub(crate) struct Registry;

impl Registry {
    #[allow(clippy::unnecessary_wraps, reason = "the shape is that of sockets which can fail")]
    pub(crate) fn register(&self, socket: &mut TcpStream, token: Token, _: Interest) -> io::Result<()> {
        socket.0.borrow_mut().slot = Some(u32::try_from(token.0).unwrap());
        Ok(())
    }

    #[allow(clippy::unnecessary_wraps, reason = "the shape is that of sockets which can fail")]
    pub(crate) fn deregister(&self, _: &mut impl Sized) -> io::Result<()> {
        Ok(())
    }
}

/// One socket as both the door and the network see it.
#[derive(Debug, Default)]
pub(crate) struct Pipe {
    /// Where it lies in its door, once it was accepted.
    pub(crate) slot: Option<u32>,
    /// Bytes that have arrived and were not read.
    pub(crate) arrived: VecDeque<u8>,
    /// The peer sends nothing more.
    pub(crate) ended: bool,
    /// The connection was reset: nothing can be read or written.
    pub(crate) reset: bool,
    /// Bytes that were written and have not gone out.
    pub(crate) written: VecDeque<u8>,
    /// Bytes that the send buffer may hold.
    pub(crate) room: usize,
    /// A write was refused since there was room last.
    pub(crate) refused: bool,
    /// The door writes nothing more.
    pub(crate) finished: bool,
}

/// A socket in the hands of a door. Dropping it closes it.
#[derive(Debug)]
pub(crate) struct TcpStream(Rc<RefCell<Pipe>>);

impl TcpStream {
    pub(crate) fn new(pipe: &Rc<RefCell<Pipe>>) -> Self {
        Self(Rc::clone(pipe))
    }

    #[allow(clippy::unnecessary_wraps, reason = "the shape is that of sockets which can fail")]
    pub(crate) fn set_nodelay(&self, _: bool) -> io::Result<()> {
        Ok(())
    }

    #[allow(clippy::unnecessary_wraps, reason = "the shape is that of sockets which can fail")]
    pub(crate) fn shutdown(&self, _: Shutdown) -> io::Result<()> {
        self.0.borrow_mut().finished = true;
        Ok(())
    }
}

impl Drop for TcpStream {
    fn drop(&mut self) {
        let mut pipe = self.0.borrow_mut();
        pipe.finished = true;
        pipe.slot = None;
    }
}

impl io::Read for TcpStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut pipe = self.0.borrow_mut();
        if pipe.reset {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        if pipe.arrived.is_empty() {
            return if pipe.ended { Ok(0) } else { Err(io::ErrorKind::WouldBlock.into()) };
        }
        io::Read::read(&mut pipe.arrived, buffer)
    }
}

impl io::Write for &TcpStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut pipe = self.0.borrow_mut();
        if pipe.reset {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let taken = bytes.len().min(pipe.room.saturating_sub(pipe.written.len()));
        if taken == 0 {
            pipe.refused = true;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        pipe.written.extend(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl From<TcpStream> for OwnedFd {
    fn from(_: TcpStream) -> Self {
        unreachable!("every connection of the simulation is a WebSocket")
    }
}

/// A connection that was made and not accepted, and whose it is.
type Newcomer = (Rc<RefCell<Pipe>>, SocketAddr);

/// Newcomers that wait to be accepted.
#[derive(Clone, Debug, Default)]
pub(crate) struct TcpListener(pub(crate) Rc<RefCell<VecDeque<Newcomer>>>);

impl TcpListener {
    pub(crate) fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (pipe, peer) = self.0.borrow_mut().pop_front().ok_or(io::ErrorKind::WouldBlock)?;
        Ok((TcpStream::new(&pipe), peer))
    }
}

thread_local! {
    /// The chance that doors draw from. A seed runs on one thread from begin to end.
    static CHANCE: RefCell<Rng> = RefCell::new(Rng::new(0));
}

/// Begins the doors' chance anew.
pub(crate) fn seed_chance(rng: Rng) {
    CHANCE.set(rng);
}

/// What doors know as their source of chance.
pub(crate) fn random() -> [u8; 16] {
    CHANCE.with_borrow_mut(|rng| {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&rng.next().to_be_bytes());
        bytes[8..].copy_from_slice(&rng.next().to_be_bytes());
        bytes
    })
}
