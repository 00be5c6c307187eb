//! The client as an application meets it, against a scripted server on a real socket. Nothing here sleeps: each test
//! waits for what it wants to see, with one guard over all of it.

mod chat;
mod requests;
mod server;
mod sessions;
mod tls;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use switchyard_client::protocol::frame::Form;
use switchyard_client::protocol::v1;
use switchyard_client::{Client, ClientConfig, StaticToken};

use server::{Peer, Server};

/// Far more than any of these takes; reached only by a fault.
const GUARD: Duration = Duration::from_secs(30);

async fn guarded<T>(test: impl Future<Output = T>) -> T {
    tokio::time::timeout(GUARD, test).await.expect("the test hangs")
}

/// A client of this server, and the server's end of its connection, past hello.
async fn online(form: Form, change: impl FnOnce(&mut ClientConfig)) -> (Client, Server, Peer) {
    let server = Server::start(form).await;
    let mut config = ClientConfig::new(server.url(), StaticToken::new("token"));
    config.form = form;
    change(&mut config);
    let client = Client::connect(config).expect("a good address");
    let mut peer = server.accept().await;
    peer.welcome("alice").await;
    client.ready().await.expect("welcomed");
    (client, server, peer)
}

fn message(conversation: &str, seq: u64) -> v1::Event {
    let message = v1::Message {
        id: format!("{conversation}.{seq}"),
        conversation: conversation.to_owned(),
        seq,
        client_id: format!("id{seq}"),
        sender: "bob".to_owned(),
        text: format!("message {seq}"),
        time_ms: 1,
        ordinal: seq,
        ..v1::Message::default()
    };
    v1::Event { conversation: conversation.to_owned(), seq, body: Some(v1::event::Body::Message(message)) }
}

/// What follows a position, at most so much, of a conversation that goes to `head`.
fn page(position: &v1::Position, most: usize, head: u64) -> v1::ResumedConversation {
    let seqs: Vec<u64> = (position.seq + 1..=head).take(most).collect();
    v1::ResumedConversation {
        conversation: position.conversation.clone(),
        events: seqs.iter().map(|seq| message(&position.conversation, *seq)).collect(),
        head,
        first_available: 1,
        more: seqs.last().is_some_and(|last| *last < head),
        error: None,
    }
}

fn sent(send: &v1::Send, seq: u64) -> v1::reply::Result {
    let message = v1::Message {
        conversation: send.conversation.clone(),
        client_id: send.client_id.clone(),
        text: send.text.clone(),
        seq,
        ..v1::Message::default()
    };
    v1::reply::Result::Sent(v1::Sent { duplicate: false, message: Some(message) })
}

/// A shared counter for token providers.
type Count = Arc<std::sync::atomic::AtomicUsize>;
