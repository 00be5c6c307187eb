// One line of a conversation: a message with its state, or what was told of it.

import { avatar, hueOf, icon, make } from "./dom.js";
import { clock, day, dayNumber, nameOf, reason } from "./words.js";

/** Messages of one person within this time stand together. */
const TOGETHER_MS = 5 * 60_000;

/** One to three pictures and nothing else are shown large. */
const PICTURES = /^(?:\p{Extended_Pictographic}(?:\p{Emoji_Modifier}|\ufe0f|\u200d\p{Extended_Pictographic})*){1,3}$/u;

const STATES = {
  sending: { words: "sending", picture: "clock" },
  sent: { words: "sent", picture: "check" },
  failed: { words: "not sent", picture: "x" },
};

/** What is offered as a reaction. */
const EMOJI = ["👍", "❤️", "😂", "😮", "😢", "🎉"];

/** Bytes of a quote end somewhere; in a line, sooner. */
const QUOTE_SHOWN = 140;

export class Row {
  #actions;
  #day;
  #meta;
  #body;
  #bubble;
  #text;
  #again;
  #chips;
  #tools;
  #quote;

  /** `actions` says what a reader may do: `sendAgain`, `discard`, `reply`, `edit`, `remove`, `react`, `goTo`, each given the
   * entry, and `mayRemove`. */
  constructor(entry, me, actions) {
    this.entry = entry;
    this.isOwn = entry.sender === me;
    this.#actions = actions;
    this.element = make("li", { className: "row" });
    this.#day = make("div", { className: "day", hidden: true });
    this.element.append(this.#day);
    if (entry.kind === "told") this.#tell();
    else this.#say();
    this.update();
  }

  #tell() {
    this.element.classList.add("told");
    this.element.append(make("p", { dir: "auto" }, this.entry.text));
  }

  #say() {
    const { sender, time } = this.entry;
    const name = this.isOwn ? "You" : nameOf(sender);
    this.element.classList.toggle("own", this.isOwn);
    const who = make("span", { className: "sender" }, make("bdi", {}, name));
    who.style.setProperty("--hue", hueOf(sender));
    this.#meta = make("span", { className: "meta" }, make("time", { dateTime: new Date(time).toISOString() }, clock(time)));
    this.#text = make("p", { dir: "auto" });
    this.#bubble = make("div", { className: "bubble" }, this.#text, this.#meta);
    this.#body = make("div", { className: "body" }, who, this.#bubble);
    const picture = avatar(sender, nameOf(sender));
    picture.classList.add("small");
    this.element.append(picture, this.#body);
  }

  /** Shows the entry as it is now. */
  update() {
    if (this.entry.kind === "told") return;
    const { state, text, message } = this.entry;
    this.element.dataset.state = state;
    this.element.classList.toggle("deleted", Boolean(message.deleted));
    this.#text.textContent = message.deleted ? "This message was deleted" : text;
    this.#bubble.classList.toggle("huge", PICTURES.test(text.trim()));
    this.#showQuote(message.quote);
    this.#showState();
    this.#showReactions(message);
    this.#showTools(message);
  }

  #showQuote(quote) {
    this.#quote?.remove();
    this.#quote = undefined;
    if (!quote || this.entry.message.deleted) return;
    const words = quote.deleted ? "Message deleted" : quote.text.slice(0, QUOTE_SHOWN);
    this.#quote = make("button", { type: "button", className: "quote" }, make("bdi", {}, nameOf(quote.sender)), make("bdi", {}, words));
    this.#quote.style.setProperty("--hue", hueOf(quote.sender));
    this.#quote.addEventListener("click", () => this.#actions.goTo(this.entry));
    this.#bubble.prepend(this.#quote);
  }

  #showState() {
    for (const old of this.#meta.querySelectorAll(".icon, .spoken, .edited")) old.remove();
    const { state, error, message } = this.entry;
    if (message.edited_ms && !message.deleted) this.#meta.prepend(make("span", { className: "edited" }, "edited"));
    this.#again?.remove();
    if (!this.isOwn) return;
    const { words, picture } = STATES[state];
    this.#meta.append(icon(picture), make("span", { className: "spoken" }, words));
    this.#meta.title = words;
    if (state !== "failed") return;
    this.#again = make("div", { className: "again" }, make("span", {}, `Not sent. ${reason(error)}`),
      this.#button("Try again", this.#actions.sendAgain), this.#button("Discard", this.#actions.discard));
    this.#body.append(this.#again);
  }

  #showReactions({ reactions = [] }) {
    this.#chips?.remove();
    if (reactions.length === 0) return;
    this.#chips = make("div", { className: "chips" });
    for (const { emoji, count, mine } of reactions) {
      const chip = make("button", { type: "button", className: "chip" }, make("bdi", {}, emoji), ` ${count}`);
      chip.setAttribute("aria-pressed", String(Boolean(mine)));
      chip.ariaLabel = `${emoji}, ${count}${mine ? ", also yours" : ""}`;
      chip.addEventListener("click", () => this.#actions.react(this.entry, emoji, mine));
      this.#chips.append(chip);
    }
    this.#bubble.after(this.#chips);
  }

  /** What can be done with a message stands beside it, for whoever points at it, has the focus in it, or touches it. */
  #showTools(message) {
    const offered = this.entry.state === "sent" && message.id && !message.deleted;
    if (this.#tools && !offered) this.#tools.remove();
    if (!offered || this.#tools?.parentNode) return;
    const tool = (name, words, act) => {
      const button = this.#button("", act);
      button.append(icon(name));
      return Object.assign(button, { ariaLabel: words, title: words });
    };
    const faces = EMOJI.map((emoji) => {
      const face = this.#button(emoji, (entry) => this.#actions.react(entry, emoji, isMine(entry, emoji)));
      return Object.assign(face, { className: "face", ariaLabel: `React with ${emoji}` });
    });
    const menu = make("span", { className: "faces" }, ...faces);
    this.#tools = make("div", { className: "tools", role: "group" }, menu, tool("reply", "Answer", this.#actions.reply));
    this.#tools.ariaLabel = "What to do with this message";
    if (this.isOwn) this.#tools.append(tool("pen", "Edit", this.#actions.edit));
    if (this.isOwn || this.#actions.mayRemove()) this.#tools.append(tool("bin", "Delete", this.#actions.remove));
    this.#body.append(this.#tools);
  }

  #button(text, act) {
    const made = make("button", { type: "button" }, text);
    made.addEventListener("click", () => act(this.entry));
    return made;
  }

  /** Fits it to what stands before and behind it: a new day, the same sender. */
  fit(before, behind) {
    const { entry, element } = this;
    const isNewDay = !before || dayNumber(before.time) !== dayNumber(entry.time);
    this.#day.hidden = !isNewDay;
    if (isNewDay) this.#day.textContent = day(entry.time);
    element.classList.toggle("joined", !isNewDay && isTogether(before, entry));
    element.classList.toggle("followed", Boolean(behind) && isTogether(entry, behind));
  }
}

function isMine({ message }, emoji) {
  return Boolean(message.reactions?.some((one) => one.emoji === emoji && one.mine));
}

function isTogether(one, next) {
  const isSaid = one.kind !== "told" && next.kind !== "told" && one.sender === next.sender;
  return isSaid && next.time - one.time < TOGETHER_MS && dayNumber(one.time) === dayNumber(next.time);
}
