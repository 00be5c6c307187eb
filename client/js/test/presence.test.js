// Who is watched: said on each connection, told when it is news, and over with the conversation that it goes through.

import assert from "node:assert/strict";
import { test } from "node:test";
import { WATCHED_MAX } from "../limits.js";
import { Desk } from "./desk.js";

const watch = (desk, users, conversation) => desk.ask("watch", { users, conversation });
const online = (user, more = {}) => ({ user, online: true, ...more });
const offline = (user, last_seen_ms) => ({ user, online: false, last_seen_ms });
const told = (desk) => desk.take("deliver").map(({ name, event }) => [name, event.user ?? event.conversation, event.online]);
const results = (desk) => desk.take("complete").map(({ ticket, result, error }) => [ticket, error?.code ?? result]);

test("how it is now is the answer, and what changes is told", () => {
  const desk = new Desk().online();
  const ticket = watch(desk, ["bob", "eve"]);
  const { body, id } = desk.one("watch");
  assert.deepEqual(body, { users: ["bob", "eve"] });
  desk.ok(id, { presence: [online("bob"), offline("eve", 5)] });
  assert.deepEqual(results(desk), [[ticket, [online("bob"), offline("eve", 5)]]]);
  desk.frame({ event: "presence", presence: [online("eve"), online("nobody")] });
  assert.deepEqual(told(desk), [["presence", "eve", true]]);
  desk.frame({ event: "presence", presence: [online("eve")] });
  assert.deepEqual(told(desk), [], "that is no news");
});

test("it is said again on the next connection, and only what is news is told", () => {
  const desk = new Desk().online();
  watch(desk, ["bob", "eve"]);
  desk.ok(desk.one("watch").id, { presence: [online("bob"), online("eve")] });
  desk.lose();
  desk.pass(20_000);
  desk.connect();
  const { body, id } = desk.one("watch");
  assert.deepEqual(body.users, ["bob", "eve"]);
  desk.ok(id, { presence: [online("bob"), offline("eve", 9)] });
  assert.deepEqual(told(desk), [["presence", "eve", false]]);
});

test("through a conversation it waits until that is read, and ends with it", () => {
  const desk = new Desk().online();
  desk.ask("subscribe", { conversation: "c", after: 1 });
  const ticket = watch(desk, ["bob"], "c");
  const resume = desk.one("resume");
  desk.ok(resume.id, { conversations: [{ conversation: "c", events: [], head: 1, first_available: 1 }] });
  const { body, id } = desk.one("watch");
  assert.deepEqual(body, { users: ["bob"], conversation: "c" });
  desk.ok(id, { presence: [online("bob")] });
  assert.deepEqual(results(desk).at(-1), [ticket, [online("bob")]]);
  desk.frame({ event: "members", conversation: "c", seq: 2, members: { removed: ["ann"], by: "bob" } });
  assert.deepEqual(told(desk).filter(([name]) => name === "presence"), [["presence", "bob", false]], "nobody is online for ever");
  const late = watch(desk, ["bob"], "c");
  const [[of, [{ online: isOnline, error }]]] = results(desk);
  assert.deepEqual([of, isOnline, error.code], [late, false, "UNSUBSCRIBED"]);
});

test("how many are online is counted", () => {
  const desk = new Desk().online();
  desk.subscribed("c", 1);
  const ticket = watch(desk, [], "c");
  const { body, id } = desk.one("watch");
  assert.deepEqual(body, { users: [], conversation: "c" });
  desk.ok(id, { counts: [{ conversation: "c", online: 3 }] });
  assert.deepEqual(results(desk), [[ticket, [{ conversation: "c", online: 3 }]]]);
  desk.frame({ event: "presence", counts: [{ conversation: "c", online: 4 }] });
  assert.deepEqual(told(desk), [["online", "c", 4]]);
  const refused = watch(desk, [], "c");
  desk.refuse(desk.one("watch").id, "NOT_FOUND", 2003);
  assert.deepEqual(results(desk), [[refused, "NOT_FOUND"]]);
});

