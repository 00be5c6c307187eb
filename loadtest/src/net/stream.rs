//! A non-blocking socket that does not ask the kernel a question whose answer it knows: a read that came back short has
//! emptied the socket, so the library's next read is answered here, without a system call.

use std::io::{self, Read, Write};

use mio::net::TcpStream;

/// A socket of the loop's.
#[derive(Debug)]
pub struct Stream {
    tcp: TcpStream,
    empty: bool,
    ended: bool,
}

impl Stream {
    /// Wraps a connected socket that nothing was read from yet.
    pub fn new(tcp: TcpStream) -> Self {
        Self { tcp, empty: false, ended: false }
    }

    /// `epoll` spoke of it. Once the other end has closed its half, a short read says nothing of what follows.
    pub fn wake(&mut self, ended: bool) {
        self.empty = false;
        self.ended |= ended;
    }

    /// The socket itself.
    pub fn tcp(&self) -> &TcpStream {
        &self.tcp
    }
}

impl Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.empty {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let read = self.tcp.read(buf);
        self.empty = match &read {
            Ok(n) => *n < buf.len() && !self.ended,
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        };
        read
    }
}

impl Write for Stream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.tcp.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
