//! The SDK's example `chat` on a real broker, each in a terminal of its own: what people can do there, and that a chat
//! outlasts its token, its connection and the broker.

use std::fs;

use serde_json::json;

use crate::plain::Plain;
use crate::process::{chat, said};
use crate::site::Site;
use crate::terminal::Terminal;

/// It has shown what there was, and shows what comes.
const CONNECTED: &str = "(connected: type a message, or /help)";

/// A command that prints a token of this user, good for so long.
fn token_command(site: &Site, user: &str, ttl: &str) -> String {
    let data = site.data().to_str().expect("text");
    format!("{} token --user {user} --ttl {ttl} --data {data}", env!("CARGO_BIN_EXE_switchyard"))
}

/// The chat of somebody whose tokens this command prints.
fn start(site: &Site, tokens: &str, more: &[&str]) -> Terminal {
    let mut command = chat();
    command.args(["--url", &site.url(), "--token-command", tokens]).args(more);
    Terminal::run(command)
}

/// The same, once it shows what comes.
fn open(site: &Site, user: &str, more: &[&str]) -> Terminal {
    let terminal = start(site, &token_command(site, user, "15m"), more);
    terminal.notice(CONNECTED);
    terminal
}

/// A group that this chat made: its id.
fn group(terminal: &Terminal) -> String {
    let told = terminal.notice("(group ");
    let (id, _) = told.trim_start_matches("(group ").split_once(';').expect("an id and a hint");
    id.to_owned()
}

#[test]
fn b2_b8_a_group_is_made_grows_is_renamed_and_goes_on_without_whom_made_it() {
    let site = Site::dev();
    let tokens = token_command(&site, "alice", "15m");
    let mut alice = start(&site, &tokens, &["--new-group", "team", "--member", "bob"]);
    let id = group(&alice);
    alice.notice(CONNECTED);
    let mut bob = open(&site, "bob", &["--json", "--group", &id]);

    let (code, shown, notices) = start(&site, &token_command(&site, "carol", "15m"), &["--group", &id]).ended();
    assert_eq!((code, shown.len()), (Some(1), 0));
    assert!(notices.concat().starts_with("(no such group: "), "{notices:?}");
    alice.say("carol comes, too");
    alice.say("/add carol dave");
    for terminal in [&alice, &bob] {
        assert_eq!(terminal.line(), "[1] alice: carol comes, too");
        assert_eq!(terminal.line(), "[2] * alice added carol, dave");
    }
    let mut carol = open(&site, "carol", &["--group", &id]);
    assert_eq!(carol.line(), "[1] alice: carol comes, too");
    carol.say("/members");
    for member in ["alice (admin)", "bob", "carol", "dave"] {
        assert_eq!(carol.line(), member);
    }

    alice.say("/name the  team\u{1b}[2J");
    alice.say("/avatar https://pictures.example/team.png");
    for terminal in [&alice, &bob, &carol] {
        assert_eq!(terminal.line(), r"[3] * alice changed the name to the  team\u{1b}[2J");
        assert_eq!(terminal.line(), "[4] * alice changed the avatar to https://pictures.example/team.png");
    }
    bob.say("/name mine");
    bob.notice("(refused ");
    bob.say("/info");
    let (name, avatar) = (r"name: the  team\u{1b}[2J", "avatar: https://pictures.example/team.png");
    for line in [&format!("id: {id}"), "kind: group", name, avatar, "members: 4", "you: member"] {
        assert_eq!(bob.line(), line);
    }
    alice.say("/add bob");
    alice.notice("(it is so already)");

    alice.say("/remove carol");
    assert_eq!(carol.line(), "[5] * alice removed carol");
    let (code, _, notices) = carol.ended();
    assert_eq!((code, notices), (Some(1), vec!["(you are no longer a member)".to_owned()]));
    // What was typed before goes before.
    alice.say("farewell");
    alice.say("/leave");
    let (code, shown, notices) = alice.ended();
    assert_eq!((code, notices), (Some(0), Vec::new()));
    assert_eq!(shown, ["[5] * alice removed carol", "[6] alice: farewell"]);
    for line in ["[5] * alice removed carol", "[6] alice: farewell", "[7] * alice left; bob is now admin"] {
        assert_eq!(bob.line(), line);
    }
    bob.say("/name mine");
    assert_eq!(bob.line(), "[8] * bob changed the name to mine");
    bob.end();
}

