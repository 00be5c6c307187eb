// While somebody writes `@` and the beginning of a name: the members whom that may mean, to choose from by keys or a click.

import { avatar, byId, make } from "./dom.js";
import { nameOf } from "./words.js";

/** People that are offered. */
const OFFERED_MAX = 6;

/** What stands before the cursor while a name is being written. */
const BEGUN = /(?:^|[^\p{L}\p{N}_])@([\p{L}\p{N}_.-]{0,40})$/u;

export class Naming {
  #text;
  #people;
  #box = byId("naming");
  #chosen = 0;
  #offered = [];

  /** `people()` gives those who can be named. */
  constructor(text, people) {
    this.#text = text;
    this.#people = people;
    text.addEventListener("blur", () => this.close());
    // A click must not take the focus away first.
    this.#box.addEventListener("pointerdown", (event) => event.preventDefault());
  }

  /** Offers whom the text before the cursor may mean. */
  async offer() {
    const begun = this.#begun();
    if (begun === undefined) {
      this.close();
      return;
    }
    const people = await this.#people().catch(() => []);
    // More may have been written meanwhile; then that asks for itself.
    if (this.#begun() !== begun) return;
    const fits = (id) => [id, nameOf(id)].some((name) => name.toLowerCase().startsWith(begun.toLowerCase()));
    this.#offered = people.filter(fits).slice(0, OFFERED_MAX);
    this.#chosen = 0;
    this.#show();
  }

  #begun() {
    const { value, selectionStart: at, selectionEnd } = this.#text;
    return at === selectionEnd ? value.slice(0, at).match(BEGUN)?.[1] : undefined;
  }

  #show() {
    this.#box.replaceChildren(...this.#offered.map((id, at) => {
      const option = make("li", { id: `naming-${at}`, role: "option" }, avatar(id, nameOf(id)), make("bdi", {}, nameOf(id)));
      option.ariaSelected = String(at === this.#chosen);
      option.addEventListener("click", () => this.#take(id));
      return option;
    }));
    const isOpen = this.#offered.length > 0;
    this.#box.hidden = !isOpen;
    this.#text.setAttribute("aria-expanded", String(isOpen));
    if (isOpen) this.#text.setAttribute("aria-activedescendant", `naming-${this.#chosen}`);
    else this.#text.removeAttribute("aria-activedescendant");
  }

  close() {
    if (this.#offered.length === 0) return;
    this.#offered = [];
    this.#show();
  }

  /** Takes a key that chooses; says whether it was one. */
  onKey(event) {
    const count = this.#offered.length;
    if (count === 0 || event.shiftKey) return false;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step !== undefined) {
      this.#chosen = (this.#chosen + step + count) % count;
      this.#show();
    } else if (event.key === "Enter" || event.key === "Tab") {
      this.#take(this.#offered[this.#chosen]);
    } else if (event.key === "Escape") {
      this.close();
    } else {
      return false;
    }
    event.preventDefault();
    return true;
  }

  #take(id) {
    const { selectionStart: at } = this.#text;
    const from = at - this.#begun().length;
    this.#text.setRangeText(`${nameOf(id)} `, from, at, "end");
    this.close();
    this.#text.focus();
    this.#text.dispatchEvent(new Event("input", { bubbles: true }));
  }
}
