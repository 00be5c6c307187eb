// Who types: which conversations are shown, said again on each connection, and that this user types, said no more often
// than it helps.

import { isRetry, refusal } from "./errors.js";
import { RETRY_BASE, TYPING_LASTS, TYPING_REPEAT } from "./limits.js";
import { between } from "./timers.js";

/** What is said of a conversation that is shown and not read. */
const UNREAD = { code: "NOT_FOUND", number: 2_003, message: "not subscribed" };

export class Showing {
  #core;
  /** What the application shows. */
  #names = [];
  /** Which of it was said on this connection; null if nothing was. */
  #said = null;
  /** The application has said it anew. */
  #wanted = false;
  #tickets = [];
  /** When it was said last that this user types, by conversation. */
  #typing = new Map();

  constructor(core) {
    this.#core = core;
  }

  show(ticket, conversations) {
    const closed = this.#core.link.closedError();
    if (closed) {
      this.#core.complete(ticket, undefined, closed);
      return;
    }
    this.#names = [...conversations];
    this.#tickets.push(ticket);
    this.#wanted = true;
  }

  /** Says what is shown, as far as it is subscribed on this connection: the server takes no more. */
  pump() {
    const { timers, flights, link } = this.#core;
    if (timers.isSet("show") || flights.size >= link.limits.inFlight || this.#core.isFlying("show")) return;
    const now = this.#names.filter((name) => this.#timeline(name)?.attached);
    const unchanged = this.#said === null ? now.length === 0 : sameNames(this.#said, now);
    // An answer that came too early left them waiting for a subscription, which has been decided since.
    const owed = this.#tickets.length > 0 && !this.#isOneAwaited();
    if (unchanged && !this.#wanted && !owed) return;
    this.#said = now;
    this.#wanted = false;
    this.#core.request("open", { conversations: now }, {
      kind: "show",
      answered: (data, error) => this.#onAnswer(data, error),
      late: () => this.#later(),
    });
  }

  #timeline(name) {
    return this.#core.subscriptions.timelines.get(name);
  }

  /** Whether something is shown that is on its way to being subscribed. */
  #isOneAwaited() {
    return this.#names.some((name) => this.#timeline(name)?.attached === false);
  }

  #onAnswer(data, error) {
    if (error && !isRetry(error)) {
      // The server has what was said before; that is not what is shown now.
      this.#names = [];
      this.#wanted = true;
      for (const ticket of this.#tickets.splice(0)) this.#core.complete(ticket, undefined, refusal(error));
    } else if (error) {
      this.#later(error.retry_after_ms);
    } else if (!this.#wanted) {
      this.#take(data.opened ?? []);
    }
  }

  #take(all) {
    // Nobody would be told that who types there stops, in one that was given up while the answer was on its way.
    const opened = all.map((one) => (this.#timeline(one.conversation) ? one : { conversation: one.conversation, error: UNREAD }));
    const isOwed = this.#tickets.length > 0;
    // Whoever waits for the answer is given the errors. Otherwise nobody is told any more who types where it was refused.
    for (const one of opened) if (!one.error || !isOwed) this.tell(one.conversation, one);
    if (!isOwed) {
      const retries = opened.filter((one) => one.error && isRetry(one.error));
      if (retries.length > 0) this.#later(Math.max(...retries.map((one) => one.error.retry_after_ms ?? 0)));
      return;
    }
    // Once what is awaited is subscribed or refused, all is said again.
    if (this.#isOneAwaited()) return;
    for (const ticket of this.#tickets.splice(0)) this.#core.complete(ticket, { opened });
  }

  /** It was not done, or nobody knows. */
  #later(atLeast = 0) {
    this.#wanted = true;
    const time = between(this.#core.random, RETRY_BASE, 2 * RETRY_BASE);
    this.#core.timers.set("show", this.#core.now + atLeast + time);
  }

  /** Who types in a conversation now, in place of what was told before. */
  tell(conversation, { users = [], more = 0 }) {
    if (!this.#names.includes(conversation) || !this.#timeline(conversation)) return;
    this.#core.deliver("typing", { event: "typing", conversation, users, more });
  }

  /** The user types, or has stopped. Only the present counts: without a connection, nobody is told later. */
  typing(conversation, on) {
    const { link, flights, calls, now } = this.#core;
    if (link.phase !== "live" || link.moving || !this.#timeline(conversation)?.attached) return;
    if (flights.size >= calls.inFlightMax()) return;
    for (const [name, said] of this.#typing) if (said + TYPING_LASTS <= now) this.#typing.delete(name);
    const said = this.#typing.get(conversation);
    if (on && (said === undefined || said + TYPING_REPEAT <= now)) this.#typing.set(conversation, now);
    else if (!on && said !== undefined) this.#typing.delete(conversation);
    else return;
    this.#core.request("typing", { conversation, on }, { kind: "typing", answered: () => {} });
  }

  /** A message ends the typing of its sender, for the server too. */
  typed(conversation) {
    this.#typing.delete(conversation);
  }

  /** The conversation is not read any more. */
  forget(conversation) {
    this.#typing.delete(conversation);
  }

  /** The connection is gone, and the server forgets with it what was shown and who typed. */
  forgetConnection() {
    this.#said = null;
    this.#wanted ||= this.#tickets.length > 0;
    this.#typing.clear();
    this.#core.timers.cancel("show");
  }

  endAll(error) {
    for (const ticket of this.#tickets.splice(0)) this.#core.complete(ticket, undefined, error);
    this.#names = [];
  }
}

function sameNames(one, other) {
  return one.length === other.length && one.every((name, at) => name === other[at]);
}
