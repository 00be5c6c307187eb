// One conversation as this tab knows it: what a list shows of it, its lines, who types, who has read what. It knows nothing
// of the page; whoever shows it listens.

import { isStaff, labelOf, shapeOf } from "./kinds.js";
import { Lines } from "./lines.js";
import { Progress } from "./progress.js";
import { Told, wordsOf } from "./told.js";
import { joinNames, nameOf } from "./words.js";

export class Conversation {
  typing = { users: [], more: 0 };
  lastMessage;
  pins = [];
  /** A message that names this user is unread. */
  isMentioned = false;
  /** The user is no member and reads it as staff. */
  isVisited = false;
  /** Whose matter a support conversation is, and who of the support has been there, once that is known. */
  matterOf = [];
  agents = new Set();
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
    const told = new Told(client, this.id, me, (event) => this.#learnAgents(event.members?.added));
    this.lines = new Lines(client, this.id, told, this.changed);
    this.progress = new Progress(client, this.id, me, this.changed);
    this.learn(listing);
  }

  get shape() {
    return shapeOf(this, this.peer, this.count);
  }

  /** Whether there may be more than two in it. */
  get isGroup() {
    return this.shape !== "pair";
  }

  /** Whether it is a matter for the support. */
  get isDesk() {
    return this.shape === "desk";
  }

  get title() {
    if (!this.isGroup) return nameOf(this.peer ?? this.id);
    if (this.name) return this.name;
    if (!this.isDesk) return "Group";
    return isStaff(this.#me) && this.matterOf.length > 0 ? joinNames(this.matterOf) : "Support";
  }

  /** Whose colour it has. */
  get face() {
    return this.peer ?? (this.isDesk && isStaff(this.#me) ? this.matterOf[0] : undefined) ?? this.id;
  }

  /** What stands beside its title: who the others are. */
  get label() {
    return labelOf(this.kind, this.#me);
  }

  /** Whoever only looks on has nothing to read. */
  get unread() {
    return this.isVisited ? 0 : this.progress.unread;
  }

  /** Somebody else began it, and this user has not said yet whether it is wanted. */
  get isRequest() {
    return this.request === "to_me" && !this.declined;
  }

  /** Whether this user may write here. */
  get isWritable() {
    return !this.closed && !this.blocked && !(this.declined && this.request === "by_me");
  }

  /** Whether this user may close it, and open it again. */
  get mayClose() {
    return this.shape !== "group" || this.role === "admin";
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
    const { context, request, declined = false, archived = false, blocked = false } = conversation;
    Object.assign(this, { kind, name, context, closed, role, count, createdMs, pins, request, declined, archived, blocked });
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
    const others = Promise.all([this.progress.loadOthers(this.count), this.isDesk ? this.members() : undefined]);
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
    if (this.request !== undefined && message.sender !== maker && message.kind !== "SYSTEM") this.#onAccepted();
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
  onMembers(seq, members) {
    const { added = [], removed = [], promoted = [], time_ms: time } = members;
    if (seq > this.#counted) this.count += added.length - removed.length;
    this.#counted = Math.max(this.#counted, seq);
    this.memberIds = undefined;
    this.#learnAgents(added);
    for (const { user, role } of [...added, ...promoted]) {
      if (user === this.#me) Object.assign(this, { role, isVisited: false });
    }
    this.#tell(seq, time, { event: "members", members });
    this.#activity = Math.max(this.#activity, time);
    this.changed("members");
    if (!this.lines.isLoaded) return;
    this.progress.loadOthers(this.count).catch(() => {});
    if (this.isDesk) this.members().catch(() => {});
  }

  #tell(seq, time, event) {
    const words = wordsOf(event, this.#me);
    if (words) this.lines.addTold(seq, time, words);
  }

  /** In a support conversation, who is moderator is of the support. */
  #learnAgents(members = []) {
    if (!this.isDesk) return;
    for (const { user, role } of members) if (role === "moderator") this.agents.add(user);
  }

  /** It was renamed, closed or reopened, accepted or declined, or a message was pinned. */
  onChange(seq, change) {
    const { name, context, closed, accepted, erased, pinned, unpinned, time_ms: time } = change;
    if (name !== undefined) this.name = name;
    if (context !== undefined) this.context = context;
    if (closed !== undefined) this.closed = closed;
    if (erased) this.isErased = true;
    if (accepted !== undefined) {
      this.declined = !accepted;
      if (accepted) this.#onAccepted();
    }
    this.#tell(seq, time, { event: "conversation", change });
    if (pinned) this.#pin(seq, pinned, true);
    if (unpinned) this.#pin(seq, unpinned, false);
    this.#activity = Math.max(this.#activity, time);
    this.changed("detail");
  }

  /** It is no request any more: its maker is told from now on how far the other is, and was not before. */
  #onAccepted() {
    this.request = undefined;
    this.declined = false;
    if (this.lines.isLoaded) this.progress.loadOthers(this.count).catch(() => {});
  }

  #pin(seq, id, pinned) {
    this.pins = [...this.pins.filter((other) => other !== id), ...(pinned ? [id] : [])];
    this.lines.about(seq, () => {
      const entry = this.lines.withId(id);
      if (entry) this.lines.become(entry, { ...entry.message, pinned });
    });
    this.changed("pins");
  }

  /** All members' ids, the first thousand; once they are known, until they change. */
  async members() {
    if (!this.memberIds) this.#take((await this.#client.members(this.id)).members);
    return this.memberIds;
  }

  #take(members) {
    this.memberIds = members.map(({ user }) => user);
    if (!this.isDesk) return;
    this.#learnAgents(members);
    this.isVisited = !this.memberIds.includes(this.#me);
    this.matterOf = members.filter(({ role }) => role === "member").map(({ user }) => user);
    this.changed("detail");
  }
}
