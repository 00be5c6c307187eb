//! An echo server over the edge's WebSocket framing, for conformance suites. Must not be used for anything else: it has no time-outs
//! and a thread per connection.
//!
//! `ws_echo [ADDRESS]`, 127.0.0.1:0 unless given. Prints `{"ws":"ws://ADDRESS/"}` when it listens, and ends with its standard input, so that it
//! never outlives a test that started it by a pipe.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::ops::ControlFlow;

use switchyard_edge::ws::handshake::{HeadReader, Request, refuse};
use switchyard_edge::ws::{Decoder, Incoming, Opcode, encode};
use switchyard_protocol::code::ErrorCode;

/// Bytes of the scratch buffer that is read into.
const SCRATCH_BYTES: usize = 16 * 1024;

/// Bytes of a message: the largest of the suites' cases.
const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".into());
    let listener = TcpListener::bind(&address)?;
    println!("{{\"ws\":\"ws://{}/\"}}", listener.local_addr()?);
    std::thread::spawn(move || echo(&listener));
    io::copy(&mut io::stdin().lock(), &mut io::sink())?;
    Ok(())
}

/// Serves all who come, each on a thread; never returns.
pub(crate) fn echo(listener: &TcpListener) {
    for stream in listener.incoming().flatten() {
        std::thread::spawn(move || serve(stream));
    }
}

fn serve(mut stream: TcpStream) {
    // A connection that breaks concerns nobody but its client, who sees it.
    let result = stream.set_nodelay(true).and_then(|()| talk(&mut stream));
    if let Err(error) = result {
        eprintln!("connection ended: {error}");
    }
}

fn talk(stream: &mut TcpStream) -> io::Result<()> {
    let mut scratch = vec![0; SCRATCH_BYTES];
    if !shake_hands(stream, &mut scratch)? {
        return hang_up(stream, &mut scratch);
    }
    let mut decoder = Decoder::new();
    loop {
        let count = stream.read(&mut scratch)?;
        if count == 0 {
            return Ok(());
        }
        let mut out = Vec::new();
        let input = scratch.get_mut(..count).unwrap_or_default();
        let result = decoder.feed(input, MESSAGE_BYTES_MAX, |incoming| {
            match incoming {
                Incoming::Text(text) => encode::put_frame(&mut out, Opcode::Text, text.as_bytes()),
                Incoming::Binary(bytes) => encode::put_frame(&mut out, Opcode::Binary, bytes),
                Incoming::Ping(payload) => encode::put_frame(&mut out, Opcode::Pong, payload),
                Incoming::Pong(_) => {}
                Incoming::Close(Some((code, reason))) => encode::put_close(&mut out, code, reason),
                Incoming::Close(None) => encode::put_frame(&mut out, Opcode::Close, b""),
            }
            ControlFlow::Continue(())
        });
        if let Err(violation) = result {
            encode::put_close(&mut out, violation.close_code(), &violation.to_string());
        }
        stream.write_all(&out)?;
        if result.is_err() || decoder.is_closed() {
            return hang_up(stream, &mut scratch);
        }
    }
}

/// Reads and answers the request; whether it made a WebSocket.
fn shake_hands(stream: &mut TcpStream, scratch: &mut [u8]) -> io::Result<bool> {
    let mut reader = HeadReader::new();
    loop {
        let count = stream.read(scratch)?;
        if count == 0 {
            return Ok(false);
        }
        match reader.feed(scratch.get(..count).unwrap_or_default()) {
            Ok(None) => {}
            Ok(Some(Request::Upgrade(upgrade))) => {
                stream.write_all(&upgrade.accept())?;
                return Ok(true);
            }
            Ok(Some(Request::Http(_))) => {
                stream.write_all(&refuse(404, ErrorCode::NotFound, "there is only a WebSocket here"))?;
                return Ok(false);
            }
            Err(refusal) => {
                stream.write_all(&refusal.response())?;
                return Ok(false);
            }
        }
    }
}

/// Ends the outgoing side and reads away what still comes: closing over unread bytes would reset the connection, and the client might
/// never see the last frame.
fn hang_up(stream: &mut TcpStream, scratch: &mut [u8]) -> io::Result<()> {
    stream.shutdown(Shutdown::Write)?;
    while stream.read(scratch)? > 0 {}
    Ok(())
}