#[test]
fn c3_older_messages_come_page_by_page_and_as_they_are_now() {
    let site = Site::dev();
    let tokens = token_command(&site, "alice", "15m");
    let mut alice = start(&site, &tokens, &["--new-group", "team", "--member", "bob"]);
    let id = group(&alice);
    for n in 1..=45 {
        alice.say(&n.to_string());
    }
    for n in 1..=45 {
        assert_eq!(alice.line(), format!("[{n}] alice: {n}"));
    }
    let mut bob = open(&site, "bob", &["--group", &id]);
    for n in 26..=45 {
        assert_eq!(bob.line(), format!("[{n}] alice: {n}"));
    }
    let mut elsewhere = Plain::open(&site, "alice");
    elsewhere.done("edit", &json!({"conversation": id, "seq": 3, "text": "three"}));
    elsewhere.done("react", &json!({"conversation": id, "seq": 45, "emoji": "🎉"}));
    elsewhere.done("delete", &json!({"conversation": id, "seq": 4}));
    for terminal in [&alice, &bob] {
        assert_eq!(terminal.line(), "[46] * [3] now says: three");
        assert_eq!(terminal.line(), "[47] * alice gave 🎉 to [45]");
        assert_eq!(terminal.line(), "[48] * alice deleted [4]");
    }
    bob.say("/history");
    for n in 6..=25 {
        assert_eq!(bob.line(), format!("[{n}] alice: {n}"));
    }
    bob.say("/history");
    for text in ["[1] alice: 1", "[2] alice: 2", "[3] alice: three", "[4] alice: (deleted)", "[5] alice: 5"] {
        assert_eq!(bob.line(), text);
    }
    bob.say("/history");
    bob.notice("(that is all)");
    bob.end();
}

#[test]
fn a9_a_chat_outlasts_its_token_if_a_command_prints_others() {
    let site = Site::dev();
    // The first token is about to end, so that the broker warns at once.
    let once = |user: &str, then: &str| {
        let asked = site.dir().join(format!("{user}-asked"));
        format!("if mkdir {} 2>/dev/null; then {}; else {then}; fi", asked.display(), token_command(&site, user, "1s"))
    };
    let tokens = once("alice", &token_command(&site, "alice", "15m"));
    let mut alice = start(&site, &tokens, &["--new-group", "team", "--member", "bob", "--member", "carol"]);
    let id = group(&alice);
    alice.notice(CONNECTED);
    // There is another one for Bob, but not yet.
    let good = site.dir().join("good");
    let bob = start(&site, &once("bob", &format!("cat {}", good.display())), &["--group", &id]);
    bob.notice("(the token command ended with exit status: 1; it is run again soon)");
    let mut command = chat();
    command.args(["--url", &site.url(), "--group", &id]);
    let data = site.data().to_str().expect("text");
    command.args(["--token", &said(&["token", "--user", "carol", "--ttl", "1s", "--data", data])]);
    let (code, _, notices) = Terminal::run(command).ended();
    let last = notices.last().expect("a reason");
    assert!(code == Some(1) && last.ends_with("the token is missing or not valid)"), "{notices:?}");

    bob.notice("(reconnecting…)");
    alice.say("while bob is away");
    assert_eq!(alice.line(), "[1] alice: while bob is away");
    let whole = site.dir().join("whole");
    fs::write(&whole, site.token("bob")).expect("it is written");
    fs::rename(&whole, &good).expect("it is moved");
    bob.notice("(reconnected)");
    assert_eq!(bob.line(), "[1] alice: while bob is away");
    let (_, notices) = alice.end();
    assert_eq!(notices, [""; 0], "it is the connection that it was");
    bob.end();
}

