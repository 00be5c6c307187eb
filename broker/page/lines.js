// What stands in one conversation, in order: a part of its timeline without holes, and behind the newest message those that
// are not sent yet. Mostly the part ends with the newest message; whoever jumps to an old one has a part around that.

/** Messages in a page of history: a few screens; and in the first one, where more than that is unread. */
const PAGE = 40;
const FIRST_PAGE_MAX = 200;

/** Entries that are kept; older ones are fetched again when they are wanted. */
const ENTRIES_MAX = 1_000;
const ENTRIES_DROPPED = 200;

export class Lines {
  /** What is shown, in order: `{ kind: "message" | "told" | "unsent", … }`. Those with a number come first. */
  entries = [];
  hasOlder = false;
  /** The part ends before the newest message: live ones are not in it. */
  hasNewer = false;
  /** "none", "loading" or "loaded". */
  state = "none";
  #client;
  #conversation;
  #told;
  #changed;
  #own = new Map();
  #asking = new Map();
  /** What became of messages while a page was on its way that may show them as they were before. */
  #meanwhile = [];
  /** The newest number that is not in the part because that ends before it. */
  #passed = 0;

  /** `told` finds what happened beside messages; `changed(what, entry)` is called with "entry", "gone", "older", "newer" or
   * "all". */
  constructor(client, conversation, told, changed) {
    this.#client = client;
    this.#conversation = conversation;
    this.#told = told;
    this.#changed = changed;
  }

  get isLoaded() {
    return this.state === "loaded";
  }

