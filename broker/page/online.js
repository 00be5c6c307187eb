// Who is online: the others of direct conversations, and how many there are in the group that is open.

/** Users that are watched: the server takes 200 and a group beside them. Those with the newest activity come first. */
const WATCHED_MAX = 150;

export class Online {
  #client;
  #changed;
  #known = new Map();
  #asked = new Set();
  #wanted = new Set();
  #group;

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

  /** Wants to know of somebody from now on; `again` because another answer may be due. */
  follow(user, again = false) {
    if ((this.#asked.has(user) && !again) || (!this.#asked.has(user) && this.#asked.size >= WATCHED_MAX)) return;
    this.#asked.add(user);
    if (this.#wanted.size === 0) queueMicrotask(() => this.#ask());
    this.#wanted.add(user);
  }

  async #ask() {
    const users = [...this.#wanted];
    this.#wanted.clear();
    try {
      for (const presence of await this.#client.watch(users)) if (!presence.error) this.#learn(presence);
    } catch (error) {
      if (error.code !== "CLIENT_CLOSED") console.warn("it is not known who is online:", error);
    }
  }

  #learn({ user, online, last_seen_ms }) {
    this.#known.set(user, { online, last_seen_ms });
    this.#changed(user);
  }

  /** Counts those who are online in this conversation, in place of another one; or in none. */
  async count(conversation) {
    if (this.#group !== undefined) this.#client.unwatchOnline(this.#group);
    this.#group = conversation;
    if (conversation === undefined) return;
    try {
      const online = await this.#client.watchOnline(conversation);
      if (conversation === this.#group) this.counted(conversation, online);
    } catch (error) {
      if (!["CLIENT_CLOSED", "UNSUBSCRIBED"].includes(error.code)) console.warn("it is not known how many are online:", error);
    }
  }
}
