// All conversations of the user: asked for on each connection, told of as they come and go.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Desk, WELCOME } from "./desk.js";

const all = (...heads) => ({
  subscribed: heads.map(([conversation, head]) => ({ conversation, head })),
  all: { total: heads.length },
});

/** A desk that reads all, which is `a` as of number 5. */
function readsAll() {
  const desk = new Desk().online();
  const ticket = desk.ask("subscribeAll");
  const { body, id } = desk.one("subscribe");
  assert.deepEqual(body, { all: true });
  desk.ok(id, all(["a", 5]));
  const [done] = desk.take("complete");
  assert.deepEqual([done.ticket, done.result.subscribed[0].head, done.result.all.total], [ticket, 5, 1]);
  assert.deepEqual(desk.told(), [], "it is in the answer");
  return desk;
}

function comesBack(desk) {
  desk.lose();
  desk.pass(20_000);
  desk.connect();
}

const listed = (desk, conversation, head) => desk.frame({ event: "listed", conversation, listed: { added: { activity_ms: 1 }, head } });
const unlisted = (desk, conversation) => desk.frame({ event: "listed", conversation, listed: { removed: true } });

test("what comes is told and read, and what goes is told", () => {
  const desk = readsAll();
  desk.message("a", 6);
  desk.message("b", 3);
  assert.deepEqual(desk.told(), [6], "nobody said that b is read");
  listed(desk, "b", 3);
  const [{ name, event }] = desk.take("deliver");
  assert.deepEqual([name, event.conversation, event.head, event.listing.activity_ms], ["listed", "b", 3, 1]);
  desk.message("b", 4);
  unlisted(desk, "b");
  assert.deepEqual(desk.told(), [4, "unlisted"]);
});

test("what happened since the listing was made is fetched", () => {
  const desk = readsAll();
  const added = { activity_ms: 1, conversation: { id: "b", head: 3 } };
  desk.frame({ event: "listed", conversation: "b", listed: { added, head: 5 } });
  assert.equal(desk.take("deliver")[0].event.head, 3);
  const { body, id } = desk.one("resume");
  assert.deepEqual(body.positions, [{ conversation: "b", seq: 3 }]);
  desk.message("b", 6);
  assert.deepEqual(desk.told(), [], "4 and 5 come first");
  const events = [4, 5, 6].map((seq) => ({ event: "message", seq, message: { seq, text: "" } }));
  desk.ok(id, { conversations: [{ conversation: "b", events, head: 6, first_available: 1 }] });
  assert.deepEqual(desk.told(), [4, 5, 6]);
  // Of one that is read already a listing from before says nothing new.
  desk.frame({ event: "listed", conversation: "b", listed: { added, head: 6 } });
  assert.equal(desk.take("deliver")[0].event.head, 6);
  desk.message("b", 7);
  assert.deepEqual(desk.told(), [7]);
});

test("what came before the answer is fetched", () => {
  const desk = new Desk().online();
  desk.ask("subscribeAll");
  const { id } = desk.one("subscribe");
  desk.message("a", 6);
  desk.ok(id, all(["a", 5]));
  const resume = desk.one("resume");
  assert.deepEqual(resume.body.positions, [{ conversation: "a", seq: 5 }]);
  const event = { event: "message", seq: 6, message: { seq: 6, text: "" } };
  desk.ok(resume.id, { conversations: [{ conversation: "a", events: [event], head: 6, first_available: 1 }] });
  desk.message("a", 7);
  assert.deepEqual(desk.told(), [6, 7]);
});

test("after a reconnect it goes on where it was, and what is new is told", () => {
  const desk = readsAll();
  desk.lose();
  desk.pass(20_000);
  const [{ connection }] = desk.take("connect");
  desk.give({ type: "connected", connection });
  const sent = desk.sent();
  assert.deepEqual(sent[1].slice(0, 2), ["resume", { positions: [{ conversation: "a", seq: 5 }] }]);
  desk.ok(sent[0][2], WELCOME);
  desk.ok(desk.one("subscribe").id, all(["a", 7], ["b", 2]));
  assert.deepEqual(desk.take("deliver").map(({ name, event }) => [name, event.conversation, event.head]), [["listed", "b", 2]]);
  const events = [6, 7].map((seq) => ({ event: "message", seq, message: { seq, text: "" } }));
  desk.ok(sent[1][2], { conversations: [{ conversation: "a", events, head: 7, first_available: 1 }] });
  desk.message("b", 3);
  assert.deepEqual(desk.told(), [6, 7, 3]);
});