test("what is over is said, and no more than the server takes is watched", () => {
  const desk = new Desk().online();
  watch(desk, ["bob", "eve"]);
  desk.ok(desk.one("watch").id, { presence: [online("bob"), online("eve")] });
  desk.give({ type: "unwatch", users: ["bob"] });
  const { body, id } = desk.one("unwatch");
  assert.deepEqual(body, { users: ["bob"] });
  desk.refuse(id, "OVERLOADED", 1002);
  desk.pass(1_000);
  desk.ok(desk.one("unwatch").id);
  desk.frame({ event: "presence", presence: [offline("bob", 3)] });
  assert.deepEqual(told(desk), []);
  desk.take("complete");
  const ticket = watch(desk, Array.from({ length: WATCHED_MAX }, (_, n) => `u${n}`));
  assert.deepEqual(results(desk), [[ticket, "TOO_MANY_PENDING"]]);
  desk.give({ type: "unwatch", all: true });
  desk.one("unwatch");
  watch(desk, Array.from({ length: WATCHED_MAX }, (_, n) => `u${n}`));
  assert.deepEqual(desk.sent(), [], "one at a time");
});

test("one that cannot be said now is asked again, and one that never can is told so", () => {
  const desk = new Desk().online();
  const ticket = watch(desk, ["bob", "eve"]);
  const busy = { code: "OVERLOADED", number: 1002, message: "" };
  const never = { code: "BAD_REQUEST", number: 2004, message: "" };
  desk.ok(desk.one("watch").id, { presence: [{ user: "bob", online: false, error: busy }, { user: "eve", online: false, error: never }] });
  assert.deepEqual(results(desk), []);
  desk.pass(1_000);
  const { body, id } = desk.one("watch");
  assert.deepEqual(body.users, ["bob"]);
  desk.ok(id, { presence: [online("bob")] });
  const [[of, [bob, eve]]] = results(desk);
  assert.deepEqual([of, bob.online, eve.error.code], [ticket, true, "BAD_REQUEST"]);
  const waiting = watch(desk, ["carol"]);
  desk.lose(4502);
  assert.deepEqual(results(desk), [[waiting, "CLIENT_CLOSED"]]);
});

/** A desk that watches bob, who is online, and eve, who is not to be seen; it reads `c`. */
function watching() {
  const desk = new Desk().online();
  desk.subscribed("c", 5);
  watch(desk, ["bob", "eve"]);
  desk.ok(desk.one("watch").id, { presence: [online("bob"), offline("eve")] });
  return desk;
}

const accepts = (desk, seq, accepted) => desk.frame({ event: "conversation", conversation: "c", seq, change: { by: "eve", accepted } });
const writes = (desk, seq, sender) => desk.frame({ event: "message", conversation: "c", seq, message: { sender, text: "" } });

test("whoever is not to be seen is asked for again when a request is accepted", () => {
  const desk = watching();
  accepts(desk, 6, false);
  assert.deepEqual(desk.sent(), []);
  accepts(desk, 7, true);
  const { body, id } = desk.one("watch");
  assert.deepEqual(body, { users: ["eve"] }, "bob is seen already");
  desk.take("deliver");
  desk.ok(id, { presence: [offline("eve")] });
  assert.deepEqual(told(desk), [], "it is no news");
  accepts(desk, 8, true);
  const again = desk.one("watch");
  desk.take("deliver");
  desk.ok(again.id, { presence: [online("eve")] });
  assert.deepEqual(told(desk), [["presence", "eve", true]]);
  accepts(desk, 9, true);
  assert.deepEqual(desk.sent(), [], "all are seen");
});

test("whoever was seen once and is gone is not asked for, nor how many there are", () => {
  const desk = watching();
  desk.frame({ event: "presence", presence: [offline("eve", 7)] });
  watch(desk, [], "c");
  desk.ok(desk.one("watch").id, { counts: [{ conversation: "c", online: 0 }] });
  accepts(desk, 6, true);
  writes(desk, 7, "eve");
  assert.deepEqual(desk.sent(), []);
});

