// The browser SDK of Switchyard: a connection that mends itself, every request as a method, and typed events. README.md
// beside this file has an example, switchyard.d.ts every type. What is decided is decided in core.js; here are the socket,
// the clock, the token provider and the disk.

import { Core } from "./core.js";
import { NoToken, refusal, SwitchyardError } from "./errors.js";
import { CLOSE_TIMEOUT } from "./limits.js";
import { openUnsent, randomId } from "./unsent.js";

export { NoToken, SwitchyardError };

const SUBPROTOCOL = "switchyard.v1.json";

/** The longest time that a browser's timer takes. */
const TIMER_MAX = 2 ** 31 - 1;

/** Connects; requests wait until it has. See `Options` in switchyard.d.ts. */
export function connect(options) {
  return new Client(options);
}

/** A user's connection to Switchyard. */
export class Client {
  #core;
  #url;
  #token;
  #socket = null;
  #timer;
  #inputs = [];
  #busy = false;
  #ticket = 0;
  #waiting = new Map();
  #listeners = new Map();
  #unsent;
  #ended = new AbortController();

  /** How the connection is: `{ state: "connecting" | "online" | "closed", … }`. */
  state = { state: "connecting" };

  constructor({ url = ownUrl(), token, account, device = "browser" }) {
    this.#url = url;
    this.#token = typeof token === "function" ? token : () => token;
    this.#core = new Core({ device, random: Math.random });
    this.#unsent = openUnsent(account, (found) => this.#restore(found));
    // An empty list says that what there was is known by now.
    this.#unsent.then(() => this.#restore([]));
    this.#watchPage();
    this.#handle({ type: "open" });
  }

