//! Talking: both forms read the same, each event once, a removed member nothing more, and slow readers catch up.

use std::collections::HashSet;
use std::io::Read as _;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::SockRef;
use switchyard_edge::admission::config::{Budgets, ConnectionBudgets};
use switchyard_edge::config::{EdgeConfig, Room, Timing};
use switchyard_protocol::frame::{self, Form};
use switchyard_protocol::id::{ConversationId, ConversationKey, TenantId};
use switchyard_protocol::v1::{self, client_frame::Request, event::Body, reply::Result as Reply};
use tungstenite::Message;
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{Data, OpCode};

use super::owner::{Seen, UNTOLD};
use super::site::{Client, Read1, Site, error_of, text_message};

pub(super) fn key(conversation: &str) -> ConversationKey {
    ConversationKey {
        tenant: TenantId::new("default").expect("a valid id"),
        conversation: ConversationId::parse(conversation).expect("an id of ours"),
    }
}

#[test]
fn both_forms_read_the_same_message() {
    let site = Site::new();
    let (mut alice, mut bob) = (site.client("alice", Form::Proto), site.client("bob", Form::Json));
    let room = alice.group(&["bob"]);
    assert_eq!((alice.subscribe(&room), bob.subscribe(&room)), (0, 0));
    let from_alice = alice.send_text(&room, "a-1", "hej \u{1f44b}");
    let from_bob = bob.send_text(&room, "b-1", "hello");
    for client in [&mut alice, &mut bob] {
        assert_eq!(client.message(1), from_alice);
        assert_eq!(client.message(2), from_bob);
    }
    let again = bob.ask(Request::Send(text_message(&room, "b-1", "something else")));
    assert!(matches!(again, Reply::Sent(sent) if sent.duplicate && sent.message.as_ref() == Some(&from_bob)));
}

