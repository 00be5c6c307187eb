//! Who is online, and who was when.

use serde_json::json;

use super::Browser;
use super::chrome::Window;
use crate::site::Site;

#[test]
fn who_comes_and_goes_is_shown() {
    let site = Site::with_env(&[("SWITCHYARD__PRESENCE__OFFLINE_AFTER", "1s")]);
    let browser = Browser::start();
    let [alice, bob] = browser.chat(&site);
    let about = "document.getElementById('chat-about').textContent";
    alice.until(&format!("{about} === 'Online'"), &[]);
    alice.until("document.querySelector('#list .avatar.online') !== null", &[]);
    let said = "return document.querySelector('#list .item').getAttribute('aria-description')";
    assert_eq!(alice.script(said, &[]), "online");
    bob.close();
    alice.until(&format!("{about}.startsWith('Last seen ')"), &[]);
    assert_eq!(alice.script("return document.querySelector('#list .avatar.online')", &[]), json!(null));
    let [bob] = browser.people(&site, ["Bob"]);
    alice.until(&format!("{about} === 'Online'"), &[]);

    // Of a group, it is counted.
    bob.click("#new");
    bob.click_on("#start-people .pick", "Alice");
    bob.click_on("#start-people .pick", "Carol");
    bob.type_into("#start-name", "Night shift");
    bob.click("#start-go");
    alice.open("Night shift");
    alice.until(&format!("{about} === '3 members, 2 online'"), &[]);
    // Among its members one sees who.
    alice.click("#details");
    let there = "[...document.querySelectorAll('#info-members li')].filter((line) => line.querySelector('.avatar.online') \
                 && line.querySelector('.is-online').textContent === 'online').map((line) => line.dataset.user).join()";
    alice.until(&format!("{there} === 'alice,bob'"), &[]);
    let [carol] = browser.people(&site, ["Carol"]);
    alice.until(&format!("{there} === 'alice,bob,carol'"), &[]);
    carol.close();
    bob.close();
    alice.until(&format!("{there} === 'alice'"), &[]);
    alice.click("#info-close");
    alice.until(&format!("{about} === '3 members'"), &[]);
}

#[test]
fn of_two_it_is_shown_once_the_conversation_is_both_s_and_not_while_one_blocks_the_other() {
    let site = Site::dev();
    let browser = Browser::start();
    let [alice, bob] = browser.people(&site, ["Alice", "Bob"]);
    let is = |window: &Window<'_>, about: &str| {
        let shown = "document.getElementById('chat-about').textContent === given[0] \
                     && (document.querySelector('#list .avatar.online') !== null) === (given[0] === 'Online')";
        window.until(shown, &[json!(about)]);
    };
    bob.open("Alice");
    bob.say("do you still have my lantern?");
    bob.sees("do you still have my lantern?", "sent");
    alice.open("Bob");
    alice.until("document.getElementById('asks').checkVisibility()", &[]);
    is(&alice, "@bob");
    is(&bob, "@alice");
    alice.click("#asks-yes");
    is(&alice, "Online");
    is(&bob, "Online");

    alice.click("#details");
    alice.click_on("#info-block", "Block");
    alice.until("document.getElementById('info-block').textContent === 'Unblock'", &[]);
    alice.click("#info-close");
    is(&alice, "@bob");
    is(&bob, "@alice");
    alice.click("#closed-undo");
    is(&alice, "Online");
    // That she has let him in again he is not told; he learns it by her next word.
    alice.say("it is on the hook");
    bob.sees("it is on the hook", "sent");
    is(&bob, "Online");
}
