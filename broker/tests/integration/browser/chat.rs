//! Two people chat in two windows of one browser.

use serde_json::json;

use super::Browser;
use super::chrome::ENTER;
use crate::plain::acquainted;
use crate::site::Site;

#[test]
fn two_windows_chat_both_ways() {
    let site = Site::dev();
    let browser = Browser::start();
    acquainted(&site, "alice", "bob");
    let [alice, bob] = browser.people(&site, ["Alice", "Bob"]);
    alice.open("Bob");
    alice.say("Did the night train get through?");
    alice.sees("Did the night train get through?", "sent");

    // Bob looks elsewhere: his list and his title say that there is something.
    bob.unread("Alice", 1);
    bob.until("document.title === '(1) Switchyard'", &[]);
    bob.until("document.querySelector('#list .last').textContent === 'Did the night train get through?'", &[]);
    bob.open("Alice");
    bob.sees("Did the night train get through?", "sent");
    bob.until("document.title === 'Switchyard'", &[]);

    // He answers, so he wants the conversation: from now on she is told that he types.
    bob.say("Which one?");
    alice.sees("Which one?", "sent");
    bob.type_into("#text", "It d");
    alice.until("document.getElementById('chat-about').textContent === 'Bob is typing…'", &[]);
    bob.type_into("#text", &format!("id, at 4:12.{ENTER}"));
    alice.sees("It did, at 4:12.", "sent");
    alice.until("document.getElementById('chat-about').textContent === 'Online'", &[]);
    assert_eq!(alice.texts(), bob.texts());
    assert_eq!(alice.texts().len(), 3, "each stands there once");
}

#[test]
fn a_reload_keeps_who_one_is_and_what_is_open() {
    let site = Site::dev();
    let browser = Browser::start();
    let [alice, bob] = browser.people(&site, ["Alice", "Bob"]);
    alice.open("Bob");
    alice.say("one");
    alice.sees("one", "sent");
    alice.reload();
    alice.sees("one", "sent");
    let shown = "[document.getElementById('me-name').textContent, document.getElementById('chat-name').textContent]";
    assert_eq!(alice.script(&format!("return {shown}"), &[]), json!(["Alice", "Bob"]));
    // The other window is somebody else still.
    bob.reload();
    bob.until("document.getElementById('me-name').textContent === 'Bob'", &[]);
    alice.click("#logout");
    let offered = "[...document.querySelectorAll('.person')].filter((one) => one.checkVisibility()).length";
    alice.until(&format!("{offered} === 6"), &[]);
}

#[test]
fn what_cannot_be_sent_says_so_and_can_be_taken_back() {
    let site = Site::dev();
    let browser = Browser::start();
    let [window] = browser.people(&site, ["Alice"]);
    window.open("Bob");
    window.script("document.getElementById('text').value = 'x'.repeat(65_537)", &[]);
    window.say("");
    window.until(
        "document.querySelector('.row[data-state=failed] .again')?.textContent.includes('It is too long.')",
        &[],
    );
    window.click_on(".again button", "Discard");
    window.until("document.querySelectorAll('.row').length === 0", &[]);
    window.say("shorter");
    window.sees("shorter", "sent");
}

#[test]
fn keys_alone_are_enough() {
    let site = Site::dev();
    let browser = Browser::start();
    let window = browser.window(&site);
    const TAB: &str = "\u{e004}";
    const CONTROL: &str = "\u{e009}";
    window.until("document.querySelectorAll('.person').length === 6", &[]);
    window.type_keys(&format!("{TAB}{TAB}"));
    window.type_keys(ENTER);
    window.until("document.getElementById('me-name').textContent === 'Bob'", &[]);
    window.until("document.querySelector('#suggested li') !== null", &[]);
    window.type_keys(&format!("{CONTROL}k"));
    window.type_keys(&format!("car{ENTER}"));
    window.until("document.getElementById('chat-name').textContent === 'Carol'", &[]);
    window.type_keys(&format!("typed without a mouse{ENTER}"));
    window.sees("typed without a mouse", "sent");

    // What a screen reader is told: a log that speaks, and a name on everything that can be pressed.
    assert_eq!(window.script("return document.getElementById('scroll').ariaLive", &[]), "polite");
    assert_eq!(window.nameless(), json!([]));
}

#[test]
fn on_a_narrow_screen_there_is_one_thing_at_a_time_and_nothing_sticks_out() {
    let site = Site::dev();
    let browser = Browser::start();
    let window = browser.window(&site);
    window.resize(390, 844);
    window.log_in("Alice");
    let shown =
        "[document.querySelector('.side').checkVisibility(), document.getElementById('chat').checkVisibility()].join()";
    window.until(&format!("{shown} === 'true,false'"), &[]);
    window.open("Bob");
    window.until(&format!("{shown} === 'false,true'"), &[]);
    window.say(&"w".repeat(400));
    window.sees(&"w".repeat(400), "sent");
    let sticks_out = "return [document.documentElement, document.getElementById('scroll')].filter((one) => \
                      one.scrollWidth > one.clientWidth).length";
    assert_eq!(window.script(sticks_out, &[]), 0);
    window.click("#back");
    window.until(&format!("{shown} === 'true,false'"), &[]);
    assert_eq!(window.script(sticks_out, &[]), 0);
}

#[test]
fn colours_follow_the_choice_and_outlive_a_reload() {
    let site = Site::dev();
    let browser = Browser::start();
    let [window] = browser.people(&site, ["Alice"]);
    let ground = "return getComputedStyle(document.body).backgroundColor";
    let light = window.script(ground, &[]);
    window.click("#theme");
    let dark = window.script(ground, &[]);
    assert_ne!(light, dark);
    assert_eq!(window.script("return document.getElementById('theme').ariaPressed", &[]), "true");
    window.reload();
    window.until("document.getElementById('me-name').textContent === 'Alice'", &[]);
    assert_eq!(window.script(ground, &[]), dark);
}