test("what was given up stays so, and is taken back by subscribing", () => {
  const desk = readsAll();
  desk.ask("unsubscribe", { conversation: "a" });
  assert.deepEqual(desk.one("unsubscribe").body, { conversations: ["a"] });
  comesBack(desk);
  desk.ok(desk.one("subscribe").id, all(["a", 7]));
  desk.one("unsubscribe");
  desk.message("a", 8);
  assert.deepEqual(desk.told(), []);
  desk.ask("subscribe", { conversation: "a" });
  desk.ok(desk.one("subscribe").id, { subscribed: [{ conversation: "a", head: 8 }] });
  desk.message("a", 9);
  assert.deepEqual(desk.told(), [9]);
});

test("one that is read is asked for by its name without a hole, whatever the connection does", () => {
  const desk = readsAll();
  desk.lose();
  const ticket = desk.ask("subscribe", { conversation: "a" });
  assert.deepEqual(desk.take("complete"), [], "it is confirmed by the server");
  desk.pass(20_000);
  const [{ connection }] = desk.take("connect");
  desk.give({ type: "connected", connection });
  const [[, , hello], [name, body, resume]] = desk.sent();
  assert.deepEqual([name, body], ["resume", { positions: [{ conversation: "a", seq: 5 }] }], "the application knows it from 5 on");
  desk.ok(hello, WELCOME);
  const events = [6, 7].map((seq) => ({ event: "message", seq, message: { seq, text: "" } }));
  desk.ok(resume, { conversations: [{ conversation: "a", events, head: 7, first_available: 1 }] });
  assert.equal(desk.take("complete")[0].ticket, ticket);
  desk.message("a", 8);
  assert.deepEqual(desk.told(), [6, 7, 8]);
});

test("events are read beside the subscription, which goes on where it is", () => {
  const desk = readsAll();
  const read = (conversation) => {
    const ticket = desk.ask("submit", { name: "resume", body: { positions: [{ conversation, seq: 2 }] } });
    const sent = desk.sent().find(([name]) => name === "resume");
    const event = { event: "members", seq: 3, members: { removed: ["ann"] } };
    desk.ok(sent[2], { conversations: [{ conversation, events: [event], head: 7, first_available: 1 }] });
    assert.equal(desk.take("complete").at(-1).ticket, ticket);
  };
  read("a");
  assert.deepEqual(desk.told(), [], "it is in the answer, and long past");
  // It goes up to a number that has not come: what lies between is fetched.
  const { body, id } = desk.one("resume");
  assert.deepEqual(body.positions, [{ conversation: "a", seq: 5 }]);
  const events = [6, 7].map((seq) => ({ event: "message", seq, message: { seq, text: "" } }));
  desk.ok(id, { conversations: [{ conversation: "a", events, head: 7, first_available: 1 }] });
  assert.deepEqual(desk.told(), [6, 7]);
  // Of one that is not read, nothing more is to come.
  read("b");
  assert.deepEqual(desk.one("unsubscribe").body, { conversations: ["b"] });
});

test("what is being given up does not come back by itself", () => {
  const desk = readsAll();
  desk.ask("unsubscribe", { conversation: "a" });
  const { id } = desk.one("unsubscribe");
  listed(desk, "a", 7);
  assert.equal(desk.take("deliver")[0].event.head, undefined);
  desk.message("a", 8);
  assert.deepEqual(desk.told(), []);
  desk.ok(id);
  listed(desk, "a", 9);
  desk.message("a", 10);
  assert.deepEqual(desk.told(), ["listed", 10]);
});

test("what is shown otherwise is told, and an erasure ends the reading", () => {
  const desk = readsAll();
  desk.frame({ event: "listed", conversation: "a", listed: { changed: { conversation: { id: "a", archived: true } } } });
  const [{ name, event }] = desk.take("deliver");
  assert.deepEqual([name, event.listing.conversation.archived], ["relisted", true]);
  desk.frame({ event: "conversation", conversation: "a", seq: 6, change: { erased: true, by: "bob" } });
  desk.message("a", 7);
  assert.deepEqual(desk.told(), [6, "ended"]);
});

test("a conversation whose owner was late comes with its head", () => {
  const desk = readsAll();
  desk.frame({ event: "head", conversation: "late", head: 9 });
  desk.message("late", 10);
  assert.deepEqual(desk.told(), ["listed", 10]);
});

test("a refusal for now is asked again, a final one is told, and so is the end", () => {
  const desk = new Desk().online();
  desk.ask("subscribeAll");
  desk.refuse(desk.one("subscribe").id, "OVERLOADED", 1002, 2_000);
  desk.pass(1_999);
  assert.deepEqual(desk.sent(), []);
  desk.pass(1_000);
  desk.refuse(desk.one("subscribe").id, "BAD_REQUEST", 2004);
  assert.equal(desk.take("complete")[0].error.code, "BAD_REQUEST");
  comesBack(desk);
  assert.deepEqual(desk.sent(), [], "it is no longer wanted");
  desk.ask("subscribeAll");
  desk.lose(4502);
  assert.equal(desk.take("complete")[0].error.code, "CLIENT_CLOSED");
});
