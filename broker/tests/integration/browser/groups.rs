//! Groups: made in a dialog, with members and roles to look at and to change, and closed and reopened.

use serde_json::json;

use super::Browser;
use super::chrome::Window;
use crate::plain::Plain;
use crate::site::Site;

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
    alice.until("document.querySelectorAll('#info-members [data-user]').length === 3", &[]);
    alice.type_into("#info-members select[aria-label='Role of Bob']", "moderator");
    bob.told("Alice made you a moderator");
    bob.click("#details");
    bob.until("[...document.querySelectorAll('#info-members .role')].map((one) => one.textContent).join() === 'admin,moderator'", &[]);
    bob.until("document.getElementById('info-toggle').checkVisibility() === false", &[]);
    bob.click("#info-close");

    alice.click("#info-members button[aria-label='Remove Bob']");
    bob.toasted("You are no longer in Night shift.");
    bob.until("![...document.querySelectorAll('.item')].some((one) => one.textContent.includes('Night shift'))", &[]);
    alice.told("You removed Bob");
}

#[test]
fn nothing_moves_under_the_pointer_once_the_members_are_there() {
    let site = Site::dev();
    let browser = Browser::start();
    let ([alice, _], ..) = browser.night_shift(&site);
    alice.open("Night shift");
    let at =
        "const { x, y, height } = document.getElementById('info-leave').getBoundingClientRect(); return [x, y, height]";
    // Looked at before anything that the server says can have come in between.
    let before = alice.script(&format!("document.getElementById('details').click(); {at}"), &[]);
    alice.until("document.querySelectorAll('#info-members [data-user]').length === 3", &[]);
    assert_eq!(alice.script(at, &[]), before);
}

#[test]
fn a_closed_conversation_is_read_only_until_it_is_reopened() {
    let site = Site::dev();
    let browser = Browser::start();
    let [alice, bob] = browser.chat(&site);
    alice.click("#details");
    alice.click("#info-toggle");
    bob.told("Alice closed the conversation");
    bob.until(
        "!document.getElementById('composer').checkVisibility() && document.getElementById('closed').checkVisibility()",
        &[],
    );
    bob.click("#details");
    bob.click_on("#info-toggle", "Reopen");
    alice.told("Bob reopened the conversation");
    alice.click("#info-close");
    alice.say("open again");
    bob.sees("open again", "sent");
}

/// What stands in the open conversation, in order.
const LINES: &str = "[...document.querySelectorAll('.row p')].map((one) => one.textContent)";

#[test]
fn what_was_told_is_in_history_too() {
    let site = Site::dev();
    let mut carol = Plain::open(&site, "carol");
    let group = carol.group("Night shift", &["alice", "bob"]);
    let one = json!({"conversation": group});
    let with = |more: serde_json::Value| {
        let mut body = one.clone();
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        body
    };
    let mut expected = Vec::new();
    // Far more of it than one page of the page's own, and than one answer of the server.
    for n in 1..=12 {
        carol.done("update", &with(json!({"name": format!("Shift {n}")})));
        expected.push(format!("Carol named it “Shift {n}”"));
        for m in 1..=10 {
            let said = carol.send(&group, &format!("m{n}-{m}"), &format!("wagon {n}-{m}"))["message"]["id"].clone();
            expected.push(format!("wagon {n}-{m}"));
            for emoji in ["👍", "🎉", "❤️", "😂", "😮"] {
                carol.done("react", &json!({"id": said, "emoji": emoji}));
            }
        }
    }
    carol.done("promote", &with(json!({"member": "bob", "role": "moderator"})));
    carol.done("add", &with(json!({"members": ["dave"]})));
    carol.done("remove", &with(json!({"member": "dave"})));
    carol.done("close", &one);
    carol.done("reopen", &one);
    carol.done("leave", &one);
    expected.extend(
        [
            "Carol made Bob a moderator",
            "Carol added Dave",
            "Carol removed Dave",
            "Carol closed the conversation",
            "Carol reopened the conversation",
            "Carol left. Bob is now an admin",
        ]
        .map(str::to_owned),
    );
    Plain::open(&site, "alice").done("mark", &with(json!({"read": 700})));

    let browser = Browser::start();
    let [alice] = browser.people(&site, ["Alice"]);
    alice.open("Shift 12");
    alice.told("Carol left. Bob is now an admin");
    alice.until("(document.getElementById('scroll').scrollTop = 0, !document.getElementById('beginning').hidden)", &[]);
    assert_eq!(alice.script(&format!("return {LINES}"), &[]), json!(expected), "all of it, once and in order");

    // From far up, around a message that somebody goes to, it is there as well; and what comes live follows it.
    Plain::open(&site, "bob").done("update", &with(json!({"name": "The last shift"})));
    alice.told("Bob named it “The last shift”");
    alice.reload();
    alice.told("Bob named it “The last shift”");
    alice.told("Carol closed the conversation");
}

#[test]
fn where_too_much_happened_to_look_for_it_all_a_line_says_so() {
    let site = Site::dev();
    let browser = Browser::start();
    let window = browser.window(&site);
    let found = window.run(
        "const { Told } = await import('/page/told.js');
         const asked = [];
         const client = { events: async (conversation, { after }) => {
             asked.push(after);
             const events = Array.from({ length: given[0] }, (_, n) => ({ event: 'conversation', seq: after + 1 + n, change: { closed: true, by: 'bob', time_ms: 1 } }));
             return { events, more: true };
         } };
         const told = new Told(client, 'c', 'alice', () => {});
         const lines = await told.between(1, 5_000, 40);
         const again = asked.length;
         await told.between(4_000, 4_900, 40);
         return { asked, again: asked.length - again, count: lines.length, last: lines.findLast(({ time }) => time === undefined) }",
        &[json!(500)],
    );
    assert_eq!(found["asked"], json!([3000, 3500, 4000, 4500]), "the newest, and no more than four answers of it");
    assert_eq!((&found["count"], &found["again"]), (&json!(2_001), &json!(0)), "what is known is not asked for again");
    assert_eq!(
        (&found["last"]["seq"], &found["last"]["text"]),
        (&json!(3000.5), &json!("What was changed before this, beside messages, is not shown"))
    );
}
