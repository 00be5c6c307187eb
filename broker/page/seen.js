// The dialog about one message: who has read it and when, whom it has reached, and who has not got it yet.

import { avatar, byId, make } from "./dom.js";
import { moment, nameOf, reason } from "./words.js";

/** People that are shown of each kind. */
const SHOWN = 200;

export class Seen {
  #client;
  #me;

  constructor(client, me) {
    this.#client = client;
    this.#me = me;
    byId("seen-close").addEventListener("click", () => byId("seen").close());
  }

  async show(conversation, { message }) {
    byId("seen-text").textContent = message.text;
    byId("seen-sent").textContent = `Sent ${moment(message.time_ms)}${message.edited_ms ? `, edited ${moment(message.edited_ms)}` : ""}`;
    byId("seen-error").textContent = "";
    this.#list("read", [], false);
    this.#list("reached", [], false);
    byId("seen").showModal();
    try {
      const { marks, more } = await this.#client.seenBy(message.id, { limit: SHOWN });
      const others = marks.filter(({ user }) => user !== this.#me && user !== message.sender);
      const read = others.map(({ user, passed_ms: time, passed_earlier: earlier }) => ({ user, time, earlier }));
      this.#list("read", read, more);
      const reached = conversation.progress.reached(message.seq).filter(({ user }) => user !== message.sender);
      this.#list("reached", reached, false);
      byId("seen-nobody").hidden = read.length + reached.length > 0;
    } catch (error) {
      byId("seen-error").textContent = reason(error);
    }
  }

  #list(name, people, more) {
    byId(`seen-${name}-title`).hidden = people.length === 0;
    byId(`seen-${name}`).replaceChildren(...people.map(({ user, time, earlier }) => {
      const words = time ? `${earlier ? "by " : ""}${moment(time)}` : "";
      return make("li", {}, avatar(user, nameOf(user)), make("bdi", {}, nameOf(user)), make("time", {}, words));
    }), ...(more ? [make("li", {}, "…and more")] : []));
  }
}
