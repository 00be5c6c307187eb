// Subscriptions: which conversations are wanted, asking for them on each connection and for what is missing, and handing
// each numbered event on once and in order.
//
// One request for events is on its way at a time: a page may be large, and the next one can then ask for all that is
// missing by then. What is needed is never remembered, but read off the timelines: not attached, or position < head.

import { AUTH_INVALID, isRetry, own, refusal } from "./errors.js";
import { RETRY_BASE, RETRY_CAP } from "./limits.js";
import { Timeline } from "./timeline.js";
import { between, pause } from "./timers.js";

export class Subscriptions {
  timelines = new Map();
  #core;
  /** Timelines whose fetch is queued, in order; each once. */
  #wanting = [];
  #failures = 0;
  #unsubscribing = new Set();
  #held = { chars: 0 };

  constructor(core) {
    this.#core = core;
  }

  subscribe(ticket, conversation, after) {
    const closed = this.#core.link.closedError();
    if (closed) {
      this.#core.complete(ticket, undefined, closed);
      return;
    }
    this.#unsubscribing.delete(conversation);
    this.#core.all.takes(conversation);
    let timeline = this.timelines.get(conversation);
    if (!timeline) this.timelines.set(conversation, (timeline = new Timeline(this.#core.nextId)));
    if (after !== undefined) {
      timeline.forgetHeld(this.#held);
      timeline.position = after;
      timeline.attached = false;
    } else if (timeline.attached) {
      this.#core.complete(ticket, { conversation, head: timeline.head });
      return;
    }
    timeline.tickets.push(ticket);
    this.#want(conversation);
  }

  unsubscribe(ticket, conversation) {
    this.#core.all.leaves(conversation);
    const timeline = this.#drop(conversation);
    for (const waiting of timeline?.tickets ?? []) this.#core.complete(waiting, undefined, unsubscribed());
    if (timeline && ["greeting", "live"].includes(this.#core.link.phase)) this.#unsubscribing.add(conversation);
    this.#core.complete(ticket, {});
  }

  /** One of all conversations, which the server sends from `head` on; events up to `newest` exist. `begun` is called before
   * any of its events if it is new here. */
  attach(conversation, head, newest, begun) {
    let timeline = this.timelines.get(conversation);
    if (timeline) {
      timeline.head = Math.max(timeline.head, newest);
    } else {
      timeline = new Timeline(this.#core.nextId);
      timeline.position = head;
      timeline.head = newest;
      timeline.attached = true;
      this.#unsubscribing.delete(conversation);
      this.timelines.set(conversation, timeline);
      begun();
    }
    this.#lookAfter(conversation);
  }

  /** The application has read events beside its subscription, up to this number. The server takes that for a subscription. */
  reaches(conversation, head) {
    const timeline = this.timelines.get(conversation);
    if (!timeline) {
      this.tellUnwanted(conversation);
      return;
    }
    timeline.head = Math.max(timeline.head, head);
    this.#lookAfter(conversation);
  }

  /** Has the server told that nobody wants this conversation. */
  tellUnwanted(conversation) {
    this.#unsubscribing.add(conversation);
  }

  /** Whether the server is being told so. */
  isUnsubscribing(conversation) {
    if (this.#unsubscribing.has(conversation)) return true;
    return [...this.#core.flights.values()].some(({ purpose }) => purpose.unsubscribes?.includes(conversation));
  }

  /** Queues a timeline for the next request for events, unless it is under way already. */
  #want(conversation) {
    const timeline = this.timelines.get(conversation);
    if (timeline?.fetch !== "idle") return;
    timeline.fetch = "queued";
    this.#wanting.push(conversation);
  }

  /** On a new connection, everything is asked for anew. */
  wantAll() {
    for (const conversation of this.timelines.keys()) this.#want(conversation);
  }

  /** Subscriptions that ended with a role which the new token does not have. They are asked for again: where the user is a member
   *  all the same they go on without a hole, else they end as one that is refused. */
  onRolesLost(ended) {
    for (const conversation of ended) {
      const timeline = this.timelines.get(conversation);
      if (!timeline) continue;
      timeline.attached = false;
      this.#want(conversation);
    }
  }

  /** The connection is gone, and the server forgets with it who was subscribed. */
  detachAll() {
    this.#wanting = [];
    this.#unsubscribing.clear();
    for (const [conversation, timeline] of this.timelines) {
      timeline.attached = false;
      timeline.fetch = "idle";
      this.#core.timers.cancel(`subscription:${conversation}`);
    }
  }

  pumpFetches() {
    const { timers, flights, link } = this.#core;
    if (this.#wanting.length === 0 || timers.isSet("fetch")) return;
    if (flights.size >= link.limits.inFlight || this.#core.isFlying("fetch")) return;
    const { names, resumes } = this.#nextBatch();
    if (names.length === 0) return;
    const positions = resumes
      ? names.map((conversation) => ({ conversation, seq: this.timelines.get(conversation).position }))
      : null;
    const asked = new Map(names.map((name) => [name, this.timelines.get(name).position]));
    this.#core.request(resumes ? "resume" : "subscribe", resumes ? { positions } : { conversations: names }, {
      kind: "fetch",
      answered: (data, error, id) => this.#onAnswer(this.#stillFor(asked, id), resumes, data, error),
      late: (id) => this.#fetchFailed([...this.#stillFor(asked, id).keys()]),
    });
  }

  /** The next timelines to ask for: some that have a position, or some that have none. */
  #nextBatch() {
    const names = [];
    let resumes = false;
    while (this.#wanting.length > 0 && names.length < this.#core.link.limits.positions) {
      const [name] = this.#wanting;
      const timeline = this.timelines.get(name);
      if (timeline?.fetch !== "queued" || !timeline.lacks()) {
        if (timeline?.fetch === "queued") timeline.fetch = "idle";
        this.#wanting.shift();
        continue;
      }
      const begun = names.length > 0;
      if (begun && (timeline.alone || (timeline.position !== null) !== resumes)) break;
      resumes = timeline.position !== null;
      timeline.fetch = "flying";
      names.push(name);
      this.#wanting.shift();
      if (timeline.alone) break;
    }
    return { names, resumes };
  }

  /** Of what a request asked for, what it was asked for still: a conversation that was unsubscribed meanwhile and then
   * subscribed anew is another subscription, of which the answer says nothing. */
  #stillFor(asked, id) {
    return new Map([...asked].filter(([name]) => this.timelines.get(name)?.firstRequest <= id));
  }

  #onAnswer(asked, resumes, data, error) {
    if (error) {
      this.#fetchFailed([...asked.keys()], error);
      return;
    }
    this.#failures = 0;
    const pages = (resumes ? data.conversations : data.subscribed) ?? [];
    const barren = pages.every(({ events }) => !events?.length);
    // Whoever got events asks again behind those that got none, as one reply has a limit over all conversations.
    const order = [...pages].sort((a, b) => (a.events?.length ? 1 : 0) - (b.events?.length ? 1 : 0));
    for (const page of pages) {
      if (!asked.has(page.conversation)) continue;
      if (resumes) this.#takePage(page, asked.get(page.conversation), barren);
      else this.#takeSubscribed(page);
    }
    for (const { conversation } of order) this.#lookAfter(conversation);
    for (const name of asked.keys()) {
      // One that the reply left out.
      if (this.timelines.get(name)?.fetch === "flying") this.#pauseFetch(name);
    }
  }

  #takePage(page, asked, barren) {
    const name = page.conversation;
    const timeline = this.timelines.get(name);
    if (page.error) {
      this.#onRefused(name, page.error);
      return;
    }
    const before = timeline.position;
    timeline.fetch = "idle";
    if (page.head < asked && before === asked) {
      this.#unsubscribing.add(name);
      const message = `position ${asked} lies beyond the end of the conversation, ${page.head}`;
      this.#end(name, own("AHEAD_OF_SERVER", message));
      return;
    }
    timeline.attached = true;
    timeline.alone = false;
    timeline.head = Math.max(timeline.head, page.head);
    this.#confirmAll(name, page.head);
    if (page.first_available > 1) this.#core.calls.remember(name, { head: page.head, first: page.first_available });
    this.#onGap(name, page.first_available);
    for (const event of page.events ?? []) this.#onNumbered(name, event);
    this.#drain(name);
    if (this.timelines.get(name) !== timeline) return;
    if (barren && timeline.position === before && timeline.lacks()) {
      // The whole reply brought nothing although something is missing: not again at once.
      this.#pauseFetch(name);
    } else {
      timeline.failures = 0;
    }
  }

  #takeSubscribed({ conversation, head, error }) {
    const timeline = this.timelines.get(conversation);
    if (error) {
      this.#onRefused(conversation, error);
      return;
    }
    timeline.fetch = "idle";
    timeline.failures = 0;
    timeline.alone = false;
    if (timeline.position !== null) return;
    timeline.position = head;
    timeline.head = Math.max(timeline.head, head);
    timeline.attached = true;
    this.#confirmAll(conversation, head);
    this.#drain(conversation);
  }

  /** A whole request for events had no useful answer. */
  #fetchFailed(names, error) {
    const flying = names.filter((name) => this.timelines.get(name)?.fetch === "flying");
    const fatal = error && !isRetry(error) && error.number !== AUTH_INVALID && this.#core.link.phase !== "greeting";
    if (fatal && flying.length === 1) {
      this.#onRefused(flying[0], error);
      return;
    }
    for (const name of flying) {
      const timeline = this.timelines.get(name);
      timeline.fetch = "idle";
      // The server says not which of them it could not take, so each is asked for by itself.
      timeline.alone = Boolean(fatal);
      this.#want(name);
    }
    if (fatal) return;
    const time = pause(this.#core.random, RETRY_BASE, RETRY_CAP, this.#failures++);
    this.#core.timers.set("fetch", this.#core.now + (error?.retry_after_ms ?? 0) + time);
  }

  #onRefused(name, error) {
    if (isRetry(error) || error.number === AUTH_INVALID) this.#pauseFetch(name, error.retry_after_ms);
    else this.#end(name, refusal(error));
  }

  #pauseFetch(name, atLeast = 0) {
    const timeline = this.timelines.get(name);
    if (!timeline) return;
    timeline.fetch = "pausing";
    const time = pause(this.#core.random, RETRY_BASE, RETRY_CAP, timeline.failures++);
    this.#core.timers.set(`subscription:${name}`, this.#core.now + atLeast + time);
  }

  fetchAgain(name) {
    const timeline = this.timelines.get(name);
    if (timeline?.fetch !== "pausing") return;
    timeline.fetch = "idle";
    this.#want(name);
  }

  pumpUnsubscribes() {
    const { timers, flights, link } = this.#core;
    if (this.#unsubscribing.size === 0 || timers.isSet("unsubscribe") || flights.size >= link.limits.inFlight) return;
    const conversations = [...this.#unsubscribing].slice(0, link.limits.positions);
    for (const name of conversations) this.#unsubscribing.delete(name);
    this.#core.request("unsubscribe", { conversations }, {
      kind: "unsubscribe",
      unsubscribes: conversations,
      answered: (data, error) => this.#onUnsubscribed(conversations, error),
    });
  }

  /** If the server did not do it now, it would go on sending what nobody wants. */
  #onUnsubscribed(names, error) {
    if (!error || !isRetry(error)) return;
    for (const name of names) if (!this.timelines.has(name)) this.#unsubscribing.add(name);
    const time = between(this.#core.random, RETRY_BASE, 2 * RETRY_BASE);
    this.#core.timers.set("unsubscribe", this.#core.now + (error.retry_after_ms ?? 0) + time);
  }

  /** An event that is neither the connection's nor the token's. */
  onEvent(event) {
    const name = event.conversation;
    if (event.event === "listed") {
      this.#core.all.onListed(event);
      return;
    }
    const timeline = this.timelines.get(name);
    if (!timeline) {
      this.#core.all.onEventOfUnknown(event);
      return;
    }
    if (event.event === "typing") {
      this.#core.showing.tell(name, event);
      return;
    }
    if (event.event === "marks") {
      this.#core.marks.onMarks(event);
      return;
    }
    if (event.event === "head" || event.event === "gap") timeline.head = Math.max(timeline.head, event.head);
    if (event.event === "gap") this.#onGap(name, event.first_available);
    else if (event.seq > 0) this.#onNumbered(name, event);
    this.#drain(name);
    this.#lookAfter(name);
  }

  #onNumbered(name, event) {
    const timeline = this.timelines.get(name);
    const next = timeline?.arrive({ ...event, conversation: name }, this.#held);
    if (next) this.#deliver(name, next);
  }

  /** What lies before `first` is gone. */
  #onGap(name, first) {
    const timeline = this.timelines.get(name);
    if (!timeline || timeline.position === null || first <= timeline.position + 1) return;
    const gap = { event: "gap", conversation: name, missed_from: timeline.position + 1, first_available: first };
    timeline.moveTo(first - 1, this.#held);
    this.#core.deliver("gap", gap);
  }

  /** Delivers what is held and follows the position. */
  #drain(name) {
    for (;;) {
      const event = this.timelines.get(name)?.takeNext(this.#held);
      if (!event) return;
      this.#deliver(name, event);
    }
  }

  #deliver(name, event) {
    const timeline = this.timelines.get(name);
    timeline.moveTo(event.seq, this.#held);
    this.#core.presence.after(event);
    this.#core.deliver(event.event, event);
    // A removal that is not the last event was undone by a later one, else the server would send nothing more.
    const removed = event.seq >= timeline.head && event.members?.removed?.includes(this.#core.link.user);
    // Nothing follows an erasure.
    if (removed || event.change?.erased) this.#end(name);
  }

  /** Asks for what a timeline lacks. */
  #lookAfter(name) {
    if (this.timelines.get(name)?.lacks()) this.#want(name);
  }

  #confirmAll(name, head) {
    const timeline = this.timelines.get(name);
    for (const ticket of timeline.tickets.splice(0)) this.#core.complete(ticket, { conversation: name, head });
  }

  /** No more events from there, for the user was removed or `error` says why: whoever waits for the confirmation is told,
   * else whoever listens. */
  #end(name, error) {
    const timeline = this.#drop(name);
    if (!timeline) return;
    for (const ticket of timeline.tickets) this.#core.complete(ticket, undefined, error ?? unsubscribed());
    if (error && timeline.tickets.length > 0) return;
    this.#core.deliver("ended", { event: "ended", conversation: name, reason: error ? "refused" : "removed", error });
  }

  #drop(name) {
    const timeline = this.timelines.get(name);
    if (!timeline) return undefined;
    this.timelines.delete(name);
    this.#core.showing.forget(name);
    this.#core.marks.forget(name);
    this.#core.presence.endThrough(name);
    if (timeline.position !== null) this.#core.calls.remember(name, { head: timeline.head, first: 0 });
    timeline.forgetHeld(this.#held);
    this.#core.timers.cancel(`subscription:${name}`);
    this.#wanting = this.#wanting.filter((wanted) => wanted !== name);
    return timeline;
  }

  endAll(error) {
    for (const { tickets } of this.timelines.values()) {
      for (const ticket of tickets) this.#core.complete(ticket, undefined, error);
    }
    this.timelines.clear();
    this.#wanting = [];
    this.#held = { chars: 0 };
  }
}

function unsubscribed() {
  return own("UNSUBSCRIBED", "unsubscribed before it was confirmed");
}
