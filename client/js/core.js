// The SDK's mind, without input or output: what happened goes in with the time, what is to be done comes out. It reads no
// clock, draws no chance but from the function it is given, starts nothing and waits for nothing.
//
// | file             | what it decides                                                        |
// |------------------|------------------------------------------------------------------------|
// | link.js          | tokens, connecting, welcome, silence, draining, closing                |
// | calls.js         | the application's requests: keeping, sending, repeating, giving up     |
// | subscriptions.js | whose events are wanted, asking for them, each once and in order       |
// | all.js           | all of the user's conversations, as they come and go                   |
// | showing.js       | what is shown, and who types there                                     |
// | marks.js         | how far this user has come, and others                                 |
// | presence.js      | who is watched, and what is told of them                               |
// | outbox.js, timeline.js, timers.js | the state that these decide over                      |
//
// Inputs: open, tick, nudge (the network may have come or gone), token, connected, disconnected, frame, submit, subscribe,
// unsubscribe, subscribeAll, show, typing, mark, watch, unwatch,
// restored, kept, close. Effects: askForToken, connect, send, disconnect, deliver, complete,
// state, keep, forget, wakeAt.

import { All } from "./all.js";
import { Calls } from "./calls.js";
import { Link } from "./link.js";
import { REQUEST_TIMEOUT } from "./limits.js";
import { Marks } from "./marks.js";
import { Presence } from "./presence.js";
import { Showing } from "./showing.js";
import { Subscriptions } from "./subscriptions.js";
import { Timers } from "./timers.js";

export class Core {
  now = 0;
  effects = [];
  timers = new Timers();
  /** Requests on their way on the present connection: id -> { name, purpose, sentAt, dueAt, late }, oldest first. */
  flights = new Map();
  nextId = 1;
  #wakeAt = Infinity;

  /** `random` gives numbers from 0 to below 1. */
  constructor({ device = "", random }) {
    this.random = random;
    this.link = new Link(this, device);
    this.calls = new Calls(this);
    this.subscriptions = new Subscriptions(this);
    this.all = new All(this);
    this.showing = new Showing(this);
    this.marks = new Marks(this);
    this.presence = new Presence(this);
  }

  /** Takes in what happened by `now`; gives what is to be done, in order. */
  handle(now, input) {
    this.now = Math.max(this.now, now);
    this.effects = [];
    this.#takeIn(input);
    this.#runDue();
    this.#pump();
    this.calls.keepWhatChanged();
    this.#announceWake();
    return this.effects;
  }

  get isClosed() {
    return this.link.phase === "closed";
  }

