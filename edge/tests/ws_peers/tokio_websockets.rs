//! The client of the `tokio-websockets` crate.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::{SinkExt, StreamExt};
use switchyard_protocol::frame::Form;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_websockets::{ClientBuilder, CloseCode, Config, Message, WebSocketStream};

use super::event::{Event, upgrade_of};
use crate::Peer;

pub(crate) struct TokioWebsockets;

/// A connection of two byte strings: what the client will read, one byte at a time up to its end, and what it wrote.
#[derive(Default)]
struct Wire {
    incoming: Vec<u8>,
    read: usize,
    written: Vec<u8>,
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(byte) = self.incoming.get(self.read) {
            buffer.put_slice(&[*byte]);
            self.read += 1;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.written.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn client(incoming: &[u8], frame_size: usize) -> WebSocketStream<Wire> {
    let wire = Wire { incoming: incoming.to_vec(), ..Wire::default() };
    ClientBuilder::new().config(Config::default().frame_size(frame_size)).take_over(wire)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

impl Peer for TokioWebsockets {
    fn write(&self, events: &[Event], frame_size: usize) -> Vec<u8> {
        let mut client = client(b"", frame_size);
        block_on(async {
            for event in events {
                let message = match event.clone() {
                    Event::Text(text) => Message::text(text),
                    Event::Binary(bytes) => Message::binary(bytes),
                    Event::Ping(payload) => Message::ping(payload),
                    Event::Pong(payload) => Message::pong(payload),
                    Event::Close(None) => Message::close(None, ""),
                    Event::Close(Some((code, reason))) => {
                        Message::close(Some(CloseCode::try_from(code).expect("a code")), &reason)
                    }
                };
                client.send(message).await.expect("the wire takes everything");
            }
        });
        std::mem::take(&mut client.get_mut().written)
    }

    fn read(&self, bytes: &[u8]) -> Vec<Event> {
        let mut client = client(bytes, usize::MAX);
        let mut events = Vec::new();
        block_on(async {
            while let Some(message) = client.next().await {
                let message = message.expect("understood");
                let payload = message.as_payload().to_vec();
                events.push(if let Some(text) = message.as_text() {
                    Event::Text(text.to_owned())
                } else if message.is_binary() {
                    Event::Binary(payload)
                } else if message.is_ping() {
                    Event::Ping(payload)
                } else if message.is_pong() {
                    Event::Pong(payload)
                } else {
                    Event::Close(message.as_close().map(|(code, reason)| (code.into(), reason.to_owned())))
                });
            }
        });
        events
    }
}

impl TokioWebsockets {
    /// Its request is understood, and it accepts the answer.
    pub(crate) fn shake_hands(&self) {
        let (near, mut far) = tokio::io::duplex(4_096);
        let server = async {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(far.read_u8().await.expect("a request"));
            }
            let upgrade = upgrade_of(&request);
            assert_eq!(upgrade.head.path, "/v1/ws");
            assert_eq!(upgrade.form(), Form::Json);
            far.write_all(&upgrade.accept()).await.expect("written");
        };
        let builder = ClientBuilder::new()
            .uri("ws://edge.example/v1/ws")
            .expect("valid")
            .add_header("Sec-WebSocket-Protocol".parse().expect("valid"), "switchyard.v1.json".parse().expect("valid"))
            .expect("allowed");
        block_on(async {
            let (answer, ()) = tokio::join!(builder.connect_on(near), server);
            let (_, response) = answer.expect("accepted");
            assert_eq!(response.headers()["Sec-WebSocket-Protocol"], "switchyard.v1.json");
        });
    }
}
