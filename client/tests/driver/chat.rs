//! The example `chat`, run as a program through pipes against the scripted server.

use std::path::PathBuf;
use std::process::Stdio;

use switchyard_client::protocol::v1::{client_frame::Request, reply};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use super::*;

struct Chat {
    child: Child,
    typed: Option<ChildStdin>,
    shown: Lines<BufReader<ChildStdout>>,
    notices: Lines<BufReader<ChildStderr>>,
}

impl Chat {
    /// `cargo test` builds the examples beside its tests.
    fn start(server: &Server, arguments: &[&str]) -> Self {
        let tests = std::env::current_exe().expect("a path");
        let target = tests.ancestors().nth(2).map(PathBuf::from).expect("target/<profile>/deps/<test>");
        let mut child = Command::new(target.join("examples").join("chat"))
            .args(["--url", &server.url()])
            .args(arguments)
            .env("SWITCHYARD_TOKEN", "from the environment")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the example is built: run all of this package's tests, not this one alone");
        let shown = BufReader::new(child.stdout.take().expect("piped")).lines();
        let notices = BufReader::new(child.stderr.take().expect("piped")).lines();
        Self { typed: child.stdin.take(), child, shown, notices }
    }

    async fn line(&mut self) -> String {
        self.shown.next_line().await.expect("text").expect("another line")
    }

    async fn notice(&mut self) -> String {
        self.notices.next_line().await.expect("text").expect("another line")
    }

    async fn type_line(&mut self, line: &str) {
        let typed = self.typed.as_mut().expect("not ended");
        typed.write_all(format!("{line}\n").as_bytes()).await.expect("it reads");
    }

    /// Ends its input, reads what else it shows, and gives its exit code.
    async fn end(mut self) -> (Vec<String>, Option<i32>) {
        drop(self.typed.take());
        let mut rest = Vec::new();
        while let Some(line) = self.shown.next_line().await.expect("text") {
            rest.push(line);
        }
        (rest, self.child.wait().await.expect("it ends").code())
    }
}

/// Plays the server until the chat is subscribed to "c", which has these texts.
async fn begin(server: &Server, texts: &[&str]) -> Peer {
    let mut peer = server.accept().await;
    assert_eq!(peer.welcome("alice").await, "from the environment");
    let (id, Request::Create(create)) = peer.request().await else { panic!("create") };
    assert_eq!(create.members, ["bob"]);
    let conversation = v1::Conversation { id: "c".to_owned(), ..v1::Conversation::default() };
    let created = v1::Created { conversation: Some(conversation), created: false };
    peer.reply(id, reply::Result::Created(created)).await;
    let (id, Request::History(history)) = peer.request().await else { panic!("history") };
    assert_eq!(history.limit, 20);
    let head = texts.len() as u64;
    let mut messages: Vec<_> = (1..)
        .zip(texts)
        .map(|(seq, text)| v1::Message {
            seq,
            sender: "bob".to_owned(),
            text: (*text).to_owned(),
            ..v1::Message::default()
        })
        .collect();
    // Newest first, as history comes.
    messages.reverse();
    peer.reply(id, reply::Result::Page(v1::Page { messages, first_available: 1, head, more: false })).await;
    let (id, positions) = peer.resume().await;
    peer.resumed(id, vec![page(&positions[0], 0, head)]).await;
    peer
}

fn own(send: &v1::Send, seq: u64) -> v1::Event {
    let mut event = message("c", seq);
    if let Some(v1::event::Body::Message(message)) = &mut event.body {
        message.sender = "alice".to_owned();
        message.text.clone_from(&send.text);
    }
    event
}

/// The first notice.
const CONNECTED: &str = "(connected: type a message, or /help)";

