// The dialog that starts a conversation: with one person, or a group.

import { avatar, byId, make } from "./dom.js";
import { knownPeople, nameOf, reason } from "./words.js";

export class Start {
  #directory;
  #me;
  #open;

  /** `open(id)` is called with the conversation. */
  constructor(directory, me, open) {
    this.#directory = directory;
    this.#me = me;
    this.#open = open;
    byId("new").addEventListener("click", () => this.#show());
    byId("start").querySelector("form").addEventListener("submit", (event) => {
      if (event.submitter?.value !== "go") return;
      event.preventDefault();
      this.#go();
    });
    byId("start").addEventListener("input", () => this.#judge());
  }

  #show() {
    const people = knownPeople().filter((id) => id !== this.#me);
    byId("start-people").replaceChildren(...people.map((id) => {
      const box = make("input", { type: "checkbox", name: "person", value: id });
      return make("label", { className: "pick" }, avatar(id, nameOf(id)), make("bdi", {}, nameOf(id)), box);
    }));
    for (const id of ["start-other", "start-name"]) byId(id).value = "";
    byId("start-error").textContent = "";
    this.#judge();
    byId("start").showModal();
  }

  #picked() {
    const boxes = byId("start-people").querySelectorAll("input:checked");
    const other = byId("start-other").value.trim();
    return [...new Set([...[...boxes].map(({ value }) => value), ...(other ? [other] : [])])];
  }

  #judge() {
    const people = this.#picked();
    const isGroup = people.length > 1 || byId("start-name").value.trim() !== "";
    byId("start-name").required = isGroup;
    byId("start-go").textContent = isGroup ? "Make the group" : "Start";
    byId("start-go").disabled = people.length === 0;
  }

  async #go() {
    const people = this.#picked();
    const name = byId("start-name").value.trim();
    byId("start-go").disabled = true;
    try {
      const isGroup = people.length > 1 || name !== "";
      const id = isGroup ? await this.#directory.makeGroup(name, people) : await this.#directory.withPerson(people[0]);
      byId("start").close();
      this.#open(id);
    } catch (error) {
      byId("start-error").textContent = reason(error);
    }
    byId("start-go").disabled = false;
  }
}