  /** Fetches the newest page, once; with what is unread, if it is not too much. */
  load(unread = 0) {
    if (this.state === "loaded") return Promise.resolve();
    this.state = "loading";
    return this.#once("load", async () => {
      try {
        const limit = Math.min(FIRST_PAGE_MAX, PAGE + unread);
        await this.#fetch({ limit }, (entries, { more }) => this.#begin(entries, more, false));
      } finally {
        if (this.state === "loading") this.state = "none";
      }
    });
  }

  /** Fetches the page before the oldest message that is here; once at a time. */
  loadOlder() {
    const [oldest] = this.entries;
    if (!this.hasOlder || oldest?.seq === undefined) return Promise.resolve();
    return this.#once("older", () => this.#fetch({ before: Math.ceil(oldest.seq), limit: PAGE }, (entries, { more }) => {
      if (this.entries[0] !== oldest) return;
      this.hasOlder = more;
      this.#changed("older", entries.filter((entry) => this.#insert(entry)));
    }));
  }

  /** Fetches what follows the newest message of a part that ends before the newest of all. */
  loadNewer() {
    const newest = this.entries.at(-1);
    if (!this.hasNewer || newest === undefined) return Promise.resolve();
    return this.#once("newer", () => this.#fetch({ after: Math.floor(newest.seq), limit: PAGE }, (entries, { more }) => {
      if (this.entries.at(-1) !== newest) return;
      const added = entries.filter((entry) => this.#insert(entry));
      this.hasNewer = more || (this.entries.at(-1)?.seq ?? 0) < this.#passed;
      if (!this.hasNewer) this.entries.push(...this.#own.values());
      this.#changed("newer", added);
    }));
  }

  /** Goes to the end again, from a part that ends before it. */
  async toNewest() {
    if (!this.hasNewer) return;
    await this.#fetch({ limit: PAGE }, (entries, { more }) => this.#begin(entries, more, false));
  }

  /** Sees to it that a message is here; gives its entry, or nothing if it is not to be had. */
  async bring(id) {
    const here = this.withId(id);
    if (here) return here;
    const before = await this.#client.history(this.#conversation, { id, limit: PAGE / 2 });
    const from = before.messages[0]?.seq ?? 0;
    await this.#fetch({ after: from, limit: PAGE }, (entries, { messages, more }) => {
      if (messages[0]?.id === id) this.#begin(entries, before.more, more);
    }, before);
    return this.withId(id);
  }

  /** A message, wherever it is; nothing if it is not to be had. */
  async peek(id) {
    const here = this.withId(id);
    if (here) return here.message;
    const before = await this.#client.history(this.#conversation, { id, limit: 1 });
    const { messages: [found] } = await this.#client.history(this.#conversation, { after: before.messages[0]?.seq ?? 0, limit: 1 });
    return found?.id === id ? found : undefined;
  }

  /** A page of history with what was told between its messages, and on top of it what became of those while it was on its
   * way. `take(entries, page)` gets it in order, perhaps behind a page that was fetched before. */
  async #fetch(wanted, take, before) {
    const meanwhile = [];
    this.#meanwhile.push(meanwhile);
    try {
      const answer = await this.#client.history(this.#conversation, wanted);
      take(await this.#withTold(wanted, answer, before), answer);
      for (const { seq, act } of meanwhile) if (seq > answer.head) act();
    } finally {
      this.#meanwhile.splice(this.#meanwhile.indexOf(meanwhile), 1);
    }
  }

  async #withTold({ before: end, after }, { messages, first_available: first, head, more }, earlier) {
    const inOrder = after === undefined ? [...messages].reverse() : messages;
    const entries = [...[...(earlier?.messages ?? [])].reverse(), ...inOrder].map(asEntry);
    const goesBefore = earlier ? earlier.more : more;
    let from = goesBefore && entries.length > 0 ? entries[0].seq : first;
    if (after !== undefined && !earlier) from = after + 1;
    const to = after !== undefined && more && entries.length > 0 ? entries.at(-1).seq : (end ?? head + 1) - 1;
    const told = await this.#told.between(Math.max(from, first), to, entries.length);
    const all = [...entries, ...told].sort((one, other) => one.seq - other.seq);
    // What has no time of its own has its neighbour's.
    for (const [at, entry] of all.entries()) entry.time ??= (all[at - 1] ?? all[at + 1])?.time ?? Date.now();
    return all;
  }

  /** Does something about a message that is here, or on its way. */
  about(seq, act) {
    act();
    for (const list of this.#meanwhile) list.push({ seq, act });
  }

  #begin(entries, hasOlder, hasNewer) {
    const live = hasNewer || this.hasNewer ? [] : this.entries.filter(({ seq }) => seq !== undefined);
    const first = entries[0]?.seq ?? 0;
    this.hasOlder = hasOlder;
    this.hasNewer = hasNewer || Math.max(0, ...[...entries, ...live].map(({ seq }) => seq)) < this.#passed;
    this.entries = [...entries, ...(this.hasNewer ? [] : this.#own.values())];
    this.state = "loaded";
    // What came while this was on its way. Of what was there before, all that follows on it.
    for (const entry of live) if (entry.seq > first) this.#insert(entry);
    this.#changed("all");
  }

  #once(name, act) {
    if (!this.#asking.has(name)) this.#asking.set(name, act().finally(() => this.#asking.delete(name)));
    return this.#asking.get(name);
  }

  /** A message was stored: somebody's, or one of this tab that waited for it. Gives its entry, if it is new here. */
  addMessage(message, isOwn) {
    const own = isOwn ? this.#own.get(message.client_id) : undefined;
    if (own) {
      this.#own.delete(message.client_id);
      this.entries = this.entries.filter((other) => other !== own);
      Object.assign(own, asEntry(message));
    }
    const entry = own ?? asEntry(message);
    if (this.#add(entry)) return entry;
    if (own) this.#changed("gone", own);
    return undefined;
  }

  /** Something other than a message happened. */
  addTold(seq, time, text) {
    this.#add({ kind: "told", seq, time, text });
  }

  #add(entry) {
    if (this.hasNewer || this.state === "none") {
      if (entry.kind === "message") this.#passed = Math.max(this.#passed, entry.seq);
      return false;
    }
    if (!this.#insert(entry)) return false;
    this.#trim();
    this.#changed("entry", entry);
    return true;
  }

  addUnsent(entry) {
    if (this.#own.has(entry.clientId)) return;
    this.#own.set(entry.clientId, entry);
    if (this.hasNewer) return;
    this.entries.push(entry);
    this.#changed("entry", entry);
  }

  /** The entry of a message of this tab that is not stored yet. */
  unsent(clientId) {
    return this.#own.get(clientId);
  }

  discard(entry) {
    this.#own.delete(entry.clientId);
    this.entries = this.entries.filter((other) => other !== entry);
    this.#changed("gone", entry);
  }

  /** The entry of the message with this id, if it is here. */
  withId(id) {
    return this.entries.find(({ message }) => message?.id === id);
  }

  /** The newest message up to this number, if it is known which one that is. */
  upTo(seq) {
    const messages = this.entries.filter(({ kind }) => kind === "message");
    const at = messages.findLastIndex((entry) => entry.seq <= seq);
    return at >= 0 && (at < messages.length - 1 || !this.hasNewer) ? messages[at].message : undefined;
  }

  /** A message is this now. */
  become(entry, message) {
    Object.assign(entry, { message, text: message.text });
    this.#changed("entry", entry);
  }

  /** Answers show what they answer as it is now. */
  requote(id, quote) {
    for (const entry of this.entries) {
      if (entry.message?.reply_to !== id || !entry.message.quote) continue;
      this.become(entry, { ...entry.message, quote: { ...entry.message.quote, ...quote } });
    }
  }

  /** Puts an entry where its number belongs; says whether it was new. */
  #insert(entry) {
    let at = this.entries.findLastIndex(({ seq }) => seq !== undefined) + 1;
    while (at > 0 && this.entries[at - 1].seq > entry.seq) at -= 1;
    if (at > 0 && this.entries[at - 1].seq === entry.seq) return false;
    this.entries.splice(at, 0, entry);
    return true;
  }

  #trim() {
    if (this.entries.length <= ENTRIES_MAX) return;
    for (const entry of this.entries.splice(0, ENTRIES_DROPPED)) this.#changed("gone", entry);
    this.hasOlder = true;
  }
}

function asEntry(message) {
  const { seq, sender, text, time_ms: time } = message;
  return { kind: "message", state: "sent", seq, sender, text, time, message };
}
