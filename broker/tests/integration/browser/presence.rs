//! Who is online, and who was when.

use serde_json::json;

use super::Browser;
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
