//! Conversations by role: a customer, a seller, the support, and staff among themselves; what is offered to whom, and what the
//! server refuses, said in words.

use serde_json::json;

use super::Browser;
use super::chrome::Window;
use crate::plain::Plain;
use crate::site::Site;

/// Waits until this stands in the head of the open conversation: its title, what the others are, and what is said of it.
fn head(window: &Window<'_>, title: &str, label: &str, about: &str) {
    let shown = "[...document.querySelectorAll('#chat-name, #chat-label, #chat-about')].map((one) => one.textContent).join('|')";
    window.until(&format!("{shown} === given[0]"), &[json!(format!("{title}|{label}|{about}"))]);
}

/// Opens the dialog that begins a conversation; gives what it offers.
fn offered(window: &Window<'_>) -> String {
    window.click("#new");
    let offered = "[...document.querySelectorAll('#start-what .segment')].map((one) => one.textContent).join()";
    let offered = window.until(offered, &[]).as_str().expect("text").to_owned();
    assert_eq!(window.nameless(), json!([]));
    offered
}

/// Chooses what to begin there.
fn choose(window: &Window<'_>, what: &str) {
    window.script("document.querySelector(`#start-what [value=${arguments[0]}]`).click()", &[json!(what)]);
}

/// What can be done in the details of the open conversation, and then closes them.
fn actions(window: &Window<'_>) -> String {
    window.click("#details");
    let all = "document.querySelectorAll('#info-members [data-user]').length > 0 && \
               [...document.querySelectorAll('#info :is(form, menu) button')].filter((one) => one.checkVisibility()).map((one) => one.textContent).join()";
    let said = window.until(all, &[]).as_str().expect("text").to_owned();
    assert_eq!(window.nameless(), json!([]));
    window.click("#info-close");
    said
}

/// The reference of the open conversation, as its details say it.
fn reference(window: &Window<'_>) -> String {
    window.click("#details");
    let said = window.until("document.getElementById('info-id').textContent", &[]);
    window.click("#info-close");
    said.as_str().expect("text").to_owned()
}

/// Goes to a conversation by a link to it.
fn follow(window: &Window<'_>, id: &str) {
    window.script("location.hash = arguments[0]", &[json!(id)]);
}

#[test]
fn a_customer_asks_the_support_and_an_agent_comes() {
    let site = Site::dev();
    let browser = Browser::start();
    let [alice, erin] = browser.people(&site, ["Alice", "Erin"]);
    alice.open("Support");
    head(&alice, "Support", "", "Nobody of the support is here yet");
    alice.say("my parcel is late");
    alice.sees("my parcel is late", "sent");
    let id = reference(&alice);

    // Nobody was named, so it is in nobody's list. By its reference an agent finds it, looks on, and leaves no trace.
    assert_eq!(erin.script("return document.querySelectorAll('#list .item').length", &[]), 0);
    assert_eq!(offered(&erin), "People,A customer,A seller,Staff,By reference");
    choose(&erin, "reference");
    erin.type_into("#start-reference", &id);
    erin.click("#start-go");
    head(&erin, "Alice", "Customer", "Nobody of the support is here yet");
    erin.sees("my parcel is late", "sent");
    erin.until("document.getElementById('visited').checkVisibility()", &[]);
    assert!(!actions(&erin).contains("Leave"), "whoever is no member cannot go");
    follow(&erin, "");
    erin.until("document.querySelectorAll('#list .item').length === 0", &[]);
    follow(&erin, &id);
    // What happens there meanwhile, an agent sees come.
    erin.sees("my parcel is late", "sent");
    alice.say("are you there?");
    erin.sees("are you there?", "sent");

    // Whoever writes joins, and is shown as what they are.
    erin.say("let me look");
    alice.told("Erin joined");
    alice.sees("let me look", "sent");
    alice.until("document.querySelector('.row .sender .label')?.textContent === 'Support'", &[]);
    head(&alice, "Support", "", "With Erin");
    erin.until("!document.getElementById('visited').checkVisibility()", &[]);
    assert_eq!(actions(&erin), "Rename,Add,Leave,Archive,Close for writing");
    assert_eq!(actions(&alice), "Archive,Close for writing", "it is hers for good, and not hers to rename");
    let tools =
        "return [...document.querySelectorAll('.row:not(.own) .tools > button')].map((one) => one.ariaLabel).join()";
    assert_eq!(alice.script(tools, &[]), "Answer");
    assert_eq!(erin.script(tools, &[]), "Answer,Pin,Delete,Answer,Pin,Delete");

    // Another service says something there: a line of its own, which nobody has to read.
    let mut orders = Plain::open_with(&site, &site.token_as("orders", &["SERVICE"]));
    erin.look(false);
    orders.done(
        "send",
        &json!({"conversation": id, "client_id": "o1", "kind": "SYSTEM", "text": "It has left the depot."}),
    );
    for window in [&alice, &erin] {
        let line = "[...document.querySelectorAll('.row.system .notice')].map((one) => one.querySelector('.sender').textContent + one.querySelector('p').textContent).join()";
        window.until(&format!("{line} === 'ordersIt has left the depot.'"), &[]);
        window.unread(if std::ptr::eq(window, &alice) { "Support" } else { "Alice" }, 0);
    }
    erin.look(true);
    erin.click("#details");
    erin.click_on("#info-toggle", "Close for writing");
    erin.click("#info-close");
    alice.told("Erin closed the conversation");
    alice.until(
        "document.getElementById('closed-text').textContent.endsWith('is closed. It can be read, not written to.')",
        &[],
    );
    alice.until("document.querySelector('#list .badges').textContent === 'closed'", &[]);

    // After a reload all of it stands there, and the agent has it in the list.
    for window in [&alice, &erin] {
        window.reload();
        window.told("It has left the depot.");
    }
    alice.told("Erin joined");
    alice.until("document.querySelector('.row .sender .label')?.textContent === 'Support'", &[]);
    follow(&erin, "");
    erin.open("Alice");
    erin.told("You closed the conversation");
    alice.click_on("#closed-undo", "Reopen");
    erin.told("Alice reopened the conversation");

    // To other customers it does not exist, whatever they know.
    let [bob] = browser.people(&site, ["Bob"]);
    follow(&bob, &id);
    bob.toasted("There is no such conversation, or it is not yours to read.");
    bob.until("location.hash === ''", &[]);
}

