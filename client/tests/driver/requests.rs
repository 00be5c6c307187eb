//! Requests and their answers, in both forms, and what bad luck makes of them.

use futures_util::FutureExt as _;
use switchyard_client::core::limits::PENDING_BYTES_MAX;
use switchyard_client::protocol::code::ErrorCode;
use switchyard_client::protocol::frame;
use switchyard_client::protocol::v1::{self, client_frame::Request, reply};
use switchyard_client::{Closed, Draft, Error, Event};

use super::*;

#[tokio::test]
async fn a_conversation_in_both_forms() {
    for form in Form::ALL {
        guarded(async {
            let (client, _server, mut peer) = online(form, |_| {}).await;
            let server = async {
                let (id, Request::Create(create)) = peer.request().await else { panic!("create") };
                assert_eq!((&*create.members, create.kind()), (&["bob".to_owned()][..], v1::ConversationKind::Direct));
                let conversation = v1::Conversation { id: "c".to_owned(), head: 2, ..v1::Conversation::default() };
                let created = v1::Created { conversation: Some(conversation), created: true };
                peer.reply(id, reply::Result::Created(created)).await;

                let (id, Request::History(history)) = peer.request().await else { panic!("history") };
                assert_eq!((history.limit, history.before), (20, None));
                let v1::event::Body::Message(first) = message("c", 1).body.expect("a body") else { panic!("message") };
                let page = v1::Page { messages: vec![first], first_available: 1, head: 2, more: true };
                peer.reply(id, reply::Result::Page(page)).await;

                let (id, positions) = peer.resume().await;
                peer.resumed(id, positions.iter().map(|position| page_of(position, 3)).collect()).await;

                let (id, send) = peer.send().await;
                assert_eq!((&*send.text, send.since), ("hello", Some(3)));
                peer.reply(id, sent(&send, 4)).await;
                peer.event(message("c", 4)).await;

                // Read beside the subscription: the stream has no second one of it, nor a hole.
                let (id, positions) = peer.resume().await;
                assert_eq!(positions.iter().map(|it| it.seq).collect::<Vec<_>>(), [1]);
                let events = vec![message("c", 2), message("c", 3)];
                let page = v1::ResumedConversation { events, more: true, ..page_of(&positions[0], 4) };
                peer.resumed(id, vec![page]).await;
                let (id, positions) = peer.resume().await;
                let error = Some(frame::error(ErrorCode::NotFound, "not there", None));
                peer.resumed(id, vec![v1::ResumedConversation { error, ..page_of(&positions[0], 4) }]).await;

                let (id, Request::Add(add)) = peer.request().await else { panic!("add") };
                assert_eq!(add.members, ["carol"]);
                let error = frame::error(ErrorCode::Forbidden, "not an admin", None);
                peer.reply(id, reply::Result::Error(error)).await;
            };
            let application = async {
                let created = client.create_direct("bob", None).await.expect("created");
                assert!(created.created);
                let query = v1::History { conversation: "c".to_owned(), limit: 20, ..v1::History::default() };
                let history = client.history(query).await.expect("a page");
                assert_eq!(history.messages.len(), 1);
                assert_eq!(client.subscribe("c", Some(2)).await.expect("subscribed"), 3);
                let mut events = client.events();
                assert_eq!(events.next().await.and_then(|event| event.seq()), Some(3));
                let stored = client.send("c", "hello").await.expect("sent");
                assert_eq!((stored.message.seq, stored.duplicate), (4, false));
                assert_eq!(events.next().await.and_then(|event| event.seq()), Some(4));
                let page = client.events_after("c", 1).await.expect("a page");
                assert_eq!(
                    (page.events.iter().map(|event| event.seq).collect::<Vec<_>>(), page.more),
                    (vec![2, 3], true)
                );
                let refused = client.events_after("d", 1).await.expect_err("refused");
                assert_eq!(refused.code(), Some(ErrorCode::NotFound));
                let refused = client.add("c", &["carol"]).await.expect_err("refused");
                assert_eq!(refused.code(), Some(ErrorCode::Forbidden));
            };
            tokio::join!(server, application);
        })
        .await;
    }
}

fn page_of(position: &v1::Position, head: u64) -> v1::ResumedConversation {
    page(position, 500, head)
}

#[tokio::test]
async fn a_message_survives_a_cut_and_goes_out_again_under_its_id() {
    guarded(async {
        let (client, server, mut peer) = online(Form::Proto, |_| {}).await;
        let first = client.post(Draft::text("c", "one").client_id("mine"));
        let second = client.post(Draft::text("c", "two"));
        let (_, sent_once) = peer.send().await;
        drop(peer);

        let mut peer = server.accept().await;
        peer.welcome("alice").await;
        let (id, sent_twice) = peer.send().await;
        assert_eq!(sent_twice, sent_once, "with the head that was known before the first attempt");
        assert_eq!(sent_twice.since, Some(0));
        assert_eq!(sent_twice.client_id, "mine");
        peer.reply(id, sent(&sent_twice, 1)).await;
        let (id, other) = peer.send().await;
        assert_eq!(other.client_id, second.client_id());
        peer.reply(id, sent(&other, 2)).await;
        assert_eq!(first.await.expect("sent").message.seq, 1);
        assert_eq!(second.await.expect("sent").message.seq, 2);
    })
    .await;
}