test("a message from whoever is not to be seen is followed less and less often", () => {
  const desk = watching();
  writes(desk, 6, "bob");
  writes(desk, 7, "mallory");
  assert.deepEqual(desk.sent(), []);
  const asked = [];
  let seq = 8;
  for (const from = desk.now; desk.now < from + 300_000; desk.pass(1_000)) {
    writes(desk, seq++, "eve");
    const sent = desk.sent().filter(([name]) => name === "watch");
    for (const [, body, id] of sent) {
      assert.deepEqual(body, { users: ["eve"] });
      asked.push((desk.now - from) / 1_000);
      desk.ok(id, { presence: [offline("eve")] });
    }
  }
  assert.deepEqual(asked, [0, 1, 3, 7, 15, 31, 63, 127, 191, 255]);
  // Once she was seen, it is as at first.
  accepts(desk, seq++, true);
  desk.ok(desk.sent().find(([name]) => name === "watch")[2], { presence: [online("eve")] });
  desk.frame({ event: "presence", presence: [offline("eve")] });
  desk.take("deliver");
  writes(desk, seq++, "eve");
  desk.ok(desk.one("watch").id, { presence: [online("eve")] });
  assert.deepEqual(told(desk).at(-1), ["presence", "eve", true]);
});

test("a sign that comes while the answer is on its way is followed once that is here", () => {
  const signs = { accepts: (desk, seq) => accepts(desk, seq, true), writes: (desk, seq) => writes(desk, seq, "eve") };
  for (const [name, sign] of Object.entries(signs)) {
    const desk = new Desk().online();
    desk.subscribed("c", 5);
    const ticket = watch(desk, ["bob", "eve"]);
    const { id } = desk.one("watch");
    sign(desk, 6);
    sign(desk, 7);
    assert.deepEqual(desk.sent(), [], `${name}: one at a time`);
    desk.take("deliver");
    // The answer may have been on its way before the sign.
    desk.ok(id, { presence: [online("bob"), offline("eve")] });
    assert.deepEqual(results(desk).at(-1), [ticket, [online("bob"), offline("eve")]], `${name}: nobody waits for more`);
    const again = desk.one("watch");
    assert.deepEqual(again.body, { users: ["eve"] }, name);
    desk.ok(again.id, { presence: [online("eve")] });
    assert.deepEqual(told(desk), [["presence", "eve", true]], name);
    desk.pass(300_000);
    assert.deepEqual(desk.sent().filter(([sent]) => sent === "watch"), [], `${name}: it was followed`);
  }
});

test("a sign is of no use where the answer on its way shows the user, and none is owed after a reconnect", () => {
  const desk = new Desk().online();
  desk.subscribed("c", 5);
  watch(desk, ["eve"]);
  let { id } = desk.one("watch");
  accepts(desk, 6, true);
  desk.ok(id, { presence: [online("eve")] });
  assert.deepEqual(desk.sent(), []);
  desk.frame({ event: "presence", presence: [offline("eve")] });
  writes(desk, 7, "bob");
  assert.deepEqual(desk.sent(), [], "that sign was of before");
  accepts(desk, 8, true);
  ({ id } = desk.one("watch"));
  accepts(desk, 9, true);
  desk.lose();
  desk.pass(20_000);
  desk.connect();
  const sent = desk.sent().filter(([name]) => name === "watch");
  assert.equal(sent.length, 1);
  desk.ok(sent[0][2], { presence: [offline("eve")] });
  assert.deepEqual(desk.sent().filter(([name]) => name === "watch"), [], "it was asked after the sign");
});

test("a sign that comes too soon after another is followed when its time has come", () => {
  const desk = watching();
  writes(desk, 6, "eve");
  desk.ok(desk.one("watch").id, { presence: [offline("eve")] });
  writes(desk, 7, "eve");
  desk.pass(999);
  assert.deepEqual(desk.sent(), []);
  desk.pass(1);
  const { body, id } = desk.one("watch");
  assert.deepEqual(body, { users: ["eve"] });
  desk.take("deliver");
  desk.ok(id, { presence: [online("eve")] });
  assert.deepEqual(told(desk), [["presence", "eve", true]]);
});

test("a conversation that is listed otherwise has its other one asked for again", () => {
  const desk = watching();
  const all = desk.ask("subscribeAll");
  desk.ok(desk.one("subscribe").id, { subscribed: [], all: true });
  assert.equal(results(desk).at(-1)[0], all);
  const relisted = (conversation, peer) => desk.frame({ event: "listed", conversation, listed: { changed: { conversation: { id: conversation }, peer } } });
  relisted("d", "bob");
  relisted("g");
  assert.deepEqual(desk.sent(), []);
  relisted("e", "eve");
  const { body, id } = desk.one("watch");
  assert.deepEqual(body, { users: ["eve"] });
  desk.take("deliver");
  desk.ok(id, { presence: [online("eve")] });
  assert.deepEqual(told(desk), [["presence", "eve", true]]);
});
