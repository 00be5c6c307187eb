// What the core does in one situation each. The simulation in model.test.js looks at all of them together.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Desk, WELCOME } from "./desk.js";

test("a token is renewed before it runs out, without reconnecting", () => {
  const desk = new Desk().online();
  desk.frame({ event: "token_expiring", in_ms: 60_000 });
  assert.equal(desk.take("askForToken").length, 1);
  desk.give({ type: "token", token: "next" });
  const { body, id } = desk.one("renew");
  assert.equal(body.token, "next");
  desk.ok(id, { expires_at_ms: 1 });
  assert.deepEqual([desk.take("connect"), desk.take("disconnect")], [[], []]);
});

test("a provider that fails or hangs is asked again while there is time", () => {
  const desk = new Desk().online();
  desk.frame({ event: "token_expiring", in_ms: 60_000 });
  desk.give({ type: "token" });
  desk.pass(5_000);
  desk.pass(25_000);
  assert.equal(desk.take("askForToken").length, 3);
});

test("close codes say whether to come again", () => {
  for (const [code, again] of [[1006, true], [4001, true], [4002, true], [4006, true], [4502, false], [4503, false], [4504, false]]) {
    const desk = new Desk().online();
    desk.take("state");
    desk.lose(code);
    const [{ state }] = desk.take("state");
    assert.equal(state.state, again ? "connecting" : "closed", `${code}`);
    if (!again) assert.deepEqual(state.closed, { by: "server", code, reason: "" });
    desk.pass(20_000);
    const tried = desk.take("connect").length + desk.take("askForToken").length;
    assert.equal(tried, again ? 1 : 0, `${code}`);
  }
});

test("a token that served once and is refused makes room for another; a fresh one that is refused is the end", () => {
  const old = new Desk().online();
  old.lose(4501);
  old.pass(20_000);
  assert.equal(old.take("askForToken").length, 1);
  const fresh = new Desk();
  fresh.give({ type: "open" });
  fresh.give({ type: "token", token: "jwt" });
  fresh.give({ type: "connected", connection: 1 });
  fresh.refuse(fresh.one("hello").id, "AUTH_INVALID", 2001);
  assert.equal(fresh.core.isClosed, true);
});

test("a drain is followed at a time between its bounds, when answers are there", () => {
  const desk = new Desk().online();
  desk.frame({ event: "drain", after_min_ms: 1_000, after_max_ms: 3_000 });
  desk.pass(1_999);
  assert.equal(desk.take("connect").length, 0);
  desk.ask("submit", { name: "get", body: { conversation: "c" } });
  const { id } = desk.one("get");
  desk.pass(1);
  assert.equal(desk.take("connect").length, 0, "an answer is on its way");
  desk.ok(id, { conversation: { id: "c", head: 0, first_available: 1 } });
  assert.equal(desk.take("connect").length, 1);
});

test("a server that says nothing is asked, and left when it does not answer", () => {
  const desk = new Desk().online();
  desk.pass(25_000);
  desk.ok(desk.one("ping").id);
  desk.pass(25_000);
  desk.one("ping");
  desk.pass(9_999);
  assert.equal(desk.take("disconnect").length, 0);
  desk.pass(1);
  assert.equal(desk.take("disconnect").length, 1);
});

test("a page that wakes up does not wait for the next attempt", () => {
  const desk = new Desk().online();
  desk.lose();
  desk.give({ type: "nudge" });
  desk.connect();
  desk.give({ type: "nudge" });
  desk.one("ping");
  desk.pass(4_000);
  assert.equal(desk.take("disconnect").length, 1, "it did not answer");
});

test("events come once and in order; what is missing is asked for", () => {
  const desk = new Desk().online();
  desk.subscribed("c", 3);
  for (const seq of [3, 4, 4, 7, 6]) desk.message("c", seq);
  assert.deepEqual(desk.told(), [4]);
  const { body, id } = desk.one("resume");
  assert.deepEqual(body.positions, [{ conversation: "c", seq: 4 }]);
  const event = { event: "message", seq: 5, message: { seq: 5, text: "" } };
  desk.ok(id, { conversations: [{ conversation: "c", events: [event], head: 7, first_available: 1 }] });
  assert.deepEqual(desk.told(), [5, 6, 7]);
  desk.frame({ event: "head", conversation: "c", head: 9 });
  assert.deepEqual(desk.one("resume").body.positions, [{ conversation: "c", seq: 7 }]);
});

test("dropped history is told as a gap", () => {
  const desk = new Desk().online();
  desk.subscribed("c", 3);
  desk.frame({ event: "gap", conversation: "c", first_available: 9, head: 8 });
  const [{ event }] = desk.take("deliver");
  assert.deepEqual([event.missed_from, event.first_available], [4, 9]);
  desk.message("c", 9);
  assert.deepEqual(desk.told(), [9]);
});

