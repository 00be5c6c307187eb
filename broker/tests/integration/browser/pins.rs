//! Pinned messages and mentions.

use serde_json::json;

use super::Browser;
use super::chrome::ENTER;
use crate::plain::{Plain, acquainted};
use crate::site::Site;

#[test]
fn a_message_is_pinned_found_from_far_away_and_unpinned() {
    let site = Site::dev();
    let (mut plain, conversation) = acquainted(&site, "bob", "alice");
    plain.send(&conversation, "key", "the key is under the mat");
    plain.send_texts(&conversation, 1..=3);
    let browser = Browser::start();
    let [alice, bob] = browser.chat(&site);
    alice.sees("the key is under the mat", "sent");
    alice.tool("the key is under the mat", "Pin");
    for window in [&alice, &bob] {
        window.until("document.getElementById('pin-text').textContent === 'the key is under the mat'", &[]);
        window.until("document.querySelector('.row .meta .pin') !== null", &[]);
    }
    bob.told("Alice pinned a message");

    // Much later, and after a reload, it is a click away, though it is not among what was fetched.
    plain.send_texts(&conversation, 4..=150);
    bob.until("document.querySelector('#list .last').textContent.endsWith('wagon 150')", &[]);
    bob.reload();
    bob.until("document.getElementById('pin-text').textContent === 'the key is under the mat'", &[]);
    assert!(!bob.texts().contains(&"the key is under the mat".to_owned()));
    bob.click("#pin-go");
    bob.until("document.activeElement.querySelector('.bubble p')?.textContent === 'the key is under the mat'", &[]);

    alice.tool("wagon 150", "Pin");
    bob.until("document.getElementById('pin-text').textContent === 'wagon 150'", &[]);
    bob.click("#pin-all");
    let listed = "[...document.querySelectorAll('#pinned-list .pinned > bdi')].map((one) => one.textContent).join()";
    bob.until(&format!("{listed} === 'wagon 150,the key is under the mat'"), &[]);
    bob.click("#pinned-list li:last-child [aria-label=Unpin]");
    bob.until(&format!("{listed} === 'wagon 150'"), &[]);
    bob.click("#pinned-list li [aria-label=Unpin]");
    for window in [&alice, &bob] {
        window.until("document.getElementById('pins').hidden", &[]);
    }
    alice.until("document.querySelector('.row .meta .pin') === null", &[]);
}

#[test]
fn members_of_a_group_without_the_right_cannot_pin() {
    let site = Site::dev();
    let mut carol = Plain::open(&site, "carol");
    let group = carol.group("Night shift", &["alice"]);
    let id = carol.send(&group, "c1", "read this")["message"]["id"].clone();
    carol.done("pin", &json!({"id": id}));
    let browser = Browser::start();
    let [alice] = browser.people(&site, ["Alice"]);
    alice.open("Night shift");
    alice.until("document.getElementById('pin-text').textContent === 'read this'", &[]);
    alice.sees("read this", "sent");
    assert_eq!(alice.script("return document.querySelectorAll('.tools [aria-label=Unpin]').length", &[]), 0);
    alice.click("#pin-all");
    assert_eq!(alice.script("return document.querySelectorAll('#pinned-list .round').length", &[]), 0);
}

#[test]
fn who_is_mentioned_is_offered_told_and_shown() {
    let site = Site::dev();
    let browser = Browser::start();
    let ([alice, bob], mut carol, group) = browser.night_shift(&site);
    alice.open("Night shift");
    alice.type_into("#text", "over to @b");
    alice.until("document.querySelector('#naming [aria-selected=true]')?.textContent.includes('Bob')", &[]);
    let active = "return document.getElementById(document.getElementById('text').getAttribute('aria-activedescendant')).textContent";
    assert!(alice.script(active, &[]).as_str().is_some_and(|name| name.ends_with("Bob")));
    alice.type_keys(&format!("{ENTER}tonight{ENTER}"));
    alice.sees("over to @Bob tonight", "sent");

    // Bob looks elsewhere, and sees that he is meant.
    bob.until("document.querySelector('#list .badge.at') !== null", &[]);
    bob.open("Night shift");
    bob.until("document.querySelector('.row.named .mention.mine')?.textContent === '@Bob'", &[]);
    bob.until("document.querySelector('#list .badge.at') === null", &[]);
    alice.until("document.querySelector('.row.own .mention:not(.mine)')?.textContent === '@Bob'", &[]);
    let page = carol.done("history", &json!({"conversation": group}));
    assert_eq!(page["messages"][0]["mentions"], json!(["bob"]));

    // A longer name is not his.
    alice.say("ask @bobby about @nobody");
    alice.sees("ask @bobby about @nobody", "sent");
    let page = carol.done("history", &json!({"conversation": group, "limit": 1}));
    assert_eq!(page["messages"][0].get("mentions"), None);
}
