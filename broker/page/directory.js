// Which conversations there are. The server cannot list a user's conversations yet, so the page finds them itself: those
// with the other demo users by asking for them, which makes them if need be, and all others by a list that the tabs of this
// browser share; the server says which of those are one's own. Nothing else in the page knows how it is done.

const KEY = "switchyard.conversations";

/** Conversations that this browser remembers, the newest. */
const REMEMBERED_MAX = 200;

export class Directory {
  #client;
  #found;
  #tried = new Set();
  #mine = new Set();

  /** `found` is told of each conversation once, also of those that come later. */
  constructor(client, found) {
    this.#client = client;
    this.#found = found;
    addEventListener("storage", ({ key }) => {
      if (key !== KEY) return;
      // Somebody was perhaps added to what was not theirs before.
      this.#tried.clear();
      this.#tryAll();
    });
  }

  /** Finds what there is; `people` are those whom everybody talks with. */
  async load(people) {
    await Promise.all([...people.map((user) => this.withPerson(user)), this.#tryAll()]);
  }

  /** The conversation with somebody. */
  async withPerson(user) {
    const { conversation, created } = await this.#client.create({ kind: "direct", members: [user] });
    if (created) this.announce(conversation.id);
    return this.#take(conversation, user);
  }

  /** A new group. */
  async makeGroup(name, members) {
    const { conversation } = await this.#client.create({ kind: "group", name, members });
    this.announce(conversation.id);
    return this.#take(conversation);
  }

  /** Tells the other tabs that there is something new about a conversation. */
  announce(id) {
    const ids = [id, ...remembered().filter((other) => other !== id)].slice(0, REMEMBERED_MAX);
    localStorage.setItem(KEY, JSON.stringify({ ids, at: Date.now() }));
  }

  /** It is not this user's any more; should it be again, it is found again. */
  forget(id) {
    this.#mine.delete(id);
    this.#tried.add(id);
  }

  async #tryAll() {
    const news = remembered().filter((id) => !this.#mine.has(id) && !this.#tried.has(id));
    await Promise.all(news.map((id) => this.#try(id)));
  }

  async #try(id) {
    this.#tried.add(id);
    try {
      const conversation = await this.#client.get(id);
      const peer = conversation.kind === "direct" ? await this.#peerOf(id) : undefined;
      this.#take(conversation, peer);
    } catch (error) {
      // Somebody else's, or gone.
      if (error.code !== "NOT_FOUND") console.warn("a conversation could not be opened:", error);
    }
  }

  async #peerOf(id) {
    const { user } = await this.#client.ready();
    const { members } = await this.#client.members(id);
    return members.find((member) => member.user !== user)?.user;
  }

  #take(conversation, peer) {
    if (!this.#mine.has(conversation.id)) {
      this.#mine.add(conversation.id);
      this.#found(conversation, peer);
    }
    return conversation.id;
  }
}

function remembered() {
  try {
    const { ids } = JSON.parse(localStorage.getItem(KEY)) ?? {};
    return Array.isArray(ids) ? ids : [];
  } catch {
    return [];
  }
}
