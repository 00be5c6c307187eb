// What happened in a conversation beside messages, in words; and finding it again in history, which has messages alone. Every
// event has a number, so a hole between messages tells that there was something.

import { joinNames, nameOf } from "./words.js";

/** Numbers that one answer of the server has at most, and answers that one part of history may take. */
const ANSWER = 500;
const ANSWERS_MAX = 4;

/** Lines that are kept for when they are wanted again. */
const KEPT_MAX = 2_000;

const AS = { admin: "an admin", moderator: "a moderator", member: "a member" };

/** An event in words, for this user: nothing if it is not told. */
export function wordsOf({ event, members, change }, me) {
  const who = (id) => (id === me ? "You" : nameOf(id));
  if (event === "members") return membersWords(members, who, (id) => (id === me ? "you" : nameOf(id)));
  if (event !== "conversation") return undefined;
  const { name, avatar, context, closed, accepted, pinned, unpinned, by } = change;
  const done = [
    name !== undefined && (name === "" ? "took the name away" : `named it “${name}”`),
    avatar !== undefined && "changed the picture",
    context !== undefined && (context === "" ? "took away what it is about" : `said that it is about “${context}”`),
    closed !== undefined && `${closed ? "closed" : "reopened"} the conversation`,
    accepted !== undefined && `${accepted ? "accepted" : "declined"} the request`,
    pinned && "pinned a message",
    unpinned && "unpinned a message",
  ].filter(Boolean);
  return done.length > 0 ? `${who(by)} ${done.join(" and ")}` : undefined;
}

function membersWords({ added = [], removed = [], promoted = [], by }, who, whom) {
  const users = added.map(({ user }) => user);
  const told = [];
  if (users.length === 1 && users[0] === by) told.push(`${who(by)} joined`);
  else if (users.length > 0) told.push(`${who(by)} added ${joinNames(users, whom)}`);
  if (removed.length === 1 && removed[0] === by) told.push(`${who(by)} left`);
  else if (removed.length > 0) told.push(`${who(by)} removed ${joinNames(removed, whom)}`);
  // Where the last admin goes, somebody else becomes one.
  const isNow = (user) => `${who(user)} ${who(user) === whom(user) ? "is" : "are"} now`;
  const became = ({ user, role }) => `${told.length > 0 ? isNow(user) : `${who(by)} made ${whom(user)}`} ${AS[role]}`;
  const all = [...told, ...promoted.map(became)];
  return all.length > 0 ? all.join(". ") : undefined;
}

/** What was told in one conversation, as far as it was looked for. */
export class Told {
  #client;
  #conversation;
  #me;
  #learn;
  /** From this number to that one, all is known. */
  #from = 1;
  #to = 0;
  #known = new Map();

  /** `learn(event)` is called with each that is found. */
  constructor(client, conversation, me, learn) {
    this.#client = client;
    this.#conversation = conversation;
    this.#me = me;
    this.#learn = learn;
  }

  /** What was told from one number to another, among which there are so many messages. */
  async between(from, to, messages) {
    if (to - from + 1 > messages) {
      try {
        await this.#find(Math.max(1, from), to);
      } catch (error) {
        if (error.code !== "CLIENT_CLOSED") console.warn("what happened beside messages is not known:", error);
      }
    }
    return [...this.#known.values()].filter(({ seq }) => seq > from - 1 && seq < to + 1);
  }

  async #find(from, to) {
    if (from >= this.#from && to <= this.#to) return;
    const goesOn = this.#to >= this.#from && from <= this.#to + 1 && to >= this.#from - 1;
    if (!goesOn || this.#known.size > KEPT_MAX) {
      this.#known.clear();
      [this.#from, this.#to] = [to + 1, to];
    }
    // Whoever scrolls on wants what lies before: an answer has room for it.
    if (from < this.#from) await this.#ask(Math.max(1, Math.min(from, this.#from - ANSWER)), this.#from - 1);
    if (to > this.#to) await this.#ask(this.#to + 1, to);
  }

  async #ask(from, to) {
    let at = Math.max(from, to - ANSWERS_MAX * ANSWER + 1) - 1;
    if (at >= from) this.#tell(at + 0.5, undefined, "What was changed before this, beside messages, is not shown");
    for (let asked = 0; at < to && asked < ANSWERS_MAX; asked += 1) {
      const { events, more } = await this.#client.events(this.#conversation, { after: at });
      for (const event of events) if (event.seq <= to) this.#take(event);
      at = more && events.length > 0 ? events.at(-1).seq : to;
    }
    if (at < to) this.#tell(at + 0.5, undefined, "What was changed after this, beside messages, is not all shown");
    this.#from = Math.min(this.#from, from);
    this.#to = Math.max(this.#to, to);
  }

  #take(event) {
    const { seq, members, change } = event;
    this.#learn(event);
    const text = wordsOf(event, this.#me);
    if (text) this.#tell(seq, (members ?? change).time_ms, text);
  }

  /** What has no time of its own has that of the line before it. */
  #tell(seq, time, text) {
    this.#known.set(seq, { kind: "told", seq, time, text });
  }
}
