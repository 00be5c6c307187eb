// What is due when: one time for each name. There are few, so the earliest is looked for.

export class Timers {
  #at = new Map();

  /** Sets the time of this name, instead of an earlier one. */
  set(name, at) {
    this.#at.set(name, at);
  }

  cancel(name) {
    this.#at.delete(name);
  }

  clear() {
    this.#at.clear();
  }

  isSet(name) {
    return this.#at.has(name);
  }

  /** The earliest time, or Infinity. */
  next() {
    let next = Infinity;
    for (const at of this.#at.values()) next = Math.min(next, at);
    return next;
  }

  /** Takes the earliest one that is due, or undefined. */
  popDue(now) {
    let found;
    for (const [name, at] of this.#at) {
      if (at <= now && (found === undefined || at < this.#at.get(found))) found = name;
    }
    if (found !== undefined) this.#at.delete(found);
    return found;
  }
}

/** Full jitter: anything from nothing to `base` doubled `attempt` times, or to `cap` if that is less. */
export function pause(random, base, cap, attempt) {
  return random() * Math.min(cap, base * 2 ** attempt);
}

/** A time between two. */
export function between(random, least, most) {
  return least + random() * Math.max(0, most - least);
}
