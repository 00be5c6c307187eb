// Whom the application watches, and where it wants to know how many are online: said again on each connection. Nothing is told
// that it knows already, so a reconnect is no news by itself.

import { isRetry, own, refusal } from "./errors.js";
import { AGAIN_BASE, AGAIN_DOUBLINGS, RETRY_BASE, WATCHED_MAX } from "./limits.js";
import { between } from "./timers.js";

/** A target, which is a user, or the number of those online in a conversation, has a key of its own. */
const USER = "user ";
const ONLINE = "online ";

/** What the application wants to know. `stage` is unsaid, asked or said on this connection; `through` the conversation that
 * both are in, where it was named; `told` what the application knows, `latest` what the server said last; `tries` how often it
 * was asked for again since the user was last seen, and `againAt` when it may be next; `isSigned` that a sign came which no
 * question has followed: an answer was on its way, which may be of before, or it came too soon. */
class Wanted {
  stage = "unsaid";
  told;
  latest;
  tries = 0;
  againAt = 0;
  isSigned = false;

  constructor(through) {
    this.through = through;
  }

  /** Perhaps the user is not to be seen, as far as the server will tell. */
  get isUnseen() {
    return this.stage === "said" && !this.latest.online && this.latest.last_seen_ms === undefined;
  }

  /** If the user is seen, no sign is needed any more, and the next time it is as at first. */
  noteSeen() {
    if (this.stage !== "said" || this.isUnseen) return;
    this.tries = this.againAt = 0;
    this.isSigned = false;
  }
}

export class Presence {
  #core;
  #wanted = new Map();
  /** Who waits for how it is now: `{ ticket, keys, refused }`. */
  #waiting = [];
  /** What the server is to be told is over. */
  #over = new Set();

  constructor(core) {
    this.#core = core;
  }

