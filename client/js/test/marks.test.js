// Marks: how often they are said, when again, and what the application is told of its own and of others'.

import assert from "node:assert/strict";
import { test } from "node:test";
import { MARKED_MAX } from "../limits.js";
import { Desk } from "./desk.js";

const mark = (desk, conversation, to) => desk.give({ type: "mark", conversation, to });
const accept = (desk, id, unread = 0) => desk.ok(id, { conversation: "", marks: { user: "ann", read: 1 }, unread });
const names = (desk) => desk.take("deliver").map(({ name, event }) => [name, event.conversation]);


test("the first is said at once, and then the newest a second later", () => {
  const desk = new Desk().online();
  mark(desk, "a", { read: 3 });
  const first = desk.one("mark");
  assert.deepEqual(first.body, { conversation: "a", read: 3 });
  mark(desk, "a", { read: 4 });
  assert.deepEqual(desk.sent(), [], "one at a time");
  mark(desk, "b", { delivered: 7 });
  assert.deepEqual(desk.one("mark").body, { conversation: "b", delivered: 7 }, "each conversation for itself");
  accept(desk, first.id, 2);
  const [{ name, event }] = desk.take("deliver");
  assert.deepEqual([name, event.conversation, event.unread], ["marked", "a", 2]);
  mark(desk, "a", { read: 2, delivered: 9 });
  mark(desk, "a", { read: 5 });
  desk.pass(999);
  assert.deepEqual(desk.sent(), []);
  desk.pass(1);
  const second = desk.one("mark");
  assert.deepEqual(second.body, { conversation: "a", read: 5, delivered: 9 });
  accept(desk, second.id);
  mark(desk, "a", { read: 5, delivered: 9 });
  desk.pass(3_000);
  assert.deepEqual(desk.sent(), [], "that is no news");
  mark(desk, "a", { read: 6 });
  assert.deepEqual(desk.one("mark").body.read, 6);
  mark(desk, "c", {});
  assert.deepEqual(desk.sent(), [], "nothing");
});

test("what may be lost is said again on the next connection", () => {
  const desk = new Desk().online();
  mark(desk, "stored", { read: 1 });
  accept(desk, desk.one("mark").id);
  desk.pass(1_001);
  desk.frame({ event: "head", conversation: "x", head: 1 });
  mark(desk, "accepted", { read: 2 });
  accept(desk, desk.one("mark").id);
  mark(desk, "flying", { read: 3 });
  desk.one("mark");
  desk.lose();
  mark(desk, "meanwhile", { read: 4 });
  mark(desk, "flying", { read: 5 });
  desk.pass(20_000);
  desk.connect();
  const again = desk.sent().map(([name, { conversation, read }]) => [name, conversation, read]);
  assert.deepEqual(again.sort(), [["mark", "accepted", 2], ["mark", "flying", 5], ["mark", "meanwhile", 4]]);
});

test("a refusal for now is said again, and a final one is told", () => {
  const desk = new Desk().online();
  mark(desk, "a", { read: 1 });
  desk.refuse(desk.one("mark").id, "OVERLOADED", 1002, 3_000);
  mark(desk, "a", { read: 2 });
  desk.pass(3_000);
  assert.deepEqual([desk.sent(), names(desk)], [[], []]);
  desk.pass(1_000);
  const { body, id } = desk.one("mark");
  assert.equal(body.read, 2);
  desk.refuse(id, "BAD_REQUEST", 2004);
  const [{ name, event }] = desk.take("deliver");
  assert.deepEqual([name, event.conversation, event.read, event.error.code], ["unmarked", "a", 2, "BAD_REQUEST"]);
  desk.pass(9_000);
  assert.deepEqual(desk.sent(), [], "it is dropped");
  // What has risen since is not what was refused.
  mark(desk, "a", { read: 1 });
  const late = desk.one("mark");
  mark(desk, "a", { read: 2 });
  desk.refuse(late.id, "BAD_REQUEST", 2004);
  assert.deepEqual(names(desk), []);
  desk.pass(1_000);
  assert.equal(desk.one("mark").body.read, 2);
});

test("there is a limit to what waits, and what was not said when it ends is told", () => {
  const desk = new Desk();
  for (let n = 0; n < MARKED_MAX; n += 1) mark(desk, `c${n}`, { read: 1 });
  assert.deepEqual(names(desk), []);
  mark(desk, "more", { read: 1 });
  const [{ event }] = desk.take("deliver");
  assert.deepEqual([event.conversation, event.error.code], ["more", "TOO_MANY_PENDING"]);
  const ends = new Desk().online();
  mark(ends, "a", { read: 1 });
  ends.lose(4502);
  mark(ends, "b", { read: 1 });
  const told = ends.take("deliver").map(({ event: { conversation, error } }) => [conversation, error.code]);
  assert.deepEqual(told, [["a", "CLIENT_CLOSED"], ["b", "CLIENT_CLOSED"]]);
});

test("a client that closes waits until its marks are said", () => {
  const desk = new Desk().online();
  mark(desk, "a", { read: 1 });
  const { id } = desk.one("mark");
  desk.give({ type: "close", patience: 5_000 });
  assert.equal(desk.core.isClosed, false);
  accept(desk, id);
  assert.equal(desk.core.isClosed, true);
  assert.deepEqual(names(desk), [["marked", "a"]]);
});

test("others' marks are told, and what was missed is asked for", () => {
  const desk = new Desk().online();
  desk.subscribed("a", 5);
  desk.subscribed("quiet", 5);
  const bob = { user: "bob", read: 3 };
  desk.frame({ event: "marks", conversation: "a", marks: [bob] });
  desk.frame({ event: "marks", conversation: "other", marks: [bob] });
  assert.deepEqual(names(desk), [["marks", "a"]], "the other is not subscribed");
  desk.frame({ event: "marks", conversation: "a", marks: [], missed: true });
  const { body, id } = desk.one("marks");
  assert.deepEqual(body, { conversation: "a" });
  desk.ok(id, { marks: [bob, { user: "ann", read: 5 }], more: false });
  assert.deepEqual(desk.take("deliver").map(({ event }) => event.marks.length), [2]);
  // Whatever comes while there is no connection is missed as well, where any was told before.
  desk.lose();
  desk.pass(20_000);
  const [{ connection }] = desk.take("connect");
  desk.give({ type: "connected", connection });
  desk.ok(desk.sent()[0][2], { session: "s", user: "ann", tenant: "t", heartbeat_ms: 25_000, limits: {} });
  const again = desk.one("marks");
  assert.equal(again.body.conversation, "a");
  desk.refuse(again.id, "OVERLOADED", 1002);
  assert.deepEqual(desk.sent(), []);
  desk.pass(1_000);
  desk.one("marks");
});
