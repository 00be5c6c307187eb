// How far the people of one conversation have read: this user, whence what is unread, and the others, whence the ticks.
//
// What is unread is a difference of ordinals, so that telling the same message twice changes nothing: the newest message's,
// less the one up to which the server says that all is read.

/** Members of a conversation in which it is known what has reached whom, and in which everybody is told what others read. */
const DELIVERED_MEMBERS_MAX = 32;
const TOLD_MEMBERS_MAX = 100;

export class Progress {
  /** The number up to which this user has read. */
  read = 0;
  #client;
  #conversation;
  #me;
  #changed;
  /** The ordinals of the newest message and of what is read; `#said` is what is unread while the first is not known. */
  #last = 0;
  #base = 0;
  #said = 0;
  #others = new Map();
  #knowsOthers = false;
  #asking = false;

  /** `changed(what)` is called with "about" or "marks". */
  constructor(client, conversation, me, changed) {
    this.#client = client;
    this.#conversation = conversation;
    this.#me = me;
    this.#changed = changed;
  }

  get unread() {
    return this.#last === 0 ? this.#said : Math.max(0, this.#last - this.#base);
  }

  /** What the server says of itself and of its newest message, at one time. */
  learn({ unread, read }, last) {
    this.read = Math.max(this.read, read);
    this.#said = unread;
    if (!last || last.ordinal < this.#last) return;
    this.#last = last.ordinal;
    this.#base = last.ordinal - unread;
  }

  /** A message is there. */
  onMessage({ ordinal, kind, sender, seq, time_ms: time }) {
    // A SYSTEM message counts for nobody: it has the ordinal of the one before.
    if (this.#last === 0) this.#base = ordinal - (kind === "SYSTEM" ? 0 : 1) - this.#said;
    this.#last = Math.max(this.#last, ordinal);
    if (sender === this.#me) this.readTo(seq, ordinal);
    else this.#rise({ user: sender, read: seq, read_ms: time, delivered: seq, delivered_ms: time });
  }

  /** A message has reached this device. */
  received(seq, members) {
    if (members <= DELIVERED_MEMBERS_MAX) this.#client.mark(this.#conversation, { delivered: seq });
  }

  /** The user has read up to this message: says whether that is news. */
  readTo(seq, ordinal) {
    if (seq <= this.read) return false;
    this.read = seq;
    this.#base = Math.max(this.#base, ordinal);
    return true;
  }

  /** The server tells how far members have come. `upTo(seq)` gives the newest message up to a number, if it is known. */
  onMarks(marks, upTo) {
    for (const one of marks) {
      if (one.user !== this.#me) this.#rise(one);
      // What this device has said itself is known.
      else if (one.read > this.read) this.#onOwn(one.read, upTo(one.read));
    }
    this.#changed("marks");
  }

  /** The user has read further, on another device. */
  #onOwn(seq, message) {
    if (message) this.readTo(seq, message.ordinal);
    else this.recount();
  }

  #rise({ user, read, read_ms, delivered, delivered_ms }) {
    if (!this.#knowsOthers) return;
    const before = this.#others.get(user) ?? { read: 0, delivered: 0 };
    const now = { ...before };
    if (read > before.read) Object.assign(now, { read, read_ms });
    if (delivered > before.delivered) Object.assign(now, { delivered, delivered_ms });
    this.#others.set(user, now);
  }

  /** Asks the server what is unread: after something of which that does not follow. */
  async recount() {
    if (this.#asking) return;
    this.#asking = true;
    try {
      for (let last = -1; last !== this.#last; ) {
        last = this.#last;
        const { conversations: [one] } = await this.#client.unread([this.#conversation]);
        if (!one || one.error) return;
        this.read = Math.max(this.read, one.read);
        this.#said = one.unread;
        this.#base = this.#last - one.unread;
      }
      this.#changed("about");
    } catch (error) {
      console.warn("what is unread could not be counted:", error);
    } finally {
      this.#asking = false;
    }
  }

  /** Asks how far the others have come, where that is told at all. */
  async loadOthers(members) {
    this.#knowsOthers = members <= TOLD_MEMBERS_MAX;
    if (!this.#knowsOthers) return;
    const { marks } = await this.#client.marks(this.#conversation);
    const users = new Set(marks.map(({ user }) => user));
    for (const user of this.#others.keys()) if (!users.has(user)) this.#others.delete(user);
    for (const one of marks) if (one.user !== this.#me) this.#rise(one);
    this.#changed("marks");
  }

  /** Whether it is known how far the others are. */
  get knowsOthers() {
    return this.#knowsOthers && this.#others.size > 0;
  }

  /** What has become of an own message: `{ state: "sent" | "delivered" | "read", read, of }`. */
  of(seq) {
    const others = [...this.#others.values()];
    const read = others.filter((one) => one.read >= seq).length;
    const delivered = others.filter((one) => one.delivered >= seq).length;
    const all = (count) => others.length > 0 && count === others.length;
    return { state: all(read) ? "read" : all(delivered) ? "delivered" : "sent", read, of: others.length };
  }

  /** Whom a message has reached without being read, as far as that is told. */
  reached(seq) {
    const reached = [...this.#others].filter(([, one]) => one.delivered >= seq && one.read < seq);
    return reached.map(([user, one]) => ({ user, time: one.delivered_ms }));
  }
}