test("after a loss, reading goes on from the position", () => {
  const desk = new Desk().online();
  desk.subscribed("c", 3);
  desk.lose();
  desk.pass(20_000);
  const [{ connection }] = desk.take("connect");
  desk.give({ type: "connected", connection });
  const sent = desk.sent();
  assert.deepEqual(sent.map(([name]) => name), ["hello", "resume"], "in one go");
  desk.ok(sent[0][2], WELCOME);
  assert.deepEqual(sent[1][1].positions, [{ conversation: "c", seq: 3 }]);
});

test("a position beyond the end is an error, and removal ends a subscription", () => {
  const desk = new Desk().online();
  desk.ask("subscribe", { conversation: "c", after: 9 });
  desk.ok(desk.one("resume").id, { conversations: [{ conversation: "c", head: 5, first_available: 1 }] });
  assert.equal(desk.take("complete")[0].error.code, "AHEAD_OF_SERVER");
  desk.sent();
  desk.subscribed("d", 1);
  desk.frame({ event: "members", conversation: "d", seq: 2, members: { removed: ["ann"], by: "bob" } });
  assert.deepEqual(desk.told(), [2, "ended"]);
});

test("what ended with a role is asked for again, and ends if it is refused", () => {
  const desk = new Desk().online();
  desk.subscribed("lost", 7);
  desk.subscribed("kept", 9);
  desk.frame({ event: "token_expiring", in_ms: 60_000 });
  desk.give({ type: "token", token: "next" });
  desk.ok(desk.one("renew").id, { expires_at_ms: 1, ended: ["lost", "kept", "unknown"] });
  const { body, id } = desk.one("resume");
  assert.deepEqual(body.positions, [{ conversation: "lost", seq: 7 }, { conversation: "kept", seq: 9 }]);
  const error = { code: "NOT_FOUND", number: 2003, message: "no such conversation" };
  const event = { event: "message", seq: 10, message: { seq: 10, text: "" } };
  desk.ok(id, {
    conversations: [
      { conversation: "lost", error },
      { conversation: "kept", events: [event], head: 10, first_available: 1 },
    ],
  });
  assert.deepEqual(desk.told().sort(), [10, "ended"]);
});

test("a message says the head of its first attempt, and is sent again with the same", () => {
  const desk = new Desk().online();
  desk.subscribed("c", 5);
  desk.send("c", "m1");
  assert.equal(desk.one("send").body.since, 5);
  desk.message("c", 6);
  desk.lose();
  desk.pass(20_000);
  desk.connect();
  desk.sent();
  const again = desk.core.calls.outbox.all()[0];
  assert.equal(again.body.since, 5);
});

test("no message goes out that is not on the disk with its head", () => {
  const desk = new Desk().online();
  desk.subscribed("c", 5);
  const body = { conversation: "c", client_id: "m1", kind: "TEXT", text: "hi" };
  const effects = desk.core.handle(desk.now, { type: "submit", ticket: 1, name: "send", body, since: "core" });
  assert.deepEqual(effects.filter(({ type }) => type === "send"), []);
  const { text } = effects.find(({ type }) => type === "keep");
  assert.deepEqual([JSON.parse(text).body.since, JSON.parse(text).tried], [5, true]);
  desk.give({ type: "kept", ticket: 1, text });
  const { id } = desk.one("send");
  desk.ok(id, { message: { conversation: "c", seq: 6 }, duplicate: false });
  assert.equal(desk.take("forget").length, 1);
});

test("what an earlier visit left is sent first and as it was, and not under another user", () => {
  const record = (ticket, owner) => {
    const body = { conversation: "c", client_id: `m${ticket}`, kind: "TEXT", text: "", since: 4 };
    return { ticket, at: 0, text: JSON.stringify({ body, since: "core", tried: true, owner }) };
  };
  const desk = new Desk();
  desk.give({ type: "submit", ticket: 9, name: "send", body: { conversation: "c", client_id: "m9", text: "" } });
  desk.online({ restored: [record(1, null), record(2, JSON.stringify(["t", "bob"]))] });
  const failed = desk.take("complete");
  assert.deepEqual(failed.map(({ ticket }) => ticket), [2]);
  const { body, id } = desk.one("send");
  assert.deepEqual([body.client_id, body.since], ["m1", 4]);
  desk.ok(id, { message: { conversation: "c", seq: 5 }, duplicate: true });
  assert.deepEqual(desk.one("send").body.client_id, "m9");
});

test("messages of a conversation keep their order; others need not wait", () => {
  const desk = new Desk().online();
  desk.subscribed("c", 0);
  desk.subscribed("d", 0);
  desk.send("c", "c1");
  desk.send("c", "c2");
  desk.send("d", "d1");
  const sent = desk.sent();
  assert.deepEqual(sent.map(([, { client_id }]) => client_id), ["c1", "d1"]);
  desk.refuse(sent[0][2], "OVERLOADED", 1002, 500);
  desk.pass(499);
  assert.deepEqual(desk.sent(), []);
  desk.pass(20_000);
  assert.equal(desk.one("send").body.client_id, "c1");
});

