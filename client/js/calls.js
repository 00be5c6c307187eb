// The application's requests: kept on this device where they are messages, sent when there is a connection and a place
// among those in flight, repeated where that helps and harms nobody, and answered exactly once each.

import { didNothing, ID_EXPIRED, isRetry, own, refusal } from "./errors.js";
import {
  DEDUPE_RECENT, HEADS_MAX, IN_FLIGHT_RESERVED, PENDING_CHARS_MAX, PENDING_MAX, REQUEST_TIMEOUT, RETRY_BASE, RETRY_CAP,
  UNSENT_AGE_MAX,
} from "./limits.js";
import { Outbox, Pending } from "./outbox.js";
import { pause } from "./timers.js";

/** What may be asked for: whether a second time is as if asked once, and whether it changes something. */
const KINDS = {
  create: { repeats: ({ kind }) => kind !== "group", changes: true },
  send: { repeats: () => true, changes: true },
  history: { repeats: () => true, changes: false },
  get: { repeats: () => true, changes: false },
  members: { repeats: () => true, changes: false },
  list: { repeats: () => true, changes: false },
  unread: { repeats: () => true, changes: false },
  marks: { repeats: () => true, changes: false },
  ping: { repeats: () => true, changes: false },
  resume: { repeats: () => true, changes: false },
  delete: { repeats: () => true, changes: true },
  edit: { repeats: () => false, changes: true },
  react: { repeats: () => false, changes: true },
  pin: { repeats: () => false, changes: true },
  add: { repeats: () => false, changes: true },
  remove: { repeats: () => false, changes: true },
  leave: { repeats: () => false, changes: true },
  // A second time finds nothing; and who accepted meanwhile would have declined.
  erase: { repeats: () => false, changes: true },
  accept: { repeats: () => false, changes: true },
  decline: { repeats: () => false, changes: true },
  update: { repeats: () => false, changes: true },
  blocks: { repeats: () => true, changes: false },
  // Whoever undid it meanwhile would see it undone again.
  archive: { repeats: () => false, changes: true },
  unarchive: { repeats: () => false, changes: true },
  block: { repeats: () => false, changes: true },
  unblock: { repeats: () => false, changes: true },
  promote: { repeats: () => false, changes: true },
  demote: { repeats: () => false, changes: true },
  close: { repeats: () => false, changes: true },
  reopen: { repeats: () => false, changes: true },
};

/** The `since` of a message of which nobody can say any more with which one it was sent: every conversation had this. */
const SINCE_UNKNOWN = 0;

/** Bytes of a frame around its request's body: the name, the id and the braces. */
const FRAME_BYTES = 64;

const bytes = (text) => new TextEncoder().encode(text).length;

export class Calls {
  outbox = new Outbox();
  #core;
  #known = new Map();
  #changed = new Set();
  /** What an earlier visit left unsent goes first, so nothing is sent before it is known. */
  #restored = false;

  constructor(core) {
    this.#core = core;
  }

  /** Takes a request. `since` is for messages: who chose it. */
  submit({ ticket, name, body, timeout, since = "core" }) {
    const error = this.#inadmissible(name, body);
    if (error) {
      this.#core.complete(ticket, undefined, error);
      return;
    }
    const pending = new Pending(ticket, name, body, since);
    const patience = timeout ?? (name === "send" ? undefined : REQUEST_TIMEOUT);
    if (patience !== undefined) this.#core.timers.set(`deadline:${ticket}`, this.#core.now + patience);
    this.outbox.admit(pending);
    if (name === "send") {
      this.#changed.add(pending);
      this.#core.showing.typed(body.conversation);
    }
  }

