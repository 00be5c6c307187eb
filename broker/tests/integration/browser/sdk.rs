//! The JavaScript SDK in a page: tokens, errors, resuming, and messages that outlive the page.

use serde_json::{Value, json};

use super::Browser;
use super::chrome::Window;
use crate::plain::{Plain, keys};
use crate::site::{ISSUER, Site, now};

/// A client under this name in the page: `given[0]` is a list of tokens, of which each is used once but the last.
const CONNECT: &str = "const { connect } = await import('/sdk/switchyard.js');
    const tokens = given[0];
    globalThis.asked = 0;
    globalThis.states = [];
    globalThis.client = connect({ token: async () => (asked += 1, tokens.length > 1 ? tokens.shift() : tokens[0]), account: given[1] });
    client.on('state', ({ state }) => states.push(state));
    await client.ready();";

/// A client whose token does not come: it cannot send anything yet.
const WAIT_FOR_TOKEN: &str = "const { connect } = await import('/sdk/switchyard.js');
    globalThis.client = connect({ token: () => new Promise(() => {}), account: given[0] });";

fn connect(window: &Window<'_>, tokens: &[String], account: Option<&str>) {
    window.run(CONNECT, &[json!(tokens), json!(account)]);
}

/// The texts that are stored, oldest first.
fn stored(plain: &mut Plain, conversation: &str) -> Vec<String> {
    let page = plain.done("history", &json!({"conversation": conversation, "after": 0, "limit": 200}));
    let messages = page["messages"].as_array().expect("a list");
    messages.iter().map(|message| message["text"].as_str().expect("text").to_owned()).collect()
}

#[test]
fn a_token_is_renewed_while_the_session_lives() {
    let site = Site::dev();
    let browser = Browser::start();
    let window = browser.window(&site);
    // The server warns a minute before the end, so at once.
    let short = site.sign(&json!({"sub": "alice", "iss": ISSUER, "iat": now(), "exp": now() + 20}));
    connect(&window, &[short, site.token("alice")], None);
    window.until("asked === 2", &[]);
    // What is asked behind the renewal is answered behind it.
    assert!(window.run("return client.ping()", &[]).as_u64().expect("a time") > 0);
    assert_eq!(window.script("return [states, client.state.state]", &[]), json!([["online"], "online"]));
}

#[test]
fn a_service_posts_once() {
    let site = Site::dev();
    let browser = Browser::start();
    let window = browser.window(&site);
    let mut alice = Plain::open(&site, "alice");
    let room = alice.group("room", &["bob"]);
    alice.send(&room, "a1", "where is it?");
    connect(&window, &[site.token_as("orders", &["SERVICE"])], None);
    let post = "const draft = { kind: 'SYSTEM', text: 'order 7 was shipped', ...given[1] };
        const { message, duplicate } = await client.send(given[0], draft);
        return [message.seq, message.kind, message.sender, duplicate]";
    assert_eq!(window.run(post, &[json!(room), json!({})]), json!([2, "SYSTEM", "orders", false]));
    for duplicate in [false, true] {
        let chosen = json!({"client_id": "order-7"});
        assert_eq!(window.run(post, &[json!(room), chosen]), json!([3, "SYSTEM", "orders", duplicate]));
    }
    let refused = window.run(
        "return await client.send(given[0], 'as a person').then(() => 'stored', ({ code }) => code)",
        &[json!(room)],
    );
    assert_eq!(refused, "FORBIDDEN");
    assert_eq!(stored(&mut alice, &room).len(), 3);
}

#[test]
fn a_provider_that_has_no_token_ends_the_client() {
    let site = Site::dev();
    let browser = Browser::start();
    let window = browser.window(&site);
    let closed = window.run(
        "const { connect, NoToken } = await import('/sdk/switchyard.js');
         const client = connect({ token: async () => { throw new NoToken('logged out'); } });
         const { code, closed } = await client.ready().then(() => ({}), (error) => error);
         return { code, closed }",
        &[],
    );
    assert_eq!(closed, json!({"code": "CLIENT_CLOSED", "closed": {"by": "token", "reason": "logged out"}}));
}