  #takeIn(input) {
    const { link, calls, subscriptions, all, showing, marks, presence } = this;
    switch (input.type) {
      case "open": return link.open();
      case "tick": this.#wakeAt = Infinity; return undefined;
      case "nudge": return link.nudge();
      case "token": return link.onToken(input);
      case "connected": return link.onConnected(input.connection);
      case "disconnected": return link.onDisconnected(input.connection, input.code, input.reason);
      case "frame": return link.is(input.connection) ? this.#onFrame(input.frame) : undefined;
      case "submit": return calls.submit(input);
      case "restored": return calls.restore(input.records, input.wall);
      case "kept": return calls.onKept(input.ticket, input.text);
      case "subscribe": return subscriptions.subscribe(input.ticket, input.conversation, input.after);
      case "unsubscribe": return subscriptions.unsubscribe(input.ticket, input.conversation);
      case "subscribeAll": return all.subscribe(input.ticket);
      case "show": return showing.show(input.ticket, input.conversations);
      case "typing": return showing.typing(input.conversation, input.on);
      case "mark": return marks.mark(input.conversation, input.to);
      case "watch": return presence.watch(input.ticket, input.users, input.conversation);
      case "unwatch": return presence.unwatch(input);
      case "close": return link.close(input.patience);
      default: throw new TypeError(`unknown input ${input.type}`);
    }
  }

  #onFrame(frame) {
    this.link.hear();
    if (frame.event !== undefined) {
      if (frame.event === "drain") this.link.onDrain(frame);
      else if (frame.event === "token_expiring") this.link.renew();
      else if (frame.event === "presence") this.presence.onPresence(frame);
      else this.subscriptions.onEvent(frame);
      return;
    }
    const flight = this.flights.get(frame.id);
    if (!flight) return;
    this.flights.delete(frame.id);
    const { ok, data, error } = frame;
    const refused = ok ? undefined : error ?? { code: "INTERNAL", number: 1_004, message: "" };
    if (refused) refused.trace = `${this.link.session}/${frame.id}`;
    flight.purpose.answered(ok ? data ?? {} : undefined, refused, frame.id);
  }

  #runDue() {
    for (let name; (name = this.timers.popDue(this.now)) !== undefined; ) {
      this.#runTimer(name);
    }
    for (const [id, flight] of this.flights) {
      if (flight.late || flight.dueAt > this.now) continue;
      if (this.link.heardAt < flight.sentAt) {
        // Nothing at all came since it was asked: the connection is dead, whatever the heartbeat still allows.
        this.link.abandon();
        break;
      }
      flight.late = true;
      flight.purpose.late?.(id);
    }
    if (this.flights.size >= this.calls.inFlightMax() && [...this.flights.values()].every(({ late }) => late)) {
      // The server answers none of these, and takes no more before it does.
      this.link.abandon();
    }
  }

  /** Timers of one conversation or request have it behind a colon: `lane:ID`. */
  #runTimer(name) {
    const colon = name.indexOf(":");
    const [kind, of] = colon < 0 ? [name, ""] : [name.slice(0, colon), name.slice(colon + 1)];
    switch (kind) {
      case "step": return this.link.onStepOver();
      case "quiet": return this.link.onQuiet();
      case "probe": return this.link.onProbeOver();
      case "move": return this.link.startMoving();
      case "moveNow": return this.link.moveNow();
      case "renew": return this.link.renewAgain();
      case "close": return this.link.finish({ by: "application" });
      case "deadline": return this.calls.giveUp(Number(of));
      case "retry": return this.calls.retry(Number(of));
      case "lane": return this.calls.releaseLane(of);
      case "subscription": return this.subscriptions.fetchAgain(of);
      case "all": return this.all.askAgain();
      case "mark": return this.marks.sayAgain(of);
      case "signs": return this.presence.followSigns();
      // "fetch", "unsubscribe", "show", "marks" and "watch" only let the pump go on.
      default: return undefined;
    }
  }

  /** Sends what may be sent now. */
  #pump() {
    const { link } = this;
    if (link.phase === "greeting") {
      this.subscriptions.pumpFetches();
    } else if (link.phase === "live" && !link.moving) {
      this.subscriptions.pumpFetches();
      this.subscriptions.pumpUnsubscribes();
      this.showing.pump();
      this.all.pump();
      this.presence.pump();
      this.calls.pump();
      this.marks.pump();
    } else if (link.phase === "live" && this.flights.size === 0) {
      link.moveNow();
    }
    if (link.closing && this.calls.outbox.size === 0 && this.marks.isSaid) link.finish({ by: "application" });
  }

  /** Sends a request on the present connection. `purpose` has `answered(data, error, id)`, and may have `late(id)`,
   * `cutOff(id)` and a `kind`. Gives the request's id. */
  request(name, body, purpose) {
    const id = this.nextId++;
    this.flights.set(id, { name, purpose, sentAt: this.now, dueAt: this.now + REQUEST_TIMEOUT, late: false });
    this.effects.push({ type: "send", connection: this.link.connection, frame: { id, [name]: body } });
    return id;
  }

  /** Whether a request of this kind is under way and not late. */
  isFlying(kind) {
    for (const { late, purpose } of this.flights.values()) if (!late && purpose.kind === kind) return true;
    return false;
  }

  /** Takes all flights: the connection is gone. */
  cutOffAll() {
    const flights = [...this.flights];
    this.flights.clear();
    for (const [id, { purpose }] of flights) purpose.cutOff?.(id);
  }

  deliver(name, event) {
    this.effects.push({ type: "deliver", name, event });
  }

  complete(ticket, result, error) {
    this.effects.push({ type: "complete", ticket, result, error });
  }

  /** Tells the driver when to come back, if that is sooner than it knows; coming too early does no harm. */
  #announceWake() {
    let next = this.timers.next();
    for (const { late, dueAt } of this.flights.values()) if (!late) next = Math.min(next, dueAt);
    if (next < this.#wakeAt) {
      this.#wakeAt = next;
      this.effects.push({ type: "wakeAt", at: next });
    }
  }
}
