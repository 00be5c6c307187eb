//! Connections that come and go, tokens, pings, and readers that do not read.

use std::sync::atomic::Ordering;

use switchyard_client::protocol::v1::event::Body;
use switchyard_client::protocol::v1::{client_frame::Request, reply};
use switchyard_client::{Closed, Error, Event, State, TokenError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::tungstenite::Message;

use super::*;

async fn subscribed_at(client: &Client, peer: &mut Peer, conversation: &str, position: u64) {
    let (result, ()) = tokio::join!(client.subscribe(conversation, Some(position)), async {
        let (id, positions) = peer.resume().await;
        peer.resumed(id, positions.iter().map(|at| page(at, 0, position)).collect()).await;
    });
    assert_eq!(result, Ok(position));
}

#[tokio::test]
async fn events_go_on_after_a_reconnect_from_where_they_stopped() {
    guarded(async {
        let (client, server, mut peer) = online(Form::Proto, |_| {}).await;
        subscribed_at(&client, &mut peer, "c", 5).await;
        let mut events = client.events();
        let mut state = client.state();
        peer.event(message("c", 6)).await;
        assert_eq!(events.next().await.and_then(|event| event.seq()), Some(6));
        drop(peer);
        state.wait_for(|state| *state == State::Connecting).await.expect("the client lives");

        let mut peer = server.accept().await;
        peer.welcome("alice").await;
        let (id, positions) = peer.resume().await;
        assert_eq!(positions, [v1::Position { conversation: "c".to_owned(), seq: 6 }]);
        // A live event overtakes the page.
        peer.event(message("c", 9)).await;
        peer.resumed(id, positions.iter().map(|at| page(at, 500, 8)).collect()).await;
        for seq in 7..=9 {
            assert_eq!(events.next().await.and_then(|event| event.seq()), Some(seq));
        }
    })
    .await;
}

#[tokio::test]
async fn an_application_that_does_not_read_is_caught_up_later() {
    for form in Form::ALL {
        guarded(async {
            let (client, _server, mut peer) = online(form, |config| config.events_max = 16).await;
            subscribed_at(&client, &mut peer, "c", 0).await;
            for seq in 1..=3_000 {
                peer.event(message("c", seq)).await;
            }
            // The session is alive while nobody reads its events.
            let (pong, ()) = tokio::join!(client.ping(), async {
                let (id, Request::Ping(_)) = peer.request().await else { panic!("ping") };
                peer.reply(id, reply::Result::Pong(v1::Pong { server_time_ms: 7 })).await;
            });
            assert_eq!(pong, Ok(7));

            let mut events = client.events();
            let server = async {
                loop {
                    let (id, positions) = peer.resume().await;
                    peer.resumed(id, positions.iter().map(|at| page(at, 500, 3_000)).collect()).await;
                }
            };
            let application = async {
                for seq in 1..=3_000 {
                    assert_eq!(events.next().await.and_then(|event| event.seq()), Some(seq));
                }
            };
            tokio::select! {
                () = server => {}
                () = application => {}
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_final_close_ends_everything_that_waits() {
    guarded(async {
        let (client, _server, mut peer) = online(Form::Proto, |_| {}).await;
        let in_flight = client.post(switchyard_client::Draft::text("c", "x"));
        peer.send().await;
        peer.close(4502).await;
        assert_eq!(in_flight.await, Err(Error::Unknown { since: Some(0) }));
        let closed = Closed::Server { code: 4502, reason: "why".to_owned() };
        assert_eq!(client.ready().await, Err(Error::Closed(closed.clone())));
        assert_eq!(client.events().next().await, None);
        assert_eq!(client.subscribe("c", None).await, Err(Error::Closed(closed)));
    })
    .await;
}

#[tokio::test]
async fn tokens_are_renewed_in_place_and_replaced_when_they_ran_out() {
    guarded(async {
        let server = Server::start(Form::Proto).await;
        let asked = Count::default();
        let counter = Arc::clone(&asked);
        let provider = move || {
            let number = counter.fetch_add(1, Ordering::Relaxed);
            async move { if number == 1 { Err(TokenError::Later("busy".to_owned())) } else { Ok(format!("t{number}")) } }
        };
        let _client = Client::connect(ClientConfig::new(server.url(), provider)).expect("an address");
        let mut peer = server.accept().await;
        assert_eq!(peer.welcome("alice").await, "t0");
        let expiring = Body::TokenExpiring(v1::TokenExpiring { in_ms: 60_000 });
        peer.event(v1::Event { body: Some(expiring), ..v1::Event::default() }).await;
        let (id, Request::Renew(renew)) = peer.request().await else { panic!("renew") };
        assert_eq!(renew.token, "t2", "the provider failed once and was asked again");
        peer.reply(id, reply::Result::Renewed(v1::Renewed { expires_at_ms: 1, ended: Vec::new() })).await;
        peer.close(4001).await;

        let mut peer = server.accept().await;
        assert_eq!(peer.welcome("alice").await, "t2");
        peer.close(4006).await;
        assert_eq!(server.accept().await.welcome("alice").await, "t3");
        assert_eq!(asked.load(Ordering::Relaxed), 4);
    })
    .await;
}

#[tokio::test]
async fn pings_are_answered() {
    guarded(async {
        let (_client, _server, mut peer) = online(Form::Proto, |_| {}).await;
        peer.raw(Message::Ping("are you there".into())).await;
        assert_eq!(peer.next_message().await, Some(Message::Pong("are you there".into())));
    })
    .await;
}

#[tokio::test]
async fn what_is_not_understood_is_skipped() {
    for form in Form::ALL {
        guarded(async {
            let (client, _server, mut peer) = online(form, |_| {}).await;
            subscribed_at(&client, &mut peer, "c", 0).await;
            let garbage: [Message; 3] = match form {
                // An unknown field, an event without a body, a frame that ends too early.
                Form::Proto => [&[0xfa, 0x07, 0x00][..], &[0x12, 0x00], &[0x0a, 0x7f]]
                    .map(|bytes| Message::Binary(bytes.to_vec().into())),
                Form::Json => [r#"{"event":"from the future","x":1}"#, r#"{"id":999,"ok":true,"data":{}}"#, "{"]
                    .map(|text| Message::Text(text.into())),
            };
            for message in garbage {
                peer.raw(message).await;
            }
            peer.event(message("c", 1)).await;
            assert!(matches!(client.events().next().await, Some(Event::Message(message)) if message.seq == 1));
        })
        .await;
    }
}

#[tokio::test]
async fn the_last_handle_takes_the_connection_with_it() {
    guarded(async {
        let (client, _server, mut peer) = online(Form::Proto, |_| {}).await;
        let mut events = client.events();
        drop(client);
        assert!(matches!(peer.next_message().await, None | Some(Message::Close(_))));
        assert_eq!(events.next().await, None);
    })
    .await;
}

#[tokio::test]
async fn bad_addresses_are_told() {
    for url in ["", "http://127.0.0.1/v1/ws", "ws:///v1/ws", "not a url"] {
        let result = Client::connect(ClientConfig::new(url, StaticToken::new("token")));
        assert!(matches!(result, Err(Error::BadUrl(_))), "{url}");
    }
    guarded(async {
        let server = Server::start(Form::Proto).await;
        let client = Client::connect(ClientConfig::new(server.url(), StaticToken::new("token"))).expect("an address");
        let mut tcp = server.accept_tcp().await;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(tcp.read_u8().await.expect("the upgrade"));
        }
        tcp.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await.expect("written");
        assert_eq!(client.ready().await, Err(Error::Closed(Closed::Http(404))));
    })
    .await;
}

#[tokio::test]
async fn a_provider_without_tokens_ends_it() {
    guarded(async {
        let server = Server::start(Form::Proto).await;
        let provider = || async { Err(TokenError::Never("logged out".to_owned())) };
        let client = Client::connect(ClientConfig::new(server.url(), provider)).expect("an address");
        assert_eq!(client.ready().await, Err(Error::Closed(Closed::Token("logged out".to_owned()))));
    })
    .await;
}
