// The list of conversations: newest activity first, what was said last, what is unread; and the search in it.

import { byId, make, paintAvatar } from "./dom.js";
import { nameOf, typingText, when } from "./words.js";

export class List {
  #me;
  #open;
  #items = new Map();
  #current = null;
  #search = byId("search");

  /** `open(id)` is called when one is chosen. */
  constructor(me, open) {
    this.#me = me;
    this.#open = open;
    this.#search.addEventListener("input", () => this.#filter());
    this.#search.addEventListener("keydown", (event) => this.#onSearchKey(event));
    byId("list").addEventListener("keydown", (event) => this.#onListKey(event));
    document.addEventListener("keydown", (event) => {
      if (event.key === "k" && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        this.#search.focus();
      }
    });
  }

  /** Shows a conversation as it is now, in its place. */
  show(conversation) {
    let item = this.#items.get(conversation.id);
    if (!item) this.#items.set(conversation.id, (item = this.#make(conversation)));
    this.#paint(item);
    this.#sort();
    this.#filter();
    this.#countUnread();
  }

  remove(id) {
    this.#items.get(id)?.element.remove();
    this.#items.delete(id);
    this.#countUnread();
  }

  /** Marks the one that is open. */
  mark(id) {
    this.#current = id;
    for (const { conversation, button } of this.#items.values()) {
      if (conversation.id === id) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    }
  }

  #make(conversation) {
    const part = (tag, className) => make(tag, { className });
    const picture = make("span", { className: "avatar", ariaHidden: "true" });
    const [name, time, last, badge] = [part("bdi", "name"), part("time", ""), part("bdi", "last"), part("span", "badge")];
    const button = make("button", { type: "button", className: "item" }, picture, name, time, last, badge);
    button.addEventListener("click", () => this.#open(conversation.id));
    const item = { conversation, element: make("li", {}, button), button, picture, name, time, last, badge };
    if (conversation.id === this.#current) button.setAttribute("aria-current", "true");
    byId("list").append(item.element);
    return item;
  }

  #paint({ conversation, button, picture, name, time, last, badge }) {
    const { title, typing, lastMessage: message, unread } = conversation;
    paintAvatar(picture, conversation.peer ?? conversation.id, title, conversation.isGroup);
    name.textContent = title;
    time.textContent = message ? when(message.time_ms) : "";
    const types = typingText(typing.users, typing.more);
    last.textContent = types || this.#summary(conversation, message);
    last.classList.toggle("typing", types !== "");
    badge.hidden = unread === 0;
    badge.textContent = unread > 99 ? "99+" : String(unread);
    badge.ariaLabel = `${unread} unread`;
    button.classList.toggle("unread", unread > 0);
  }

  #summary({ isGroup, count }, message) {
    if (!message) return isGroup ? `${count} members` : "No messages yet";
    if (message.deleted) return "Message deleted";
    const line = message.text.replace(/\s+/g, " ").slice(0, 160);
    if (message.sender === this.#me) return `You: ${line}`;
    return isGroup ? `${nameOf(message.sender)}: ${line}` : line;
  }

  #sort() {
    const sorted = [...this.#items.values()].sort((a, b) => byActivity(a.conversation, b.conversation));
    const list = byId("list");
    sorted.forEach(({ element }, at) => {
      // What stands in its place is not moved, so that the focus stays where it is.
      if (list.children[at] !== element) list.insertBefore(element, list.children[at] ?? null);
    });
  }

  #filter() {
    const wanted = this.#search.value.trim().toLocaleLowerCase();
    let shown = 0;
    for (const { conversation, element } of this.#items.values()) {
      element.hidden = !conversation.title.toLocaleLowerCase().includes(wanted);
      shown += element.hidden ? 0 : 1;
    }
    byId("list-empty").hidden = shown > 0 || this.#items.size === 0;
  }

  #countUnread() {
    const unread = [...this.#items.values()].reduce((sum, { conversation }) => sum + conversation.unread, 0);
    document.title = unread > 0 ? `(${unread}) Switchyard` : "Switchyard";
  }

  #buttons() {
    return [...byId("list").querySelectorAll("li:not([hidden]) > button")];
  }

  #onSearchKey(event) {
    if (event.key === "Escape" && this.#search.value !== "") {
      event.preventDefault();
      this.#search.value = "";
      this.#filter();
    } else if (event.key === "ArrowDown" || event.key === "Enter") {
      event.preventDefault();
      const [first] = this.#buttons();
      if (event.key === "Enter") first?.click();
      else first?.focus();
    }
  }

  #onListKey(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const buttons = this.#buttons();
    const next = buttons[buttons.indexOf(document.activeElement) + step];
    (next ?? (step < 0 ? this.#search : undefined))?.focus();
  }
}

function byActivity(one, other) {
  return other.time - one.time || one.title.localeCompare(other.title);
}
