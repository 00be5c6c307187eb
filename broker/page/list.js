// The list of conversations: newest activity first, what was said last, what is unread; the search in it, its filters, and
// people to begin a chat with.

import { avatar, byId, icon, make, paintAvatar } from "./dom.js";
import { beginningWith, isStaff, supportKind } from "./kinds.js";
import { groupWords, nameOf, typingText, when } from "./words.js";

/** So near to the end of the list, the next page is fetched. */
const NEAR_END_PX = 400;

/** How long somebody pauses in writing before the server is searched too. */
const SEARCH_PAUSE_MS = 250;

/** What the filters let through, and what the server is asked for where it has more than is here. */
const isAside = ({ archived, declined }) => archived || declined;
const FILTERS = {
  all: { passes: (one) => !isAside(one) },
  unread: { passes: (one) => one.unread > 0 && !isAside(one) },
  direct: { passes: (one) => !one.isGroup && !isAside(one), wanted: [{ kind: "direct" }, { kind: "customer_seller" }] },
  group: { passes: (one) => one.shape === "group" && !isAside(one), wanted: [{ kind: "group" }, { kind: "internal" }] },
  support: { passes: (one) => one.isDesk && !isAside(one), wanted: [{ kind: "customer_support" }, { kind: "seller_support" }] },
  requests: { passes: (one) => one.request !== undefined && !one.archived, wanted: [{ state: "pending" }] },
  archived: { passes: ({ archived }) => archived, wanted: [{ archived: true }] },
};

export class List {
  #me;
  #open;
  #directory;
  #online;
  #items = new Map();
  #suggested = new Map();
  #current = null;
  #filter = "all";
  #isStale = false;
  #searching;
  #loading = false;
  #search = byId("search");