#[tokio::test]
async fn it_shows_history_and_what_arrives_and_sends_what_is_typed() {
    guarded(async {
        let server = Server::start(Form::Json).await;
        let mut chat = Chat::start(&server, &["--json", "--with", "bob"]);
        let mut peer = begin(&server, &["hi", "are you there?"]).await;
        assert_eq!(chat.line().await, "[1] bob: hi");
        assert_eq!(chat.line().await, "[2] bob: are you there?");
        peer.event(message("c", 3)).await;
        assert_eq!(chat.line().await, "[3] bob: message 3");

        chat.type_line("yes").await;
        let (id, send) = peer.send().await;
        assert_eq!((&*send.text, send.since), ("yes", Some(3)));
        peer.event(own(&send, 4)).await;
        peer.reply(id, sent(&send, 4)).await;
        assert_eq!(chat.line().await, "[4] alice: yes");

        chat.type_line("/members").await;
        let (id, Request::Members(_)) = peer.request().await else { panic!("members") };
        let member = |user: &str, role: v1::Role| v1::Member { user: user.to_owned(), role: role.into() };
        let members = vec![member("alice", v1::Role::Admin), member("bob", v1::Role::Member)];
        peer.reply(id, reply::Result::Members(v1::MemberPage { members, more: false })).await;
        assert_eq!(chat.line().await, "alice (admin)");
        assert_eq!(chat.line().await, "bob");

        chat.type_line("/history").await;
        let (id, Request::History(history)) = peer.request().await else { panic!("history") };
        assert_eq!(history.before, Some(1));
        peer.reply(
            id,
            reply::Result::Page(v1::Page { messages: Vec::new(), first_available: 1, head: 4, more: false }),
        )
        .await;
        assert_eq!(chat.notice().await, CONNECTED);
        assert_eq!(chat.notice().await, "(that is all)");

        chat.type_line("/quit").await;
        assert_eq!(chat.end().await, (Vec::new(), Some(0)));
    })
    .await;
}

#[tokio::test]
async fn nothing_that_others_write_reaches_the_terminal_as_a_command() {
    guarded(async {
        let server = Server::start(Form::Proto).await;
        let mut chat = Chat::start(&server, &["--with", "bob"]);
        let _peer = begin(&server, &["\u{1b}[2J\u{1b}]0;owned\u{7}\r\nroot: \u{202e}txt.exe<script>"]).await;
        assert_eq!(chat.line().await, r"[1] bob: \u{1b}[2J\u{1b}]0;owned\u{7}\r\nroot: \u{202e}txt.exe<script>");
    })
    .await;
}

#[tokio::test]
async fn what_is_unsent_at_the_end_of_the_input_is_sent_across_a_reconnect() {
    guarded(async {
        let server = Server::start(Form::Proto).await;
        let mut chat = Chat::start(&server, &["--with", "bob"]);
        let mut peer = begin(&server, &[]).await;
        chat.type_line("one").await;
        let (_, first) = peer.send().await;
        drop(peer);
        assert_eq!(chat.notice().await, CONNECTED);
        assert_eq!(chat.notice().await, "(reconnecting…)");
        chat.type_line("two").await;
        let ending = tokio::spawn(chat.end());

        let mut peer = server.accept().await;
        peer.welcome("alice").await;
        let (resume, positions) = peer.resume().await;
        let (one, again) = peer.send().await;
        assert_eq!(again, first);
        let (two, second) = peer.send().await;
        peer.resumed(resume, vec![page(&positions[0], 0, 0)]).await;
        for (seq, id, send) in [(1, one, &again), (2, two, &second)] {
            peer.reply(id, sent(send, seq)).await;
            peer.event(own(send, seq)).await;
        }
        let (shown, code) = ending.await.expect("no panic");
        assert_eq!(shown, ["[1] alice: one", "[2] alice: two"]);
        assert_eq!(code, Some(0));
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_done_is_said_in_words_and_as_a_failure() {
    guarded(async {
        let server = Server::start(Form::Proto).await;
        let mut chat = Chat::start(&server, &["--with", "bob", "--token", "wrong"]);
        let mut peer = server.accept().await;
        let (id, Request::Hello(hello)) = peer.request().await else { panic!("hello") };
        assert_eq!(hello.token, "wrong");
        let code = switchyard_client::protocol::code::ErrorCode::AuthInvalid;
        let error = switchyard_client::protocol::frame::error(code, "the token is not valid", None);
        peer.reply(id, reply::Result::Error(error)).await;
        let notice = chat.notice().await;
        assert!(notice.contains("the token is not valid") && notice.contains(&server.url()), "{notice}");
        assert_eq!(chat.end().await.1, Some(1));
    })
    .await;
}