#[test]
fn customers_and_sellers_write_to_each_other_and_each_to_the_support() {
    let site = Site::dev();
    let browser = Browser::start();
    let [alice] = browser.people(&site, ["Alice"]);
    // Nobody knows yet that Dave sells: what the server refuses is said in words.
    alice.click_on("#suggested .item", "Dave");
    alice.toasted("That does not go between you and Dave.");
    let [dave] = browser.people(&site, ["Dave"]);
    alice.open("Dave");
    head(&alice, "Dave", "Seller", "Online");
    alice.say("is the lantern there still?");
    dave.unread("Alice", 1);
    dave.open("Alice");
    head(&dave, "Alice", "Customer", "Online");
    dave.say("it is");
    alice.sees("it is", "sent");
    alice.ticks("is the lantern there still?", "read");
    for window in [&alice, &dave] {
        assert_eq!(actions(window), "Archive,Close for writing", "of two, and no direct one");
    }

    // About something else, it is another one; about the same, it is the same.
    assert_eq!(offered(&alice), "People,A seller,Support");
    choose(&alice, "seller");
    alice.click_on("#start-people .pick", "Dave");
    alice.type_into("#start-topic", "order 7");
    alice.click("#start-go");
    head(&alice, "Dave", "Seller", "order 7 · Online");
    alice.say("and this one?");
    let both = "[...document.querySelectorAll('#list .item')].map((one) => one.querySelector('.name').textContent + one.querySelector('.topic').textContent).join()";
    dave.until(&format!("{both} === 'Aliceorder 7,Alice'"), &[]);
    assert_eq!(offered(&dave), "People,A customer,Support", "what a seller may not is not offered");
    choose(&dave, "customer");
    dave.click_on("#start-people .pick", "Alice");
    dave.type_into("#start-topic", "order 7");
    dave.click("#start-go");
    dave.sees("and this one?", "sent");
    // Whom the server knows as no customer, it refuses here.
    offered(&dave);
    choose(&dave, "customer");
    dave.type_into("#start-other", "dave");
    dave.click("#start-go");
    dave.until("document.getElementById('start-error').textContent !== ''", &[]);
    dave.click("#start button[value='']");

    // A seller asks the support, about something; an agent opens it by its link.
    offered(&dave);
    choose(&dave, "support");
    dave.type_into("#start-topic", "payout of May");
    dave.click("#start-go");
    head(&dave, "Support", "", "payout of May · Nobody of the support is here yet");
    dave.say("where is it?");
    dave.sees("where is it?", "sent");
    let id = reference(&dave);
    let [erin] = browser.people(&site, ["Erin"]);
    follow(&erin, &id);
    head(&erin, "Dave", "Seller", "payout of May · Nobody of the support is here yet");
    erin.say("on its way");
    dave.sees("on its way", "sent");
    dave.until("document.querySelector('[data-filter=support]').checkVisibility()", &[]);
    dave.click("[data-filter=support]");
    dave.until(&format!("[...document.querySelectorAll('#list .item')].filter((one) => one.checkVisibility()).length === 1 && {both}.includes('Supportpayout of May')"), &[]);
}

#[test]
fn staff_talk_among_themselves_and_begin_with_customers() {
    let site = Site::dev();
    let browser = Browser::start();
    let [erin, frank] = browser.people(&site, ["Erin", "Frank"]);
    erin.open("Frank");
    head(&erin, "Frank", "Internal", "Online");
    erin.say("two parcels are stuck");
    frank.open("Erin");
    head(&frank, "Erin", "Internal", "Online");
    frank.sees("two parcels are stuck", "sent");
    let id = frank.script("return decodeURIComponent(location.hash.slice(1))", &[]);

    offered(&frank);
    choose(&frank, "staff");
    frank.click_on("#start-people .pick", "Erin");
    frank.type_into("#start-name", "Returns");
    frank.click("#start-go");
    head(&frank, "Returns", "Internal", "2 members, 2 online");
    erin.open("Returns");
    // Only staff come into it.
    frank.click("#details");
    frank.type_into("#info-new", "alice");
    frank.click_on("#info-add button", "Add");
    frank.until("document.getElementById('info-error').textContent === 'That is not allowed here.'", &[]);
    frank.click("#info-close");

    // An agent begins with a customer, to whom it comes; a link to what is internal leads a customer nowhere.
    erin.open("Alice");
    erin.say("your parcel is stuck");
    let [alice] = browser.people(&site, ["Alice"]);
    alice.unread("Support", 1);
    alice.open("Support");
    head(&alice, "Support", "", "With Erin");
    follow(&alice, id.as_str().expect("text"));
    alice.toasted("There is no such conversation, or it is not yours to read.");
}
