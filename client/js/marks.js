// Marks: how far this user has come, said once a second for each conversation and said again where it may be lost; and how
// far others have, as the server tells it.

import { isRetry, own, refusal } from "./errors.js";
import { MARK_STORED_WITHIN, MARKED_KEPT_MAX, MARKED_MAX, RETRY_BASE } from "./limits.js";
import { between } from "./timers.js";

/** How far this user has come in one conversation, and what has become of it: `queued`, `flying`, `pausing` until a timer,
 * or `answered`. `more` says that it has risen since it was sent; `answeredAt`, when the server had it, which may still lose
 * it if it ends within a second. */
class Own {
  stage = "queued";
  more = false;
  answeredAt = null;

  constructor(read, delivered) {
    this.read = read;
    this.delivered = delivered;
  }

  /** Nothing of it waits to be said. */
  get isSaid() {
    return this.answeredAt !== null && (this.stage === "answered" || (this.stage === "pausing" && !this.more));
  }

  /** The server has surely stored it: it was there a second after it had answered. */
  isStored(heardAt) {
    return this.isSaid && this.answeredAt + MARK_STORED_WITHIN < heardAt;
  }
}

export class Marks {
  #core;
  #own = new Map();
  /** Conversations of which marks were told on this connection: some are missed while there is none. */
  #told = new Set();
  /** Conversations of which some were missed. */
  #missed = new Set();

  constructor(core) {
    this.#core = core;
  }

  /** The user has come so far. Only what is new is said, and never more than the newest. */
  mark(conversation, { read = 0, delivered = 0 }) {
    const { link } = this.#core;
    const closed = link.closedError();
    if (closed) {
      this.#giveUp(conversation, { read, delivered }, closed);
      return;
    }
    if (this.#own.size >= MARKED_KEPT_MAX) {
      for (const [name, one] of this.#own) if (one.isStored(link.heardAt)) this.#own.delete(name);
    }
    const before = this.#own.get(conversation);
    if (!before) {
      if (Math.max(read, delivered) === 0) return;
      if (this.#own.size < MARKED_MAX) this.#own.set(conversation, new Own(read, delivered));
      else this.#giveUp(conversation, { read, delivered }, own("TOO_MANY_PENDING", "too many marks are waiting to be sent"));
      return;
    }
    if (read <= before.read && delivered <= before.delivered) return;
    before.read = Math.max(before.read, read);
    before.delivered = Math.max(before.delivered, delivered);
    if (before.stage === "answered") before.stage = "queued";
    else before.more = true;
  }

  /** Says what is to be said, and asks for what was missed. */
  pump() {
    const { flights, calls, timers } = this.#core;
    for (const [name, one] of this.#own) {
      if (flights.size >= calls.inFlightMax()) return;
      if (one.stage === "queued") this.#say(name, one);
    }
    if (timers.isSet("marks")) return;
    for (const name of [...this.#missed]) {
      if (flights.size >= calls.inFlightMax()) return;
      this.#missed.delete(name);
      this.#core.request("marks", { conversation: name }, {
        kind: "marks",
        answered: (data, error) => this.#onMissed(name, data, error),
        late: () => this.#askLater(name),
        cutOff: () => this.#missed.add(name),
      });
    }
  }

  #say(conversation, one) {
    one.stage = "flying";
    one.more = false;
    const { read, delivered } = one;
    const body = { conversation, ...(read > 0 && { read }), ...(delivered > read && { delivered }) };
    this.#core.request("mark", body, {
      kind: "mark",
      answered: (data, error) => this.#onAnswer(conversation, one, data, error),
      late: () => this.#sayLater(conversation, one),
    });
  }

  #onAnswer(conversation, one, data, error) {
    if (this.#own.get(conversation) !== one || one.stage !== "flying") return;
    if (error && isRetry(error)) {
      this.#sayLater(conversation, one, error.retry_after_ms);
    } else if (error && !one.more) {
      this.#own.delete(conversation);
      this.#giveUp(conversation, one, refusal(error));
    } else {
      // After a refusal, what has come since is still to be said.
      one.stage = "pausing";
      one.answeredAt = error ? null : this.#core.now;
      this.#core.timers.set(`mark:${conversation}`, this.#core.now + MARK_STORED_WITHIN);
      if (!error) this.#core.deliver("marked", { event: "marked", conversation, marks: data.marks, unread: data.unread ?? 0 });
    }
  }

  /** It was not done, or nobody knows. */
  #sayLater(conversation, one, atLeast = 0) {
    if (this.#own.get(conversation) !== one || one.stage !== "flying") return;
    one.stage = "pausing";
    one.more = true;
    one.answeredAt = null;
    const time = between(this.#core.random, RETRY_BASE, 2 * RETRY_BASE);
    this.#core.timers.set(`mark:${conversation}`, this.#core.now + Math.max(atLeast, MARK_STORED_WITHIN) + time);
  }

  /** A conversation's pause is over. */
  sayAgain(conversation) {
    const one = this.#own.get(conversation);
    if (one?.stage === "pausing") one.stage = one.isSaid ? "answered" : "queued";
  }

  #giveUp(conversation, { read, delivered }, error) {
    this.#core.deliver("unmarked", { event: "unmarked", conversation, read, delivered, error });
  }

  /** Whether the server has answered everything. */
  get isSaid() {
    return [...this.#own.values()].every((one) => one.isSaid);
  }

  /** The connection is gone. What is not certain to be stored is said again on the next, and of others' marks some may be
   * missed until then. */
  forgetConnection() {
    const { timers, link } = this.#core;
    for (const [name, one] of [...this.#own]) {
      timers.cancel(`mark:${name}`);
      if (one.isStored(link.heardAt)) this.#own.delete(name);
      else one.stage = "queued";
    }
    timers.cancel("marks");
    for (const name of this.#told) this.#missed.add(name);
    this.#told.clear();
  }

  /** The conversation is not read any more. */
  forget(conversation) {
    this.#told.delete(conversation);
    this.#missed.delete(conversation);
  }

  /** The server tells how far members have come. */
  onMarks({ conversation, marks = [], missed }) {
    this.#told.add(conversation);
    if (missed) this.#missed.add(conversation);
    this.#tell(conversation, marks);
  }

  /** The page that was asked for, as some were missed: members of conversations in which everybody is told fit in one. */
  #onMissed(conversation, data, error) {
    if (!this.#core.subscriptions.timelines.has(conversation)) return;
    if (!error) {
      this.#told.add(conversation);
      this.#tell(conversation, data.marks ?? []);
    } else if (isRetry(error)) {
      this.#askLater(conversation, error.retry_after_ms);
    }
  }

  #askLater(conversation, atLeast = 0) {
    this.#missed.add(conversation);
    const time = between(this.#core.random, RETRY_BASE, 2 * RETRY_BASE);
    this.#core.timers.set("marks", this.#core.now + atLeast + time);
  }

  #tell(conversation, marks) {
    if (marks.length > 0) this.#core.deliver("marks", { event: "marks", conversation, marks });
  }

  /** The client is closed: what was not said is told to the application. */
  endAll(error) {
    for (const [name, one] of this.#own) if (!one.isSaid) this.#giveUp(name, one, error);
    this.#own.clear();
    this.#missed.clear();
  }
}
