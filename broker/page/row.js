// One line of a conversation: a message with its state, or what was told of it.

import { avatar, hueOf, icon, make } from "./dom.js";
import { withMentions } from "./mentions.js";
import { clock, day, dayNumber, nameOf, reason } from "./words.js";

/** Messages of one person within this time stand together. */
const TOGETHER_MS = 5 * 60_000;

/** One to three pictures and nothing else are shown large. */
const PICTURES = /^(?:\p{Extended_Pictographic}(?:\p{Emoji_Modifier}|\ufe0f|\u200d\p{Extended_Pictographic})*){1,3}$/u;

const STATES = {
  sending: { words: "sending", picture: "clock" },
  sent: { words: "sent", picture: "check" },
  delivered: { words: "delivered", picture: "checks" },
  read: { words: "read", picture: "checks" },
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
  #pinTool;
  #quote;

  #me;
  #new;
  #who;

  /** `actions` says what a reader may do: `sendAgain`, `discard`, `reply`, `edit`, `remove`, `react`, `pin`, `goTo`, `seen`,
   * each given the entry, and `mayRemove` and `mayPin`; `progress` says how far an own one has come, `labelOf` what somebody is. */
  constructor(entry, me, actions) {
    this.entry = entry;
    this.#me = me;
    this.isOwn = entry.sender === me;
    this.#actions = actions;
    this.element = make("li", { className: "row" });
    this.#day = make("div", { className: "day", hidden: true });
    this.element.append(this.#day);
    if (entry.kind === "told") this.#tell();
    else if (isOfService(entry)) this.#announce();
    else this.#say();
    this.update();
  }

  #tell() {
    this.element.classList.add("told");
    this.element.append(make("p", { dir: "auto" }, this.entry.text));
  }

  /** What another service says stands as a line of its own. */
  #announce() {
    const { sender, time } = this.entry;
    this.element.classList.add("told", "system");
    this.#text = make("p", { dir: "auto" });
    this.element.append(make("div", { className: "notice" }, make("bdi", { className: "sender" }, nameOf(sender)), this.#text,
      make("time", { dateTime: new Date(time).toISOString() }, clock(time))));
  }

  #say() {
    const { sender, time } = this.entry;
    const name = this.isOwn ? "You" : nameOf(sender);
    this.element.classList.toggle("own", this.isOwn);
    this.#who = make("span", { className: "sender" }, make("bdi", {}, name));
    this.#who.style.setProperty("--hue", hueOf(sender));
    this.showSender();
    this.#meta = make("span", { className: "meta" }, make("time", { dateTime: new Date(time).toISOString() }, clock(time)));
    this.#text = make("p");
    this.#bubble = make("div", { className: "bubble" }, make("div", { className: "words", dir: "auto" }, this.#text, this.#meta));
    this.#body = make("div", { className: "body" }, this.#who, this.#bubble);
    const picture = avatar(sender, nameOf(sender));
    picture.classList.add("small");
    this.element.append(picture, this.#body);
  }

  /** Shows what the sender is, which may be known later. */
  showSender() {
    const label = this.#who && !this.isOwn ? this.#actions.labelOf(this.entry.sender) : "";
    this.#who?.querySelector(".label")?.remove();
    if (label) this.#who.append(make("span", { className: "label" }, label));
  }

  /** Shows the entry as it is now. */
  update() {
    if (this.entry.kind === "told") return;
    const { state, text, message } = this.entry;
    if (isOfService(this.entry)) {
      this.#text.textContent = message.deleted ? "This message was deleted" : text;
      return;
    }
    this.element.dataset.state = state;
    this.element.classList.toggle("deleted", Boolean(message.deleted));
    this.element.classList.toggle("named", !message.deleted && Boolean(message.mentions?.includes(this.#me)));
    if (message.deleted) this.#text.textContent = "This message was deleted";
    else this.#text.replaceChildren(...withMentions(text, message.mentions ?? [], this.#me));
    this.#bubble.classList.toggle("huge", PICTURES.test(text.trim()));
    this.#showQuote(message.quote);
    this.#showMarks(message);
    this.showState();
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

  /** What is said of it before its time: that it was edited or pinned. */
  #showMarks({ edited_ms: edited, pinned, deleted }) {
    for (const old of this.#meta.querySelectorAll(".edited, .pin")) old.remove();
    if (deleted) return;
    if (edited) this.#meta.prepend(make("span", { className: "edited" }, "edited"));
    if (!pinned) return;
    const pin = icon("pin");
    pin.classList.add("pin");
    this.#meta.prepend(pin, make("span", { className: "spoken pin" }, "pinned"));
  }

  /** Shows what has become of an own message. */
  showState() {
    if (!this.isOwn || !this.#meta) return;
    for (const old of this.#meta.querySelectorAll(".tick")) old.remove();
    const { state, error } = this.entry;
    this.#again?.remove();
    const progress = state === "sent" ? this.#actions.progress(this.entry) : { state };
    const { words, picture } = STATES[progress.state];
    const some = this.#actions.isGroup() && progress.read > 0 ? `read by ${progress.read} of ${progress.of}` : words;
    const tick = icon(picture);
    tick.classList.add("tick", progress.state);
    this.#meta.append(tick, make("span", { className: "spoken tick" }, some));
    this.#meta.title = some;
    this.element.dataset.progress = progress.state;
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
    if (this.#tools) this.#pinTool?.showAs(message.pinned);
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
    if (this.#actions.mayPin()) {
      const pin = tool("pin", "", this.#actions.pin);
      pin.showAs = (pinned) => Object.assign(pin, { ariaLabel: pinned ? "Unpin" : "Pin", title: pinned ? "Unpin" : "Pin" });
      pin.showAs(message.pinned);
      this.#pinTool = pin;
      this.#tools.append(pin);
    }
    if (this.isOwn) this.#tools.append(tool("eye", "Who has read it", this.#actions.seen));
    if (this.isOwn) this.#tools.append(tool("pen", "Edit", this.#actions.edit));
    if (this.isOwn || this.#actions.mayRemove()) this.#tools.append(tool("bin", "Delete", this.#actions.remove));
    this.#body.append(this.#tools);
  }

  #button(text, act) {
    const made = make("button", { type: "button" }, text);
    made.addEventListener("click", () => act(this.entry));
    return made;
  }

  /** Says before it that what follows is new to the reader. */
  markNew(on) {
    this.#new?.remove();
    if (!on) return;
    this.#new = make("div", { className: "new", role: "separator" }, make("span", {}, "New messages"));
    this.#day.after(this.#new);
    this.element.classList.remove("joined");
  }

  /** Fits it to what stands before and behind it: a new day, the same sender. */
  fit(before, behind) {
    const { entry, element } = this;
    const isNewDay = !before || dayNumber(before.time) !== dayNumber(entry.time);
    this.#day.hidden = !isNewDay;
    if (isNewDay) this.#day.textContent = day(entry.time);
    element.classList.toggle("joined", !isNewDay && !this.#new?.parentNode && isTogether(before, entry));
    element.classList.toggle("followed", Boolean(behind) && isTogether(entry, behind));
  }
}

function isMine({ message }, emoji) {
  return Boolean(message.reactions?.some((one) => one.emoji === emoji && one.mine));
}

/** Whether another service said it. */
function isOfService({ message }) {
  return message?.kind === "SYSTEM";
}

function isTogether(one, next) {
  const isSaid = ![one, next].some((line) => line.kind === "told" || isOfService(line)) && one.sender === next.sender;
  return isSaid && next.time - one.time < TOGETHER_MS && dayNumber(one.time) === dayNumber(next.time);
}
