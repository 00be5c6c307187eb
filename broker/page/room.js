// The open conversation: its lines, what is done with them, and moving through its history.

import { Composer } from "./composer.js";
import { byId, paintAvatar, toast, whenSure } from "./dom.js";
import { Pins } from "./pins.js";
import { Row } from "./row.js";
import { Seen } from "./seen.js";
import { deskWords, groupWords, presenceWords, reason, typingText } from "./words.js";

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
  #pins;
  #seen;
  #online;
  #unseen = 0;
  #stop = null;
  #wasAtEnd = true;
  /** Up to here was read when it was opened: what follows is marked as new. */
  #newAbove = null;
  #newRow = null;

  constructor(client, me, online) {
    this.#client = client;
    this.#online = online;
    this.#me = me;
    this.#composer = new Composer(client, me);
    this.#pins = new Pins(client, (id) => this.#goTo(id));
    this.#seen = new Seen(client, me);
    this.#scroll.addEventListener("scroll", () => this.#onScroll(), { passive: true });
    byId("newest").addEventListener("click", () => this.#toNewest());
    byId("asks-yes").addEventListener("click", () => this.#do(this.#client.accept(this.#conversation.id)));
    byId("asks-no").addEventListener("click", () => this.#do(this.#client.decline(this.#conversation.id)));
    byId("asks-block").addEventListener("click", () => this.#do(this.#client.block(this.#conversation.peer)));
    byId("closed-undo").addEventListener("click", () => {
      const { id, peer, blocked } = this.#conversation;
      this.#do(blocked ? this.#client.unblock(peer) : this.#client.reopenConversation(id));
    });
    this.#log.addEventListener("keydown", (event) => this.#onKey(event));
    document.addEventListener("visibilitychange", () => this.#read());
    addEventListener("focus", () => this.#read());
    new ResizeObserver(() => this.#wasAtEnd && this.#toEnd()).observe(this.#scroll);
  }

  get conversation() {
    return this.#conversation;
  }

  /** Shows this conversation, or none. */
  open(conversation) {
    this.#conversation = conversation;
    this.#online.count(conversation?.isGroup ? conversation.id : undefined);
    byId("nothing").hidden = conversation !== null;
    byId("chat").hidden = conversation === null;
    this.#composer.open(conversation);
    this.#unseen = 0;
    this.#newAbove = conversation?.unread > 0 ? conversation.progress.read : null;
    this.#log.classList.toggle("direct", conversation !== null && !conversation.isGroup);
    this.#showAll();
    if (!conversation) return;
    this.#pins.show(conversation);
    this.#composer.focus();
  }

  /** Something of the open conversation changed. */
  follow(what, entry) {
    switch (what) {
      case "entry": return this.#showEntry(entry);
      case "gone": return this.#removeEntry(entry);
      case "older": return this.#showOlder(entry);
      case "newer": return this.#showNewer(entry);
      case "all": return this.#showAll();
      case "marks": return this.#showMarks();
      case "pins": return this.#pins.show(this.#conversation);
      case "detail": return this.#showDetail();
      default: return this.#showAbout();
    }
  }

  /** All lines anew: it was opened, or another part of its history is shown. */
  #showAll() {
    this.#log.replaceChildren();
    this.#rows.clear();
    this.#stop = this.#newRow = null;
    if (!this.#conversation) return;
    this.#quietly(() => {
      for (const entry of this.#conversation.lines.entries) this.#place(entry);
    });
    this.#showAbout();
    this.#markNew();
    if (this.#newRow) this.#newRow.element.scrollIntoView({ block: "start" });
    if (!this.#newRow || this.#isAtEnd()) this.#toEnd();
    this.#showNewest();
    this.#read();
  }

  /** Marks the first message that is new to the reader. */
  #markNew() {
    if (this.#newAbove === null || !this.#conversation.lines.isLoaded) return;
    const { entries } = this.#conversation.lines;
    const first = entries.find(({ kind, seq, sender }) => kind === "message" && seq > this.#newAbove && sender !== this.#me);
    this.#newRow = this.#rows.get(first) ?? null;
    this.#newRow?.markNew(true);
    this.#newAbove = null;
  }

  /** What it is, and who its people are, which shows in the lines too. */
  #showDetail() {
    this.#showAbout();
    for (const row of this.#rows.values()) row.showSender();
  }

  /** Who it is with, who types, whether one may write. */
  #showAbout() {
    const { face, peer, title, label, context, isGroup, isDesk, typing, count, online, lines } = this.#conversation;
    paintAvatar(byId("chat-avatar"), face, title, isGroup);
    byId("chat-name").textContent = title;
    byId("chat-label").textContent = label === title ? "" : label;
    const types = typingText(typing.users, typing.more);
    const about = byId("chat-about");
    const presence = isGroup ? undefined : this.#online.of(peer);
    const state = isDesk ? deskWords(this.#conversation, this.#me) : isGroup ? groupWords(count, online) : presenceWords(presence, peer);
    const words = types || [context, state].filter(Boolean).join(" · ");
    about.classList.toggle("online", Boolean(presence?.online) && !context);
    // What is said already is not said again to whoever listens.
    if (about.textContent !== words) about.textContent = words;
    about.classList.toggle("typing", types !== "");
    this.#showGate();
    byId("loading").hidden = lines.isLoaded;
    const beginning = byId("beginning");
    beginning.hidden = lines.hasOlder || !lines.isLoaded;
    if (isDesk) beginning.textContent = "This is the beginning of this conversation with the support.";
    else beginning.textContent = isGroup ? `This is the beginning of ${title}.` : `This is the beginning of your chat with ${title}.`;
    this.#read();
  }

  /** Whether one may write here, why not, and what can be done about it. */
  #showGate() {
    const { isRequest, isWritable, isVisited, blocked, declined, request, closed, mayClose, title } = this.#conversation;
    byId("asks").hidden = request !== "to_me" || blocked;
    byId("composer").classList.toggle("asked", !byId("asks").hidden);
    byId("asks-no").hidden = !isRequest;
    byId("asks-text").textContent = declined
      ? `You have declined, so ${title} cannot write to you.`
      : `${title} would like to talk with you, and sees that you have read this only once you accept or answer.`;
    byId("closed").hidden = isWritable;
    byId("composer").hidden = !isWritable;
    byId("visited").hidden = !isVisited || !isWritable;
    const undo = blocked ? "Unblock" : closed && mayClose ? "Reopen" : "";
    byId("closed-undo").hidden = undo === "";
    byId("closed-undo").textContent = undo;
    if (blocked) byId("closed-text").textContent = `You have blocked ${title}.`;
    else if (declined && request === "by_me") byId("closed-text").textContent = `${title} did not accept your request.`;
    else byId("closed-text").textContent = `This ${this.#conversation.shape === "group" ? "group" : "conversation"} is closed. It can be read, not written to.`;
  }

  /** A line came, changed, or has its place now. */
  #showEntry(entry) {
    const atEnd = this.#isAtEnd();
    const isNew = !this.#rows.has(entry);
    const row = this.#place(entry);
    if (isNew) row.element.classList.add("fresh");
    if (isNew && entry.kind === "unsent") {
      this.#newRow?.markNew(false);
      this.#newRow = null;
    }
    if (atEnd || (isNew && entry.kind === "unsent")) {
      this.#toEnd();
    } else if (isNew && entry.sender !== this.#me && entry.kind === "message") {
      this.#unseen += 1;
      this.#showNewest();
    }
    if (entry.message && this.#conversation.pins.includes(entry.message.id)) this.#pins.show(this.#conversation);
    this.#read();
  }

  #removeEntry(entry) {
    this.#keepPosition(() => {
      this.#rows.get(entry)?.element.remove();
      this.#rows.delete(entry);
      this.#fitAround(this.#conversation.lines.entries[0]);
    });
  }

  /** Older lines came: what is read stays where it is. */
  #showOlder(entries) {
    this.#keepPosition(() => {
      this.#quietly(() => {
        for (const entry of entries) this.#place(entry);
      });
      this.#showAbout();
    });
    this.#onScroll();
  }

  /** Those that follow an old part came: they lie below, so nothing moves. */
  #showNewer() {
    this.#quietly(() => {
      for (const entry of this.#conversation.lines.entries) if (!this.#rows.has(entry)) this.#place(entry);
    });
    this.#showAbout();
    this.#showNewest();
  }

  /** Others have read or received more. */
  #showMarks() {
    for (const row of this.#rows.values()) if (row.isOwn) row.showState();
  }

  #place(entry) {
    const { entries } = this.#conversation.lines;
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
    discard: (entry) => this.#conversation.lines.discard(entry),
    reply: (entry) => this.#composer.answer(entry),
    edit: (entry) => this.#composer.edit(entry),
    remove: (entry) => this.#remove(entry),
    react: (entry, emoji, mine) => this.#do(mine ? this.#client.unreact(entry.message.id, emoji) : this.#client.react(entry.message.id, emoji)),
    pin: ({ message }) => this.#do(message.pinned ? this.#client.unpin(message.id) : this.#client.pin(message.id)),
    goTo: ({ message }) => this.#goTo(message.reply_to),
    seen: (entry) => this.#seen.show(this.#conversation, entry),
    mayRemove: () => this.#conversation.isGroup && this.#conversation.role !== "member",
    mayPin: () => this.#conversation.mayPin,
    progress: (entry) => this.#conversation.progress.of(entry.seq),
    isGroup: () => this.#conversation.isGroup,
    labelOf: (user) => (this.#conversation.agents.has(user) ? "Support" : ""),
  };

  #do(done) {
    done.catch((error) => toast(reason(error)));
  }

  #remove(entry) {
    whenSure("Delete this message?", () => this.#do(this.#client.delete(entry.message.id)));
  }

  /** Shows a message, wherever it is. */
  async #goTo(id) {
    const conversation = this.#conversation;
    try {
      const entry = await conversation.lines.bring(id);
      if (conversation !== this.#conversation) return;
      const row = this.#rows.get(entry);
      if (!row) {
        toast("That message is no longer kept.");
        return;
      }
      row.element.scrollIntoView({ block: "center" });
      this.#moveStop(row.element);
      row.element.focus({ preventScroll: true });
      row.element.classList.remove("found");
      requestAnimationFrame(() => row.element.classList.add("found"));
    } catch (error) {
      toast(reason(error));
    }
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
    if (event.key === "Escape") {
      this.#composer.focus();
      return;
    }
    const next = { ArrowUp: line?.previousElementSibling, ArrowDown: line?.nextElementSibling }[event.key];
    if (!next) return;
    event.preventDefault();
    this.#moveStop(next);
    next.focus();
  }

  /** The element of the first line behind this place that has one. */
  #nextRow(at) {
    const { entries } = this.#conversation.lines;
    for (let next = at + 1; next < entries.length; next += 1) {
      const row = this.#rows.get(entries[next]);
      if (row) return row.element;
    }
    return null;
  }

  #fitAround(entry) {
    const { entries } = this.#conversation.lines;
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

  async #toNewest() {
    await this.#conversation.lines.toNewest().catch((error) => toast(reason(error)));
    this.#toEnd();
  }

  #toEnd() {
    this.#scroll.scrollTop = this.#scroll.scrollHeight;
    this.#unseen = 0;
    this.#showNewest();
    this.#read();
  }

  #onScroll() {
    if (!this.#conversation) return;
    const { lines } = this.#conversation;
    this.#wasAtEnd = this.#isAtEnd() && !lines.hasNewer;
    if (this.#wasAtEnd) this.#unseen = 0;
    this.#showNewest();
    this.#read();
    // While there is no connection it waits; if it fails, the next scrolling asks again.
    if (this.#scroll.scrollTop < NEAR_BEGIN_PX && lines.isLoaded) lines.loadOlder().catch(() => {});
    if (this.#isAtEnd() && lines.hasNewer) lines.loadNewer().catch(() => {});
  }

  #showNewest() {
    byId("newest").hidden = this.#isAtEnd() && !this.#conversation?.lines.hasNewer;
    byId("newest-text").textContent = this.#unseen > 0 ? `${this.#unseen} new` : "Newest";
  }

  /** What is on the screen of somebody who looks is read. */
  #read() {
    const lines = this.#conversation?.lines;
    if (!lines?.isLoaded || document.visibilityState !== "visible" || !document.hasFocus()) return;
    const { bottom } = this.#scroll.getBoundingClientRect();
    const seen = lines.entries.findLast((entry) => {
      const place = entry.kind === "message" ? this.#rows.get(entry)?.element.getBoundingClientRect() : undefined;
      return place !== undefined && (place.top + place.bottom) / 2 <= bottom;
    });
    if (seen) this.#conversation.markRead(seen.message);
  }
}