  /** Calls `listener` for each event of this name; gives a function that ends it. */
  on(name, listener) {
    if (!this.#listeners.has(name)) this.#listeners.set(name, new Set());
    this.#listeners.get(name).add(listener);
    return () => this.off(name, listener);
  }

  off(name, listener) {
    this.#listeners.get(name)?.delete(listener);
  }

  /** Waits until the server knows who is here; gives its welcome. Fails when it is clear that it never will. */
  ready() {
    return new Promise((resolve, reject) => {
      const look = ({ state, welcome }) => {
        if (state === "connecting") return;
        this.off("state", look);
        if (state === "online") resolve(welcome);
        else reject(this.#core.link.closedError());
      };
      this.on("state", look);
      look(this.state);
    });
  }

  /** Gets or makes the one direct conversation with somebody, or makes a group. */
  create(conversation) {
    return this.#call("create", conversation);
  }

  /** Sends a text, or a draft; gives the message as it is stored. It is kept and sent again, across reconnects and, with
   * an `account`, across reloads, until it has a final answer. */
  send(conversation, draft) {
    return this.post(conversation, draft).done;
  }

  /** The same, and says at once under which id: `{ clientId, done }`. */
  post(conversation, draft) {
    const { client_id: chosen, timeout, ...more } = typeof draft === "string" ? { text: draft } : draft;
    const { since } = more;
    const clientId = chosen ?? randomId();
    const body = { conversation, client_id: clientId, kind: "TEXT", ...more };
    const chosenBy = since !== undefined ? "application" : chosen !== undefined ? "chosen" : "core";
    const done = this.#submit("send", body, { timeout, since: chosenBy });
    // Whoever wants to know listens to it, or to the event `failed`.
    done.catch(() => {});
    return { clientId, done };
  }

  /** Gives an own message another text. A message is named by its `id`, here and below. */
  edit(message, text, { mentions } = {}) {
    return this.#call("edit", { id: message, text, mentions });
  }

  /** Deletes a message for all: an own one, or anybody's for an admin or moderator of a group. */
  delete(message) {
    return this.#call("delete", { id: message });
  }

  /** Gives a message an emoji. */
  react(message, emoji) {
    return this.#call("react", { id: message, emoji });
  }

  /** Takes an own emoji away. */
  unreact(message, emoji) {
    return this.#call("react", { id: message, emoji, remove: true });
  }

  /** Puts a message among the pinned ones of its conversation. */
  pin(message) {
    return this.#call("pin", { id: message });
  }

  unpin(message) {
    return this.#call("pin", { id: message, remove: true });
  }

  /** Messages that have no final answer yet, oldest first, those of earlier visits among them. */
  unsent(conversation) {
    const sends = this.#core.calls.outbox.all().filter(({ name }) => name === "send");
    return sends.map(asUnsent).filter((one) => conversation === undefined || one.conversation === conversation);
  }

  /** A page of messages; `before`, `after` or a time says which. */
  history(conversation, page = {}) {
    return this.#call("history", { conversation, ...page });
  }

  /** What happened after a number, other than messages too, oldest first: `{ events, head, first_available, more }`. */
  async events(conversation, { after = 0 } = {}) {
    const { conversations: [page] } = await this.#call("resume", { positions: [{ conversation, seq: after }] });
    if (page.error) throw refusal(page.error);
    const { events = [], head, first_available, more = false } = page;
    return { events, head, first_available, more };
  }

  async get(conversation) {
    return (await this.#call("get", { conversation })).conversation;
  }

  /** A page of members in the order of their ids, after one of them. */
  members(conversation, { after, limit = 0 } = {}) {
    return this.#call("members", { conversation, after, limit });
  }

  /** A page of the user's conversations, newest activity first: `{ conversations, more, cursor }`. `kind`, `name` and
   * `state` narrow it; `cursor` is where the page before ended. */
  list(page = {}) {
    return this.#call("list", page);
  }

  /** How many messages of each of these conversations the user has not read, and of all together. */
  unread(conversations) {
    return this.#call("unread", { conversations });
  }

  /** How many messages of all their conversations the user has not read, in how many, and how many requests wait. */
  unreadTotal() {
    return this.#call("unread", { all: true });
  }

  /** How far the members of a conversation have come: a page in the order of their ids, after one of them. */
  marks(conversation, { seq, after, limit = 0 } = {}) {
    return this.#call("marks", { conversation, seq, after, limit });
  }

  /** Who has read a message, and when. */
  seenBy(message, { after, limit = 0 } = {}) {
    return this.#call("marks", { id: message, after, limit });
  }

  add(conversation, members) {
    return this.#call("add", { conversation, members });
  }

  remove(conversation, member) {
    return this.#call("remove", { conversation, member });
  }

  leave(conversation) {
    return this.#call("leave", { conversation });
  }

  /** Gives the conversation another `name`, `avatar` or `context`; what is not given stays. */
  update(conversation, changes) {
    return this.#call("update", { conversation, ...changes });
  }

  /** Gives a member of a group a higher role: moderator or admin. */
  promote(conversation, member, role = "moderator") {
    return this.#call("promote", { conversation, member, role });
  }

  /** Gives a member of a group a lower role: member or moderator. */
  demote(conversation, member, role = "member") {
    return this.#call("demote", { conversation, member, role });
  }

  /** Makes the conversation read-only, until it is reopened. */
  closeConversation(conversation) {
    return this.#call("close", { conversation });
  }

  reopenConversation(conversation) {
    return this.#call("reopen", { conversation });
  }

  /** Wants a direct conversation that somebody else began; so does a message to it. */
  accept(conversation) {
    return this.#call("accept", { conversation });
  }

  /** Does not want it: who began it writes to it no more, until it is accepted after all. */
  decline(conversation) {
    return this.#call("decline", { conversation });
  }

  /** A group goes, for all, with everything that was said in it. */
  erase(conversation) {
    return this.#call("erase", { conversation });
  }

  /** Leaves a conversation out of the user's own list, until it is taken from the archive. */
  async archive(conversation) {
    await this.#call("archive", { conversation });
  }

  async unarchive(conversation) {
    await this.#call("unarchive", { conversation });
  }

  /** From now on this user and the own one cannot write to each other in their direct conversations. */
  async block(user) {
    await this.#call("block", { user });
  }

  async unblock(user) {
    await this.#call("unblock", { user });
  }

  /** A page of those who are blocked, in the order of their ids, after one of them: `{ users, more }`. */
  blocks({ after, limit = 0 } = {}) {
    return this.#call("blocks", { after, limit });
  }

  /** The server's time, in milliseconds since 1970. */
  async ping() {
    return (await this.#call("ping", {})).server_time_ms;
  }

  /** Events of this conversation from now on: all that follow `after` (0 for everything that is kept), or from the present
   * end without it. Gives `{ conversation, head }` once the server has confirmed it, however long that takes. */
  subscribe(conversation, { after } = {}) {
    return this.#ask({ type: "subscribe", conversation, after });
  }

  unsubscribe(conversation) {
    return this.#ask({ type: "unsubscribe", conversation });
  }

  /** Events of all conversations of the user from now on, the newest 1,000 of them, and of those that come later: `listed`
   * and `unlisted` tell of them. Gives those that are read, each with the number from which its events come; older ones
   * come by `list` and `history`. Those that are subscribed already go on where they are. */
  subscribeAll() {
    return this.#ask({ type: "subscribeAll" });
  }

  /** The conversations that are shown now, in place of those before; 8 at most, each of which must be subscribed. Who
   * types there is told by `typing`. */
  open(conversations) {
    return this.#ask({ type: "show", conversations });
  }

  /** The user types, or has stopped. To be called with every key: the server is told every 3 seconds at most. */
  typing(conversation, on) {
    this.#handle({ type: "typing", conversation, on });
  }

  /** The user has read everything up to `read`, or received everything up to `delivered`. Said once a second and
   * conversation, and again after a lost connection; `marked` tells what the server made of it, `unmarked` that it was
   * refused for good. */
  mark(conversation, { read, delivered }) {
    this.#handle({ type: "mark", conversation, to: { read, delivered } });
  }

  /** Watches users with whom there is a direct conversation, or who are in this one, beside those who are watched already.
   * Gives how it is with each; `presence` tells what changes. */
  watch(users, { conversation } = {}) {
    return users.length > 0 ? this.#ask({ type: "watch", users, conversation }) : Promise.resolve([]);
  }

  unwatch(users) {
    this.#handle({ type: "unwatch", users });
  }

  /** How many members of this conversation are online; `online` tells when it is another number. */
  async watchOnline(conversation) {
    const [{ online }] = await this.#ask({ type: "watch", users: [], conversation });
    return online;
  }

  unwatchOnline(conversation) {
    this.#handle({ type: "unwatch", conversation });
  }

  /** Watches nobody any more. */
  unwatchAll() {
    this.#handle({ type: "unwatch", all: true });
  }

  /** Somebody is waiting: does not wait for the next attempt to connect, and has a connection that may be dead show itself. */
  hurry() {
    this.#handle({ type: "nudge" });
  }

  /** Sends what waits, for at most so long, then ends. What is unsent even then stays kept, if there is an `account`. */
  close({ timeout = CLOSE_TIMEOUT } = {}) {
    this.#handle({ type: "close", patience: timeout });
    return new Promise((resolve) => {
      const look = ({ state }) => state === "closed" && resolve();
      this.on("state", look);
      look(this.state);
    });
  }

  #call(name, body) {
    return this.#submit(name, body);
  }

  #submit(name, body, more) {
    return this.#ask({ type: "submit", name, body: withoutGaps(body), ...more });
  }

  #ask(input) {
    const ticket = this.#nextTicket();
    return new Promise((resolve, reject) => {
      this.#waiting.set(ticket, { resolve, reject, input });
      this.#handle({ ...input, ticket });
    });
  }

  /** Tickets grow, and those of unsent messages beyond the life of the page: they are times, in microseconds. */
  #nextTicket() {
    this.#ticket = Math.max(this.#ticket + 1, Date.now() * 1_000);
    return this.#ticket;
  }

