// A core at a desk: what it wants is looked at, what happens is handed to it, and time passes when a test says so.

import assert from "node:assert/strict";
import { Core } from "../core.js";

export const WELCOME = { session: "s", user: "ann", tenant: "t", heartbeat_ms: 25_000, limits: {} };

export class Desk {
  now = 0;
  effects = [];

  constructor(random = () => 0.5) {
    this.core = new Core({ device: "test", random });
    this.tickets = 0;
  }

  give(input) {
    const effects = this.core.handle(this.now, input);
    this.effects.push(...effects);
    for (const { type, ticket, text } of effects) if (type === "keep") this.give({ type: "kept", ticket, text });
    return effects;
  }

  /** Lets time pass, with a tick at the end. */
  pass(time) {
    this.now += time;
    this.give({ type: "tick" });
  }

  /** Takes the effects of this type. */
  take(type) {
    const taken = this.effects.filter((effect) => effect.type === type);
    this.effects = this.effects.filter((effect) => effect.type !== type);
    return taken;
  }

  /** Takes the requests that were sent: `[name, body, id]`. */
  sent() {
    return this.take("send").map(({ frame: { id, ...request } }) => [...Object.entries(request)[0], id]);
  }

  /** Takes the one request that was sent, which has this name. */
  one(name) {
    const sent = this.sent();
    assert.deepEqual(sent.map(([sentName]) => sentName), [name]);
    return { body: sent[0][1], id: sent[0][2] };
  }

  frame(frame) {
    this.give({ type: "frame", connection: this.core.link.connection, frame });
  }

  ok(id, data = {}) {
    this.frame({ id, ok: true, data });
  }

  refuse(id, code, number, retry_after_ms) {
    this.frame({ id, ok: false, error: { code, number, message: code, retry_after_ms } });
  }

  /** From the start to the welcome. */
  online({ restored = [] } = {}) {
    this.give({ type: "restored", records: restored, wall: 0 });
    this.give({ type: "open" });
    assert.equal(this.take("askForToken").length, 1);
    this.give({ type: "token", token: "jwt" });
    this.connect();
    return this;
  }

  /** Makes the connection that it asks for. */
  connect(welcome = WELCOME) {
    const [{ connection }] = this.take("connect");
    this.give({ type: "connected", connection });
    const [[name, , id]] = this.sent();
    assert.equal(name, "hello");
    this.ok(id, welcome);
  }

  lose(code = 1006) {
    this.give({ type: "disconnected", connection: this.core.link.connection, code, reason: "" });
  }

  ask(type, more) {
    const ticket = (this.tickets += 1);
    this.give({ type, ticket, ...more });
    return ticket;
  }

  send(conversation, client_id, since = "core") {
    const body = { conversation, client_id, kind: "TEXT", text: client_id };
    return this.ask("submit", { name: "send", body, since });
  }

  /** A conversation that is read from this number on. */
  subscribed(conversation, at = 0) {
    this.ask("subscribe", { conversation, after: at });
    const { id } = this.one("resume");
    this.ok(id, { conversations: [{ conversation, events: [], head: at, first_available: 1 }] });
    this.take("complete");
  }

  message(conversation, seq) {
    this.frame({ event: "message", conversation, seq, message: { conversation, seq, text: `${seq}` } });
  }

  /** Takes the numbers that the application was told, with the names of what has none. */
  told() {
    return this.take("deliver").map(({ name, event }) => event.seq ?? name);
  }
}
