// Who is online: the others of conversations of two, how many there are in the one that is open, and which members of a small
// group whose members are shown.

/** Users that are watched: the server takes 200 in all, the number of one group among them. Of the others of conversations, those
 * with the newest activity come first; in a larger group the server tells a number alone. */
const OTHERS_MAX = 99;
const MEMBERS_MAX = 100;

export class Online {
  #client;
  #changed;
  #known = new Map();
  #asked = new Set();
  /** Whom to ask about next, by the conversation that both are in; the empty name stands for the direct one. */
  #wanted = new Map();
  #counting;
  #isCounted = false;
  #members = [];

  /** `changed(user)` is called when somebody came or went, `counted(conversation, online)` when another number is. */
  constructor(client, { changed, counted }) {
    this.#client = client;
    this.#changed = changed;
    client.on("presence", (presence) => this.#learn(presence));
    client.on("online", ({ conversation, online }) => counted(conversation, online));
    this.counted = counted;
  }

  /** How it is with somebody: `{ online, last_seen_ms }`, or nothing. */
  of(user) {
    return this.#known.get(user);
  }

  /** Wants to know of the other of a conversation of two from now on; `again` because another answer may be due. */
  follow({ id, kind, context, peer }, again = false) {
    if ((this.#asked.has(peer) && !again) || (!this.#asked.has(peer) && this.#asked.size >= OTHERS_MAX)) return;
    this.#asked.add(peer);
    if (this.#wanted.size === 0) queueMicrotask(() => this.#askForWanted());
    const through = kind === "direct" && !context ? "" : id;
    if (!this.#wanted.has(through)) this.#wanted.set(through, new Set());
    this.#wanted.get(through).add(peer);
  }

  #askForWanted() {
    for (const [through, users] of this.#wanted) this.#ask([...users], through === "" ? {} : { conversation: through });
    this.#wanted.clear();
  }

  async #ask(users, through) {
    try {
      for (const presence of await this.#client.watch(users, through)) {
        // One that is not read yet is followed once it is.
        if (presence.error) this.#asked.delete(presence.user);
        else this.#learn(presence);
      }
    } catch (error) {
      if (!["CLIENT_CLOSED", "UNSUBSCRIBED"].includes(error.code)) console.warn("it is not known who is online:", error);
    }
  }

  #learn({ user, online, last_seen_ms }) {
    this.#known.set(user, { online, last_seen_ms });
    this.#changed(user);
  }

  /** Counts those who are online in this conversation, in place of another one; or in none. */
  async count(conversation) {
    if (this.#counting !== undefined) this.#client.unwatchOnline(this.#counting);
    this.#counting = conversation;
    this.#isCounted = conversation !== undefined;
    if (conversation === undefined) return;
    try {
      const online = await this.#client.watchOnline(conversation);
      if (conversation === this.#counting) this.counted(conversation, online);
    } catch (error) {
      if (error.code === "UNSUBSCRIBED" && conversation === this.#counting) this.#isCounted = false;
      else if (error.code !== "CLIENT_CLOSED") console.warn("it is not known how many are online:", error);
    }
  }

  /** A conversation may be read from now on, as one that was just made. */
  onRead(conversation) {
    if (conversation === this.#counting && !this.#isCounted) this.count(conversation);
  }

  /** Wants to know of these members of a conversation, in place of those of another one; of nobody where they are many. */
  showMembers(conversation, users) {
    const others = users.length > MEMBERS_MAX ? [] : users.filter((user) => !this.#asked.has(user));
    const gone = this.#members.filter((user) => !others.includes(user) && !this.#asked.has(user));
    const come = others.filter((user) => !this.#members.includes(user));
    this.#members = others;
    if (gone.length > 0) this.#client.unwatch(gone);
    for (const user of gone) this.#known.delete(user);
    if (come.length > 0) this.#ask(come, { conversation });
  }
}
