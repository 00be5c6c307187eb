//! History comes by scrolling, and what is read stays where it is.

use serde_json::json;

use super::Browser;
use crate::plain::{Plain, acquainted};
use crate::site::Site;

/// Three pages of the page's own, and a little.
const MESSAGES: usize = 130;

#[test]
fn history_comes_by_scrolling_up_and_nothing_jumps() {
    let site = Site::dev();
    let (mut bob, conversation) = acquainted(&site, "bob", "alice");
    for n in 1..=MESSAGES {
        bob.send(&conversation, &format!("w{n}"), &format!("wagon {n}"));
    }
    // All is read: what is not would be fetched at once, and begun with.
    Plain::open(&site, "alice").done("mark", &json!({"conversation": conversation, "read": MESSAGES + 1}));
    let browser = Browser::start();
    let [alice] = browser.people(&site, ["Alice"]);
    alice.open("Bob");
    alice.sees(&format!("wagon {MESSAGES}"), "sent");
    assert!(alice.texts().len() < MESSAGES / 2, "not all is there at once");

    // The oldest that is there is brought into view; above it more comes, and it does not move.
    let oldest = alice.texts().first().expect("some").clone();
    let place =
        "const row = [...document.querySelectorAll('.bubble p')].find((text) => text.textContent === arguments[0]);
                 return row.getBoundingClientRect().top";
    alice.script("document.getElementById('scroll').scrollTop = 150", &[]);
    let before = alice.script(place, &[json!(oldest)]).as_f64().expect("a number");
    alice.until("document.querySelectorAll('.row').length >= 80", &[]);
    let after = alice.script(place, &[json!(oldest)]).as_f64().expect("a number");
    assert!((before - after).abs() < 2.0, "{oldest} was at {before} and is at {after}");

    // Whoever reads old messages is told of new ones, and is not torn away from what they read.
    bob.send(&conversation, "new", "a new one");
    alice.until("document.getElementById('newest').textContent.includes('1 new')", &[]);
    let still = alice.script(place, &[json!(oldest)]).as_f64().expect("a number");
    assert!((after - still).abs() < 2.0, "{oldest} was at {after} and is at {still}");
    alice.click("#newest");
    alice.until("document.getElementById('newest').hidden", &[]);

    // To the beginning: each message once, in order.
    alice.until("(document.getElementById('scroll').scrollTop = 0, !document.getElementById('beginning').hidden)", &[]);
    let expected: Vec<String> = (1..=MESSAGES).map(|n| format!("wagon {n}")).chain(["a new one".to_owned()]).collect();
    assert_eq!(alice.texts(), expected);
}

#[test]
fn it_opens_where_one_has_read_to() {
    let site = Site::dev();
    let (mut bob, conversation) = acquainted(&site, "bob", "alice");
    bob.send_texts(&conversation, 1..=100);
    Plain::open(&site, "alice").done("mark", &json!({"conversation": conversation, "read": 61}));
    let browser = Browser::start();
    let [alice] = browser.people(&site, ["Alice"]);
    alice.unread("Bob", 40);
    alice.open("Bob");
    let first = "document.querySelector('.new')?.closest('.row').querySelector('.bubble p').textContent";
    alice.until(&format!("{first} === 'wagon 61'"), &[]);
    let shown = "return (({ top, bottom }, box) => top >= box.top && bottom <= box.bottom)( \
                 document.querySelector('.new').getBoundingClientRect(), document.getElementById('scroll').getBoundingClientRect())";
    assert_eq!(alice.script(shown, &[]), true);
    // What is below the screen is not read yet.
    let unread = "Number(document.querySelector('#list .badge').textContent.replace(' unread', ''))";
    let left = alice.until(&format!("{unread} < 40 && {unread}"), &[]).as_u64().expect("a number");
    assert!(left > 5, "{left}");
    alice.script("document.getElementById('scroll').scrollTop = 1e6", &[]);
    alice.unread("Bob", 0);
}

#[test]
fn an_old_message_is_shown_with_what_is_around_it_and_the_way_back_is_whole() {
    let site = Site::dev();
    let (mut bob, conversation) = acquainted(&site, "bob", "alice");
    let first = bob.send(&conversation, "first", "the very first")["message"]["id"].clone();
    bob.send_texts(&conversation, 1..=150);
    let answer = json!({"conversation": conversation, "client_id": "answer", "text": "as I said", "reply_to": first});
    bob.done("send", &answer);
    Plain::open(&site, "alice").done("mark", &json!({"conversation": conversation, "read": 153}));
    let browser = Browser::start();
    let [alice] = browser.people(&site, ["Alice"]);
    alice.open("Bob");
    alice.sees("as I said", "sent");
    alice.click(".quote");
    alice.until("document.activeElement.querySelector('.bubble p')?.textContent === 'the very first'", &[]);
    assert!(!alice.texts().contains(&"as I said".to_owned()), "only what is around it");

    // What comes meanwhile is told, and found at the end.
    bob.send(&conversation, "live", "a live one");
    alice.unread("Bob", 1);
    alice.until("(document.getElementById('scroll').scrollTop = 1e6, document.getElementById('newest').hidden)", &[]);
    alice.sees("a live one", "sent");
    let wagons = (1..=150).map(|n| format!("wagon {n}"));
    let expected: Vec<String> = ["the very first".to_owned()]
        .into_iter()
        .chain(wagons)
        .chain(["as I said".to_owned(), "a live one".to_owned()])
        .collect();
    assert_eq!(alice.texts(), expected, "no hole on the way");
    alice.unread("Bob", 0);

    // And from an old one to the end at once; what one writes is there too.
    alice.script("document.getElementById('scroll').scrollTop = 0", &[]);
    let quote = "[...document.querySelectorAll('.quote')].at(-1).click()";
    alice.script(quote, &[]);
    alice.say("I remember");
    alice.sees("I remember", "sent");
    assert_eq!(alice.texts().last().map(String::as_str), Some("I remember"));
    let marks = bob.done("marks", &json!({"conversation": conversation}));
    let of_alice = marks["marks"].as_array().expect("a list").iter().find(|one| one["user"] == "alice");
    assert!(of_alice.and_then(|one| one["read"].as_u64()) >= Some(154), "{marks}");
}
