// One subscribed conversation as the application has seen it: its position, what came too early and waits for the hole
// before it, and how far the conversation is known to go.

import { HELD_CHARS_MAX, HELD_EVENTS_MAX } from "./limits.js";

export class Timeline {
  /** The last number that the application has; null until a subscription from now on is confirmed. */
  position = null;
  /** The highest number that is known to exist. */
  head = 0;
  /** Whether the server sends its events on the present connection. */
  attached = false;
  /** Where asking for events stands: idle, queued, flying, or pausing until a timer. */
  fetch = "idle";
  failures = 0;
  /** Asked for in a request of its own, for one of a larger request was not understood. */
  alone = false;
  /** Who waits for the confirmation. */
  tickets = [];
  #held = new Map();

  /** `firstRequest` is the lowest id that a request for this subscription can have. */
  constructor(firstRequest) {
    this.firstRequest = firstRequest;
  }

  /** Takes a numbered event that just came: gives it if it is the next one, else nothing. `held` counts what all
   * timelines hold. */
  arrive(event, held) {
    this.head = Math.max(this.head, event.seq);
    if (this.position !== null) {
      if (event.seq <= this.position) return undefined;
      if (event.seq === this.position + 1) return event;
    }
    const size = weight(event);
    if (this.#held.size < HELD_EVENTS_MAX && held.chars + size <= HELD_CHARS_MAX && !this.#held.has(event.seq)) {
      held.chars += size;
      this.#held.set(event.seq, event);
    }
    return undefined;
  }

  /** Takes the next event if it is held. */
  takeNext(held) {
    const event = this.position === null ? undefined : this.#held.get(this.position + 1);
    if (event !== undefined) this.#drop(event, held);
    return event;
  }

  /** Moves the position, and forgets what lies before it. */
  moveTo(position, held) {
    this.position = position;
    for (const event of [...this.#held.values()]) {
      if (event.seq <= position) this.#drop(event, held);
    }
  }

  /** Whether the server must be asked: for the subscription, or for what follows the position. */
  lacks() {
    if (!this.attached || this.position === null) return true;
    return this.position < this.head && !this.#held.has(this.position + 1);
  }

  /** Forgets what is held, because the position changes to another place or the conversation is left. */
  forgetHeld(held) {
    for (const event of [...this.#held.values()]) this.#drop(event, held);
  }

  #drop(event, held) {
    this.#held.delete(event.seq);
    held.chars -= weight(event);
  }
}

/** Characters that a held event keeps, near enough for a limit. */
function weight(event) {
  const people = (event.members?.added?.length ?? 0) + (event.members?.removed?.length ?? 0);
  return 256 + (event.message?.text.length ?? 0) + 64 * people;
}
