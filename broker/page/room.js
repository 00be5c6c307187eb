// The open conversation: its lines, what is done with them, and scrolling through its history.

import { Composer } from "./composer.js";
import { byId, paintAvatar, toast } from "./dom.js";
import { Row } from "./row.js";
import { nameOf, reason, typingText } from "./words.js";

/** So near to the end, a reader is at the end, and to the beginning, wants more. */
const NEAR_END_PX = 80;
const NEAR_BEGIN_PX = 300;

export class Room {
  #client;
  #me;
  #conversation = null;
  #rows = new Map();
  #scroll = byId("scroll");
  #log = byId("log");
  #composer;
  #unseen = 0;
  #stop = null;
  #wasAtEnd = true;

  constructor(client, me) {
    this.#client = client;
    this.#me = me;
    this.#composer = new Composer(client);
    this.#scroll.addEventListener("scroll", () => this.#onScroll(), { passive: true });
    byId("newest").addEventListener("click", () => this.#toEnd());
    this.#log.addEventListener("keydown", (event) => this.#onKey(event));
    document.addEventListener("visibilitychange", () => this.#read());
    new ResizeObserver(() => this.#wasAtEnd && this.#toEnd()).observe(this.#scroll);
  }

  get conversation() {
    return this.#conversation;
  }

  /** Shows this conversation, or none. */
  open(conversation) {
    this.#conversation = conversation;
    byId("nothing").hidden = conversation !== null;
    byId("chat").hidden = conversation === null;
    this.#composer.open(conversation);
    this.#log.replaceChildren();
    this.#rows.clear();
    this.#stop = null;
    if (!conversation) return;
    this.#log.classList.toggle("direct", !conversation.isGroup);
    this.#quietly(() => {
      for (const entry of conversation.entries) this.#place(entry);
    });
    this.#unseen = 0;
    this.showAbout();
    this.#toEnd();
    this.#composer.focus();
  }

  /** Who it is with, who types, whether one may write. */
  showAbout() {
    const { id, peer, title, isGroup, typing, closed, count, hasOlder, isLoaded } = this.#conversation;
    paintAvatar(byId("chat-avatar"), peer ?? id, title, isGroup);
    byId("chat-name").textContent = title;
    const types = typingText(typing.users, typing.more);
    const about = byId("chat-about");
    about.textContent = types || (isGroup ? `${count} members` : nameOf(peer) === peer ? "" : `@${peer}`);
    about.classList.toggle("typing", types !== "");
    byId("closed").hidden = !closed;
    byId("composer").hidden = Boolean(closed);
    const beginning = byId("beginning");
    beginning.hidden = hasOlder || !isLoaded;
    beginning.textContent = isGroup ? `This is the beginning of ${title}.` : `This is the beginning of your chat with ${title}.`;
    this.#read();
  }

  /** A line came, changed, or has its place now. */
  showEntry(entry) {
    const atEnd = this.#isAtEnd();
    const isNew = !this.#rows.has(entry);
    const row = this.#place(entry);
    if (isNew) row.element.classList.add("fresh");
    if (atEnd || (isNew && entry.kind === "unsent")) {
      this.#toEnd();
    } else if (isNew && entry.sender !== this.#me && entry.kind === "message") {
      this.#unseen += 1;
      this.#showNewest();
    }
    this.#read();
  }

  removeEntry(entry) {
    this.#keepPosition(() => {
      this.#rows.get(entry)?.element.remove();
      this.#rows.delete(entry);
      this.#fitAround(this.#conversation.entries[0]);
    });
  }

  /** Older lines came: what is read stays where it is. */
  showOlder(entries) {
    this.#keepPosition(() => {
      this.#quietly(() => {
        for (const entry of entries) this.#place(entry);
      });
      this.showAbout();
    });
    this.#onScroll();
  }

  #place(entry) {
    const { entries } = this.#conversation;
    const at = entries.indexOf(entry);
    let row = this.#rows.get(entry);
    if (!row) {
      row = new Row(entry, this.#me, this.#actions);
      this.#rows.set(entry, row);
    }
    row.update();
    const behind = this.#nextRow(at);
    if (row.element.parentNode !== this.#log || row.element.nextElementSibling !== behind) {
      this.#log.insertBefore(row.element, behind);
    }
    this.#fitAround(entry);
    this.#moveStop(this.#log.lastElementChild);
    return row;
  }

  /** What the lines offer. */
  #actions = {
    sendAgain: (entry) => this.#conversation.sendAgain(entry),
    discard: (entry) => this.#conversation.discard(entry),
    reply: (entry) => this.#composer.answer(entry),
    edit: (entry) => this.#composer.edit(entry),
    remove: (entry) => this.#remove(entry),
    react: (entry, emoji, mine) => this.#do(mine ? this.#client.unreact(entry.message.id, emoji) : this.#client.react(entry.message.id, emoji)),
    goTo: (entry) => this.#goTo(entry),
    mayRemove: () => this.#conversation.isGroup && this.#conversation.role !== "member",
  };

  #do(done) {
    done.catch((error) => toast(reason(error)));
  }

  #remove(entry) {
    const sure = byId("sure");
    sure.onclose = () => sure.returnValue === "yes" && this.#do(this.#client.delete(entry.message.id));
    sure.returnValue = "";
    sure.showModal();
  }

  /** Shows what a message answers. */
  #goTo({ message }) {
    const row = this.#rows.get(this.#conversation.withId(message.reply_to));
    if (!row) {
      toast("That message is further up.");
      return;
    }
    row.element.scrollIntoView({ block: "center" });
    row.element.classList.remove("found");
    requestAnimationFrame(() => row.element.classList.add("found"));
  }

  /** One line can be reached by Tab, the newest at first; arrows go on from there. */
  #moveStop(line) {
    if (line === this.#stop) return;
    if (this.#stop) this.#stop.tabIndex = -1;
    this.#stop = line;
    if (line) line.tabIndex = 0;
  }

  #onKey(event) {
    const line = event.target.closest(".row");
    const next = { ArrowUp: line?.previousElementSibling, ArrowDown: line?.nextElementSibling }[event.key];
    if (!next) return;
    event.preventDefault();
    this.#moveStop(next);
    next.focus();
  }

  /** The element of the first line behind this place that has one. */
  #nextRow(at) {
    const { entries } = this.#conversation;
    for (let next = at + 1; next < entries.length; next += 1) {
      const row = this.#rows.get(entries[next]);
      if (row) return row.element;
    }
    return null;
  }

  #fitAround(entry) {
    const { entries } = this.#conversation;
    const at = entries.indexOf(entry);
    for (const index of [at - 1, at, at + 1]) {
      this.#rows.get(entries[index])?.fit(entries[index - 1], entries[index + 1]);
    }
  }

  /** Without reading it aloud: it is not news. */
  #quietly(act) {
    this.#scroll.setAttribute("aria-live", "off");
    act();
    requestAnimationFrame(() => this.#scroll.setAttribute("aria-live", "polite"));
  }

  #keepPosition(act) {
    const fromEnd = this.#scroll.scrollHeight - this.#scroll.scrollTop;
    act();
    this.#scroll.scrollTop = this.#scroll.scrollHeight - fromEnd;
  }

  #isAtEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroll;
    return scrollHeight - scrollTop - clientHeight < NEAR_END_PX;
  }

  #toEnd() {
    this.#scroll.scrollTop = this.#scroll.scrollHeight;
    this.#unseen = 0;
    this.#showNewest();
    this.#read();
  }

  #onScroll() {
    if (!this.#conversation) return;
    this.#wasAtEnd = this.#isAtEnd();
    if (this.#wasAtEnd) this.#unseen = 0;
    this.#showNewest();
    this.#read();
    if (this.#scroll.scrollTop < NEAR_BEGIN_PX) {
      // While there is no connection it waits; if it fails, the next scrolling asks again.
      this.#conversation.loadOlder()?.catch(() => {});
    }
  }

  #showNewest() {
    byId("newest").hidden = this.#isAtEnd();
    byId("newest-text").textContent = this.#unseen > 0 ? `${this.#unseen} new` : "Newest";
  }

  /** What is at the end of the screen of somebody who looks is read. */
  #read() {
    if (this.#conversation && document.visibilityState === "visible" && this.#isAtEnd()) this.#conversation.markRead();
  }
}