  #inadmissible(name, body) {
    const { link } = this.#core;
    if (link.phase === "closed") return link.closedError();
    if (link.closing) return own("CLIENT_CLOSED", "the client is closing", { closed: { by: "application" } });
    const text = JSON.stringify(body);
    if (bytes(text) + FRAME_BYTES > link.limits.frameBytes || (name === "send" && bytes(body.text) > link.limits.bodyBytes)) {
      return own("TOO_LARGE", "the request is larger than the server takes");
    }
    if (this.outbox.size >= PENDING_MAX || this.outbox.chars + text.length > PENDING_CHARS_MAX) {
      return own("TOO_MANY_PENDING", "too many requests are waiting to be sent");
    }
    return undefined;
  }

  /** Messages that an earlier visit left unsent, oldest first: `{ ticket, text, at }`. */
  restore(records, wall) {
    this.#restored = true;
    for (const { ticket, text, at } of records) {
      const { body, since, tried, owner } = JSON.parse(text);
      const pending = new Pending(ticket, "send", body, since);
      pending.kept = text;
      pending.tried = pending.doubt = tried;
      pending.owner = owner;
      this.outbox.admit(pending);
      if (wall - at > UNSENT_AGE_MAX) this.fail(pending, own("TIMED_OUT", "it lay unsent for too long"));
    }
    this.onIdentity();
  }

  /** The server has said who is here: what somebody else left unsent is not theirs. */
  onIdentity() {
    const { identity } = this.#core.link;
    if (identity === null) return;
    for (const pending of this.outbox.all()) {
      if (pending.owner && pending.owner !== identity) this.fail(pending, own("USER_CHANGED", "it is another user's"));
    }
  }

  /** Has the disk keep every message that is not kept as it now is. */
  keepWhatChanged() {
    for (const pending of this.#changed) {
      if (!this.outbox.get(pending.ticket)) continue;
      const text = this.#record(pending);
      if (text === pending.kept || text === pending.keeping) continue;
      pending.keeping = text;
      this.#core.effects.push({ type: "keep", ticket: pending.ticket, text });
    }
    this.#changed.clear();
  }

  onKept(ticket, text) {
    const pending = this.outbox.get(ticket);
    if (pending) pending.kept = text;
  }

  #record({ body, since, tried, owner }) {
    return JSON.stringify({ body, since, tried, owner: owner ?? this.#core.link.identity });
  }

  /** So many requests may be in flight before a place is kept for the client's own. */
  inFlightMax() {
    return Math.max(1, this.#core.link.limits.inFlight - IN_FLIGHT_RESERVED);
  }

  pump() {
    for (const pending of this.outbox.ready()) {
      if (this.#core.flights.size >= this.inFlightMax()) return;
      if (pending.name === "send" && !this.#isSendable(pending)) continue;
      const id = this.#core.request(pending.name, pending.body, this.#purpose(pending));
      this.outbox.fly(pending, id);
    }
  }

  /** Whether a message may go out: what came before is known, it says how far back an earlier attempt may lie, and that is
   * on the disk. A message that was sent and is not on the disk could be sent again with another `since`, and stored twice. */
  #isSendable(pending) {
    if (!this.#restored) return false;
    if (pending.since !== "application" && !pending.tried) {
      const known = this.#knownOf(pending.lane);
      if (!known) {
        this.#askForHead(pending.lane);
        return false;
      }
      pending.body.since = sinceAt(pending.since, known);
    }
    pending.tried = true;
    if (pending.kept === this.#record(pending)) return true;
    this.#changed.add(pending);
    return false;
  }

  #knownOf(conversation) {
    const known = this.#known.get(conversation);
    const timeline = this.#core.subscriptions.timelines.get(conversation);
    if (!timeline || timeline.position === null) return known;
    return { head: Math.max(timeline.position, timeline.head), first: known?.first ?? 0 };
  }

  #purpose(pending) {
    return {
      kind: "call",
      answered: (data, error, id) => this.#onAnswer(pending, id, data, error),
      late: (id) => this.#onLate(pending, id),
      cutOff: (id) => this.#onCutOff(pending, id),
    };
  }

  /** Asks how far a conversation goes; until that is known, its sends wait. */
  #askForHead(conversation) {
    this.outbox.hold(conversation, false);
    this.#core.request("get", { conversation }, {
      kind: "head",
      answered: (data, error) => this.#onHead(conversation, data?.conversation, error),
      late: () => this.releaseLane(conversation),
      cutOff: () => this.releaseLane(conversation),
    });
  }

  #onHead(conversation, detail, error) {
    if (error && isRetry(error)) {
      this.#holdLane(conversation, error.retry_after_ms);
      return;
    }
    const pending = this.outbox.firstWaiting(conversation);
    if (error) {
      if (pending) this.fail(pending, refusal(error));
    } else {
      const known = { head: detail.head, first: detail.first_available };
      this.remember(conversation, known);
      if (pending && pending.since !== "application" && !pending.doubt) {
        pending.body.since = sinceAt(pending.since, known);
        this.#changed.add(pending);
      }
    }
    this.releaseLane(conversation);
  }

  #onAnswer(pending, id, data, error) {
    if (!this.outbox.get(pending.ticket)) return;
    if (error) {
      this.#onRefusal(pending, id, error);
    } else {
      this.#settle(pending, true);
      this.#learnHead(pending, data);
      this.#core.complete(pending.ticket, data);
    }
  }

  #onRefusal(pending, id, error) {
    const current = pending.flying === id;
    if (!isRetry(error)) {
      if (current) this.#onFinalRefusal(pending, error);
      return;
    }
    if (!didNothing(error)) pending.doubt = true;
    if (!current) return;
    if (pending.lane !== null) {
      this.outbox.waitAgain(pending);
      this.#holdLane(pending.lane, error.retry_after_ms);
    } else if (!didNothing(error) && !this.#repeats(pending)) {
      this.fail(pending, refusal(error));
    } else {
      this.outbox.land(pending);
      const time = pause(this.#core.random, RETRY_BASE, RETRY_CAP, pending.failures++);
      this.#core.timers.set(`retry:${pending.ticket}`, this.#core.now + (error.retry_after_ms ?? 0) + time);
    }
  }

  #onFinalRefusal(pending, error) {
    if (error.number === ID_EXPIRED && pending.lane !== null && !pending.doubt && pending.since !== "application") {
      // What this client knew was too old, but the message was never stored: it may go out with the present head.
      this.outbox.waitAgain(pending);
      this.#askForHead(pending.lane);
    } else {
      // After an attempt in doubt, a refusal speaks of this attempt alone.
      this.outbox.land(pending);
      this.fail(pending, refusal(error));
    }
  }

  /** An answer did not come in time, on a connection that lives. */
  #onLate(pending, id) {
    if (pending.flying !== id) return;
    pending.doubt = true;
    if (pending.lane !== null) {
      this.outbox.waitAgain(pending);
      this.#holdLane(pending.lane);
    } else if (this.#repeats(pending)) {
      this.outbox.waitAgain(pending);
    }
  }

  /** The connection ended before the answer. */
  #onCutOff(pending, id) {
    if (pending.flying !== id) return;
    pending.doubt = true;
    if (this.#repeats(pending)) this.outbox.waitAgain(pending);
    else this.fail(pending, own("TIMED_OUT", "the connection ended before the answer"));
  }

  #repeats({ name, body }) {
    return KINDS[name].repeats(body);
  }

  /** The time that the application gave it is over. */
  giveUp(ticket) {
    const pending = this.outbox.get(ticket);
    if (pending) this.fail(pending, own("TIMED_OUT", "no answer in time"));
  }

  retry(ticket) {
    const pending = this.outbox.get(ticket);
    if (pending) this.outbox.waitAgain(pending);
  }

  releaseLane(conversation) {
    this.outbox.release(conversation);
  }

  /** Ends a request without a result: with `error` if it surely changed nothing, else as unknown. */
  fail(pending, error) {
    const doubt = (pending.doubt || pending.flying !== null) && KINDS[pending.name].changes;
    this.#settle(pending, false);
    const since = pending.lane === null ? undefined : pending.body.since ?? SINCE_UNKNOWN;
    const unknown = () => own("UNKNOWN_OUTCOME", "it is not known whether this was carried out", { since });
    this.#core.complete(pending.ticket, undefined, doubt ? unknown() : error);
  }

  /** The client is closed. Messages stay on the disk, for the next visit. */
  endAll(error) {
    for (const pending of this.outbox.all()) this.fail(pending, error);
  }

  #settle(pending, wentWell) {
    this.outbox.settle(pending, wentWell);
    this.#core.timers.cancel(`deadline:${pending.ticket}`);
    this.#core.timers.cancel(`retry:${pending.ticket}`);
    const isKept = pending.kept !== null || pending.keeping !== null;
    if (isKept && !this.#core.isClosed) this.#core.effects.push({ type: "forget", ticket: pending.ticket });
  }

  #holdLane(conversation, atLeast = 0) {
    const time = pause(this.#core.random, RETRY_BASE, RETRY_CAP, this.outbox.hold(conversation, true));
    this.#core.timers.set(`lane:${conversation}`, this.#core.now + atLeast + time);
  }

  /** Keeps how far a conversation goes, for the `since` of later sends. */
  #learnHead({ name, body }, { message, conversation, conversations, seq, head, first_available: first }) {
    if (name === "resume") {
      for (const one of conversations) if (!one.error) this.#core.subscriptions.reaches(one.conversation, one.head);
    } else if (message) this.remember(message.conversation, { head: message.seq, first: 0 });
    else if (conversation?.id) {
      this.remember(conversation.id, { head: conversation.head, first: conversation.first_available });
    } else if (typeof conversation === "string" && seq) this.remember(conversation, { head: seq, first: 0 });
    else if (name === "history" && body.conversation) this.remember(body.conversation, { head, first });
  }

  remember(conversation, { head, first }) {
    const before = this.#known.get(conversation) ?? { head: 0, first: 0 };
    this.#known.delete(conversation);
    this.#known.set(conversation, { head: Math.max(head, before.head), first: Math.max(first, before.first) });
    if (this.#known.size > HEADS_MAX) this.#known.delete(this.#known.keys().next().value);
  }
}

/** What a first attempt says when this is known of the conversation. Where history was dropped, no message is found under
 * any id, and the server refuses to say so. */
function sinceAt(since, { head, first }) {
  return since === "chosen" ? Math.max(0, head - DEDUPE_RECENT, first - 1) : head;
}
