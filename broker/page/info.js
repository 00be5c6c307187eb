// The dialog about an open conversation: its members with their roles, its name, leaving it, closing and reopening it. What
// is offered follows from one's own role; what is allowed, the server decides.

import { avatar, byId, icon, make, paintAvatar, toast, whenSure } from "./dom.js";
import { nameOf, reason, SHORT_DATE } from "./words.js";

const ROLES = ["member", "moderator", "admin"];

/** Members that are shown. */
const MEMBERS_SHOWN = 200;

export class Info {
  #client;
  #me;
  #online;
  #conversation = null;

  constructor(client, me, online) {
    this.#client = client;
    this.#me = me;
    this.#online = online;
    byId("info-close").addEventListener("click", () => byId("info").close());
    byId("info").addEventListener("close", () => this.#online.showMembers(undefined, []));
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
    byId("info-copy").addEventListener("click", () => this.#copy());
  }

  async show(conversation) {
    this.#conversation = conversation;
    byId("info-error").textContent = "";
    // Lines for those who are to come: nothing moves under the pointer when they do.
    const lines = Math.min(conversation.count, MEMBERS_SHOWN + 1);
    byId("info-members").replaceChildren(...Array.from({ length: lines }, () => make("li")));
    this.refresh(conversation);
    byId("info").showModal();
  }

  /** The conversation has changed: what is shown of it follows. */
  refresh(conversation) {
    if (conversation !== this.#conversation) return;
    const { id, kind, shape, role, count, closed, name, archived, blocked, isDesk, isGroup, isVisited, mayClose } = conversation;
    const leads = role !== "member";
    this.#showHead(conversation);
    byId("info-rename").hidden = !isGroup || !leads || closed;
    if (document.activeElement !== byId("info-name")) byId("info-name").value = name ?? "";
    byId("info-add").hidden = !isGroup || !leads || closed;
    byId("info-leave").hidden = shape !== "group" && !(isDesk && leads && !isVisited);
    byId("info-erase").hidden = shape !== "group" || role !== "admin";
    byId("info-block").hidden = kind !== "direct";
    byId("info-block").textContent = blocked ? "Unblock" : "Block";
    byId("info-archive").hidden = isVisited;
    byId("info-archive").textContent = archived ? "Unarchive" : "Archive";
    byId("info-toggle").hidden = !mayClose;
    byId("info-toggle").textContent = closed ? "Reopen" : "Close for writing";
    byId("info-reference").hidden = !isDesk;
    byId("info-id").textContent = id;
    byId("info-members-title").textContent = count === 1 ? "1 member" : `${count} members`;
    this.#showMembers().catch((error) => this.#fail(error));
  }

  #showHead({ title, face, label, context, closed, isGroup, createdMs }) {
    paintAvatar(byId("info-avatar"), face, title, isGroup);
    byId("info-title").textContent = title;
    byId("info-label").textContent = label === title ? "" : label;
    const about = [context && `About ${context}`, `Begun ${SHORT_DATE.format(createdMs)}`, closed && "Closed"];
    byId("info-about").textContent = about.filter(Boolean).join(" · ");
  }

  async #showMembers() {
    const conversation = this.#conversation;
    const { members, more } = await this.#client.members(conversation.id, { limit: MEMBERS_SHOWN });
    if (conversation !== this.#conversation) return;
    const lines = members.map((member) => this.#line(member));
    if (more) lines.push(make("li", {}, `…and ${conversation.count - members.length} more`));
    byId("info-members").replaceChildren(...lines);
    const others = members.map(({ user }) => user).filter((user) => user !== this.#me);
    if (byId("info").open && !more) this.#online.showMembers(conversation.id, others);
  }

  /** Somebody came or went. */
  showOnline(user) {
    if (!byId("info").open) return;
    for (const line of byId("info-members").children) if (line.dataset.user === user) this.#paintOnline(line, user);
  }

  #paintOnline(line, user) {
    const isOnline = user === this.#me || Boolean(this.#online.of(user)?.online);
    line.querySelector(".avatar").classList.toggle("online", isOnline);
    line.querySelector(".is-online").textContent = isOnline ? "online" : "";
  }

  #line({ user, role }) {
    const { shape, isDesk, isGroup, role: own, closed } = this.#conversation;
    const line = make("li", {}, avatar(user, nameOf(user)), make("bdi", {}, user === this.#me ? `${nameOf(user)} (you)` : nameOf(user)),
      make("span", { className: "spoken is-online" }));
    line.dataset.user = user;
    this.#paintOnline(line, user);
    if (shape === "group" && own === "admin" && !closed) line.append(this.#choice(user, role));
    else if (isDesk && role === "moderator") line.append(make("span", { className: "label" }, "Support"));
    else if (isGroup && role !== "member") line.append(make("span", { className: "role" }, role));
    if (isGroup && own !== "member" && user !== this.#me && !closed && (own === "admin" || role === "member" || isDesk)) {
      const remove = make("button", { className: "round", type: "button", ariaLabel: `Remove ${nameOf(user)}`, title: "Remove" }, icon("x"));
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

  async #copy() {
    try {
      await navigator.clipboard.writeText(this.#conversation.id);
      toast("The reference is copied.");
    } catch {
      getSelection().selectAllChildren(byId("info-id"));
    }
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
