//! The list of conversations: what comes to it by itself, what is unread, and what is found in it.

use serde_json::{Value, json};

use super::Browser;
use crate::plain::{Plain, acquainted};
use crate::site::Site;

/// The names that stand in the list, in order.
const NAMES: &str = "[...document.querySelectorAll('#list .item')].filter((one) => one.checkVisibility()) \
                     .map((one) => one.querySelector('.name').textContent)";

#[test]
fn what_somebody_else_begins_appears_by_itself_and_goes_when_one_is_removed() {
    let site = Site::dev();
    let browser = Browser::start();
    let [alice] = browser.people(&site, ["Alice"]);
    assert_eq!(
        alice.script("return document.querySelectorAll('#list .item').length", &[]),
        0,
        "nobody has begun anything"
    );
    let suggested = "[...document.querySelectorAll('#suggested .name')].map((one) => one.textContent).join()";
    alice.until(&format!("{suggested} === 'Bob,Carol,Dave,Support'"), &[]);

    let (mut bob, direct) = acquainted(&site, "bob", "alice");
    alice.until(&format!("{NAMES}.join() === 'Bob'"), &[]);
    alice.until("document.querySelector('#suggested li:not([hidden])').textContent.includes('Carol')", &[]);
    bob.send(&direct, "b1", "are you there?");
    alice.unread("Bob", 1);
    alice.until("document.querySelector('#list .last').textContent === 'are you there?'", &[]);

    let group = bob.group("Night shift", &["alice"]);
    alice.until(&format!("{NAMES}.join() === 'Night shift,Bob'"), &[]);
    bob.send(&direct, "b2", "hello?");
    alice.until(&format!("{NAMES}.join() === 'Bob,Night shift'"), &[]);
    alice.unread("Bob", 2);
    bob.done("remove", &json!({"conversation": group, "member": "alice"}));
    alice.until(&format!("{NAMES}.join() === 'Bob'"), &[]);
    // Whoever comes back finds it again.
    bob.done("add", &json!({"conversation": group, "members": ["alice"]}));
    alice.until(&format!("{NAMES}.join() === 'Night shift,Bob'"), &[]);
}

#[test]
fn what_is_unread_is_right_on_every_device_and_after_a_reload() {
    let site = Site::dev();
    let (mut bob, direct) = acquainted(&site, "bob", "alice");
    bob.send_texts(&direct, 1..=3);
    let browser = Browser::start();
    let [one, other] = browser.people(&site, ["Alice", "Alice"]);
    for window in [&one, &other] {
        window.unread("Bob", 3);
        window.until("document.title === '(3) Switchyard'", &[]);
    }
    one.open("Bob");
    for window in [&one, &other] {
        window.unread("Bob", 0);
        window.until("document.title === 'Switchyard'", &[]);
    }
    one.click("#logout");
    let deleted = bob.send(&direct, "gone", "never mind")["message"]["id"].clone();
    bob.send(&direct, "stays", "mind the gap");
    other.unread("Bob", 2);
    bob.done("delete", &json!({"id": deleted}));
    other.unread("Bob", 1);
    other.reload();
    other.unread("Bob", 1);
    // What one says oneself is read.
    Plain::open(&site, "alice").send(&direct, "a1", "I do");
    other.unread("Bob", 0);
    other.reload();
    other.until("document.querySelector('#list .last')?.textContent.endsWith('I do')", &[]);
    other.unread("Bob", 0);
}

#[test]
fn nothing_is_read_by_somebody_who_does_not_look() {
    let site = Site::dev();
    let browser = Browser::start();
    let [alice, bob] = browser.chat(&site);
    alice.say("first");
    alice.ticks("first", "read");
    bob.look(false);
    alice.say("second");
    bob.sees("second", "sent");
    bob.unread("Alice", 1);
    alice.ticks("second", "delivered");
    bob.look(true);
    bob.unread("Alice", 0);
    alice.ticks("second", "read");
}

#[test]
fn what_happened_while_the_server_was_away_is_in_the_list() {
    let mut site = Site::dev();
    let browser = Browser::start();
    let [alice] = browser.people(&site, ["Alice"]);
    let (mut bob, direct) = acquainted(&site, "bob", "alice");
    bob.send(&direct, "b1", "one");
    alice.unread("Bob", 1);
    site.kill();
    alice.until("document.getElementById('banner').checkVisibility()", &[]);
    site.start_again();
    let mut bob = Plain::open(&site, "bob");
    bob.send(&direct, "b2", "two");
    let group = bob.group("Made meanwhile", &["alice"]);
    bob.send(&group, "g1", "welcome");
    alice.until(
        "document.getElementById('state').textContent === 'Online' || (document.getElementById('hurry').click(), false)",
        &[],
    );
    alice.unread("Bob", 2);
    alice.unread("Made meanwhile", 1);
    bob.send(&group, "g2", "still there?");
    alice.unread("Made meanwhile", 2);
    alice.until("document.title === '(4) Switchyard'", &[]);
}

#[test]
fn a_long_list_is_counted_searched_filtered_and_scrolled() {
    let site = Site::dev();
    let mut bob = Plain::open(&site, "bob");
    let old = bob.group("The oldest of all", &["alice"]);
    bob.send(&old, "m", "still unread");
    let (_, direct) = acquainted(&site, "alice", "bob");
    bob.send(&direct, "m", "hello");
    for n in 1..=60 {
        bob.group(&format!("Siding {n}"), &["alice"]);
    }
    let browser = Browser::start();
    let [alice] = browser.people(&site, ["Alice"]);
    let count = format!("{NAMES}.length");
    alice.until(&format!("{count} === 50"), &[]);
    alice.until("document.title === '(2) Switchyard'", &[]);
    alice.type_into("#search", "oldest");
    alice.until(&format!("{NAMES}.join() === 'The oldest of all'"), &[]);
    alice.unread("The oldest of all", 1);
    alice.until("document.title === '(2) Switchyard'", &[]);
    alice.type_into("#search", "\u{e003}".repeat(6).as_str());
    alice.until(&format!("{count} === 51"), &[]);
    alice.script("document.getElementById('list-scroll').scrollTop = 1e6", &[]);
    alice.until(&format!("{count} === 62"), &[]);
    alice.click("[data-filter=direct]");
    alice.until(&format!("{NAMES}.join() === 'Bob'"), &[]);
    alice.click("[data-filter=unread]");
    alice.until(&format!("{NAMES}.join() === 'Bob,The oldest of all'"), &[]);
    assert_eq!(alice.script("return document.querySelector('[data-filter=unread]').ariaPressed", &[]), "true");
    alice.click("[data-filter=group]");
    alice.until(&format!("{count} === 61"), &[]);

    // One far down that nobody has loaded comes to life.
    alice.reload();
    alice.until(&format!("{count} === 50"), &[]);
    bob.send(&old, "n", "look here");
    alice.until(&format!("{NAMES}[0] === 'The oldest of all'"), &[]);
    alice.unread("The oldest of all", 2);
    let title: Value = alice.until("document.title === '(3) Switchyard' && document.title", &[]);
    assert_eq!(title, "(3) Switchyard");
}
