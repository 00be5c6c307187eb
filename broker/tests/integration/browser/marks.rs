//! What has become of a message: on its way, stored, delivered, read; by whom, and when.

use serde_json::json;

use super::Browser;
use crate::plain::acquainted;
use crate::site::Site;

#[test]
fn ticks_follow_a_message_to_its_reader() {
    let mut site = Site::dev();
    acquainted(&site, "alice", "bob");
    let browser = Browser::start();
    let [alice] = browser.people(&site, ["Alice"]);
    alice.open("Bob");
    alice.say("anybody?");
    alice.ticks("anybody?", "sent");
    let [bob] = browser.people(&site, ["Bob"]);
    alice.ticks("anybody?", "delivered");
    bob.open("Alice");
    alice.ticks("anybody?", "read");
    // So it is after a reload, in the list too, and said to who cannot see it.
    alice.reload();
    alice.ticks("anybody?", "read");
    alice.until("document.querySelector('#list .last .tick.read') !== null", &[]);
    assert_eq!(alice.script("return document.querySelector('.row.own .spoken.tick').textContent", &[]), "read");
    site.kill();
    alice.until("document.getElementById('banner').checkVisibility()", &[]);
    alice.say("and now?");
    alice.ticks("and now?", "sending");
    site.start_again();
    for window in [&alice, &bob] {
        window.until(
            "document.getElementById('state').textContent === 'Online' || (document.getElementById('hurry').click(), false)",
            &[],
        );
    }
    alice.ticks("and now?", "read");
}

#[test]
fn in_a_group_it_is_said_who_has_read_and_when() {
    let site = Site::dev();
    let browser = Browser::start();
    let ([alice, bob], mut carol, group) = browser.night_shift(&site);
    alice.open("Night shift");
    bob.open("Night shift");
    alice.say("the 4:12 is late");
    bob.sees("the 4:12 is late", "sent");
    let tick = "document.querySelector('.row.own .meta').title";
    alice.until(&format!("{tick} === 'read by 1 of 2'"), &[]);
    alice.ticks("the 4:12 is late", "sent");
    let head = carol.done("get", &json!({"conversation": group}))["conversation"]["head"].clone();
    carol.done("mark", &json!({"conversation": group, "delivered": head}));
    alice.ticks("the 4:12 is late", "delivered");

    let people =
        |list: &str| format!("[...document.querySelectorAll('#{list} bdi')].map((one) => one.textContent).join()");
    alice.script("const row = document.querySelector('.row.own'); row.tabIndex = 0; row.focus()", &[]);
    alice.click(".row.own .tools [aria-label='Who has read it']");
    alice.until(&format!("{} === 'Bob' && {} === 'Carol'", people("seen-read"), people("seen-reached")), &[]);
    assert_eq!(
        alice.script("return /\\d:\\d\\d/.test(document.querySelector('#seen-read time').textContent)", &[]),
        true
    );
    alice.click("#seen-close");
    carol.done("mark", &json!({"conversation": group, "read": head}));
    alice.ticks("the 4:12 is late", "read");
    alice.until(&format!("{tick} === 'read by 2 of 2'"), &[]);
}