test("without a known head it is asked for first; an old one that was never stored is replaced", () => {
  const desk = new Desk().online();
  desk.send("c", "m1", "chosen");
  const get = desk.one("get");
  desk.ok(get.id, { conversation: { id: "c", head: 5_000, first_available: 1 } });
  const { body, id } = desk.one("send");
  assert.equal(body.since, 4_000, "far enough back for an id that was used before");
  desk.refuse(id, "ID_EXPIRED", 2006);
  desk.ok(desk.one("get").id, { conversation: { id: "c", head: 30_000, first_available: 29_900 } });
  assert.equal(desk.one("send").body.since, 29_899);
});

test("a refusal has its code, and what may have happened is said as unknown", () => {
  const desk = new Desk().online();
  const [first, second] = [1, 2].map(() => desk.ask("submit", { name: "leave", body: { conversation: "c" } }));
  const [[, , id]] = desk.sent();
  desk.refuse(id, "FORBIDDEN", 2002);
  desk.lose();
  const done = new Map(desk.take("complete").map(({ ticket, error }) => [ticket, error]));
  assert.deepEqual([done.get(first).code, done.get(first).number], ["FORBIDDEN", 2002]);
  assert.equal(done.get(first).trace, `${WELCOME.session}/${id}`);
  assert.equal(done.get(second).code, "UNKNOWN_OUTCOME");
});

test("typing is said every three seconds at most, and shown conversations are said on each connection", () => {
  const desk = new Desk().online();
  desk.subscribed("c", 0);
  const ticket = desk.ask("show", { conversations: ["c"] });
  desk.ok(desk.one("open").id, { opened: [{ conversation: "c", users: ["bob"], more: 0 }] });
  assert.equal(desk.take("complete")[0].ticket, ticket);
  assert.deepEqual(desk.told(), ["typing"]);
  for (let key = 0; key < 40; key += 1) {
    desk.give({ type: "typing", conversation: "c", on: true });
    desk.pass(100);
  }
  assert.deepEqual(desk.sent().map(([name]) => name), ["typing", "typing"]);
});

test("of what was given up while it was being shown nobody is said to type", () => {
  const desk = new Desk().online();
  desk.subscribed("c", 0);
  const ticket = desk.ask("show", { conversations: ["c"] });
  const { id } = desk.one("open");
  desk.ask("unsubscribe", { conversation: "c" });
  desk.take("complete");
  desk.ok(id, { opened: [{ conversation: "c", users: ["bob"], more: 0 }] });
  const [done] = desk.take("complete");
  assert.deepEqual([done.ticket, done.result.opened[0].users, done.result.opened[0].error.code], [ticket, undefined, "NOT_FOUND"]);
  assert.deepEqual(desk.told(), []);
});

test("where showing is refused for now after a reconnect, nobody types until it is said again", () => {
  const desk = new Desk().online();
  desk.subscribed("c", 0);
  desk.ask("show", { conversations: ["c"] });
  desk.ok(desk.one("open").id, { opened: [{ conversation: "c", users: ["bob"], more: 0 }] });
  desk.told();
  desk.lose();
  desk.pass(20_000);
  const [{ connection }] = desk.take("connect");
  desk.give({ type: "connected", connection });
  const [[, , hello], [, , resume]] = desk.sent();
  desk.ok(hello, WELCOME);
  desk.ok(resume, { conversations: [{ conversation: "c", events: [], head: 0, first_available: 1 }] });
  const error = { code: "OVERLOADED", number: 1002, message: "busy", retry_after_ms: 2_000 };
  desk.ok(desk.one("open").id, { opened: [{ conversation: "c", error }] });
  assert.deepEqual(desk.take("deliver").map(({ event }) => event.users), [[]]);
  desk.pass(4_000);
  desk.ok(desk.one("open").id, { opened: [{ conversation: "c", users: ["bob"], more: 0 }] });
  assert.deepEqual(desk.take("deliver").map(({ event }) => event.users), [["bob"]]);
});

test("too much, and too large, is refused at once", () => {
  const desk = new Desk().online();
  const ticket = desk.ask("submit", { name: "send", body: { conversation: "c", client_id: "m", text: "x".repeat(65_537) } });
  assert.deepEqual(desk.take("complete").map((done) => [done.ticket, done.error.code]), [[ticket, "TOO_LARGE"]]);
  for (let n = 0; n < 1_001; n += 1) desk.send("c", `m${n}`);
  assert.deepEqual(desk.take("complete").map(({ error }) => error.code), ["TOO_MANY_PENDING"]);
});
