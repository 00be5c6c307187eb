// The application's requests from their submission to their answer: what waits, in which order, and what is on its way.
// It knows nothing of connections or time; `calls.js` tells it what happened.
//
// Sends of one conversation wait in a lane, in the order in which they were written; what must be sent again comes first.
// Everything else has no order.

import { IN_FLIGHT_PER_CONVERSATION_MAX } from "./limits.js";

/** One request without its final answer. */
export class Pending {
  /** Whether an attempt may have been carried out. */
  doubt = false;
  failures = 0;
  /** The request id of the attempt that is on its way. */
  flying = null;
  /** Whether any attempt was made: from then on a send's `since` is fixed. */
  tried = false;
  /** What was kept of a send on this device, as text; null if nothing yet. */
  kept = null;
  /** The same, on its way to the disk. */
  keeping = null;

  /** `since` says who chose the head that a send refers to: "application", "core", or "chosen" (the core, far enough
   * back to find an earlier message under the application's own id). */
  constructor(ticket, name, body, since) {
    this.ticket = ticket;
    this.name = name;
    this.body = body;
    this.since = since;
    this.lane = name === "send" ? body.conversation : null;
    this.chars = JSON.stringify(body).length;
  }
}

class Lane {
  waiting = [];
  flying = 0;
  failures = 0;
  held = false;
}

export class Outbox {
  #pending = new Map();
  #lanes = new Map();
  #others = [];
  chars = 0;

  get size() {
    return this.#pending.size;
  }

  get(ticket) {
    return this.#pending.get(ticket);
  }

  /** All, in the order of their tickets. */
  all() {
    return [...this.#pending.values()].sort((a, b) => a.ticket - b.ticket);
  }

  admit(pending) {
    this.#pending.set(pending.ticket, pending);
    this.chars += pending.chars;
    this.waitAgain(pending);
  }

  /** It is to be sent, or sent again. */
  waitAgain(pending) {
    this.land(pending);
    if (pending.lane === null) {
      this.#others.push(pending.ticket);
      return;
    }
    const { waiting } = this.#lane(pending.lane);
    const at = waiting.findIndex((ticket) => ticket >= pending.ticket);
    if (at < 0) waiting.push(pending.ticket);
    else if (waiting[at] !== pending.ticket) waiting.splice(at, 0, pending.ticket);
  }

  /** The requests that could fly now: the first of each lane that is free, then the others. */
  *ready() {
    for (const lane of [...this.#lanes.values()]) {
      const [first] = lane.waiting;
      if (first !== undefined && !lane.held && lane.flying < IN_FLIGHT_PER_CONVERSATION_MAX) {
        yield this.#pending.get(first);
      }
    }
    for (const ticket of [...this.#others]) {
      const pending = this.#pending.get(ticket);
      if (pending) yield pending;
    }
  }

  /** It is on its way under this request id. */
  fly(pending, id) {
    pending.flying = id;
    pending.tried = true;
    if (pending.lane === null) {
      this.#others = this.#others.filter((ticket) => ticket !== pending.ticket);
    } else {
      const lane = this.#lane(pending.lane);
      lane.waiting = lane.waiting.filter((ticket) => ticket !== pending.ticket);
      lane.flying += 1;
    }
  }

  /** It is no longer on its way. */
  land(pending) {
    if (pending.flying !== null && pending.lane !== null) this.#lane(pending.lane).flying -= 1;
    pending.flying = null;
  }

  /** It has its answer: forgets it. */
  settle(pending, wentWell) {
    if (!this.#pending.delete(pending.ticket)) return;
    this.land(pending);
    this.chars -= pending.chars;
    this.#others = this.#others.filter((ticket) => ticket !== pending.ticket);
    if (pending.lane === null) return;
    const lane = this.#lane(pending.lane);
    lane.waiting = lane.waiting.filter((ticket) => ticket !== pending.ticket);
    if (wentWell) lane.failures = 0;
    this.#tidy(pending.lane);
  }

  /** Stops a lane; gives how often it failed in a row before. */
  hold(name, failed) {
    const lane = this.#lane(name);
    lane.held = true;
    if (failed) lane.failures += 1;
    return Math.max(0, lane.failures - 1);
  }

  /** Lets a lane go on. */
  release(name) {
    const lane = this.#lanes.get(name);
    if (lane) lane.held = false;
    this.#tidy(name);
  }

  /** The first send of a lane that is not on its way. */
  firstWaiting(name) {
    return this.#pending.get(this.#lanes.get(name)?.waiting[0]);
  }

  #lane(name) {
    let lane = this.#lanes.get(name);
    if (!lane) this.#lanes.set(name, (lane = new Lane()));
    return lane;
  }

  #tidy(name) {
    const lane = this.#lanes.get(name);
    if (lane && lane.waiting.length === 0 && lane.flying === 0 && !lane.held) this.#lanes.delete(name);
  }
}