#[tokio::test]
async fn messages_posted_before_there_is_a_connection_go_out_in_order() {
    guarded(async {
        let server = Server::start(Form::Json).await;
        let mut config = ClientConfig::new(server.url(), StaticToken::new("token"));
        config.form = Form::Json;
        let client = Client::connect(config).expect("a good address");
        let posted: Vec<_> = (0..10).map(|n| client.post(Draft::text("c", format!("{n}")))).collect();
        let mut peer = server.accept().await;
        peer.welcome("alice").await;
        for (seq, pending) in (1..).zip(posted) {
            let (id, send) = peer.send().await;
            assert_eq!(send.text, format!("{}", seq - 1));
            peer.reply(id, sent(&send, seq)).await;
            assert_eq!(pending.await.expect("sent").message.seq, seq);
        }
    })
    .await;
}

#[tokio::test]
async fn what_no_frame_can_hold_is_refused_here_and_harms_nothing_else() {
    guarded(async {
        let (client, _server, mut peer) = online(Form::Json, |_| {}).await;
        // Within the limit of a body, but JSON writes each of these with six characters.
        let control = "\u{1}".repeat(60_000);
        let (refused, ()) = tokio::join!(client.send("c", &control), async {
            let (id, Request::Get(get)) = peer.request().await else { panic!("get") };
            peer.detail(id, &get).await;
        });
        assert_eq!(refused, Err(Error::TooLarge));
        assert_eq!(client.send("c", &"x".repeat(65_537)).await, Err(Error::TooLarge));
        let fine = client.post(Draft::text("c", "fine"));
        let (id, send) = peer.send().await;
        assert_eq!(send.text, "fine");
        peer.reply(id, sent(&send, 1)).await;
        assert!(fine.await.is_ok());
    })
    .await;
}

#[tokio::test]
async fn too_much_that_waits_is_refused() {
    guarded(async {
        let server = Server::start(Form::Proto).await;
        let client = Client::connect(ClientConfig::new(server.url(), StaticToken::new("token"))).expect("an address");
        let body = "x".repeat(65_536);
        let mut results = Vec::new();
        // The task gets no turn in between, so that nothing but the caller can keep the limit.
        for _ in 0..=PENDING_BYTES_MAX / body.len() {
            results.push(client.post(Draft::text("c", &*body)));
        }
        let last = results.pop().expect("many");
        assert_eq!(last.now_or_never(), Some(Err(Error::TooManyPending)), "it is not even queued");
        let mut peer = server.accept().await;
        peer.welcome("alice").await;
        let (id, send) = peer.send().await;
        peer.reply(id, sent(&send, 1)).await;
        assert!(results.swap_remove(0).await.is_ok());
        // What is answered makes room.
        let mut next = client.post(Draft::text("c", &*body));
        assert!((&mut next).now_or_never().is_none());
    })
    .await;
}

#[tokio::test]
async fn closing_sends_what_is_unsent_first() {
    guarded(async {
        let (client, _server, mut peer) = online(Form::Proto, |_| {}).await;
        let last_words = client.post(Draft::text("c", "bye"));
        let mut events = client.events();
        let server = async {
            let (id, send) = peer.send().await;
            peer.reply(id, sent(&send, 1)).await;
            while peer.next_message().await.is_some() {}
        };
        let ((), closed) = tokio::join!(server, client.close());
        assert_eq!(closed, Closed::Application);
        assert_eq!(last_words.await.expect("sent").message.seq, 1);
        assert_eq!(events.next().await, None);
        assert_eq!(client.send("c", "too late").await, Err(Error::Closed(Closed::Application)));
        assert_eq!(client.ping().await, Err(Error::Closed(Closed::Application)));
    })
    .await;
}

#[tokio::test]
async fn a_server_that_does_not_read_still_reaches_the_application() {
    guarded(async {
        let (client, _server, mut peer) = online(Form::Proto, |_| {}).await;
        let (subscribed, ()) = tokio::join!(client.subscribe("c", Some(0)), async {
            let (id, positions) = peer.resume().await;
            peer.resumed(id, vec![page_of(&positions[0], 0)]).await;
        });
        subscribed.expect("subscribed");
        // More than the sockets' buffers take, to different conversations so that all of it is in flight.
        let body = "x".repeat(60_000);
        let posted: Vec<_> =
            (0..200).map(|n| client.post(Draft { since: Some(0), ..Draft::text(format!("c{n}"), &*body) })).collect();
        let mut events = client.events();
        for seq in 1..=100 {
            peer.event(message("c", seq)).await;
            assert_eq!(events.next().await.and_then(|event: Event| event.seq()), Some(seq));
        }
        for seq in 1..=200 {
            let (id, send) = peer.send().await;
            peer.reply(id, sent(&send, seq)).await;
        }
        for pending in posted {
            pending.await.expect("sent");
        }
    })
    .await;
}
