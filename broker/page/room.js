// The open conversation: its lines, scrolling through its history, and where one writes.

import { byId, paintAvatar } from "./dom.js";
import { Row } from "./row.js";
import { nameOf, typingText } from "./words.js";

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
  #text = byId("text");
  /** What was begun to be written, by conversation. */
  #drafts = new Map();
  #unseen = 0;
  #wasAtEnd = true;

  constructor(client, me) {
    this.#client = client;
    this.#me = me;
    this.#scroll.addEventListener("scroll", () => this.#onScroll(), { passive: true });
    byId("newest").addEventListener("click", () => this.#toEnd());
    byId("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    this.#text.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#send();
    });
    this.#text.addEventListener("input", () => this.#onInput());
    document.addEventListener("visibilitychange", () => this.#read());
    new ResizeObserver(() => this.#wasAtEnd && this.#toEnd()).observe(this.#scroll);
  }

  get conversation() {
    return this.#conversation;
  }

  /** Shows this conversation, or none. */
  open(conversation) {
    if (this.#conversation) this.#drafts.set(this.#conversation.id, this.#text.value);
    this.#conversation = conversation;
    byId("nothing").hidden = conversation !== null;
    byId("chat").hidden = conversation === null;
    this.#log.replaceChildren();
    this.#rows.clear();
    if (!conversation) return;
    this.#log.classList.toggle("direct", !conversation.isGroup);
    this.#quietly(() => {
      for (const entry of conversation.entries) this.#place(entry);
    });
    this.#text.value = this.#drafts.get(conversation.id) ?? "";
    this.#unseen = 0;
    this.showAbout();
    this.#onInput(false);
    this.#toEnd();
  }

  /** Makes ready to write; where that would bring up a keyboard on the screen, it waits until it is asked for. */
  focus() {
    if (!matchMedia("(pointer: coarse)").matches) this.#text.focus();
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
      row = new Row(entry, this.#me, {
        sendAgain: (again) => this.#conversation.sendAgain(again),
        discard: (old) => this.#conversation.discard(old),
      });
      this.#rows.set(entry, row);
    }
    row.update();
    const behind = this.#nextRow(at);
    if (row.element.parentNode !== this.#log || row.element.nextElementSibling !== behind) {
      this.#log.insertBefore(row.element, behind);
    }
    this.#fitAround(entry);
    return row;
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

  #onInput(byUser = true) {
    const { value } = this.#text;
    byId("composer").querySelector(".send").disabled = value.trim() === "";
    // Where the style sheet's own way is not known yet.
    this.#text.style.setProperty("height", "auto");
    this.#text.style.setProperty("height", `${this.#text.scrollHeight + 2}px`);
    if (byUser && this.#conversation) this.#client.typing(this.#conversation.id, value.trim() !== "");
  }

  #send() {
    const text = this.#text.value.trim();
    if (text === "" || !this.#conversation || this.#conversation.closed) return;
    this.#text.value = "";
    this.#onInput(false);
    this.#conversation.send(text);
    this.#text.focus();
  }
}
