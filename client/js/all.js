// All conversations of the user: wanted once, asked for on each connection, and told of as they come and go. One that
// comes is read from then on; those that were read before go on where they were.

import { isRetry, refusal } from "./errors.js";
import { RETRY_BASE, RETRY_CAP } from "./limits.js";
import { pause } from "./timers.js";

export class All {
  #core;
  #wanted = false;
  /** Where asking stands on this connection: no, flying, pausing until a timer, or yes. */
  #asked = "no";
  /** The server has named them once: what is new from then on is told. */
  #known = false;
  #tickets = [];
  #failures = 0;
  /** What the application gave up although it wants all. */
  #left = new Set();
  /** Numbers that came before the answer that names their conversations. */
  #early = new Map();

  constructor(core) {
    this.#core = core;
  }

  subscribe(ticket) {
    const closed = this.#core.link.closedError();
    if (closed) {
      this.#core.complete(ticket, undefined, closed);
      return;
    }
    this.#wanted = true;
    this.#left.clear();
    this.#tickets.push(ticket);
    if (this.#asked === "yes") this.#asked = "no";
  }

  /** The application wants this conversation after all. */
  takes(conversation) {
    this.#left.delete(conversation);
  }

  /** The application wants this conversation no more. */
  leaves(conversation) {
    if (this.#wanted) this.#left.add(conversation);
  }

  pump() {
    if (!this.#wanted || this.#asked !== "no" || this.#core.flights.size >= this.#core.link.limits.inFlight) return;
    this.#asked = "flying";
    this.#core.request("subscribe", { all: true }, {
      kind: "all",
      answered: (data, error) => this.#onAnswer(data, error),
      late: () => this.#askLater(),
    });
  }

  /** The connection is gone, and the server forgets with it what was wanted. */
  forgetConnection() {
    this.#asked = "no";
    this.#early.clear();
    this.#core.timers.cancel("all");
  }

  #onAnswer(data, error) {
    this.#asked = "yes";
    if (error && isRetry(error)) {
      this.#askLater(error.retry_after_ms);
      return;
    }
    if (error) {
      this.#wanted = false;
      for (const ticket of this.#tickets.splice(0)) this.#core.complete(ticket, undefined, refusal(error));
      return;
    }
    this.#failures = 0;
    const tells = this.#known;
    this.#known = true;
    const read = [];
    for (const one of data.subscribed ?? []) {
      if (!this.#left.has(one.conversation)) {
        read.push(one);
        if (!one.error) this.#takeOne(one.conversation, one.head, one.head, tells);
      } else if (!one.error) {
        // The application gave it up meanwhile.
        this.#core.subscriptions.tellUnwanted(one.conversation);
      }
    }
    this.#early.clear();
    for (const ticket of this.#tickets.splice(0)) this.#core.complete(ticket, { subscribed: read, all: data.all });
  }

  /** It was not done, or nobody knows. */
  #askLater(atLeast = 0) {
    this.#asked = "pausing";
    const time = pause(this.#core.random, RETRY_BASE, RETRY_CAP, this.#failures++);
    this.#core.timers.set("all", this.#core.now + atLeast + time);
  }

  /** The pause after a refusal is over. */
  askAgain() {
    if (this.#asked === "pausing") this.#asked = "no";
  }

  /** The server sends one of them from the number `head` on; the application knows it up to `from`, which is no higher. */
  #takeOne(conversation, from, head, tells) {
    const newest = Math.max(this.#early.get(conversation) ?? 0, head);
    this.#early.delete(conversation);
    const isNew = !this.#core.subscriptions.timelines.has(conversation);
    if (isNew && this.#left.has(conversation)) {
      this.#core.subscriptions.tellUnwanted(conversation);
      return;
    }
    this.#core.subscriptions.attach(conversation, from, newest, () => {
      if (tells) this.#core.deliver("listed", { event: "listed", conversation, head: from });
    });
  }

  /** An event of a conversation that is not known: of one that is wanted with all others, its numbers are remembered. */
  onEventOfUnknown({ event, conversation, seq = 0, head }) {
    if (!this.#wanted) return;
    if (this.#asked === "flying" && seq > 0) {
      this.#early.set(conversation, Math.max(seq, this.#early.get(conversation) ?? 0));
    } else if (this.#asked === "yes" && event === "head") {
      // Its owner had not answered when the others were named.
      this.#takeOne(conversation, head, head, true);
    }
  }

  /** A conversation came to the user's list, went from it, or is shown otherwise there. */
  onListed({ conversation, listed: { added, changed, removed, head } }) {
    if (!this.#wanted) return;
    if (changed) {
      // Its other one may have been unblocked.
      if (changed.peer !== undefined) this.#core.presence.again([changed.peer]);
      this.#core.deliver("relisted", { event: "relisted", conversation, listing: changed });
      return;
    }
    if (removed) {
      this.#left.delete(conversation);
      this.#core.deliver("unlisted", { event: "unlisted", conversation });
      return;
    }
    // What the application gives up just now is given up, though the server did not know it yet.
    const live = this.#core.subscriptions.isUnsubscribing(conversation) ? undefined : head;
    // What happened between what the listing shows and the first number that comes live is fetched.
    // One that is read already goes on where it is.
    const isNew = !this.#core.subscriptions.timelines.has(conversation);
    const from = live && Math.min(live, (isNew ? added?.conversation?.head : undefined) ?? live);
    this.#core.deliver("listed", { event: "listed", conversation, listing: added, head: from });
    if (live === undefined) return;
    this.#left.delete(conversation);
    this.#takeOne(conversation, from, live, false);
  }

  endAll(error) {
    for (const ticket of this.#tickets.splice(0)) this.#core.complete(ticket, undefined, error);
    this.#wanted = false;
  }
}
