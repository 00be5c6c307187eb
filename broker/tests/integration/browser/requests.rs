//! Requests: what a stranger begins is accepted, declined or blocked. And what one puts away for oneself, or deletes for all.

use serde_json::json;

use super::Browser;
use super::chrome::Window;
use crate::plain::Plain;
use crate::site::Site;

/// Waits until this is what stands in place of the composer.
fn gate(window: &Window<'_>, text: &str) {
    let shown = "document.getElementById('closed').checkVisibility() && document.getElementById('closed-text').textContent === given[0]";
    window.until(shown, &[json!(text)]);
    assert_eq!(window.script("return document.getElementById('composer').checkVisibility()", &[]), false);
}

/// Waits until these stand in the list, in order.
fn lists(window: &Window<'_>, names: &str) {
    let shown = "[...document.querySelectorAll('#list .item')].filter((one) => one.checkVisibility()) \
                 .map((one) => one.querySelector('.name').textContent).join() === given[0]";
    window.until(shown, &[json!(names)]);
}

#[test]
fn what_a_stranger_begins_is_a_request_until_it_is_answered() {
    let site = Site::dev();
    let browser = Browser::start();
    let [alice, bob] = browser.people(&site, ["Alice", "Bob"]);
    alice.open("Bob");
    alice.say("do you still have my lantern?");
    alice.sees("do you still have my lantern?", "sent");
    bob.until("document.querySelector('#list .asks-badge') !== null && document.title === '(1) Switchyard'", &[]);
    bob.until("document.querySelector('[data-filter=requests]').textContent === 'Requests (1)'", &[]);
    bob.open("Alice");
    bob.sees("do you still have my lantern?", "sent");
    // She is not told that he has read it, whatever else she is told meanwhile.
    let mut plain = Plain::open(&site, "carol");
    plain.group("Night shift", &["alice"]);
    lists(&alice, "Night shift,Bob");
    alice.ticks("do you still have my lantern?", "sent");
    bob.click("#asks-yes");
    alice.told("Bob accepted the request");
    alice.ticks("do you still have my lantern?", "read");
    bob.until("!document.getElementById('asks').checkVisibility() && document.title === 'Switchyard'", &[]);
    bob.until("document.querySelector('[data-filter=requests]').hidden", &[]);
    bob.say("on the hook");
    alice.sees("on the hook", "sent");
}

#[test]
fn a_request_is_declined_and_accepted_after_all() {
    let site = Site::dev();
    let browser = Browser::start();
    let [alice, bob] = browser.people(&site, ["Alice", "Bob"]);
    alice.open("Bob");
    alice.say("hello?");
    bob.open("Alice");
    bob.click("#asks-no");
    gate(&alice, "Bob did not accept your request.");
    bob.until("document.title === 'Switchyard'", &[]);
    bob.reload();
    bob.until("document.getElementById('asks-text').textContent.startsWith('You have declined')", &[]);
    bob.script("location.hash = ''", &[]);
    lists(&bob, "");
    bob.click("[data-filter=requests]");
    lists(&bob, "Alice");
    bob.open("Alice");
    bob.click("#asks-yes");
    alice.until("document.getElementById('composer').checkVisibility()", &[]);
    alice.say("thank you");
    bob.sees("thank you", "sent");
}

#[test]
fn who_is_blocked_cannot_write_until_they_are_let_in_again() {
    let site = Site::dev();
    let browser = Browser::start();
    let [alice, bob] = browser.chat(&site);
    bob.click("#details");
    bob.click_on("#info-block", "Block");
    bob.until("document.getElementById('info-block').textContent === 'Unblock'", &[]);
    bob.click("#info-close");
    gate(&bob, "You have blocked Alice.");
    alice.say("are you there?");
    alice.sees("are you there?", "failed");
    bob.reload();
    gate(&bob, "You have blocked Alice.");
    bob.click("#closed-undo");
    bob.until("document.getElementById('composer').checkVisibility()", &[]);
    alice.click_on(".again button", "Try again");
    bob.sees("are you there?", "sent");
    assert_eq!(bob.texts(), ["are you there?"], "once");
}

#[test]
fn what_is_archived_is_out_of_the_way_on_every_device() {
    let site = Site::dev();
    let mut bob = Plain::open(&site, "bob");
    let group = bob.group("Old plans", &["alice"]);
    let browser = Browser::start();
    let [one, other] = browser.people(&site, ["Alice", "Alice"]);
    one.open("Old plans");
    one.click("#details");
    one.click_on("#info-archive", "Archive");
    one.until("document.getElementById('info-archive').textContent === 'Unarchive'", &[]);
    lists(&other, "");
    // A message does not bring it back, but is counted.
    bob.send(&group, "b1", "one more thing");
    other.until("document.getElementById('archive-unread').textContent === '1'", &[]);
    other.reload();
    other.click("#archive");
    lists(&other, "Old plans");
    other.open("Old plans");
    other.click("#details");
    other.click_on("#info-archive", "Unarchive");
    other.click("#info-close");
    other.click("#archive");
    lists(&other, "Old plans");
    one.until("document.getElementById('info-archive').textContent === 'Archive'", &[]);
}

#[test]
fn a_group_is_deleted_for_all_by_its_admin() {
    let site = Site::dev();
    let browser = Browser::start();
    let mut plain = Plain::open(&site, "alice");
    let group = plain.group("Surprise party", &["bob"]);
    plain.send(&group, "a1", "do not tell Carol");
    let [alice, bob] = browser.people(&site, ["Alice", "Bob"]);
    bob.open("Surprise party");
    bob.click("#details");
    bob.until("document.getElementById('info').open && document.getElementById('info-erase').hidden", &[]);
    bob.click("#info-close");
    alice.open("Surprise party");
    alice.click("#details");
    alice.click("#info-erase");
    alice.click("#sure button[value='yes']");
    for window in [&alice, &bob] {
        window.toasted("Surprise party was deleted.");
    }
    for window in [&alice, &bob] {
        lists(window, "");
        assert_eq!(window.script("return document.getElementById('log').textContent", &[]), "");
    }
    bob.reload();
    bob.until("document.querySelector('#suggested li') !== null", &[]);
    lists(&bob, "");
}
