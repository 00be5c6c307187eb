// One conversation as this tab knows it: what a list shows of it, its lines, who types, who has read what. It knows nothing
// of the page; whoever shows it listens.

import { Lines } from "./lines.js";
import { Progress } from "./progress.js";
import { joinNames, nameOf } from "./words.js";

export class Conversation {
  typing = { users: [], more: 0 };
  lastMessage;
  pins = [];
  /** A message that names this user is unread. */
  isMentioned = false;
  #client;
  #me;
  #activity = 0;
  /** What was told up to this number is in `count`. */
  #counted = 0;

  /** `changed(conversation, what, entry)` is called with what lines.js says, and with "about", "detail", "marks",
   * "members" and "pins". */
  constructor(client, me, listing, changed) {
    this.#client = client;
    this.#me = me;
    this.changed = (what, entry) => changed(this, what, entry);
    this.id = listing.conversation.id;
    this.lines = new Lines(client, this.id, this.changed);
    this.progress = new Progress(client, this.id, me, this.changed);
    this.learn(listing);
  }

  get isGroup() {
    return this.kind === "group";
  }

  get title() {
    return this.isGroup ? this.name || "Group" : nameOf(this.peer ?? this.id);
  }

  get unread() {
    return this.progress.unread;
  }

  /** Somebody else began it, and this user has not said yet whether it is wanted. */
  get isRequest() {
    return this.request === "to_me" && !this.declined;
  }

  /** Whether this user may write here. */
  get isWritable() {
    return !this.closed && !this.blocked && !(this.declined && this.request === "by_me");
  }

  /** Whether this user may pin messages here. */
  get mayPin() {
    return !this.closed && (!this.isGroup || this.role !== "member");
  }