  /** Wants to know of these users, or without any, how many are online in the conversation. */
  watch(ticket, users, conversation) {
    const closed = this.#core.link.closedError();
    const keys = users.length > 0 ? users.map((user) => USER + user) : [ONLINE + conversation];
    const added = new Set(keys.filter((key) => !this.#wanted.has(key)));
    if (closed || this.#wanted.size + added.size > WATCHED_MAX) {
      this.#core.complete(ticket, undefined, closed ?? own("TOO_MANY_PENDING", `at most ${WATCHED_MAX} are watched`));
      return;
    }
    for (const key of keys) {
      this.#over.delete(key);
      const { told, latest } = this.#wanted.get(key) ?? {};
      this.#wanted.set(key, Object.assign(new Wanted(conversation), { told, latest }));
    }
    this.#waiting.push({ ticket, keys, refused: new Map() });
  }

  unwatch({ users = [], conversation, all = false }) {
    const keys = all ? [...this.#wanted.keys()] : [...users.map((user) => USER + user), ONLINE + conversation];
    for (const key of keys) {
      if (this.#wanted.has(key) && this.#wanted.get(key).stage !== "unsaid") this.#over.add(key);
      this.#wanted.delete(key);
    }
    this.#answer();
  }

  /** Says what is watched and not said on this connection, and what is over: one request at a time. */
  pump() {
    const { timers, flights, link } = this.#core;
    if (timers.isSet("watch") || flights.size >= link.limits.inFlight || this.#core.isFlying("watch")) return;
    if (this.#over.size > 0) {
      this.#sayOver();
      return;
    }
    const timelineOf = (one) => this.#core.subscriptions.timelines.get(one.through);
    // What goes through a conversation that is not read would be refused.
    const lost = [...this.#wanted].filter(([, one]) => one.through !== undefined && !timelineOf(one)).map(([key]) => key);
    this.#refuse(lost, own("UNSUBSCRIBED", "the conversation is not subscribed"));
    const isReady = (one) => one.stage === "unsaid" && (one.through === undefined || timelineOf(one)?.attached);
    const [first, { through } = {}] = [...this.#wanted].find(([, one]) => isReady(one)) ?? [];
    if (first === undefined) return;
    const isSame = ([key, one]) => key.startsWith(USER) && one.stage === "unsaid" && one.through === through;
    const keys = first.startsWith(USER) ? [...this.#wanted].filter(isSame).map(([key]) => key) : [first];
    for (const key of keys) Object.assign(this.#wanted.get(key), { stage: "asked", isSigned: false });
    const users = keys.filter((key) => key.startsWith(USER)).map((key) => key.slice(USER.length));
    this.#core.request("watch", { users, ...(through !== undefined && { conversation: through }) }, {
      kind: "watch",
      answered: (data, error) => this.#onWatched(keys, data, error),
      late: () => this.#later(keys),
    });
  }

  #sayOver() {
    const keys = [...this.#over];
    const counted = keys.find((key) => key.startsWith(ONLINE));
    const said = keys.filter((key) => key.startsWith(USER) || key === counted);
    for (const key of said) this.#over.delete(key);
    const users = said.filter((key) => key.startsWith(USER)).map((key) => key.slice(USER.length));
    this.#core.request("unwatch", { users, ...(counted && { conversation: counted.slice(ONLINE.length) }) }, {
      kind: "watch",
      answered: (data, error) => {
        if (!error || !isRetry(error)) return;
        for (const key of said) if (!this.#wanted.has(key)) this.#over.add(key);
        this.#pause(error.retry_after_ms);
      },
    });
  }

  #onWatched(keys, data, error) {
    if (error && isRetry(error)) {
      this.#later(keys, error.retry_after_ms);
    } else if (error) {
      this.#refuse(keys, refusal(error));
    } else {
      const answers = seenOf(data);
      const later = keys.filter((key) => !this.#take(key, answers.get(key)));
      if (later.length > 0) this.#later(later);
    }
    this.#answer();
    this.followSigns();
  }

  /** Takes the answer about one; says whether it was one. */
  #take(key, seen) {
    const one = this.#wanted.get(key);
    if (one?.stage !== "asked") return true;
    if (seen === undefined || (seen.error && isRetry(seen.error))) return false;
    if (seen.error) {
      this.#refuse([key], refusal(seen.error));
      return true;
    }
    one.stage = "said";
    one.latest = seen;
    one.noteSeen();
    if (this.#waiting.some(({ keys }) => keys.includes(key))) one.told = seen;
    else this.#tell(key, one);
    return true;
  }

  /** It was not done, or nobody knows. */
  #later(keys, atLeast) {
    for (const key of keys) if (this.#wanted.has(key)) this.#wanted.get(key).stage = "unsaid";
    this.#pause(atLeast);
  }

  #pause(atLeast = 0) {
    this.#core.timers.set("watch", this.#core.now + atLeast + between(this.#core.random, RETRY_BASE, 2 * RETRY_BASE));
  }

  /** The server will not tell of these. */
  #refuse(keys, error) {
    for (const key of keys) {
      for (const { keys: awaited, refused } of this.#waiting) if (awaited.includes(key)) refused.set(key, error);
      this.#wanted.delete(key);
    }
    if (keys.length > 0) this.#answer();
  }

  /** Answers whoever waits for nothing more. */
  #answer() {
    const isOpen = (key, refused) => !refused.has(key) && this.#wanted.has(key) && this.#wanted.get(key).stage !== "said";
    this.#waiting = this.#waiting.filter(({ ticket, keys, refused }) => {
      if (keys.some((key) => isOpen(key, refused))) return true;
      const result = keys.map((key) => this.#wanted.get(key)?.told ?? unknown(key, refused.get(key)));
      const counted = keys[0].startsWith(ONLINE) ? result[0].error ?? (result[0].online === undefined && unsubscribed()) : undefined;
      this.#core.complete(ticket, result, counted || undefined);
      return false;
    });
  }

  /** A numbered event comes by which somebody who is watched may be seen from now on. */
  after({ event, message, change }) {
    if (event === "message") this.again([message.sender], true);
    // Of a direct conversation that was a request it accepts; and nobody is blocked there any more.
    else if (event === "conversation" && change.accepted === true) this.again();
  }

  /** These, or all without any, may be seen from now on: whoever is not, the server is asked for again. A sign may come often
   * and mean nothing, so it is followed less and less often. */
  again(users, isSign = false) {
    const keys = users ? users.map((user) => USER + user) : [...this.#wanted.keys()].filter((key) => key.startsWith(USER));
    for (const key of keys) {
      const one = this.#wanted.get(key);
      // What is still to be said will be answered as it is after this.
      if (one?.stage !== "asked" && !one?.isUnseen) continue;
      one.isSigned = true;
      if (!isSign) one.againAt = 0;
    }
    this.followSigns();
  }

  /** Asks again for those of whom there was a sign, each when it may be; what is on its way is awaited first. */
  followSigns() {
    const { now, timers } = this.#core;
    let next = Infinity;
    for (const one of this.#wanted.values()) {
      if (!one.isSigned || !one.isUnseen) continue;
      if (one.againAt > now) {
        next = Math.min(next, one.againAt);
      } else {
        one.stage = "unsaid";
        one.againAt = now + AGAIN_BASE * 2 ** Math.min(one.tries++, AGAIN_DOUBLINGS);
      }
    }
    if (next < Infinity) timers.set("signs", next);
    else timers.cancel("signs");
  }

  /** The server says how it is with some. */
  onPresence(event) {
    for (const [key, seen] of seenOf(event)) {
      const one = this.#wanted.get(key);
      if (one?.told === undefined) continue;
      one.latest = seen;
      one.noteSeen();
      this.#tell(key, one);
    }
  }

  /** Tells the application, if it is news. */
  #tell(key, one) {
    const { told, latest } = one;
    if (told && told.online === latest.online && told.last_seen_ms === latest.last_seen_ms) return;
    one.told = latest;
    const name = key.startsWith(USER) ? "presence" : "online";
    this.#core.deliver(name, { event: name, ...latest });
  }

  /** The connection is gone, and the server forgets with it what was watched. */
  forgetConnection() {
    this.#over.clear();
    for (const one of this.#wanted.values()) one.stage = "unsaid";
    this.#core.timers.cancel("watch");
    this.#core.timers.cancel("signs");
  }

  /** A conversation is not read any more: what was watched through it is over, and nobody is shown as online for ever. */
  endThrough(conversation) {
    for (const [key, { through, told }] of [...this.#wanted]) {
      if (through !== conversation) continue;
      this.#wanted.delete(key);
      if (key.startsWith(USER) && told?.online) {
        this.#core.deliver("presence", { event: "presence", user: key.slice(USER.length), online: false });
      }
    }
    this.#answer();
  }

  endAll(error) {
    for (const { ticket } of this.#waiting.splice(0)) this.#core.complete(ticket, undefined, error);
    this.#wanted.clear();
  }
}

/** What an answer or event says, by the keys of targets. */
function seenOf({ presence = [], counts = [] }) {
  return new Map([
    ...presence.map((one) => [USER + one.user, one]),
    ...counts.map((one) => [ONLINE + one.conversation, one]),
  ]);
}

function unknown(key, error) {
  return key.startsWith(USER) ? { user: key.slice(USER.length), online: false, error } : { error };
}

function unsubscribed() {
  return own("UNSUBSCRIBED", "it is not watched any more");
}
