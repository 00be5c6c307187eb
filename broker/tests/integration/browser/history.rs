//! History comes by scrolling, and what is read stays where it is.

use serde_json::json;

use super::Browser;
use crate::plain::Plain;
use crate::site::Site;

/// Three pages of the page's own, and a little.
const MESSAGES: usize = 130;

#[test]
fn history_comes_by_scrolling_up_and_nothing_jumps() {
    let site = Site::dev();
    let mut bob = Plain::open(&site, "bob");
    let conversation = bob.direct("alice");
    for n in 1..=MESSAGES {
        bob.send(&conversation, &format!("w{n}"), &format!("wagon {n}"));
    }
    let browser = Browser::start();
    let alice = browser.window(&site);
    alice.log_in("Alice");
    alice.open("Bob");
    alice.sees(&format!("wagon {MESSAGES}"), "sent");
    assert!(alice.texts().len() < MESSAGES / 2, "not all is there at once");

    // The oldest that is there is brought into view; above it more comes, and it does not move.
    let oldest = alice.texts().first().expect("some").clone();
    let place =
        "const row = [...document.querySelectorAll('.bubble p')].find((text) => text.textContent === arguments[0]);
                 return row.getBoundingClientRect().top";
    alice.script("document.getElementById('scroll').scrollTop = 150", &[]);
    let before = alice.script(place, &[json!(oldest)]).as_f64().expect("a number");
    alice.until("document.querySelectorAll('.row').length >= 80", &[]);
    let after = alice.script(place, &[json!(oldest)]).as_f64().expect("a number");
    assert!((before - after).abs() < 2.0, "{oldest} was at {before} and is at {after}");

    // Whoever reads old messages is told of new ones, and is not torn away from what they read.
    bob.send(&conversation, "new", "a new one");
    alice.until("document.getElementById('newest').textContent.includes('1 new')", &[]);
    let still = alice.script(place, &[json!(oldest)]).as_f64().expect("a number");
    assert!((after - still).abs() < 2.0, "{oldest} was at {after} and is at {still}");
    alice.click("#newest");
    alice.until("document.getElementById('newest').hidden", &[]);

    // To the beginning: each message once, in order.
    alice.until("(document.getElementById('scroll').scrollTop = 0, !document.getElementById('beginning').hidden)", &[]);
    let expected: Vec<String> = (1..=MESSAGES).map(|n| format!("wagon {n}")).chain(["a new one".to_owned()]).collect();
    assert_eq!(alice.texts(), expected);
}
