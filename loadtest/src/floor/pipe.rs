//! One non-blocking socket with its unfinished frame and its waiting frames; both ends use it.

use std::io::{self, Read, Write};

use mio::net::TcpStream;

use super::Frame;

/// Bytes taken by one read.
pub(super) const READ_BYTES: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct Pipe {
    tcp: TcpStream,
    /// The start of a frame whose rest has not come.
    partial: Vec<u8>,
    /// What waits to be written.
    pub(super) out: Vec<u8>,
    /// It stands in its owner's list of pipes to flush.
    pub(super) queued: bool,
}

impl Pipe {
    pub(super) fn new(tcp: TcpStream) -> Self {
        Self { tcp, partial: Vec::new(), out: Vec::new(), queued: false }
    }

    /// Reads all there is into `buffer`, a piece at a time, and hands every whole frame to `take`; false at the end.
    pub(super) fn read(&mut self, buffer: &mut [u8], mut take: impl FnMut(Frame<'_>)) -> io::Result<bool> {
        loop {
            let read = match self.tcp.read(buffer) {
                Ok(0) => return Ok(false),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let fresh = buffer.get(..read).unwrap_or_default();
            if self.partial.is_empty() {
                let rest = take_frames(fresh, &mut take);
                self.partial.extend_from_slice(rest);
            } else {
                self.partial.extend_from_slice(fresh);
                let rest = take_frames(&self.partial, &mut take).len();
                let done = self.partial.len() - rest;
                self.partial.drain(..done);
            }
            if read < buffer.len() {
                return Ok(true);
            }
        }
    }

    /// Writes what waits, as far as the socket takes it.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.queued = false;
        let mut from = 0;
        while let Some(rest) = self.out.get(from..).filter(|rest| !rest.is_empty()) {
            match self.tcp.write(rest) {
                Ok(written) => from += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.out.drain(..from);
        Ok(())
    }
}

/// Hands on every whole frame; what is left.
fn take_frames<'a>(mut bytes: &'a [u8], take: &mut impl FnMut(Frame<'_>)) -> &'a [u8] {
    while let Some((frame, rest)) = Frame::split(bytes) {
        take(frame);
        bytes = rest;
    }
    bytes
}
