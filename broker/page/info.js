// The dialog about an open conversation: its members with their roles, its name, leaving it, closing and reopening it. What
// is offered follows from one's own role; what is allowed, the server decides.

import { avatar, byId, make, toast, whenSure } from "./dom.js";
import { nameOf, reason } from "./words.js";

const ROLES = ["member", "moderator", "admin"];

/** Members that are shown. */
const MEMBERS_SHOWN = 200;

export class Info {
  #client;
  #me;
  #conversation = null;

  constructor(client, me) {
    this.#client = client;
    this.#me = me;
    byId("info-close").addEventListener("click", () => byId("info").close());
    this.#onSubmit("info-rename", () => this.#client.update(this.#conversation.id, { name: byId("info-name").value.trim() }));
    this.#onSubmit("info-add", async () => {
      await this.#client.add(this.#conversation.id, [byId("info-new").value.trim()]);
      byId("info-new").value = "";
    });
    byId("info-leave").addEventListener("click", () => this.#leave());
    byId("info-archive").addEventListener("click", () => this.#do(() => this.#archive()));
    byId("info-block").addEventListener("click", () => this.#do(() => this.#block()));
    byId("info-erase").addEventListener("click", () => {
      const { id, title } = this.#conversation;
      whenSure(`Delete ${title} with everything in it?`, () => this.#do(() => this.#client.erase(id)));
    });
    byId("info-toggle").addEventListener("click", () => this.#do(() => this.#toggle()));
  }

  async show(conversation) {
    this.#conversation = conversation;
    byId("info-error").textContent = "";
    this.refresh(conversation);
    byId("info").showModal();
  }

  /** The conversation has changed: what is shown of it follows. */
  refresh(conversation) {
    if (conversation !== this.#conversation) return;
    const { title, isGroup, role, closed, name, archived, blocked } = conversation;
    const leads = role === "admin";
    byId("info-title").textContent = title;
    byId("info-rename").hidden = !isGroup || !leads || closed;
    byId("info-name").value = name ?? "";
    byId("info-add").hidden = !isGroup || role === "member" || closed;
    byId("info-leave").hidden = !isGroup;
    byId("info-erase").hidden = !isGroup || !leads;
    byId("info-block").hidden = isGroup;
    byId("info-block").textContent = blocked ? "Unblock" : "Block";
    byId("info-archive").textContent = archived ? "Unarchive" : "Archive";
    byId("info-toggle").hidden = isGroup && !leads;
    byId("info-toggle").textContent = closed ? "Reopen" : "Close for writing";
    this.#showMembers().catch((error) => this.#fail(error));
  }

  async #showMembers() {
    const conversation = this.#conversation;
    const { members, more } = await this.#client.members(conversation.id, { limit: MEMBERS_SHOWN });
    if (conversation !== this.#conversation) return;
    const lines = members.map((member) => this.#line(member));
    if (more) lines.push(make("li", {}, "…and more"));
    byId("info-members").replaceChildren(...lines);
  }

  #line({ user, role }) {
    const { isGroup, role: own, closed } = this.#conversation;
    const line = make("li", {}, avatar(user, nameOf(user)), make("bdi", {}, user === this.#me ? `${nameOf(user)} (you)` : nameOf(user)));
    if (isGroup && own === "admin" && !closed) line.append(this.#choice(user, role));
    else if (isGroup && role !== "member") line.append(make("span", { className: "role" }, role));
    if (isGroup && own !== "member" && user !== this.#me && !closed && (own === "admin" || role === "member")) {
      const remove = make("button", { className: "round", type: "button", ariaLabel: `Remove ${nameOf(user)}`, title: "Remove" }, "×");
      remove.addEventListener("click", () => this.#do(() => this.#client.remove(this.#conversation.id, user)));
      line.append(remove);
    }
    return line;
  }

  #choice(user, role) {
    const select = make("select", { ariaLabel: `Role of ${nameOf(user)}` });
    select.append(...ROLES.map((one) => make("option", { value: one, selected: one === role }, one)));
    select.addEventListener("change", () => this.#do(async () => {
      const rises = ROLES.indexOf(select.value) > ROLES.indexOf(role);
      const { id } = this.#conversation;
      if (rises) await this.#client.promote(id, user, select.value);
      else await this.#client.demote(id, user, select.value);
    }));
    return select;
  }

  #toggle() {
    const { id, closed } = this.#conversation;
    return closed ? this.#client.reopenConversation(id) : this.#client.closeConversation(id);
  }

  #archive() {
    const { id, archived } = this.#conversation;
    return archived ? this.#client.unarchive(id) : this.#client.archive(id);
  }

  #block() {
    const { peer, blocked } = this.#conversation;
    return blocked ? this.#client.unblock(peer) : this.#client.block(peer);
  }

  async #leave() {
    const { id, title } = this.#conversation;
    try {
      this.#conversation.isLeft = true;
      await this.#client.leave(id);
      byId("info").close();
      toast(`You left ${title}.`);
    } catch (error) {
      this.#conversation.isLeft = false;
      this.#fail(error);
    }
  }

  #onSubmit(id, act) {
    byId(id).addEventListener("submit", (event) => {
      event.preventDefault();
      this.#do(act);
    });
  }

  /** Does something and shows what became of it. */
  async #do(act) {
    byId("info-error").textContent = "";
    try {
      await act();
    } catch (error) {
      this.#fail(error);
    }
    this.refresh(this.#conversation);
  }

  #fail(error) {
    byId("info-error").textContent = reason(error);
  }
}