  #restore(found) {
    // A clock that was set back could have given the same numbers again.
    this.#ticket = Math.max(this.#ticket, ...found.map(({ ticket }) => ticket));
    for (const { ticket, text } of found) this.#waiting.set(ticket, { input: { name: "send", body: JSON.parse(text).body } });
    this.#handle({ type: "restored", records: found, wall: Date.now() });
    if (found.length > 0) this.#emit("restored", { messages: this.unsent() });
  }

  /** Gives the core what happened, and does what it says. What happens meanwhile waits its turn. */
  #handle(input) {
    this.#inputs.push(input);
    if (this.#busy) return;
    this.#busy = true;
    try {
      while (this.#inputs.length > 0) {
        for (const effect of this.#core.handle(performance.now(), this.#inputs.shift())) this.#act(effect);
      }
    } finally {
      this.#busy = false;
    }
  }

  #act(effect) {
    switch (effect.type) {
      case "askForToken": return this.#askForToken();
      case "connect": return this.#connect(effect.connection);
      case "send": return this.#socket?.send(JSON.stringify(effect.frame));
      case "disconnect": return this.#disconnect();
      case "deliver": return this.#emit(effect.name, effect.event);
      case "complete": return this.#complete(effect);
      case "state": return this.#onState(effect.state);
      case "keep": return this.#keep(effect);
      case "forget": return void this.#unsent.then((unsent) => unsent.delete(effect.ticket));
      case "wakeAt": return this.#wakeAt(effect.at);
      default: throw new TypeError(`unknown effect ${effect.type}`);
    }
  }

  async #askForToken() {
    try {
      const token = await this.#token();
      if (typeof token !== "string" || token === "") throw new TypeError("the token provider gave no text");
      this.#handle({ type: "token", token });
    } catch (error) {
      if (!(error instanceof NoToken)) console.warn("switchyard: no token now:", error);
      this.#handle({ type: "token", never: error instanceof NoToken ? error.message : undefined });
    }
  }

  #connect(connection) {
    const socket = new WebSocket(this.#url, [SUBPROTOCOL]);
    this.#socket = socket;
    socket.onopen = () => this.#handle({ type: "connected", connection });
    socket.onmessage = ({ data }) => this.#handle({ type: "frame", connection, frame: JSON.parse(data) });
    socket.onclose = ({ code, reason }) => {
      this.#disconnect();
      this.#handle({ type: "disconnected", connection, code, reason });
    };
  }

  #disconnect() {
    const socket = this.#socket;
    if (!socket) return;
    this.#socket = null;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close(1000);
  }

  async #keep({ ticket, text }) {
    try {
      await (await this.#unsent).put(ticket, text);
    } catch (error) {
      console.warn("switchyard: an unsent message is kept in memory alone:", error);
    }
    this.#handle({ type: "kept", ticket, text });
  }

  #wakeAt(at) {
    clearTimeout(this.#timer);
    const time = Math.min(TIMER_MAX, Math.max(0, at - performance.now()));
    this.#timer = setTimeout(() => this.#handle({ type: "tick" }), time);
  }

  #complete({ ticket, result, error }) {
    const { resolve, reject, input } = this.#waiting.get(ticket) ?? {};
    this.#waiting.delete(ticket);
    if (error) reject?.(error);
    else resolve?.(result);
    if (input?.name !== "send") return;
    const { conversation, client_id: clientId, kind, text } = input.body;
    const [name, more] = error ? ["failed", { kind, text, error }] : ["sent", result];
    // Never before `post` has said under which id.
    queueMicrotask(() => this.#emit(name, { conversation, clientId, ...more }));
  }

  #onState(state) {
    this.state = state;
    if (state.state === "closed") {
      clearTimeout(this.#timer);
      this.#ended.abort();
      this.#unsent.then((unsent) => unsent.close());
    }
    this.#emit("state", state);
  }

  /** A listener that fails is its own affair: the others are called, and the error is reported like any other. */
  #emit(name, event) {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) {
      try {
        listener(event);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }

  /** A page that wakes up or goes online does not wait for the next pause to end. */
  #watchPage() {
    if (!globalThis.document) return;
    const { signal } = this.#ended;
    globalThis.addEventListener("online", () => this.hurry(), { signal });
    globalThis.addEventListener("pageshow", ({ persisted }) => persisted && this.hurry(), { signal });
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.hurry(), { signal });
  }
}

/** The broker that served this file, or the page. */
function ownUrl() {
  const url = new URL("/v1/ws", import.meta.url);
  url.protocol = url.protocol === "http:" ? "ws:" : "wss:";
  return url.href;
}

function asUnsent({ ticket, body }) {
  const { conversation, client_id: clientId, kind, text, reply_to } = body;
  return { conversation, clientId, kind, text, reply_to, at: ticket / 1_000 };
}

/** The fields that were given. */
function withoutGaps(body) {
  return Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined));
}
