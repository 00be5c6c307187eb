//! Groups: made in a dialog, with members and roles to look at and to change, and closed and reopened.

use serde_json::json;

use super::Browser;
use super::chrome::Window;
use crate::site::Site;

/// What was told in the open conversation, beside messages.
fn told(window: &Window<'_>, text: &str) {
    let found = "[...document.querySelectorAll('.row.told p')].some((one) => one.textContent === given[0])";
    window.until(found, &[json!(text)]);
}

fn make_group(window: &Window<'_>, name: &str, members: &[&str]) {
    window.click("#new");
    for member in members {
        window.click_on("#start-people .pick", member);
    }
    window.type_into("#start-name", name);
    window.click("#start-go");
    window.until("document.getElementById('chat-name').textContent === given[0]", &[json!(name)]);
}

#[test]
fn a_group_is_made_led_and_left() {
    let site = Site::dev();
    let browser = Browser::start();
    let [alice, bob] = browser.people(&site, ["Alice", "Bob"]);
    make_group(&alice, "Night shift", &["Bob", "Carol"]);
    alice.say("hello everybody");
    // It appears with Bob without his doing anything.
    bob.open("Night shift");
    bob.sees("hello everybody", "sent");

    alice.click("#details");
    alice.until("document.querySelectorAll('#info-members li').length === 3", &[]);
    alice.type_into("#info-members select[aria-label='Role of Bob']", "moderator");
    told(&bob, "Alice made Bob moderator");
    bob.click("#details");
    bob.until("[...document.querySelectorAll('#info-members .role')].map((one) => one.textContent).join() === 'admin,moderator'", &[]);
    bob.until("document.getElementById('info-toggle').checkVisibility() === false", &[]);
    bob.click("#info-close");

    alice.click("#info-members button[aria-label='Remove Bob']");
    bob.until("![...document.querySelectorAll('.item')].some((one) => one.textContent.includes('Night shift'))", &[]);
    bob.until("document.getElementById('toasts').textContent.includes('You are no longer in Night shift.')", &[]);
    told(&alice, "You removed Bob");
}

#[test]
fn a_closed_conversation_is_read_only_until_it_is_reopened() {
    let site = Site::dev();
    let browser = Browser::start();
    let [alice, bob] = browser.chat(&site);
    alice.click("#details");
    alice.click("#info-toggle");
    told(&bob, "Alice closed the conversation");
    bob.until(
        "!document.getElementById('composer').checkVisibility() && document.getElementById('closed').checkVisibility()",
        &[],
    );
    bob.click("#details");
    bob.click_on("#info-toggle", "Reopen");
    told(&alice, "Bob reopened the conversation");
    alice.click("#info-close");
    alice.say("open again");
    bob.sees("open again", "sent");
}
