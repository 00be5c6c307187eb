// The dialog that starts a conversation: with people, with somebody of another role, with the support; or that opens one by its
// reference.

import { avatar, byId, make } from "./dom.js";
import { beginnings, postOf } from "./kinds.js";
import { knownPeople, nameOf, reason, whyNotBegun } from "./words.js";

export class Start {
  #directory;
  #me;
  #open;
  #find;
  #choices;
  #choice;

  /** `open(id)` is called with the conversation, `find(text)` with the reference of one. */
  constructor(directory, me, { open, find }) {
    this.#directory = directory;
    this.#me = me;
    this.#open = open;
    this.#find = find;
    this.#choices = beginnings(me);
    byId("start-what").append(...this.#choices.map((choice) => this.#segment(choice)));
    byId("new").addEventListener("click", () => this.#show());
    byId("start").querySelector("form").addEventListener("submit", (event) => {
      if (event.submitter?.value !== "go") return;
      event.preventDefault();
      this.#go();
    });
    byId("start").addEventListener("input", () => this.#judge());
  }

  #segment(choice) {
    const box = make("input", { type: "radio", name: "what", value: choice.id });
    box.addEventListener("change", () => this.#choose(choice));
    return make("label", { className: "segment" }, box, make("span", {}, choice.label));
  }

  #show() {
    for (const id of ["start-other", "start-name", "start-topic", "start-reference"]) byId(id).value = "";
    byId("start-what").querySelector("input").checked = true;
    this.#choose(this.#choices[0]);
    byId("start").showModal();
  }

  /** Asks for what this needs, and for nothing else. */
  #choose(choice) {
    this.#choice = choice;
    const { who, many, kind } = choice;
    const people = who ? knownPeople().filter((id) => id !== this.#me && who(id)) : [];
    byId("start-people").replaceChildren(...people.map((id) => this.#pick(id, many)));
    byId("start-with").hidden = people.length === 0;
    byId("start-other-field").hidden = !who;
    byId("start-name-field").hidden = !many;
    byId("start-name-text").textContent = kind === "internal" ? "Name of the conversation" : "Name of the group";
    byId("start-topic-field").hidden = !kind || many;
    byId("start-reference-field").hidden = Boolean(who || kind);
    byId("start-note").textContent = choice.id === "support"
      ? "Whoever of the support is there will answer. There is one conversation for each thing that it is about." : "";
    byId("start-error").textContent = "";
    this.#judge();
  }

  #pick(id, many) {
    const box = make("input", { type: many ? "checkbox" : "radio", name: "person", value: id });
    const post = postOf(id);
    const label = post ? make("span", { className: "label" }, post) : undefined;
    return make("label", { className: "pick" }, avatar(id, nameOf(id)), make("bdi", {}, nameOf(id)), label, box);
  }

  #picked() {
    const boxes = byId("start-people").querySelectorAll("input:checked");
    const other = this.#choice.who ? byId("start-other").value.trim() : "";
    return [...new Set([...[...boxes].map(({ value }) => value), ...(other ? [other] : [])])];
  }

  #judge() {
    const { who, many, kind } = this.#choice;
    const people = this.#picked();
    const isGroup = Boolean(many) && (people.length > 1 || byId("start-name").value.trim() !== "");
    byId("start-name").required = isGroup;
    byId("start-reference").required = !who && !kind;
    byId("start-go").textContent = !who ? (kind ? "Ask the support" : "Open") : isGroup && kind !== "internal" ? "Make the group" : "Start";
    byId("start-go").disabled = who ? people.length === 0 || (!many && people.length > 1) : !kind && byId("start-reference").value.trim() === "";
  }

  async #go() {
    const { id: what, kind, many } = this.#choice;
    const members = this.#picked();
    const name = many ? byId("start-name").value.trim() : "";
    const asked = kind ?? (members.length > 1 || name !== "" ? "group" : "direct");
    byId("start-go").disabled = true;
    byId("start-error").textContent = "";
    try {
      if (what === "reference") {
        await this.#find(byId("start-reference").value);
        byId("start").close();
      } else {
        const context = kind && !many ? byId("start-topic").value.trim() : "";
        const id = await this.#directory.make({ kind: asked, members, name, context });
        byId("start").close();
        this.#open(id);
      }
    } catch (error) {
      byId("start-error").textContent = what === "reference"
        ? (error.code === "NOT_FOUND" ? "There is no such conversation, or it is not yours to read." : reason(error))
        : whyNotBegun(asked, members[0], error);
    }
    this.#judge();
  }
}
