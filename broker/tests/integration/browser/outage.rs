//! The server goes away in the middle of a chat, and comes back.

use serde_json::json;

use super::Browser;
use crate::plain::Plain;
use crate::site::Site;

#[test]
fn what_is_written_while_the_server_is_down_arrives_once() {
    let mut site = Site::dev();
    let browser = Browser::start();
    let [alice, bob] = browser.chat(&site);
    alice.say("before");
    bob.sees("before", "sent");

    site.kill();
    alice.until("document.getElementById('banner').checkVisibility()", &[]);
    for text in ["while it was down", "and another"] {
        alice.say(text);
        alice.sees(text, "sending");
    }
    site.start_again();
    for window in [&alice, &bob] {
        window.until(
            "document.getElementById('state').textContent === 'Online' || (document.getElementById('hurry').click(), false)",
            &[],
        );
    }
    alice.sees("and another", "sent");
    alice.until("!document.getElementById('banner').checkVisibility()", &[]);
    bob.sees("and another", "sent");
    bob.say("all here");
    alice.sees("all here", "sent");
    let expected = ["before", "while it was down", "and another", "all here"];
    assert_eq!(alice.texts(), expected);
    assert_eq!(bob.texts(), expected);

    let mut plain = Plain::open(&site, "alice");
    let conversation = plain.direct("bob");
    let page = plain.done("history", &json!({"conversation": conversation, "after": 0}));
    let stored: Vec<&str> =
        page["messages"].as_array().expect("a list").iter().filter_map(|m| m["text"].as_str()).collect();
    assert_eq!(stored, expected, "each is stored once");
}
