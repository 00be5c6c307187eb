//! Row 40 of the list of wrong and hostile input: what people write is text, whatever it says.

use serde_json::json;

use super::Browser;
use crate::plain::acquainted;
use crate::site::Site;

/// Markup and script in several ways, terminal colours, text that turns its surroundings around, and what no eye sees.
const HOSTILE: &[&str] = &[
    "<script>globalThis.owned = 1</script>",
    "<img src=x onerror=\"globalThis.owned = 2\">",
    "<svg onload=globalThis.owned=3><b>bold</b>",
    "[a link](javascript:globalThis.owned=4) <a href='javascript:globalThis.owned=5'>here</a>",
    "javascript:globalThis.owned=6",
    "\u{1b}[31mred\u{1b}[0m \u{1b}]0;title\u{7} \u{9b}2J",
    "\u{202e}gnp.exe\u{202c} \u{2066}isolated and never ended",
    "zero\u{200b}width \u{feff} &lt;b&gt; &#60;i&#62;",
];

#[test]
fn n40_what_people_write_is_shown_as_text() {
    let site = Site::dev();
    let (mut bob, conversation) = acquainted(&site, "bob", "alice");
    for (n, text) in HOSTILE.iter().enumerate() {
        bob.send(&conversation, &format!("h{n}"), text);
    }
    let browser = Browser::start();
    let [alice] = browser.people(&site, ["Alice"]);
    alice.open("Bob");
    alice.until("document.querySelectorAll('.bubble p').length === given[0]", &[json!(HOSTILE.len())]);
    assert_eq!(alice.texts(), HOSTILE, "as it was written, to the last sign");

    // A live one, and names of conversations, go the same way.
    let group = format!("{}{}", HOSTILE[1], HOSTILE[6]);
    alice.click("#new");
    alice.click_on("#start-people .pick", "Bob");
    alice.script(
        "document.getElementById('start-name').value = arguments[0]; \
                  document.getElementById('start').dispatchEvent(new Event('input'))",
        &[json!(group)],
    );
    alice.click("#start-go");
    alice.until("document.getElementById('chat-name').textContent === given[0]", &[json!(group)]);
    alice.until(
        "[...document.querySelectorAll('.item .name')].some((one) => one.textContent === given[0])",
        &[json!(group)],
    );

    let made = alice.script(
        "return document.querySelectorAll('#app :is(script, img, b, i, a:not(.links a), iframe), .bubble p > *, .name > *').length",
        &[],
    );
    assert_eq!(made, 0, "nothing was made of it");
    assert_eq!(alice.script("return typeof globalThis.owned", &[]), "undefined");
    // Text that turns around turns itself around alone.
    let alone = "return [...document.querySelectorAll('.bubble p, bdi')].every((one) => \
                 ['isolate', 'plaintext', 'isolate-override'].includes(getComputedStyle(one).unicodeBidi))";
    assert_eq!(alice.script(alone, &[]), true);
}

#[test]
fn the_page_runs_nothing_but_its_own_files() {
    let site = Site::dev();
    let browser = Browser::start();
    let [window] = browser.people(&site, ["Alice"]);
    // Were a text ever made markup by a mistake, the browser would refuse.
    let refused = window.run(
        "const directives = new Set();
         const all = new Promise((resolve) => document.addEventListener('securitypolicyviolation', (event) => {
             directives.add(event.effectiveDirective);
             if (directives.size === 4) resolve();
         }));
         try { document.createElement('div').innerHTML = '<b>x</b>'; } catch { }
         new Image().src = 'http://127.0.0.1:1/x.png';
         new WebSocket('ws://127.0.0.1:1/');
         const link = document.createElement('script');
         try { link.textContent = 'globalThis.owned = 1'; } catch { }
         document.head.append(document.createElement('style'));
         document.head.lastChild.append('body { display: none }');
         await all;
         return [...directives].sort()",
        &[],
    );
    assert_eq!(refused, json!(["connect-src", "img-src", "require-trusted-types-for", "style-src-elem"]));
}
