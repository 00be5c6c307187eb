//! What becomes of a message that is there: another text, emoji, answers, and nothing.

use serde_json::json;

use super::Browser;
use super::chrome::ENTER;
use crate::site::Site;

const UP: &str = "\u{e013}";

#[test]
fn messages_are_edited_answered_given_emoji_and_deleted() {
    let site = Site::dev();
    let browser = Browser::start();
    let [alice, bob] = browser.chat(&site);
    bob.say("the train leves at four");
    alice.sees("the train leves at four", "sent");

    // The arrow upwards brings one's newest message back to be edited.
    bob.sees("the train leves at four", "sent");
    bob.type_into("#text", UP);
    bob.until("document.getElementById('text').value === 'the train leves at four'", &[]);
    bob.script("document.getElementById('text').value = ''", &[]);
    bob.say("the train leaves at four");
    alice.sees("the train leaves at four", "sent");
    alice.until("document.querySelector('.row .edited') !== null", &[]);
    assert_eq!(alice.texts().len(), 1);

    alice.tool("the train leaves at four", "React with 🎉");
    for (window, mine) in [(&alice, "true"), (&bob, "false")] {
        let chip = "[...document.querySelectorAll('.chip')].map((one) => `${one.textContent} ${one.ariaPressed}`).join() === given[0]";
        window.until(chip, &[json!(format!("🎉 1 {mine}"))]);
    }
    bob.click(".chip");
    alice.until("document.querySelector('.chip')?.textContent === '🎉 2'", &[]);
    alice.click(".chip");
    bob.until("document.querySelector('.chip')?.textContent === '🎉 1'", &[]);

    alice.tool("the train leaves at four", "Answer");
    alice.type_keys(&format!("then I run{ENTER}"));
    bob.sees("then I run", "sent");
    bob.until("document.querySelector('.quote')?.textContent === 'Bobthe train leaves at four'", &[]);

    bob.tool("the train leaves at four", "Delete");
    bob.click("#sure button[value='yes']");
    for window in [&alice, &bob] {
        window
            .until("document.querySelector('.row.deleted .bubble p')?.textContent === 'This message was deleted'", &[]);
        window.until("document.querySelector('.quote')?.textContent === 'BobMessage deleted'", &[]);
    }
    // After a reload nothing of it is anywhere, and the rest is as it was.
    alice.reload();
    alice.sees("then I run", "sent");
    assert_eq!(alice.texts(), ["This message was deleted", "then I run"]);
    assert_eq!(alice.script("return document.body.innerHTML.includes('leaves at four')", &[]), false);
}

#[test]
fn lines_are_reached_by_keys_and_tools_are_offered_as_rights_are() {
    let site = Site::dev();
    let browser = Browser::start();
    let [alice, bob] = browser.chat(&site);
    for text in ["one", "two"] {
        alice.say(text);
        bob.sees(text, "sent");
    }
    let tools =
        "return [...document.activeElement.querySelectorAll('.tools > button')].map((one) => one.ariaLabel).join()";
    bob.script("document.querySelector('.row[tabindex=\"0\"]').focus()", &[]);
    assert_eq!(bob.script("return document.activeElement.querySelector('.bubble p').textContent", &[]), "two");
    bob.type_keys(UP);
    assert_eq!(bob.script("return document.activeElement.querySelector('.bubble p').textContent", &[]), "one");
    assert_eq!(bob.script(tools, &[]), "Answer,Pin", "another's message in a chat of two");
    alice.script("document.querySelector('.row[tabindex=\"0\"]').focus()", &[]);
    assert_eq!(alice.script(tools, &[]), "Answer,Pin,Who has read it,Edit,Delete");
}
