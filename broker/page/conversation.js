// One conversation as this tab knows it: its messages in order, what is not sent yet behind them, who types, what is read.
// It knows nothing of the page; whoever shows it listens.

import { joinNames, nameOf } from "./words.js";

/** Messages in a page of history: a few screens. */
const PAGE = 40;

/** Entries that are kept; older ones are fetched again when they are wanted. */
const ENTRIES_MAX = 1_000;
const ENTRIES_DROPPED = 200;

export class Conversation {
  /** What is shown, in order: `{ kind: "message" | "told" | "unsent", … }`. Those with a number come first. */
  entries = [];
  typing = { users: [], more: 0 };
  /** The ordinals of the newest message and of the newest one that was read. */
  last = 0;
  read = 0;
  lastMessage;
  hasOlder = false;
  isLoaded = false;
  #client;
  #me;
  #loading;
  #own = new Map();

  /** `changed(conversation, what, entry)` is called with "entry", "gone", "older" or "about". */
  constructor(client, me, detail, peer, changed) {
    this.#client = client;
    this.#me = me;
    this.changed = (what, entry) => changed(this, what, entry);
    this.id = detail.id;
    this.peer = peer;
    this.learn(detail);
    this.read = Number(localStorage.getItem(this.#readKey) ?? 0);
  }

  get isGroup() {
    return this.kind === "group";
  }

  get title() {
    return this.isGroup ? this.name || "Group" : nameOf(this.peer ?? this.id);
  }

  get unread() {
    return Math.max(0, this.last - this.read);
  }

  /** When something happened last. */
  get time() {
    // Those with whom nothing was said yet come last.
    return Math.max(this.isGroup ? this.createdMs : 0, this.lastMessage?.time_ms ?? 0, this.entries.at(-1)?.time ?? 0);
  }

  learn({ kind, name, closed, role, member_count: count, created_ms: createdMs }) {
    Object.assign(this, { kind, name, closed, role, count, createdMs });
  }

  /** Fetches the newest page and listens from there on. */
  async load() {
    const page = await this.#client.history(this.id, { limit: PAGE });
    for (const message of page.messages.reverse()) this.#insert(asEntry(message));
    this.hasOlder = page.more;
    for (const unsent of this.#client.unsent(this.id)) this.addUnsent(unsent);
    await this.#client.subscribe(this.id, { after: page.head });
    this.isLoaded = true;
    this.changed("about");
  }

  /** Fetches the page before the oldest message that is here; once at a time. */
  loadOlder() {
    const oldest = this.entries.find(({ seq }) => seq !== undefined)?.seq;
    if (!this.hasOlder || oldest === undefined) return undefined;
    this.#loading ??= this.#client
      .history(this.id, { before: oldest, limit: PAGE })
      .then((page) => {
        const added = page.messages.reverse().map(asEntry).filter((entry) => this.#insert(entry));
        this.hasOlder = page.more;
        this.changed("older", added);
      })
      .finally(() => (this.#loading = undefined));
    return this.#loading;
  }

  /** A message was stored: somebody's, or one of this tab that waited for it. */
  addMessage(message) {
    const own = message.sender === this.#me ? this.#own.get(message.client_id) : undefined;
    this.#own.delete(message.client_id);
    if (own) {
      this.entries.splice(this.entries.indexOf(own), 1);
      Object.assign(own, asEntry(message));
    }
    const entry = own ?? asEntry(message);
    if (!this.#insert(entry)) {
      if (own) this.changed("gone", own);
      return;
    }
    if (message.sender === this.#me) this.markRead(message.ordinal);
    this.typing = { ...this.typing, users: this.typing.users.filter((user) => user !== message.sender) };
    this.#trim();
    this.changed("entry", entry);
  }

  /** Something other than a message happened. */
  addTold(seq, time, text) {
    const entry = { kind: "told", seq, time, text };
    if (this.#insert(entry)) this.changed("entry", entry);
  }

  /** Sends a text, perhaps as an answer to a message. */
  send(text, replyTo) {
    const at = Date.now();
    const { clientId } = this.#client.post(this.id, { text, reply_to: replyTo });
    this.addUnsent({ clientId, text, at, reply_to: replyTo });
  }

  addUnsent({ clientId, text, at, reply_to: replyTo }) {
    if (this.#own.has(clientId)) return;
    const answered = replyTo && this.withId(replyTo)?.message;
    const quote = answered && { sender: answered.sender, text: answered.text };
    const message = { reply_to: replyTo, quote };
    const entry = { kind: "unsent", state: "sending", clientId, text, time: at, sender: this.#me, message };
    this.#own.set(clientId, entry);
    this.entries.push(entry);
    this.changed("entry", entry);
  }

  markFailed(clientId, error) {
    const entry = this.#own.get(clientId);
    if (!entry) return;
    Object.assign(entry, { state: "failed", error });
    this.changed("entry", entry);
  }

  /** Sends a message again that failed: under the same id, so that it is stored once whatever became of it. */
  sendAgain(entry) {
    entry.state = "sending";
    const { text, clientId, error, message } = entry;
    this.#client.post(this.id, { text, client_id: clientId, since: error?.since, reply_to: message.reply_to });
    this.changed("entry", entry);
  }

  discard(entry) {
    this.#own.delete(entry.clientId);
    this.entries = this.entries.filter((other) => other !== entry);
    this.changed("gone", entry);
  }

  /** The user's own newest message that can be given another text. */
  newestOwn() {
    return this.entries.findLast(({ state, sender, message }) => state === "sent" && sender === this.#me && !message.deleted);
  }

  /** The entry of the message with this id, if it is here. */
  withId(id) {
    return this.entries.find(({ message }) => message?.id === id);
  }

  /** A message has another text. Events know nothing of whose reactions are one's own. */
  onUpdated(message) {
    const entry = this.withId(message.id);
    if (entry) this.#become(entry, { ...message, reactions: entry.message.reactions });
    this.#requote(message.id, { text: message.text });
  }

  onDeleted({ id }) {
    const entry = this.withId(id);
    if (entry) this.#become(entry, { ...entry.message, text: "", reactions: [], deleted: true });
    this.#requote(id, { text: "", deleted: true });
  }

  onReacted({ id, user, emoji, removed, count }) {
    const entry = this.withId(id);
    if (!entry) return;
    const reactions = [...(entry.message.reactions ?? [])];
    const at = reactions.findIndex((one) => one.emoji === emoji);
    const mine = user === this.#me ? !removed : at >= 0 && reactions[at].mine;
    reactions.splice(at < 0 ? reactions.length : at, at < 0 ? 0 : 1, ...(count > 0 ? [{ emoji, count, mine }] : []));
    this.#become(entry, { ...entry.message, reactions });
  }

  #become(entry, message) {
    Object.assign(entry, { message, text: message.text });
    if (this.lastMessage?.id === message.id) this.lastMessage = message;
    this.changed("entry", entry);
  }

  /** Answers show what they answer as it is now. */
  #requote(id, quote) {
    for (const entry of this.entries) {
      if (entry.message?.reply_to !== id || !entry.message.quote) continue;
      this.#become(entry, { ...entry.message, quote: { ...entry.message.quote, ...quote } });
    }
  }

  /** All up to this ordinal was seen by the user. */
  markRead(ordinal = this.last) {
    if (ordinal <= this.read) return;
    this.read = ordinal;
    localStorage.setItem(this.#readKey, String(ordinal));
    this.changed("about");
  }

  setTyping(typing) {
    this.typing = typing;
    this.changed("about");
  }

  /** Members came, went or got another role. */
  onMembers(seq, { added = [], removed = [], promoted = [], by, time_ms: time }) {
    this.count += added.length - removed.length;
    for (const { user, role } of promoted) if (user === this.#me) this.role = role;
    const who = by === this.#me ? "You" : nameOf(by);
    const users = added.map(({ user }) => user);
    if (users.length > 0) this.addTold(seq, time, `${who} added ${joinNames(users)}`);
    else if (removed.length === 1 && removed[0] === by) this.addTold(seq, time, `${who} left`);
    else if (removed.length > 0) this.addTold(seq, time, `${who} removed ${joinNames(removed)}`);
    else if (promoted.length > 0) {
      const roles = promoted.map(({ user, role }) => `${nameOf(user)} ${role}`);
      this.addTold(seq, time, `${who} made ${roles.join(", ")}`);
    }
    this.changed("members");
  }

  /** It was renamed, closed or reopened. */
  onChange(seq, { name, closed, by, time_ms: time }) {
    const who = by === this.#me ? "You" : nameOf(by);
    if (name !== undefined) {
      this.name = name;
      this.addTold(seq, time, `${who} named it “${name}”`);
    }
    if (closed !== undefined) {
      this.closed = closed;
      this.addTold(seq, time, `${who} ${closed ? "closed" : "reopened"} the conversation`);
    }
    this.changed("about");
  }

  get #readKey() {
    return `switchyard.read.${this.#me}.${this.id}`;
  }

  /** Puts an entry where its number belongs; says whether it was new. */
  #insert(entry) {
    const numbered = this.entries.findLastIndex(({ seq }) => seq !== undefined) + 1;
    let at = numbered;
    while (at > 0 && this.entries[at - 1].seq > entry.seq) at -= 1;
    if (at > 0 && this.entries[at - 1].seq === entry.seq) return false;
    this.entries.splice(at, 0, entry);
    if (entry.kind === "message" && entry.message.ordinal > this.last) {
      this.last = entry.message.ordinal;
      this.lastMessage = entry.message;
    }
    return true;
  }

  #trim() {
    if (this.entries.length <= ENTRIES_MAX) return;
    for (const entry of this.entries.splice(0, ENTRIES_DROPPED)) this.changed("gone", entry);
    this.hasOlder = true;
  }
}

function asEntry(message) {
  const { seq, sender, text, time_ms: time } = message;
  return { kind: "message", state: "sent", seq, sender, text, time, message };
}
