// Clients and a server in virtual time, with connections that break at any moment, refusals, and pages that are reloaded:
// whatever happens, every message is stored once and in order, every reader sees every number once and in order, also of a
// conversation that begins in the middle, and what was read is marked in the end. A seed decides everything, and is named
// when something is wrong.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Core } from "../core.js";

const SEEDS = 200;
const MESSAGES = 12;
const CONVERSATIONS = ["c", "d"];
/** One that nobody asks for by name. */
const LATE = "late";

/** Numbers from 0 to below 1, the same for the same seed (mulberry32). */
function random(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

class World {
  now = 0;
  #queue = [];
  logs = new Map(CONVERSATIONS.map((name) => [name, []]));
  calm = false;

  constructor(seed) {
    this.random = random(seed);
  }

  later(time, act) {
    this.#queue.push({ at: this.now + time, act });
  }

  run(until) {
    for (let steps = 0; !until(); steps += 1) {
      assert.ok(steps < 100_000 && this.#queue.length > 0, "it comes to an end");
      this.#queue.sort((a, b) => a.at - b.at);
      const { at, act } = this.#queue.shift();
      this.now = Math.max(this.now, at);
      act();
    }
  }

  chance(of) {
    return !this.calm && this.random() < of;
  }

  /** What the server answers; sometimes that it cannot now. */
  serve(user, request, readers) {
    if (request.hello) return { user, tenant: "t", heartbeat_ms: 25_000, limits: { requests_in_flight_max: 8 } };
    if (request.ping) return {};
    if (request.mark) {
      const { conversation, read } = request.mark;
      assert.ok(read <= this.logs.get(conversation).length, "nobody marks what is not there");
      this.marks.set(`${user} ${conversation}`, Math.max(read, this.marks.get(`${user} ${conversation}`) ?? 0));
    }
    if (this.chance(0.1)) return { error: { code: "OVERLOADED", number: 1002, message: "", retry_after_ms: 5 } };
    if (request.get) {
      const { conversation } = request.get;
      return { conversation: { id: conversation, head: this.logs.get(conversation).length, first_available: 1 } };
    }
    if (request.mark) return { marks: { user } };
    if (request.unsubscribe) return {};
    if (request.subscribe?.all) {
      readers.all = true;
      for (const name of this.logs.keys()) readers.add(name);
      return { subscribed: [...this.logs].map(([conversation, log]) => ({ conversation, head: log.length })), all: {} };
    }
    if (request.resume) return { conversations: request.resume.positions.map((one) => this.#resume(one, readers)) };
    const { conversation, client_id, since } = request.send;
    const log = this.logs.get(conversation);
    const before = log.find((one) => one.seq > since && one.client_id === client_id);
    if (before) return { message: before, duplicate: true };
    const message = { conversation, seq: log.length + 1, client_id, sender: user, text: "" };
    log.push(message);
    for (const tell of this.readers) tell(message);
    return this.chance(0.1) ? { error: { code: "UNKNOWN_OUTCOME", number: 1003, message: "" } } : { message };
  }

  readers = new Set();
  marks = new Map();

  /** Everybody has another conversation. */
  begin(name) {
    this.logs.set(name, []);
    for (const tell of this.readers) tell.listed(name);
  }

  #resume({ conversation, seq }, subscribed) {
    const log = this.logs.get(conversation);
    const events = log.slice(seq, seq + 3).map((message) => ({ event: "message", seq: message.seq, message }));
    subscribed.add(conversation);
    return { conversation, events, head: log.length, first_available: 1, more: seq + 3 < log.length };
  }
}

/** A user's page: what is on its disk outlives it. */
class Page {
  disk = new Map();
  seen = new Map(CONVERSATIONS.map((name) => [name, []]));
  /** From which number on one that was not asked for by name is read. */
  from = new Map(CONVERSATIONS.map((name) => [name, 0]));
  tickets = 0;
  diskAt = 0;
  life = 0;

  constructor(world, user) {
    this.world = world;
    this.user = user;
    this.load();
  }

  load() {
    this.life += 1;
    this.connection?.close();
    this.connection = undefined;
    this.core = new Core({ random: this.world.random });
    const records = [...this.disk].map(([ticket, text]) => ({ ticket, text, at: 0 })).sort((a, b) => a.ticket - b.ticket);
    this.give({ type: "open" });
    for (const [name, from] of this.from) {
      const after = from + this.seen.get(name).length;
      this.give({ type: "subscribe", ticket: (this.tickets += 1), conversation: name, after });
    }
    // What a page has shown it marks again, for the last life may have ended before it was said.
    for (const [name, seen] of this.seen) this.give({ type: "mark", conversation: name, to: { read: seen.at(-1) } });
    this.give({ type: "subscribeAll", ticket: (this.tickets += 1) });
    this.soon(() => this.give({ type: "restored", records, wall: 0 }));
  }

  /** Something of this life of the page; after a reload it is no more. */
  soon(act, time = this.world.random() * 4) {
    const { life } = this;
    this.world.later(time, () => life === this.life && act());
  }

  /** Something that the disk does, one after the other. */
  onDisk(act) {
    this.diskAt = Math.max(this.diskAt, this.world.now) + this.world.random() * 4;
    this.soon(act, this.diskAt - this.world.now);
  }

  give(input) {
    for (const effect of this.core.handle(this.world.now, input)) this.act(effect);
  }

  act(effect) {
    const { type, ticket, text } = effect;
    if (type === "askForToken") this.soon(() => this.give({ type: "token", token: "jwt" }));
    else if (type === "connect") this.connect(effect.connection);
    else if (type === "disconnect") this.connection?.close();
    else if (type === "send") this.connection?.send(effect.frame);
    else if (type === "keep") {
      this.onDisk(() => {
        this.disk.set(ticket, text);
        this.give({ type: "kept", ticket, text });
      });
    } else if (type === "forget") this.onDisk(() => this.disk.delete(ticket));
    else if (type === "wakeAt") this.soon(() => this.give({ type: "tick" }), effect.at - this.world.now);
    else if (type === "deliver") this.told(effect.name, effect.event);
    else if (type === "complete") {
      assert.ok(!effect.error, effect.error?.message);
      for (const { conversation, head } of effect.result?.subscribed ?? []) this.begins(conversation, head);
    }
  }

  told(name, { conversation, seq, head }) {
    assert.notEqual(name, "unmarked");
    if (name === "listed") this.begins(conversation, head);
    else if (seq !== undefined) {
      this.seen.get(conversation).push(seq);
      this.soon(() => this.give({ type: "mark", conversation, to: { read: seq } }));
    }
  }

  begins(name, head) {
    if (this.from.has(name)) return;
    this.from.set(name, head);
    this.seen.set(name, []);
  }

  connect(connection) {
    const { world } = this;
    const subscribed = new Set();
    let open = true;
    const give = (input) => this.soon(() => open && this.give({ connection, ...input }));
    const tell = (message) => {
      // A reader that is slow is told the head alone.
      const { conversation, seq } = message;
      if (!subscribed.has(conversation)) return;
      const event = world.chance(0.2) ? { event: "head", head: seq } : { event: "message", seq, message };
      give({ type: "frame", frame: { conversation, ...event } });
    };
    tell.listed = (name) => {
      if (!subscribed.all) return;
      subscribed.add(name);
      give({ type: "frame", frame: { event: "listed", conversation: name, listed: { added: {}, head: 0 } } });
    };
    const close = () => {
      open = false;
      world.readers.delete(tell);
    };
    world.readers.add(tell);
    this.connection = {
      close,
      send: ({ id, ...request }) => this.soon(() => {
        if (!open) return;
        const { error, ...data } = world.serve(this.user, request, subscribed);
        if (world.chance(0.08)) {
          close();
          this.soon(() => this.give({ type: "disconnected", connection, code: 1006, reason: "" }));
        } else {
          give({ type: "frame", frame: error ? { id, ok: false, error } : { id, ok: true, data } });
        }
      }),
    };
    give({ type: "connected" });
  }

  write(conversation, client_id) {
    const body = { conversation, client_id, kind: "TEXT", text: "" };
    this.give({ type: "submit", ticket: (this.tickets += 1), name: "send", body, since: "core" });
  }
}

function story(seed) {
  const world = new World(seed);
  const pages = ["ann", "bob"].map((user) => new Page(world, user));
  let written = 0;
  for (const page of pages) {
    for (let n = 0; n < MESSAGES; n += 1) {
      world.later(world.random() * 400, () => {
        const conversation = [...page.from.keys()][n % page.from.size];
        page.write(conversation, `${page.user}-${(written += 1)}`);
      });
    }
    for (let n = 0; n < 3; n += 1) {
      // One that is read is asked for by its name, and some of what happened there is read again.
      world.later(world.random() * 500, () => {
        const known = [...page.from.keys()];
        const conversation = known[Math.floor(world.random() * known.length)];
        page.give({ type: "subscribe", ticket: (page.tickets += 1), conversation });
        const positions = [{ conversation, seq: page.from.get(conversation) }];
        page.give({ type: "submit", ticket: (page.tickets += 1), name: "resume", body: { positions } });
      });
    }
    for (let n = 0; n < 2; n += 1) {
      // What a page has not put on the disk yet goes with it, so it is reloaded when it has.
      world.later(world.random() * 500, () => {
        const unsent = page.core.calls.outbox.all().filter(({ name }) => name === "send");
        if (unsent.every(({ kept }) => kept !== null)) page.load();
      });
    }
  }
  world.later(world.random() * 400, () => world.begin(LATE));
  world.later(600, () => (world.calm = true));
  const all = pages.length * MESSAGES;
  const stored = () => [...world.logs.values()].reduce((sum, log) => sum + log.length, 0);
  const rest = (page, name) => world.logs.get(name).length - (page.from.get(name) ?? -1);
  const read = (page) => [...world.logs.keys()].every((name) => page.seen.get(name)?.length >= rest(page, name));
  const marked = (page) => [...page.seen].every(([name, seen]) => seen.length === 0 || world.marks.get(`${page.user} ${name}`) === seen.at(-1));
  const isDone = (page) => read(page) && marked(page) && page.core.calls.outbox.size === 0;
  world.run(() => world.calm && stored() >= all && pages.every(isDone));
  for (const [name, log] of world.logs) {
    const ids = log.map(({ client_id }) => client_id);
    assert.equal(new Set(ids).size, ids.length, `${name}: a message is stored twice`);
    for (const page of pages) {
      const own = log.filter(({ sender }) => sender === page.user).map(({ client_id }) => Number(client_id.split("-")[1]));
      assert.deepEqual(own, [...own].sort((a, b) => a - b), `${name}: ${page.user}'s messages are out of order`);
      const expected = log.slice(page.from.get(name)).map(({ seq }) => seq);
      assert.deepEqual(page.seen.get(name), expected, `${name}: what ${page.user} saw`);
    }
  }
  assert.equal(stored(), all);
}

test(`nothing is lost, doubled or out of order in ${SEEDS} stories`, () => {
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    try {
      story(seed);
    } catch (error) {
      error.message = `seed ${seed}: ${error.message}`;
      throw error;
    }
  }
});