  /** `open(id)` is called when one is chosen, `begin(kind, user)` when somebody is; the directory is asked for more. */
  constructor(me, directory, online, { open, begin }) {
    this.#me = me;
    this.#online = online;
    this.#directory = directory;
    this.#open = open;
    this.begin = begin;
    this.#search.addEventListener("input", () => this.#onSearch());
    this.#search.addEventListener("keydown", (event) => this.#onSearchKey(event));
    const scroll = byId("list-scroll");
    scroll.addEventListener("keydown", (event) => this.#onListKey(event));
    scroll.addEventListener("scroll", () => this.#onScroll(), { passive: true });
    for (const button of this.#filters()) button.addEventListener("click", () => this.#choose(button.dataset.filter));
    byId("archive").addEventListener("click", () => this.#choose(this.#filter === "archived" ? "all" : "archived"));
    document.addEventListener("keydown", (event) => {
      if (event.key === "k" && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        this.#search.focus();
      }
    });
  }

  /** Shows a conversation as it is now, in its place. */
  show(conversation) {
    let item = this.#items.get(conversation.id);
    if (!item) this.#items.set(conversation.id, (item = this.#make(conversation)));
    this.#paint(item);
    this.#settle();
  }

  remove(id) {
    this.#items.get(id)?.element.remove();
    this.#items.delete(id);
    this.#settle();
  }

  /** People with whom one can begin, and the support, as long as there is no such conversation. */
  suggest(users) {
    for (const user of users) {
      const { kind, words } = beginningWith(this.#me, user) ?? {};
      if (kind) this.#suggest(kind, user, nameOf(user), words);
    }
    if (!isStaff(this.#me)) this.#suggest(supportKind(this.#me), undefined, "Support", "Ask the support");
    this.#settle();
  }

  #suggest(kind, user, name, words) {
    const button = make("button", { type: "button", className: "item" }, avatar(user ?? kind, name, !user),
      make("span", { className: "heading" }, make("bdi", { className: "name" }, name)), make("span", { className: "last" }, words));
    button.addEventListener("click", () => this.begin(kind, user));
    const element = make("li", {}, button);
    this.#suggested.set(nameIn(kind, user), { element, name });
    byId("suggested").append(element);
  }

  /** Puts the focus on one: whoever closed it goes on from there. */
  focus(id) {
    this.#items.get(id)?.button.focus();
  }

  /** Marks the one that is open. */
  mark(id) {
    this.#current = id;
    for (const { conversation, button } of this.#items.values()) {
      if (conversation.id === id) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    }
    this.#settle();
  }

  #make(conversation) {
    const part = (tag, className) => make(tag, { className });
    const picture = make("span", { className: "avatar", ariaHidden: "true" });
    const [name, topic, label, time, last, badges] = [part("bdi", "name"), part("bdi", "topic"), part("span", "label"), part("time", ""),
      part("span", "last"), part("span", "badges")];
    const heading = make("span", { className: "heading" }, name, topic, label);
    const button = make("button", { type: "button", className: "item" }, picture, heading, time, last, badges);
    button.addEventListener("click", () => this.#open(conversation.id));
    const item = { conversation, element: make("li", {}, button), button, picture, name, topic, label, time, last, badges };
    if (conversation.id === this.#current) button.setAttribute("aria-current", "true");
    byId("list").append(item.element);
    return item;
  }

  #paint({ conversation, button, picture, name, topic, label, time, last, badges }) {
    const { title, typing, lastMessage: message, unread, isMentioned, closed } = conversation;
    paintAvatar(picture, conversation.face, title, conversation.isGroup);
    const isOnline = !conversation.isGroup && Boolean(this.#online.of(conversation.peer)?.online);
    picture.classList.toggle("online", isOnline);
    if (isOnline) button.setAttribute("aria-description", "online");
    else button.removeAttribute("aria-description");
    name.textContent = title;
    topic.textContent = conversation.context ?? "";
    label.textContent = conversation.label === title ? "" : conversation.label;
    time.textContent = message || conversation.isGroup ? when(conversation.time) : "";
    const types = typingText(typing.users, typing.more);
    last.replaceChildren(...(types ? [types] : this.#summary(conversation, message)));
    last.classList.toggle("typing", types !== "");
    const count = make("span", { className: "badge" }, unread > 99 ? "99+" : String(unread), spoken(" unread"));
    const at = make("span", { className: "badge at" }, "@", spoken(" you are mentioned"));
    const asks = make("span", { className: "badge asks-badge" }, "Request");
    const counts = conversation.isRequest ? [asks] : [...(isMentioned ? [at] : []), count];
    const shut = closed ? [icon("lock"), spoken("closed")] : [];
    badges.replaceChildren(...shut, ...(unread > 0 || conversation.isRequest ? counts : []));
    button.classList.toggle("unread", unread > 0);
  }

  #summary(conversation, message) {
    const { isGroup, count, declined, request } = conversation;
    if (declined) return [request === "by_me" ? "Did not accept" : "Declined"];
    if (!message) return [isGroup && !conversation.isDesk ? groupWords(count) : "No messages yet"];
    const words = make("bdi", {}, message.deleted ? "Message deleted" : message.text.replace(/\s+/g, " ").slice(0, 160));
    if (message.sender !== this.#me) return isGroup ? [make("bdi", {}, nameOf(message.sender)), ": ", words] : [words];
    if (message.deleted) return [words];
    if (!conversation.progress.knowsOthers) return ["You: ", words];
    const { state } = conversation.progress.of(message.seq);
    const tick = icon(state === "sent" ? "check" : "checks");
    tick.classList.add("tick", state);
    return [tick, spoken(`${state}: `), ...(isGroup ? ["You: "] : []), words];
  }

  /** Puts everything in its place, once for all that happens in one go. */
  #settle() {
    if (this.#isStale) return;
    this.#isStale = true;
    queueMicrotask(() => {
      this.#isStale = false;
      this.#sort();
      this.#sift();
      this.#countUnread();
    });
  }

  #sort() {
    const sorted = [...this.#items.values()].sort((a, b) => byActivity(a.conversation, b.conversation));
    const list = byId("list");
    sorted.forEach(({ element }, at) => {
      // What stands in its place is not moved, so that the focus stays where it is.
      if (list.children[at] !== element) list.insertBefore(element, list.children[at] ?? null);
    });
  }

  #sift() {
    const searched = this.#search.value.trim().toLocaleLowerCase();
    const { passes } = FILTERS[this.#filter];
    this.#showAsides();
    let shown = 0;
    const begun = new Set();
    for (const { conversation, element } of this.#items.values()) {
      const isShown = conversation.title.toLocaleLowerCase().includes(searched)
        && (passes(conversation) || conversation.id === this.#current);
      element.hidden = !isShown;
      shown += isShown ? 1 : 0;
      for (const name of namesOf(conversation, this.#me)) begun.add(name);
    }
    let suggested = 0;
    for (const [key, { element, name }] of this.#suggested) {
      const fits = name.toLocaleLowerCase().includes(searched) && ["all", "direct"].includes(this.#filter);
      element.hidden = begun.has(key) || !fits;
      suggested += element.hidden ? 0 : 1;
    }
    byId("suggestions").hidden = suggested === 0;
    const empty = byId("list-empty");
    empty.hidden = shown + suggested > 0;
    empty.textContent = this.#emptyWords(searched);
  }

  #emptyWords(searched) {
    if (searched !== "") return "Nothing has this name.";
    return {
      all: "No conversations yet.", unread: "Everything is read.", direct: "No chats of two yet.", group: "No groups yet.",
      support: "No support conversations yet.",
      requests: "Nobody waits for an answer.", archived: "The archive is empty.",
    }[this.#filter];
  }

  #filters() {
    return byId("filters").querySelectorAll("button");
  }

  /** Requests and the archive have places of their own, which are offered where there is something in them. */
  #showAsides() {
    const all = [...this.#items.values()].map(({ conversation }) => conversation);
    const requests = all.filter(({ isRequest }) => isRequest).length;
    const chips = Object.fromEntries([...this.#filters()].map((chip) => [chip.dataset.filter, chip]));
    chips.support.hidden = this.#filter !== "support" && !all.some(({ isDesk }) => isDesk);
    const chip = chips.requests;
    chip.hidden = this.#filter !== "requests" && !all.some(FILTERS.requests.passes);
    chip.textContent = requests > 0 ? `Requests (${requests})` : "Requests";
    const archived = all.filter(FILTERS.archived.passes);
    const unread = archived.reduce((sum, one) => sum + one.unread, 0);
    byId("archive").hidden = this.#filter !== "archived" && archived.length === 0;
    byId("archive-text").textContent = this.#filter === "archived" ? "Leave the archive" : "Archived";
    byId("archive-unread").hidden = unread === 0 || this.#filter === "archived";
    byId("archive-unread").textContent = String(unread);
  }

  #choose(filter) {
    this.#filter = filter;
    for (const button of this.#filters()) button.setAttribute("aria-pressed", String(button.dataset.filter === filter));
    this.#settle();
    for (const wanted of FILTERS[filter].wanted ?? []) this.#find(wanted);
  }

  #countUnread() {
    // A request is one thing to be answered, whatever it says.
    const here = [...this.#items.values()].reduce((sum, { conversation }) => {
      const { unread, isRequest, request } = conversation;
      return sum + (isRequest ? 1 : request === "to_me" ? 0 : unread);
    }, 0);
    const unread = here + this.#directory.unreadElsewhere;
    document.title = unread > 0 ? `(${unread > 999 ? "999+" : unread}) Switchyard` : "Switchyard";
    byId("back-unread").hidden = unread === 0;
    byId("back-unread").textContent = unread > 99 ? "99+" : String(unread);
  }

  #onSearch() {
    this.#settle();
    clearTimeout(this.#searching);
    const name = this.#search.value.trim();
    if (name !== "") this.#searching = setTimeout(() => this.#find({ name }), SEARCH_PAUSE_MS);
  }

  #find(wanted) {
    this.#directory.find(wanted).catch((error) => console.warn("the list could not be searched:", error));
  }

  async #onScroll() {
    const { scrollHeight, scrollTop, clientHeight } = byId("list-scroll");
    if (this.#loading || !this.#directory.more || scrollHeight - scrollTop - clientHeight > NEAR_END_PX) return;
    this.#loading = true;
    try {
      await this.#directory.loadMore();
    } catch (error) {
      console.warn("the list could not be continued:", error);
    }
    this.#loading = false;
  }

  #buttons() {
    return [...byId("list-scroll").querySelectorAll("li:not([hidden]) > button")].filter((one) => one.checkVisibility());
  }

  #onSearchKey(event) {
    if (event.key === "Escape" && this.#search.value !== "") {
      event.preventDefault();
      this.#search.value = "";
      this.#settle();
    } else if (event.key === "ArrowDown" || event.key === "Enter") {
      event.preventDefault();
      const [first] = this.#buttons();
      if (event.key === "Enter") first?.click();
      else first?.focus();
    }
  }

  #onListKey(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const buttons = this.#buttons();
    const next = buttons[buttons.indexOf(document.activeElement) + step];
    (next ?? (step < 0 ? this.#search : undefined))?.focus();
  }
}

/** What only who hears the page is told. */
function spoken(text) {
  return make("span", { className: "spoken" }, text);
}

/** What is begun with whom, as a name. */
const nameIn = (kind, user) => `${kind} ${user ?? ""}`;

/** What need not be suggested any more because of this one. */
function namesOf({ kind, peer, context, isDesk, matterOf }, me) {
  if (context) return [];
  if (!isDesk) return [nameIn(kind, peer)];
  return isStaff(me) ? matterOf.map((user) => nameIn(kind, user)) : [nameIn(kind)];
}

function byActivity(one, other) {
  return other.time - one.time || one.title.localeCompare(other.title);
}
