// Which conversations there are: the server's list, page by page, and what it tells of those that come and go. All that this
// user has are read, so what was said last and what is unread follows by itself from there on.

import { shapeOf } from "./kinds.js";

/** Conversations in a page of the list, and about which one question asks what is unread. */
const PAGE = 50;
const UNREAD_MAX = 200;

export class Directory {
  /** There are older ones that are not here. */
  more = false;
  #client;
  #found;
  #cursor;
  #known = new Set();
  /** Unread messages of conversations that are not here yet. */
  #elsewhere = new Map();
  #looking;
  #stale = false;
  #idle = Promise.resolve();

  /** `found(listing)` is told of each conversation, and again when the server says something new of it. */
  constructor(client, found) {
    this.#client = client;
    this.#found = found;
  }

  /** Reads all conversations, and finds the newest. */
  async load() {
    const { subscribed } = await this.#client.subscribeAll();
    await this.loadMore();
    this.#takeAll(await this.#client.list({ limit: PAGE, archived: true }));
    if (this.more) this.#takeAll(await this.#client.list({ limit: PAGE, state: "pending" }));
    if (this.more) await this.#countElsewhere(subscribed.map(({ conversation }) => conversation));
  }

  /** The next page. */
  async loadMore() {
    const page = await this.#client.list({ limit: PAGE, cursor: this.#cursor });
    this.more = page.more;
    this.#cursor = page.cursor;
    this.#takeAll(page);
  }

  /** What the newest page says now: after a time without connection, and about what came from none knows where. */
  lookAgain() {
    // A look that is under way may be from before what this one is for.
    this.#stale = this.#looking !== undefined;
    this.#looking ??= this.#look().finally(() => (this.#looking = undefined));
    return this.#looking;
  }

  async #look() {
    do {
      this.#stale = false;
      this.#takeAll(await this.#client.list({ limit: PAGE }));
    } while (this.#stale);
  }

  /** Finds those that a search or filter wants and that are not here. */
  async find(wanted) {
    if (!this.more) return;
    this.#takeAll(await this.#client.list({ limit: PAGE, ...wanted }));
  }

  /** Finds one, if this user may read it. Of one that is not theirs, as staff, no events come by themselves. */
  async one(id) {
    if (this.#known.has(id)) return;
    const conversation = await this.#client.get(id);
    const { user } = await this.#client.ready();
    const { kind, name, member_count: count } = conversation;
    const shape = shapeOf({ kind, name }, undefined, count);
    const { members } = shape === "group" ? { members: [] } : await this.#client.members(id);
    const peer = shape === "pair" ? members.find((member) => member.user !== user)?.user : undefined;
    if (shape === "desk" && !members.some((member) => member.user === user)) await this.#client.subscribe(id);
    this.take({ conversation, peer });
  }

  /** Gets or makes one; gives its id. */
  async make({ kind, members, name, context }) {
    const { conversation } = await this.#client.create({ kind, members, name: name || undefined, context: context || undefined });
    const isPair = members.length === 1 && shapeOf(conversation, undefined, 2) === "pair";
    return this.take({ conversation, peer: isPair ? members[0] : undefined });
  }

  /** Does something that nobody waits for: one after the other. */
  whenIdle(act) {
    this.#idle = this.#idle.then(act).catch(() => {});
  }

  /** It is there; gives its id. */
  take(listing) {
    const { id } = listing.conversation;
    this.#known.add(id);
    this.#elsewhere.delete(id);
    this.#found(listing);
    return id;
  }

  /** It is not this user's any more. */
  forget(id) {
    this.#known.delete(id);
    this.#elsewhere.delete(id);
  }

  /** Unread messages of conversations that are not here. */
  get unreadElsewhere() {
    return [...this.#elsewhere.values()].reduce((sum, unread) => sum + unread, 0);
  }

  #takeAll({ conversations }) {
    for (const listing of conversations) this.take(listing);
  }

  async #countElsewhere(ids) {
    const others = ids.filter((id) => !this.#known.has(id));
    for (let at = 0; at < others.length; at += UNREAD_MAX) {
      const { conversations } = await this.#client.unread(others.slice(at, at + UNREAD_MAX));
      for (const { conversation, unread } of conversations) {
        if (unread > 0 && !this.#known.has(conversation)) this.#elsewhere.set(conversation, unread);
      }
    }
  }
}