  /** When something happened last. */
  get time() {
    return Math.max(this.#activity, this.lastMessage?.time_ms ?? 0);
  }

  /** What the server's list says of it. */
  learn({ conversation, last, activity_ms: activity = 0, peer }) {
    const { kind, name, closed = false, role, member_count: count, created_ms: createdMs, pins = [] } = conversation;
    const { request, declined = false, archived = false, blocked = false } = conversation;
    Object.assign(this, { kind, name, closed, role, count, createdMs, pins, request, declined, archived, blocked });
    this.#counted = Math.max(this.#counted, conversation.head);
    this.peer = peer ?? this.peer;
    this.#activity = Math.max(this.#activity, activity, createdMs);
    this.progress.learn(conversation, last);
    if (last && !(this.lastMessage?.seq > last.seq)) this.lastMessage = last;
    if (last && this.unread > 0 && last.sender !== this.#me) {
      this.progress.received(last.seq, count);
      this.isMentioned ||= Boolean(last.mentions?.includes(this.#me));
    }
  }

  /** Fetches what is needed to show it. */
  async load() {
    if (this.lines.isLoaded) return;
    const others = this.progress.loadOthers(this.count);
    await this.lines.load(this.unread);
    const messages = this.lines.entries.filter(({ kind }) => kind === "message");
    if (messages.length > 0) this.#last(messages.at(-1).message);
    for (const unsent of this.#client.unsent(this.id)) this.addUnsent(unsent);
    await others;
    this.changed("about");
  }

  #last(message) {
    if (this.lastMessage && this.lastMessage.seq >= message.seq) return;
    this.lastMessage = message;
    this.progress.onMessage(message);
  }

  /** A message was stored: somebody's, or one of this tab that waited for it. */
  addMessage(message) {
    const isOwn = message.sender === this.#me;
    const isNew = !(this.lastMessage?.seq >= message.seq);
    this.#last(message);
    this.lines.addMessage(message, isOwn);
    // Whoever answers a request accepts it.
    const maker = this.request === "by_me" ? this.#me : this.peer;
    if (this.request !== undefined && message.sender !== maker) this.#onAccepted();
    if (isNew && !isOwn) {
      this.progress.received(message.seq, this.count);
      this.isMentioned ||= Boolean(message.mentions?.includes(this.#me));
    }
    this.changed("about");
  }

  /** Sends a text, perhaps as an answer to a message. */
  async send(text, { reply_to, mentions }) {
    const at = Date.now();
    const { clientId } = this.#client.post(this.id, { text, reply_to, mentions });
    this.addUnsent({ clientId, text, at, reply_to, mentions });
    await this.lines.toNewest();
  }

  addUnsent({ clientId, text, at, reply_to: replyTo, mentions }) {
    const answered = replyTo && this.lines.withId(replyTo)?.message;
    const quote = answered && { sender: answered.sender, text: answered.text };
    const message = { reply_to: replyTo, quote, mentions };
    this.lines.addUnsent({ kind: "unsent", state: "sending", clientId, text, time: at, sender: this.#me, message });
  }

  markFailed(clientId, error) {
    const entry = this.lines.unsent(clientId);
    if (!entry) return;
    Object.assign(entry, { state: "failed", error });
    this.changed("entry", entry);
  }

  /** Sends a message again that failed: under the same id, so that it is stored once whatever became of it. */
  sendAgain(entry) {
    entry.state = "sending";
    const { text, clientId, error, message: { reply_to, mentions } } = entry;
    this.#client.post(this.id, { text, client_id: clientId, since: error?.since, reply_to, mentions });
    this.changed("entry", entry);
  }

  /** The user's own newest message that can be given another text. */
  newestOwn() {
    return this.lines.entries.findLast(({ state, sender, message }) => {
      return state === "sent" && sender === this.#me && !message.deleted;
    });
  }

  /** A message has another text. Events know nothing of whose reactions are one's own. */
  onUpdated(seq, message) {
    this.lines.about(seq, () => {
      const entry = this.lines.withId(message.id);
      if (entry) this.lines.become(entry, { ...message, reactions: entry.message.reactions });
      this.lines.requote(message.id, { text: message.text });
    });
    this.#become(message.id, { text: message.text, edited_ms: message.edited_ms, mentions: message.mentions });
  }

  onDeleted(seq, { id }) {
    const gone = { text: "", reactions: [], deleted: true };
    this.lines.about(seq, () => {
      const entry = this.lines.withId(id);
      if (entry) this.lines.become(entry, { ...entry.message, ...gone });
      this.lines.requote(id, { text: "", deleted: true });
    });
    this.#become(id, gone);
    // What was deleted before it was read is no longer unread.
    if (this.unread > 0) this.progress.recount();
  }

  onReacted(seq, { id, user, emoji, removed, count }) {
    this.lines.about(seq, () => {
      const entry = this.lines.withId(id);
      if (!entry) return;
      const reactions = [...(entry.message.reactions ?? [])];
      const at = reactions.findIndex((one) => one.emoji === emoji);
      const mine = user === this.#me ? !removed : at >= 0 && reactions[at].mine;
      reactions.splice(at < 0 ? reactions.length : at, at < 0 ? 0 : 1, ...(count > 0 ? [{ emoji, count, mine }] : []));
      this.lines.become(entry, { ...entry.message, reactions });
    });
  }

  /** What the list shows follows. */
  #become(id, message) {
    if (this.lastMessage?.id !== id) return;
    this.lastMessage = { ...this.lastMessage, ...message };
    this.changed("about");
  }

  /** The user has seen everything up to this message. */
  markRead({ seq, ordinal }) {
    if (!this.progress.readTo(seq, ordinal)) return;
    this.isMentioned &&= this.unread > 0;
    this.#client.mark(this.id, { read: seq });
    this.changed("about");
  }

  /** Members have come farther: this user on another device, or others. */
  onMarks(marks) {
    const upTo = (seq) => (this.lastMessage && seq >= this.lastMessage.seq ? this.lastMessage : this.lines.upTo(seq));
    this.progress.onMarks(marks, upTo);
    this.isMentioned &&= this.unread > 0;
    this.changed("about");
  }

  setTyping(typing) {
    this.typing = typing;
    this.changed("about");
  }

  /** Members came, went or got another role. */
  onMembers(seq, { added = [], removed = [], promoted = [], by, time_ms: time }) {
    if (seq > this.#counted) this.count += added.length - removed.length;
    this.#counted = Math.max(this.#counted, seq);
    this.memberIds = undefined;
    for (const { user, role } of promoted) if (user === this.#me) this.role = role;
    this.lines.addTold(seq, time, toldOf({ added, removed, promoted, who: by === this.#me ? "You" : nameOf(by), by }));
    this.#activity = Math.max(this.#activity, time);
    this.changed("members");
    if (this.lines.isLoaded) this.progress.loadOthers(this.count).catch(() => {});
  }

  /** It was renamed, closed or reopened, accepted or declined, or a message was pinned. */
  onChange(seq, { name, closed, accepted, erased, pinned, unpinned, by, time_ms: time }) {
    const who = by === this.#me ? "You" : nameOf(by);
    const tell = (words) => this.lines.addTold(seq, time, `${who} ${words}`);
    if (name !== undefined) {
      this.name = name;
      tell(`named it “${name}”`);
    }
    if (closed !== undefined) {
      this.closed = closed;
      tell(`${closed ? "closed" : "reopened"} the conversation`);
    }
    if (erased) this.isErased = true;
    if (accepted !== undefined) {
      this.declined = !accepted;
      if (accepted) this.#onAccepted();
      tell(accepted ? "accepted the request" : "declined the request");
    }
    if (pinned) this.#pin(seq, pinned, true, () => tell("pinned a message"));
    if (unpinned) this.#pin(seq, unpinned, false, () => tell("unpinned a message"));
    this.#activity = Math.max(this.#activity, time);
    this.changed("detail");
  }

  /** It is no request any more: its maker is told from now on how far the other is, and was not before. */
  #onAccepted() {
    this.request = undefined;
    this.declined = false;
    if (this.lines.isLoaded) this.progress.loadOthers(this.count).catch(() => {});
  }

  #pin(seq, id, pinned, tell) {
    this.pins = [...this.pins.filter((other) => other !== id), ...(pinned ? [id] : [])];
    tell();
    this.lines.about(seq, () => {
      const entry = this.lines.withId(id);
      if (entry) this.lines.become(entry, { ...entry.message, pinned });
    });
    this.changed("pins");
  }

  /** All members' ids, the first thousand; once they are known, until they change. */
  async members() {
    this.memberIds ??= (await this.#client.members(this.id)).members.map(({ user }) => user);
    return this.memberIds;
  }
}

function toldOf({ added, removed, promoted, who, by }) {
  const users = added.map(({ user }) => user);
  if (users.length > 0) return `${who} added ${joinNames(users)}`;
  if (removed.length === 1 && removed[0] === by) return `${who} left`;
  if (removed.length > 0) return `${who} removed ${joinNames(removed)}`;
  return `${who} made ${promoted.map(({ user, role }) => `${nameOf(user)} ${role}`).join(", ")}`;
}
