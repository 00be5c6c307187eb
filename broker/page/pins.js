// The pinned messages of the open conversation: the newest above its lines, all of them in a dialog.

import { byId, icon, make, toast } from "./dom.js";
import { nameOf, reason, when } from "./words.js";

/** So much of a pinned message is shown. */
const SHOWN = 160;

export class Pins {
  #client;
  #goTo;
  #conversation = null;
  /** Pinned messages that are not among the lines, by id. */
  #fetched = new Map();

  /** `goTo(id)` shows a message. */
  constructor(client, goTo) {
    this.#client = client;
    this.#goTo = goTo;
    byId("pin-go").addEventListener("click", () => this.#goTo(this.#conversation.pins.at(-1)));
    byId("pin-all").addEventListener("click", () => byId("pinned").showModal());
    byId("pinned-close").addEventListener("click", () => byId("pinned").close());
  }

  /** Shows those of this conversation as they are now. */
  async show(conversation) {
    if (conversation !== this.#conversation) this.#fetched.clear();
    this.#conversation = conversation;
    const { pins } = conversation;
    byId("pins").hidden = pins.length === 0;
    byId("pin-all").textContent = pins.length > 1 ? `All ${pins.length}` : "Show";
    byId("pinned-title").textContent = pins.length === 1 ? "1 pinned message" : `${pins.length} pinned messages`;
    if (pins.length === 0) {
      byId("pinned").close();
      return;
    }
    const messages = await Promise.all(pins.map((id) => this.#message(id)));
    if (conversation !== this.#conversation || pins !== conversation.pins) return;
    byId("pin-text").textContent = summary(messages.at(-1));
    byId("pinned-list").replaceChildren(...pins.map((id, at) => this.#line(id, messages[at])).reverse());
  }

  async #message(id) {
    const here = this.#conversation.lines.withId(id);
    if (here) return here.message;
    if (!this.#fetched.has(id)) this.#fetched.set(id, this.#conversation.lines.peek(id).catch(() => undefined));
    return this.#fetched.get(id);
  }

  #line(id, message) {
    const go = make("button", { type: "button", className: "pinned" },
      make("span", {}, make("bdi", {}, message ? nameOf(message.sender) : ""), make("time", {}, message ? when(message.time_ms) : "")),
      make("bdi", {}, summary(message)));
    go.addEventListener("click", () => {
      byId("pinned").close();
      this.#goTo(id);
    });
    const line = make("li", {}, go);
    if (this.#conversation.mayPin) {
      const off = make("button", { type: "button", className: "round", ariaLabel: "Unpin", title: "Unpin" });
      off.append(icon("x"));
      off.addEventListener("click", () => this.#client.unpin(id).catch((error) => toast(reason(error))));
      line.append(off);
    }
    return line;
  }
}

function summary(message) {
  if (!message) return "A message that is no longer kept";
  return message.deleted ? "Message deleted" : message.text.replace(/\s+/g, " ").slice(0, SHOWN);
}