#[test]
fn errors_have_the_servers_codes_and_every_call_is_there() {
    let site = Site::dev();
    let strange = Plain::open(&site, "carol").direct("bob");
    let browser = Browser::start();
    let window = browser.window(&site);
    connect(&window, &[site.token("alice")], None);
    let errors = window.run(
        "const codes = {};
         const of = async (name, act) => {
             codes[name] = await act().then(() => 'done', ({ code, number, message }) => `${code} ${number} ${message !== ''}`);
         };
         const { conversation } = await client.create({ kind: 'direct', members: ['bob'] });
         await of('stranger', () => client.get(given[0]));
         await of('stranger sends', () => client.send(given[0], 'hi'));
         await of('stranger subscribes', () => client.subscribe(given[0]));
         await of('nothing', () => client.history('nothing', {}));
         await of('large', () => client.send(conversation.id, 'x'.repeat(65_537)));
         await of('beyond', () => client.subscribe(conversation.id, { after: 1_000 }));
         await of('role', () => client.promote(conversation.id, 'bob', 'admin'));
         return codes",
        &[json!(strange)],
    );
    assert_eq!(
        errors,
        json!({
            "stranger": "NOT_FOUND 2003 true",
            "stranger sends": "NOT_FOUND 2003 true",
            "stranger subscribes": "NOT_FOUND 2003 true",
            "nothing": "NOT_FOUND 2003 true",
            "large": "TOO_LARGE 0 true",
            "beyond": "BAD_REQUEST 2004 true",
            "role": "FORBIDDEN 2002 true",
        })
    );

    // What the types promise is there.
    let missing = window.run(
        "const { Client } = await import('/sdk/switchyard.js');
         const types = await (await fetch('/sdk/switchyard.d.ts')).text();
         const [, body] = types.match(/export class Client \\{([^]*?)\\n\\}/);
         const names = [...body.matchAll(/^  ([a-zA-Z]+)[<(]/gm)].map(([, name]) => name);
         return { names: names.length, missing: names.filter((name) => !(name in Client.prototype) && name !== 'constructor') }",
        &[],
    );
    assert!(missing["names"].as_u64() > Some(20) && missing["missing"] == json!([]), "{missing}");
}

#[test]
fn reading_goes_on_where_it_was_when_the_server_comes_back() {
    let mut site = Site::dev();
    let browser = Browser::start();
    let window = browser.window(&site);
    let mut bob = Plain::open(&site, "bob");
    let conversation = bob.direct("alice");
    bob.send(&conversation, "b1", "1");
    connect(&window, &[site.token("alice")], None);
    window.run(
        "globalThis.seen = [];
         client.on('message', ({ message }) => seen.push(message.text));
         await client.subscribe(given[0], { after: 0 })",
        &[json!(conversation)],
    );
    bob.send(&conversation, "b2", "2");
    window.until("seen.length === 2", &[]);
    site.kill();
    window.until("client.state.state === 'connecting'", &[]);
    site.start_again();
    let mut bob = Plain::open(&site, "bob");
    for n in 3..=9 {
        bob.send(&conversation, &format!("b{n}"), &n.to_string());
    }
    window.until("client.state.state === 'online' || (client.hurry(), false)", &[]);
    bob.send(&conversation, "b10", "10");
    window.until("seen.includes('10')", &[]);
    let expected: Vec<Value> = (1..=10).map(|n| json!(n.to_string())).collect();
    assert_eq!(window.script("return seen", &[]), json!(expected), "nothing missed, nothing twice");
}

#[test]
fn unsent_messages_survive_a_reload_and_are_stored_once() {
    let site = Site::dev();
    let browser = Browser::start();
    let window = browser.window(&site);
    let mut bob = Plain::open(&site, "bob");
    let conversation = bob.direct("alice");
    window.run(WAIT_FOR_TOKEN, &[json!("alice")]);
    let ids = window.run(
        "globalThis.ids = ['one', 'two', 'three'].map((text) => client.post(given[0], text).clientId);
         return ids",
        &[json!(conversation)],
    );
    // They are on the disk once all three are found there.
    let kept = "const open = (request) => new Promise((done) => (request.onsuccess = () => done(request.result)));
        const database = await open(indexedDB.open('switchyard'));
        for (let found = []; found.length < 3; ) found = await open(database.transaction('unsent').objectStore('unsent').getAll());
        database.close()";
    window.run(kept, &[]);
    bob.done("subscribe", &json!({"conversations": [conversation]}));
    window.reload();
    connect(&window, &[site.token("alice")], Some("alice"));
    // Being online says nothing of what the disk has: the messages themselves are waited for.
    for _ in 0..3 {
        bob.event("message");
    }
    window.until("client.unsent().length === 0", &[]);
    assert_eq!(stored(&mut bob, &conversation), ["one", "two", "three"]);
    let page = bob.done("history", &json!({"conversation": conversation, "after": 0}));
    let stored_ids: Vec<&Value> =
        page["messages"].as_array().expect("a list").iter().map(|m| &m["client_id"]).collect();
    assert_eq!(json!(stored_ids), ids, "under the ids that they had");

    // And not again with the next visit.
    window.reload();
    connect(&window, &[site.token("alice")], Some("alice"));
    window.run("await client.send(given[0], 'four')", &[json!(conversation)]);
    assert_eq!(stored(&mut bob, &conversation), ["one", "two", "three", "four"]);
}

#[test]
fn a_tab_takes_over_what_another_left_when_that_is_closed() {
    let site = Site::dev();
    let browser = Browser::start();
    let (first, second) = (browser.window(&site), browser.window(&site));
    let mut bob = Plain::open(&site, "bob");
    let conversation = bob.direct("alice");
    first.run(WAIT_FOR_TOKEN, &[json!("alice")]);
    first.run("client.post(given[0], 'from the first tab')", &[json!(conversation)]);
    let written = "const open = (request) => new Promise((done) => (request.onsuccess = () => done(request.result)));
        const database = await open(indexedDB.open('switchyard'));
        while ((await open(database.transaction('unsent').objectStore('unsent').getAll())).length === 0);
        database.close()";
    first.run(written, &[]);
    connect(&second, &[site.token("alice")], Some("alice"));
    second.run("await client.send(given[0], 'from the second')", &[json!(conversation)]);
    assert_eq!(second.script("return client.unsent().length", &[]), 0, "the first tab lives, and sends its own");
    first.close();
    // It comes by itself: the lock of the tab that is gone is free.
    bob.done("subscribe", &json!({"conversations": [conversation]}));
    while !stored(&mut bob, &conversation).iter().any(|text| text == "from the first tab") {
        bob.event("message");
    }
    assert_eq!(stored(&mut bob, &conversation), ["from the second", "from the first tab"]);
}

#[test]
fn it_speaks_the_wire_as_it_is_documented() {
    let site = Site::dev();
    let browser = Browser::start();
    let window = browser.window(&site);
    connect(&window, &[site.token("alice")], None);
    let said = window.run(
        "const { conversation, created } = await client.create({ kind: 'group', name: 'Yard', members: ['bob'] });
         const told = new Promise((resolve) => client.on('conversation', resolve));
         const typed = new Promise((resolve) => client.on('typing', resolve));
         await client.subscribe(conversation.id);
         await client.open([conversation.id]);
         await client.update(conversation.id, { name: 'The yard' });
         const sent = await client.send(conversation.id, 'hello');
         await client.add(conversation.id, ['carol']);
         const { members } = await client.members(conversation.id);
         const page = await client.history(conversation.id, { limit: 5 });
         return { conversation, created, sent, members, page, change: await told, typing: await typed }",
        &[],
    );
    assert_eq!((&said["created"], &said["sent"]["duplicate"]), (&true.into(), &false.into()));
    assert_eq!(said["change"]["change"]["name"], "The yard");
    assert_eq!(keys(&said["typing"]), ["conversation", "event", "more", "users"]);
    assert_eq!(said["page"]["messages"], json!([said["sent"]["message"]]));
    let roles: Vec<&Value> = said["members"].as_array().expect("a list").iter().map(|member| &member["role"]).collect();
    assert_eq!(roles, ["admin", "member", "member"]);
}

#[test]
fn all_conversations_are_listed_read_and_marked() {
    let mut site = Site::without_requests();
    let browser = Browser::start();
    let window = browser.window(&site);
    let mut bob = Plain::open(&site, "bob");
    let direct = bob.direct("alice");
    bob.send_texts(&direct, 1..=3);
    let group = bob.group("Yard", &["alice"]);
    connect(&window, &[site.token("alice")], None);
    let said = window.run(
        "globalThis.told = [];
         for (const name of ['message', 'listed', 'unlisted', 'marks', 'marked', 'unmarked']) {
             client.on(name, (event) => told.push({ name, ...event }));
         }
         const { subscribed, all } = await client.subscribeAll();
         const first = await client.list({ limit: 1 });
         const second = await client.list({ limit: 1, cursor: first.cursor });
         const groups = await client.list({ kind: 'group' });
         const named = await client.list({ name: 'BO' });
         const bad = await client.list({ cursor: 'made up' }).catch(({ code }) => code);
         return { subscribed: subscribed.length, total: all.total, first, second, groups, named, bad,
                  unread: await client.unread([given[0], given[1]]) }",
        &[json!(direct), json!(group)],
    );
    assert_eq!((&said["subscribed"], &said["total"], &said["bad"]), (&json!(2), &json!(2), &json!("BAD_REQUEST")));
    assert_eq!(
        (&said["first"]["conversations"][0]["conversation"]["name"], &said["first"]["more"]),
        (&json!("Yard"), &json!(true))
    );
    let of_bob = &said["second"]["conversations"][0];
    assert_eq!((&of_bob["peer"], &of_bob["last"]["text"]), (&json!("bob"), &json!("wagon 3")));
    assert_eq!(of_bob["conversation"]["unread"], 3);
    assert_eq!(said["groups"]["conversations"].as_array().map(Vec::len), Some(1));
    assert_eq!(said["named"]["conversations"], said["second"]["conversations"]);
    assert_eq!(said["unread"]["total"], 3);

    // Live ones come by themselves, and so does what begins later.
    bob.send_texts(&direct, 4..=4);
    window.until("told.some(({ name, message }) => name === 'message' && message.text === 'wagon 4')", &[]);
    let late = bob.group("Late", &["alice"]);
    window.until("told.some(({ name, listing }) => name === 'listed' && listing.conversation.name === 'Late')", &[]);
    bob.send(&late, "l", "hello");
    window.until("told.some(({ name, message }) => name === 'message' && message.text === 'hello')", &[]);
    bob.done("remove", &json!({"conversation": late, "member": "alice"}));
    window.until(
        "told.some(({ name, conversation }) => name === 'unlisted' && conversation === given[0])",
        &[json!(late)],
    );

    // Marks: what the server made of them, and what it refused.
    window.run("for (let read = 1; read <= 3; read += 1) client.mark(given[0], { read })", &[json!(direct)]);
    let marked = window.until("told.find(({ name, unread }) => name === 'marked' && unread === 1)", &[]);
    assert_eq!((&marked["marks"]["user"], &marked["marks"]["read"]), (&json!("alice"), &json!(3)));
    bob.done("subscribe", &json!({"conversations": [direct]}));
    bob.done("mark", &json!({"conversation": direct, "read": 4}));
    window.run("client.mark(given[0], { read: 1_000 }); client.mark('nothing', { read: 1 })", &[json!(direct)]);
    let refused =
        "told.filter(({ name }) => name === 'unmarked').map(({ error, read }) => `${error.code} ${read}`).sort()";
    window.until(&format!("{refused}.length === 2"), &[]);
    assert_eq!(window.script(&format!("return {refused}"), &[]), json!(["BAD_REQUEST 1000", "NOT_FOUND 1"]));
    let seen = window.run(
        "const { messages } = await client.history(given[0], { limit: 1 });
         return [await client.seenBy(messages[0].id), await client.marks(given[0], { seq: 3 })]",
        &[json!(direct)],
    );
    let users = |page: &Value| {
        let marks = page["marks"].as_array().expect("a list").iter();
        marks.map(|one| one["user"].as_str().expect("a user").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        (users(&seen[0]), users(&seen[1])),
        (vec!["bob".to_owned()], vec!["alice".to_owned(), "bob".to_owned()])
    );

    // After a restart it goes on, and says what came meanwhile.
    site.kill();
    window.until("client.state.state === 'connecting'", &[]);
    site.start_again();
    let mut bob = Plain::open(&site, "bob");
    bob.send_texts(&direct, 5..=5);
    let new = bob.group("Meanwhile", &["alice"]);
    window.until(
        "told.some(({ name, message }) => name === 'message' && message.text === 'wagon 5') || (client.hurry(), false)",
        &[],
    );
    window
        .until("told.some(({ name, conversation }) => name === 'listed' && conversation === given[0])", &[json!(new)]);
    bob.send(&new, "n", "welcome");
    window.until("told.some(({ name, message }) => name === 'message' && message.text === 'welcome')", &[]);
    let numbers = "return told.filter(({ name, conversation }) => name === 'message' && conversation === given[0]).map(({ seq }) => seq)";
    assert_eq!(window.run(numbers, &[json!(direct)]), json!([4, 5]), "each once");
}