#[test]
fn a_member_may_be_named_by_a_number() {
    let site = Site::new();
    let (mut alice, mut other) = (site.client("alice", Form::Json), site.client("42", Form::Proto));
    let room = alice.group(&[]);
    let add = format!(r#"{{"id":70,"add":{{"conversation":"{room}","members":[42]}}}}"#);
    alice.socket.send(Message::text(add)).expect("the door reads");
    loop {
        // What a request of that number asked for is not known to this client, so it reads the text itself.
        let Message::Text(text) = alice.socket.read().expect("an answer") else { continue };
        assert!(text.contains(r#""id":70,"ok":true"#), "{text}");
        break;
    }
    other.send_text(&room, "1", "a member");
}

#[test]
fn a_fragmented_frame_is_one_request() {
    let site = Site::new();
    let mut client = site.client("alice", Form::Proto);
    let room = client.group(&[]);
    let bytes = frame::encode_client(Form::Proto, 99, Request::Send(text_message(&room, "c", "in pieces")));
    let (first, rest) = bytes.split_at(10);
    let (second, third) = rest.split_at(1);
    let pieces = [(first, Data::Binary, false), (second, Data::Continue, false), (third, Data::Continue, true)];
    for (piece, kind, last) in pieces {
        let frame = Frame::message(piece.to_vec(), OpCode::Data(kind), last);
        client.socket.send(Message::Frame(frame)).expect("the door reads");
    }
    let Read1::Reply(99, Reply::Sent(sent)) = client.read() else { panic!("not answered") };
    assert_eq!(sent.message.expect("a message").text, "in pieces");
}

#[test]
fn live_events_begin_where_the_answer_says() {
    let site = Site::new();
    let mut alice = site.client("alice", Form::Proto);
    let room = alice.group(&[]);
    alice.send_text(&room, "1", "before");
    assert_eq!(alice.subscribe(&room), 1);
    alice.send_text(&room, "2", "after");
    assert_eq!(alice.message(2).text, "after");
    let unsubscribe = v1::Unsubscribe { conversations: vec![room.clone()] };
    assert!(matches!(alice.ask(Request::Unsubscribe(unsubscribe)), Reply::Done(_)));
    site.wait_for(&Seen::Unsubscribed(key(&room)));
    alice.send_text(&room, "3", "unheard");
    assert_eq!(alice.subscribe(&room), 3);
    alice.send_text(&room, "4", "heard");
    assert_eq!(alice.message(4).text, "heard");
}

#[test]
fn a_resume_brings_what_was_missed_then_what_is_new() {
    let site = Site::new();
    let mut alice = site.client("alice", Form::Json);
    let room = alice.group(&[]);
    for n in 1..=5 {
        alice.send_text(&room, &format!("{n}"), &format!("text {n}"));
    }
    let position = |conversation: &str, seq| v1::Position { conversation: conversation.to_owned(), seq };
    let stranger = ConversationId::from_bytes([9; 16]).to_string();
    let positions = vec![position(&room, 2), position("no id at all", 1), position(&stranger, 1)];
    let Reply::Resumed(resumed) = alice.ask(Request::Resume(v1::Resume { positions })) else { panic!("not resumed") };
    let [own, malformed, foreign] = resumed.conversations.as_slice() else { panic!("as many as asked") };
    assert_eq!(own.events.iter().map(|event| event.seq).collect::<Vec<_>>(), [3, 4, 5]);
    assert_eq!((own.head, own.more, &own.error), (5, false, &None));
    assert_eq!(malformed.conversation, "no id at all");
    assert_eq!(malformed.error, foreign.error, "n15: what was made up is what does not exist");
    assert_eq!(foreign.error.as_ref().expect("refused").code, "NOT_FOUND");
    alice.send_text(&room, "6", "new");
    assert_eq!(alice.message(6).text, "new");
}

#[test]
fn n14_a_removed_member_gets_nothing_after_it() {
    let site = Site::new();
    let (mut alice, mut bob) = (site.client("alice", Form::Proto), site.client("bob", Form::Proto));
    let room = alice.group(&["bob"]);
    alice.subscribe(&room);
    bob.subscribe(&room);
    alice.send_text(&room, "1", "with bob");
    let remove = v1::Remove { conversation: room.clone(), member: "bob".to_owned() };
    assert!(matches!(alice.ask(Request::Remove(remove)), Reply::Changed(_)));
    alice.send_text(&room, "2", "without bob");
    assert_eq!(bob.message(1).text, "with bob");
    assert!(matches!(bob.event().body, Some(Body::Members(changed)) if changed.removed == ["bob"]));
    let pong = bob.ask(Request::Ping(v1::Ping {}));
    assert!(matches!(pong, Reply::Pong(_)) && bob.events.is_empty(), "nothing came between");
    let subscribe = v1::Subscribe { conversations: vec![room], all: false };
    let Reply::Subscribed(subscribed) = bob.ask(Request::Subscribe(subscribe)) else { panic!("answered") };
    assert_eq!(subscribed.subscribed[0].error.as_ref().expect("refused").code, "NOT_FOUND");
}

#[test]
fn n14_a_reader_whose_removal_was_lost_reads_no_more_once_refused() {
    let site = Site::new();
    let (mut alice, mut gone) = (site.client("alice", Form::Proto), site.client(UNTOLD, Form::Json));
    let room = alice.group(&[UNTOLD]);
    gone.subscribe(&room);
    let remove = v1::Remove { conversation: room.clone(), member: UNTOLD.to_owned() };
    assert!(matches!(alice.ask(Request::Remove(remove)), Reply::Changed(_)));
    let positions = vec![v1::Position { conversation: room.clone(), seq: 0 }];
    let Reply::Resumed(resumed) = gone.ask(Request::Resume(v1::Resume { positions })) else { panic!("answered") };
    assert_eq!(resumed.conversations[0].error.as_ref().expect("refused").code, "NOT_FOUND");
    alice.send_text(&room, "1", "not for those who were put out");
    assert!(matches!(gone.ask(Request::Ping(v1::Ping {})), Reply::Pong(_)) && gone.events.is_empty());
    site.wait_for(&Seen::Unsubscribed(key(&room)));
}

#[test]
fn wrong_requests_are_answered_and_the_connection_stays() {
    let site = Site::new();
    let mut client = site.client("alice", Form::Json);
    let room = client.group(&[]);
    let too_long = "x".repeat(64 * 1024 + 1);
    for (send, code) in [
        (text_message(&room, "c", ""), "BAD_REQUEST"),
        (text_message(&room, "c", "a\0b"), "BAD_REQUEST"),
        (text_message(&room, "", "text"), "BAD_REQUEST"),
        (text_message(&room, "c", &too_long), "BAD_REQUEST"),
        (text_message("01234", "c", "text"), "NOT_FOUND"),
        (text_message(&ConversationId::from_bytes([3; 16]).to_string(), "c", "text"), "NOT_FOUND"),
        (v1::Send { since: Some(1 << 53), ..text_message(&room, "c", "text") }, "BAD_REQUEST"),
        (v1::Send { kind: v1::MessageKind::System as i32, ..text_message(&room, "c", "text") }, "FORBIDDEN"),
    ] {
        assert_eq!(error_of(client.ask(Request::Send(send))).code, code);
    }
    client.socket.send(Message::text("{\"id\":77,\"frobnicate\":{}}")).expect("the door reads");
    let Read1::Reply(77, Reply::Error(error)) = client.read() else { panic!("not answered") };
    assert!(error.code == "BAD_REQUEST" && error.message.contains("'frobnicate'"));
    let attachments =
        format!(r#"{{"id":78,"send":{{"conversation":"{room}","client_id":"r","text":"t","attachments":["f"]}}}}"#);
    client.socket.send(Message::text(attachments)).expect("the door reads");
    let Read1::Reply(78, Reply::Error(error)) = client.read() else { panic!("acknowledged and lost") };
    assert!(error.code == "BAD_REQUEST" && error.message.contains("attachments"));
    client.send_text(&room, "c", "still here");
}

#[test]
fn n20_a_frame_beyond_the_limit_is_closed_and_one_within_it_answered() {
    let site = Site::new();
    let mut client = site.client("alice", Form::Proto);
    let room = client.group(&[]);
    let send = text_message(&room, "c", &"x".repeat(128 * 1024 - 200));
    assert_eq!(error_of(client.ask(Request::Send(send))).code, "BAD_REQUEST");
    client.socket.send(Message::binary(vec![0; 128 * 1024 + 1])).expect("the door reads its header");
    assert_eq!(client.closed(), Some(1009));
}

/// A door with short queues, and a reader whose kernel takes little.
pub(super) fn narrow(slow: Duration) -> (Site, Client, String, Client) {
    narrow_with(Timing { slow, ..Timing::default() })
}

fn narrow_with(timing: Timing) -> (Site, Client, String, Client) {
    let room = Room { queue_bytes_max: 128 * 1024, ..Room::default() };
    let timing = Timing { close: Duration::from_millis(100), ..timing };
    let site = Site::with_send_buffer(EdgeConfig { room, timing, ..EdgeConfig::default() }, KERNEL_BYTES);
    let mut writer = site.client("writer", Form::Proto);
    let conversation = writer.group(&["reader"]);
    let socket = site.tcp();
    SockRef::from(&socket).set_recv_buffer_size(KERNEL_BYTES).expect("a socket");
    let mut reader = Client::upgrade(socket, Form::Proto, &[]).expect("an upgrade");
    reader.hello("reader");
    reader.subscribe(&conversation);
    (site, writer, conversation, reader)
}

/// What the kernel is asked to keep at each end; it takes twice as much.
const KERNEL_BYTES: usize = 128 * 1024;

/// Messages of 60 KiB: more than the kernel keeps at both ends and the queue beside it.
const FLOOD: u64 = 40;

#[test]
fn n26_a_slow_reader_is_told_where_the_timeline_stands() {
    let (_site, mut writer, conversation, mut reader) = narrow(Duration::from_secs(60));
    let text = "x".repeat(60 * 1024);
    for n in 1..=FLOOD {
        writer.send_text(&conversation, &format!("{n}"), &text);
    }
    let (mut reached, mut holes) = (0, Vec::new());
    while reached < FLOOD {
        let event = reader.event();
        match event.body {
            Some(Body::Message(_)) => {
                assert_eq!(event.seq, reached + 1, "no hole without a mark");
                reached += 1;
            }
            Some(Body::Head(head)) => {
                assert!(head.head > reached, "a mark tells of something that gave way");
                holes.push(reached);
                reached = head.head;
            }
            other => panic!("{other:?}"),
        }
    }
    let first = *holes.first().expect("something gave way, or this proves nothing");
    let next = writer.send_text(&conversation, "after", "live again");
    assert_eq!(reader.message(FLOOD + 1), next);
    let position = v1::Position { conversation, seq: first };
    let Reply::Resumed(resumed) = reader.ask(Request::Resume(v1::Resume { positions: vec![position] })) else {
        panic!("not resumed")
    };
    assert_eq!(resumed.conversations[0].events[0].seq, first + 1, "what gave way is in the timeline");
}

/// Ten pages of four large messages are asked for by one who does not read along; the requests.
fn ask_for_pages(writer: &mut Client, reader: &mut Client, conversation: &str) -> HashSet<u64> {
    let unsubscribe = v1::Unsubscribe { conversations: vec![conversation.to_owned()] };
    assert!(matches!(reader.ask(Request::Unsubscribe(unsubscribe)), Reply::Done(_)));
    for n in 0..4 {
        writer.send_text(conversation, &format!("{n}"), &"x".repeat(60 * 1024));
    }
    let history = v1::History { conversation: conversation.to_owned(), limit: 4, ..Default::default() };
    (0..10).map(|_| reader.send(Request::History(history.clone()))).collect()
}

#[test]
fn who_does_not_read_its_answers_is_not_read_either_and_gets_them_all() {
    let (_site, mut writer, conversation, mut reader) = narrow(Duration::from_secs(60));
    let mut awaited = ask_for_pages(&mut writer, &mut reader, &conversation);
    awaited.extend((0..400).map(|_| reader.send(Request::Ping(v1::Ping {}))));
    while !awaited.is_empty() {
        let Read1::Reply(to, reply) = reader.read() else { panic!("replies to {awaited:?}") };
        assert!(awaited.remove(&to), "{to} is answered once");
        assert!(matches!(reply, Reply::Page(_) | Reply::Pong(_)), "{reply:?}");
    }
}

/// Waits until nothing more goes out to the reader, and its queue is full: until the kernel waits for the reader's window, all
/// that the reader asked for has come to the server, and in a round of turns since then no page more was asked of the owner.
/// The window alone would not do: at first the kernel has room beside it. Nor the round: what a client asks for while something
/// of it is on its way waits in its kernel, up to the fortieth of a second that the server's may take to confirm that.
pub(super) fn until_stuck(site: &Site, writer: &mut Client, reader: &Client) {
    site.wait_for(&Seen::Page);
    loop {
        let shut = probes_window(reader) && has_come(reader);
        // What was asked for before does not count.
        site.has_seen(&Seen::Page);
        for _ in 0..20 {
            assert!(matches!(writer.ask(Request::Ping(v1::Ping {})), Reply::Pong(_)));
        }
        if shut && !site.has_seen(&Seen::Page) {
            return;
        }
    }
}

/// Whether the kernel has found the client's window shut: of the timers that `proc(5)` tells of a connection in `net/tcp`, the
/// fourth is the one that asks whether it is open again.
fn probes_window(client: &Client) -> bool {
    let (client, server) = ends(client);
    kernel_says(server, client, |_, timer| timer.starts_with("04"))
}

/// Whether the server's kernel has all that the client said: nothing of it waits to be confirmed.
fn has_come(client: &Client) -> bool {
    let (client, server) = ends(client);
    kernel_says(client, server, |queues, _| queues.starts_with("00000000:"))
}

fn ends(client: &Client) -> (SocketAddr, SocketAddr) {
    let socket = client.socket.get_ref();
    (socket.local_addr().expect("an address"), socket.peer_addr().expect("an address"))
}

/// What `net/tcp` tells of one end of a connection: its queues and its timer.
fn kernel_says(local: SocketAddr, remote: SocketAddr, is_so: impl Fn(&str, &str) -> bool) -> bool {
    let [local, remote] = [local, remote].map(|address| format!(":{:04X}", address.port()));
    let table = std::fs::read_to_string("/proc/net/tcp").expect("a table");
    let mut rows = table.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
    rows.any(|row| match row[..] {
        [_, from, to, _, queues, timer, ..] => from.ends_with(&local) && to.ends_with(&remote) && is_so(queues, timer),
        _ => false,
    })
}

#[test]
fn n26_pages_are_not_fetched_for_a_reader_that_does_not_take_them() {
    let (site, mut writer, conversation, mut reader) = narrow(Duration::from_secs(60));
    let mut awaited = ask_for_pages(&mut writer, &mut reader, &conversation);
    site.wait_for(&Seen::Page);
    // Turns of the worker in which it would have asked for more.
    for _ in 0..20 {
        assert!(matches!(writer.ask(Request::Ping(v1::Ping {})), Reply::Pong(_)));
    }
    let pages = 1 + site.seen.try_iter().filter(|seen| *seen == Seen::Page).count();
    // The kernel keeps some 512 KiB, the queue 128 KiB and a page.
    assert!(pages < 6, "{pages} pages of 240 KiB");
    while !awaited.is_empty() {
        let Read1::Reply(to, Reply::Page(page)) = reader.read() else { panic!("a page") };
        assert!(awaited.remove(&to) && page.messages.len() == 4);
    }
}

#[test]
fn who_reads_slowly_is_not_idle() {
    let (heartbeat, idle) = (Duration::from_millis(400), Duration::from_secs(4));
    let (site, mut writer, conversation, mut reader) = narrow_with(Timing { heartbeat, idle, ..Timing::default() });
    let unsubscribe = v1::Unsubscribe { conversations: vec![conversation.clone()] };
    assert!(matches!(reader.ask(Request::Unsubscribe(unsubscribe)), Reply::Done(_)));
    for n in 0..4 {
        writer.send_text(&conversation, &format!("{n}"), &"x".repeat(60 * 1024));
    }
    let history = v1::History { conversation, limit: 4, ..Default::default() };
    let pages = 16;
    for _ in 0..pages {
        reader.send(Request::History(history.clone()));
    }
    // The pings of another client are the clock, twice in that time: at each the reader takes a part, for longer than it may
    // be silent.
    let mut other = site.client("other", Form::Proto);
    let mut taken = vec![0; 192 * 1024 * 3];
    for part in taken.chunks_mut(192 * 1024) {
        assert!(other.socket.read().expect("a ping").is_ping());
        reader.socket.get_mut().read_exact(part).expect("it is not cut");
    }
    let mut rest = Vec::new();
    let whole = pages * (4 * 60 * 1024);
    while taken.len() + rest.len() < whole {
        let mut part = vec![0; 64 * 1024];
        let size = reader.socket.get_mut().read(&mut part).expect("it is not cut");
        assert!(size > 0, "it is not closed");
        rest.extend_from_slice(part.get(..size).expect("as much as was read"));
    }
}

#[test]
fn n26_a_sent_message_is_not_repeated_to_a_client_that_does_not_read() {
    let (_site, mut writer, conversation, mut reader) = narrow(Duration::from_secs(60));
    let unsubscribe = v1::Unsubscribe { conversations: vec![conversation.clone()] };
    assert!(matches!(reader.ask(Request::Unsubscribe(unsubscribe)), Reply::Done(_)));
    writer.send_text(&conversation, "1", &"x".repeat(60 * 1024));
    let mut awaited: HashSet<u64> =
        (0..60).map(|_| reader.send(Request::Send(text_message(&conversation, "1", "again")))).collect();
    let mut refused = 0;
    while !awaited.is_empty() {
        let Read1::Reply(to, reply) = reader.read() else { panic!("replies to {awaited:?}") };
        assert!(awaited.remove(&to), "{to} is answered once");
        match reply {
            Reply::Sent(sent) => assert!(sent.duplicate),
            reply => {
                let error = error_of(reply);
                assert!(error.code == "OVERLOADED" && error.retry_after_ms.is_some());
                refused += 1;
            }
        }
    }
    assert!(refused > 0, "3.6 MB did not wait for it");
}

#[test]
fn a_page_is_cut_by_what_it_is_in_the_clients_form() {
    let site = Site::new();
    let (mut writer, mut reader) = (site.client("alice", Form::Proto), site.client("alice", Form::Json));
    let conversation = writer.group(&[]);
    let text = "\u{1}".repeat(60 * 1024);
    for n in 1..=4 {
        writer.send_text(&conversation, &format!("{n}"), &text);
    }
    let history = Request::History(v1::History { conversation: conversation.clone(), ..Default::default() });
    let seqs = |reply: Reply| match reply {
        Reply::Page(page) => page.messages.iter().map(|message| message.seq).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(seqs(writer.ask(history.clone())), [4, 3, 2, 1]);
    assert_eq!(seqs(reader.ask(history)), [4], "in JSON each byte is six");
    let positions = vec![v1::Position { conversation, seq: 1 }];
    let Reply::Resumed(resumed) = reader.ask(Request::Resume(v1::Resume { positions })) else { panic!("resumed") };
    let resumed = &resumed.conversations[0];
    assert_eq!((resumed.events.len(), resumed.events[0].seq, resumed.more), (1, 2, true));
}

#[test]
fn who_sends_too_many_bytes_is_read_later_and_answered() {
    let connection =
        ConnectionBudgets { bytes_per_second: 2_000_000, bytes_burst: 140_000, ..ConnectionBudgets::default() };
    let budgets = Budgets { connection, ..Budgets::default() };
    let site = Site::with(EdgeConfig { budgets, ..EdgeConfig::default() });
    let mut client = site.client("alice", Form::Proto);
    let room = client.group(&[]);
    let text = "x".repeat(60_000);
    let ids: Vec<u64> =
        (0..12).map(|n| client.send(Request::Send(text_message(&room, &format!("{n}"), &text)))).collect();
    for id in ids {
        let Read1::Reply(to, Reply::Sent(_)) = client.read() else { panic!("an answer to {id}") };
        assert_eq!(to, id);
    }
}

#[test]
fn n26_a_reader_that_never_reads_is_closed_and_others_are_unharmed() {
    let (site, mut writer, conversation, mut reader) = narrow(Duration::from_millis(300));
    // When the reader's session ends, nobody reads this one any more.
    let witness = reader.group(&[]);
    reader.subscribe(&witness);
    let mut other = site.client("reader", Form::Json);
    other.subscribe(&conversation);
    let text = "x".repeat(60 * 1024);
    let mut sent = 0;
    while !site.has_seen(&Seen::Unsubscribed(key(&witness))) {
        sent += 1;
        writer.send_text(&conversation, &format!("{sent}"), &text);
        assert_eq!(other.message(sent).text.len(), text.len(), "the other reads all");
    }
    let mut seen = 0;
    while let Read1::Event(_) = reader.read() {
        seen += 1;
    }
    assert!(seen < sent, "it was closed with events waiting");
}