#[test]
fn a5_i1_two_chats_lose_nothing_across_a_kill_and_a_new_secret() {
    let mut site = Site::dev();
    let tokens = token_command(&site, "alice", "15m");
    let mut alice = start(&site, &tokens, &["--new-group", "team", "--member", "bob"]);
    let id = group(&alice);
    alice.notice(CONNECTED);
    let mut bob = open(&site, "bob", &["--json", "--group", &id]);
    // Some are on their way when it dies, and some are typed while it is dead.
    let say = |alice: &mut Terminal, bob: &mut Terminal, numbers: std::ops::Range<u32>| {
        for n in numbers {
            alice.say(&format!("a{n}"));
            bob.say(&format!("b{n}"));
        }
    };
    say(&mut alice, &mut bob, 0..30);
    let first = alice.line();
    site.kill();
    alice.notice("(reconnecting…)");
    bob.notice("(reconnecting…)");
    say(&mut alice, &mut bob, 30..40);
    // The tokens that they have are no good any more.
    fs::remove_file(site.data().join("dev-secret")).expect("it was there");
    site.start_again();
    alice.notice("(reconnected)");
    bob.notice("(reconnected)");

    let mut seen = vec![first];
    seen.extend((1..80).map(|_| alice.line()));
    for line in &seen {
        assert_eq!(&bob.line(), line);
    }
    let mut texts = Vec::new();
    for (n, line) in (1..).zip(&seen) {
        let text = line.strip_prefix(&format!("[{n}] ")).unwrap_or_else(|| panic!("{line} is number {n}"));
        texts.push(text.to_owned());
    }
    texts.sort_unstable();
    let mut typed: Vec<_> = (0..40).flat_map(|n| [format!("alice: a{n}"), format!("bob: b{n}")]).collect();
    typed.sort_unstable();
    assert_eq!(texts, typed);
    alice.say("/quit");
    assert_eq!(alice.ended().0, Some(0));
    bob.end();
}

#[test]
fn i2_a_chat_that_was_away_too_long_is_shown_the_gap() {
    let mut site = Site::with_env(&[("SWITCHYARD__RETENTION__GROUP__EVENTS_MAX", "1000")]);
    let id = Plain::open(&site, "alice").group("team", &["bob"]);
    let mut bob = open(&site, "bob", &["--group", &id]);
    bob.say("good night");
    assert_eq!(bob.line(), "[1] bob: good night");
    // His machine sleeps, and his connection ends without him.
    bob.stop();
    site.kill();
    site.start_again();
    let mut alice = Plain::open(&site, "alice");
    alice.send_many(&id, 2_299);
    let detail = alice.done("get", &json!({"conversation": id}));
    let first = detail["conversation"]["first_available"].as_u64().expect("a number");
    assert!(first >= 1_000, "whole runs of 1,000 were dropped: {detail}");
    bob.go_on();
    bob.notice("(reconnecting…)");
    bob.notice("(reconnected)");
    assert_eq!(bob.line(), format!("* numbers 2 to {} are no longer kept", first - 1));
    for n in first..=2_300 {
        assert_eq!(bob.line(), format!("[{n}] alice: again"));
    }
    bob.end();
}

#[test]
fn what_cannot_be_done_is_told_in_a_line_and_the_chat_goes_on() {
    let site = Site::dev();
    let mut alice = open(&site, "alice", &["--with", "bob"]);
    for (typed, told) in [
        ("/add", "(type it as /add USER…)"),
        ("/remove", "(type it as /remove USER)"),
        ("/remove bob carol", "(type it as /remove USER)"),
        ("/name ", "(type it as /name TEXT)"),
        ("/avatar", "(type it as /avatar URL)"),
        ("/leave now", "(type it as /leave)"),
        ("/promote bob", "(no such command: /help shows all; a line that begins with // is sent with one /)"),
        ("/", "(no such command: /help shows all; a line that begins with // is sent with one /)"),
        ("/add carol", "(refused (2002): "),
        ("/remove bob", "(refused (2002): "),
        ("/leave", "(refused (2002): "),
        ("/name us", "(refused (2002): "),
    ] {
        alice.say(typed);
        let notice = alice.notice("");
        assert!(notice.starts_with(told), "{typed} is answered with {notice}");
    }
    alice.say("/help");
    for command in [
        "/history",
        "/members",
        "/info",
        "/add USER…",
        "/remove USER",
        "/name TEXT",
        "/avatar URL",
        "/leave",
        "/quit",
        "/help",
    ] {
        assert!(alice.line().starts_with(command));
    }
    alice.say("//help me");
    assert_eq!(alice.line(), "[1] alice: /help me");
    alice.end();

    let (code, _, notices) = start(&site, "exit 3", &["--with", "bob"]).ended();
    assert!(notices.concat().ends_with("no token: the token command ended with exit status: 3)"), "{notices:?}");
    assert_eq!(code, Some(1));
}
