// Where one writes: a message, an answer to one, or another text for one's own.

import { byId, toast } from "./dom.js";
import { namedIn } from "./mentions.js";
import { Naming } from "./naming.js";
import { nameOf, reason } from "./words.js";

export class Composer {
  #client;
  #me;
  #conversation = null;
  #naming;
  #text = byId("text");
  /** What was begun to be written, by conversation. */
  #drafts = new Map();
  /** The message that is answered, or the own one that gets another text. */
  #answered = null;
  #edited = null;

  constructor(client, me) {
    this.#client = client;
    this.#me = me;
    this.#naming = new Naming(this.#text, () => this.#nameable());
    byId("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#text.addEventListener("keydown", (event) => this.#onKey(event));
    this.#text.addEventListener("input", () => {
      this.#fit();
      this.#naming.offer();
      if (!this.#edited) this.#client.typing(this.#conversation.id, this.#text.value.trim() !== "");
    });
    byId("context-cancel").addEventListener("click", () => this.#cancel());
  }

  /** For this conversation, or for none. */
  open(conversation) {
    this.#cancel();
    if (this.#conversation) this.#drafts.set(this.#conversation.id, this.#text.value);
    this.#naming.close();
    this.#conversation = conversation;
    this.#text.value = this.#drafts.get(conversation?.id) ?? "";
    this.#fit();
  }

  /** Makes ready to write; where that would bring up a keyboard on the screen, it waits until it is asked for. */
  focus() {
    if (!matchMedia("(pointer: coarse)").matches) this.#text.focus();
  }

  answer(entry) {
    this.#cancel();
    this.#answered = entry;
    this.#show(`Answer to ${nameOf(entry.sender)}`, entry.text);
  }

  edit(entry) {
    this.#cancel();
    this.#drafts.set(this.#conversation.id, this.#text.value);
    this.#edited = entry;
    this.#text.value = entry.text;
    this.#show("Edit your message", entry.text);
    this.#fit();
  }

  #show(title, text) {
    byId("context").hidden = false;
    byId("context-title").textContent = title;
    byId("context-text").textContent = text;
    this.#text.focus();
  }

  #cancel() {
    if (this.#edited) {
      this.#text.value = this.#drafts.get(this.#conversation.id) ?? "";
      this.#fit();
    }
    this.#answered = this.#edited = null;
    byId("context").hidden = true;
  }

  #onKey(event) {
    if (event.isComposing || this.#naming.onKey(event)) return;
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      this.#submit();
    } else if (event.key === "Escape" && (this.#answered || this.#edited)) {
      event.preventDefault();
      this.#cancel();
    } else if (event.key === "ArrowUp" && this.#text.value === "") {
      const own = this.#conversation.newestOwn();
      if (!own) return;
      event.preventDefault();
      this.edit(own);
    }
  }

  #submit() {
    const text = this.#text.value.trim();
    if (text === "" || !this.#conversation || !this.#conversation.isWritable) return;
    if (this.#edited) {
      this.#change(this.#edited, text);
    } else {
      this.#send(text, this.#answered?.message.id);
      this.#text.value = "";
    }
    this.#cancel();
    this.#fit();
    this.#text.focus();
  }

  #send(text, reply_to) {
    const conversation = this.#conversation;
    const send = (people) => {
      const mentions = namedIn(text, people);
      conversation.send(text, { reply_to, mentions: mentions.length > 0 ? mentions : undefined }).catch((error) => toast(reason(error)));
    };
    // Whom it names is known only with the members; what names nobody need not wait for them.
    if (!text.includes("@") || conversation.memberIds) send(conversation.memberIds ?? []);
    else conversation.members().then(send, () => send([]));
  }

  async #change({ message, text: before }, text) {
    if (text === before) return;
    try {
      const people = text.includes("@") ? await this.#conversation.members() : [];
      await this.#client.edit(message.id, text, { mentions: namedIn(text, people) });
    } catch (error) {
      toast(`Not changed. ${reason(error)}`);
    }
  }

  /** Whom one can name here. */
  async #nameable() {
    return (await this.#conversation.members()).filter((id) => id !== this.#me);
  }

  /** As high as what is written; and nothing cannot be sent. */
  #fit() {
    byId("composer").querySelector(".send").disabled = this.#text.value.trim() === "";
    // Where a browser does not know the style sheet's way of doing it.
    if (CSS.supports("field-sizing", "content")) return;
    this.#text.style.setProperty("height", "auto");
    this.#text.style.setProperty("height", `${this.#text.scrollHeight + 2}px`);
  }
}
