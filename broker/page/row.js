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

export class Row {
  #actions;
  #day;
  #meta;
  #body;
  #again;

  /** `actions` has `sendAgain(entry)` and `discard(entry)`. */
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
    const { sender, text, time } = this.entry;
    const name = this.isOwn ? "You" : nameOf(sender);
    this.element.classList.toggle("own", this.isOwn);
    const who = make("span", { className: "sender" }, make("bdi", {}, name));
    who.style.setProperty("--hue", hueOf(sender));
    this.#meta = make("span", { className: "meta" }, make("time", { dateTime: new Date(time).toISOString() }, clock(time)));
    const bubble = make("div", { className: "bubble" }, make("p", { dir: "auto" }, text), this.#meta);
    bubble.classList.toggle("huge", PICTURES.test(text.trim()));
    this.#body = make("div", { className: "body" }, who, bubble);
    const picture = avatar(sender, name);
    picture.classList.add("small");
    this.element.append(picture, this.#body);
  }

  /** Shows the state that the entry has now. */
  update() {
    const { state, error } = this.entry;
    if (this.entry.kind === "told") return;
    this.element.dataset.state = state;
    if (!this.isOwn) return;
    const { words, picture } = STATES[state];
    for (const old of this.#meta.querySelectorAll(".icon, .spoken")) old.remove();
    this.#meta.append(icon(picture), make("span", { className: "spoken" }, words));
    this.#meta.title = words;
    this.#again?.remove();
    if (state !== "failed") return;
    const button = (text, act) => {
      const made = make("button", { type: "button" }, text);
      made.addEventListener("click", () => act(this.entry));
      return made;
    };
    this.#again = make("div", { className: "again" }, make("span", {}, `Not sent. ${reason(error)}`),
      button("Try again", this.#actions.sendAgain), button("Discard", this.#actions.discard));
    this.#body.append(this.#again);
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

function isTogether(one, next) {
  const isSaid = one.kind !== "told" && next.kind !== "told" && one.sender === next.sender;
  return isSaid && next.time - one.time < TOGETHER_MS && dayNumber(one.time) === dayNumber(next.time);
}
