// The page: logs in, connects, and brings together what happens and what is shown.

import { connect } from "/sdk/switchyard.js";
import { offerColours } from "./colours.js";
import { Conversation } from "./conversation.js";
import { Directory } from "./directory.js";
import { byId, paintAvatar, toast } from "./dom.js";
import { Info } from "./info.js";
import { isStaff, postOf } from "./kinds.js";
import { List } from "./list.js";
import { logIn, logOut, token } from "./login.js";
import { Online } from "./online.js";
import { Room } from "./room.js";
import { Start } from "./start.js";
import { nameOf, reason, whyNotBegun } from "./words.js";

const { me, people } = await logIn();
const client = connect({ token: () => token(me), account: me, device: "page" });
const conversations = new Map();
const directory = new Directory(client, found);
const online = new Online(client, {
  changed: (user) => {
    for (const conversation of conversations.values()) if (conversation.peer === user) changed(conversation, "presence");
    info.showOnline(user);
  },
  counted: (id, count) => {
    const conversation = conversations.get(id);
    if (!conversation) return;
    conversation.online = count;
    changed(conversation, "presence");
  },
});
const list = new List(me, directory, online, { open: go, begin });
const room = new Room(client, me, online);
const info = new Info(client, me, online);
new Start(directory, me, { open: go, find: openReference });

/** The server says of a conversation that it is there, or what it is now. */
function found(listing) {
  const { id } = listing.conversation;
  const known = conversations.get(id);
  if (known) {
    const { request } = known;
    known.learn(listing);
    if (!known.isGroup) online.follow(known, request !== known.request);
    online.onRead(id);
    changed(known, "detail");
    return;
  }
  const conversation = new Conversation(client, me, listing, changed);
  conversations.set(id, conversation);
  if (!conversation.isGroup && conversation.peer) online.follow(conversation);
  // Staff see whose matter it is by its members.
  if (conversation.isDesk && isStaff(me)) directory.whenIdle(() => conversation.members());
  list.show(conversation);
  if (id === wanted()) show();
}

/** Begins a conversation of this kind: with somebody, or with the support. */
async function begin(kind, user) {
  try {
    go(await directory.make({ kind, members: user ? [user] : [] }));
  } catch (error) {
    toast(whyNotBegun(kind, user, error));
  }
}

/** Opens one that somebody names by its reference or by a link to it; says whether it is there. */
async function openReference(text) {
  const id = decodeURIComponent(text.slice(text.lastIndexOf("#") + 1)).trim();
  if (!conversations.has(id)) await directory.one(id);
  go(id);
}

/** Does what the page cannot be without: again, where it got no answer because the connection was lost. */
async function untilDone(act) {
  for (;;) {
    await client.ready();
    try {
      return await act();
    } catch (error) {
      if (!["TIMED_OUT", "UNKNOWN_OUTCOME"].includes(error.code)) throw error;
    }
  }
}

/** Something of a conversation changed: what shows it follows. */
function changed(conversation, what, entry) {
  if (conversations.get(conversation.id) !== conversation) return;
  if (room.conversation === conversation) room.follow(what, entry);
  if (what === "detail" || what === "members") info.refresh(conversation);
  list.show(conversation);
}

/** The conversation that the address names: so a reload opens it again, and going back closes it. */
function wanted() {
  return decodeURIComponent(location.hash.slice(1));
}

function go(id) {
  if (wanted() === id) show();
  else location.hash = encodeURIComponent(id);
}

function show() {
  const conversation = conversations.get(wanted()) ?? null;
  list.mark(conversation?.id);
  byId("app").dataset.shows = conversation ? "chat" : "list";
  if (!conversation && wanted() !== "" && isLoaded) findWanted();
  const before = room.conversation;
  if (before === conversation) return;
  room.open(conversation);
  // Whoever only looked on leaves nothing behind.
  if (before?.isVisited && conversations.has(before.id)) {
    lost(before.id);
    client.unsubscribe(before.id);
  }
  client.open(conversation ? [conversation.id] : []).catch(() => {});
  if (!conversation) return;
  untilDone(() => conversation.load()).catch((error) => {
    if (room.conversation === conversation) toast(`It could not be read. ${reason(error)}`);
  });
}

/** The address names one that is not here: far down in the list, or one that staff may look at. */
function findWanted() {
  const id = wanted();
  directory.one(id).catch(() => {
    if (id !== wanted()) return;
    toast("There is no such conversation, or it is not yours to read.");
    go("");
  });
}

function lost(id, words) {
  const conversation = conversations.get(id);
  if (!conversation) return;
  conversations.delete(id);
  directory.forget(id);
  list.remove(id);
  if (room.conversation === conversation) {
    byId("info").close();
    location.hash = "";
    show();
  }
  if (words && !conversation.isLeft) toast(words(conversation.title));
}

function onState({ state, closed }) {
  byId("dot").className = `dot ${state}`;
  byId("state").textContent = { connecting: "Connecting…", online: "Online", closed: "Disconnected" }[state];
  const banner = byId("banner");
  banner.hidden = state === "online";
  byId("hurry").hidden = state === "closed";
  byId("banner-text").textContent = state === "closed"
    ? `The server ended this session${closed.reason ? `: ${closed.reason}` : ""}. Load the page again to come back.`
    : "No connection. What you write is kept, and sent when it is back.";
}

function listen() {
  const of = (act) => (event) => {
    const conversation = conversations.get(event.conversation);
    if (conversation) act(conversation, event);
  };
  client.on("message", ({ conversation: id, message }) => {
    const conversation = conversations.get(id);
    if (conversation) conversation.addMessage(message);
    // An older one than those in the list has come to life.
    else directory.lookAgain().catch(() => {});
  });
  client.on("sent", of((conversation, { message }) => conversation.addMessage(message)));
  client.on("failed", of((conversation, { clientId, error }) => {
    if (error.code !== "CLIENT_CLOSED") conversation.markFailed(clientId, error);
  }));
  client.on("restored", ({ messages }) => {
    for (const unsent of messages) {
      const conversation = conversations.get(unsent.conversation);
      if (conversation?.lines.isLoaded) conversation.addUnsent(unsent);
    }
  });
  client.on("updated", of((conversation, { seq, message }) => conversation.onUpdated(seq, message)));
  client.on("deleted", of((conversation, { seq, deleted }) => conversation.onDeleted(seq, deleted)));
  client.on("reacted", of((conversation, { seq, reacted }) => conversation.onReacted(seq, reacted)));
  client.on("typing", of((conversation, typing) => conversation.setTyping(typing)));
  client.on("marks", of((conversation, { marks }) => conversation.onMarks(marks)));
  client.on("unmarked", of((conversation, { error }) => {
    if (error.code !== "CLIENT_CLOSED") conversation.progress.recount();
  }));
  client.on("members", of((conversation, { seq, members }) => conversation.onMembers(seq, members)));
  client.on("conversation", of((conversation, { seq, change }) => conversation.onChange(seq, change)));
  client.on("gap", of((conversation, gap) => {
    conversation.lines.addTold(gap.first_available - 0.5, Date.now(), "Older messages are no longer kept");
  }));
  client.on("listed", ({ listing, head }) => {
    if (listing) directory.take(listing);
    // Of one that was read already the listing may be from before what is shown.
    if (!listing || head > listing.conversation.head) directory.lookAgain().catch(() => {});
  });
  client.on("relisted", ({ listing }) => directory.take(listing));
  client.on("unlisted", ({ conversation }) => lost(conversation, (title) => `You are no longer in ${title}.`));
  client.on("ended", ({ conversation, reason: why }) => {
    const isErased = conversations.get(conversation)?.isErased;
    const words = (title) => (isErased ? `${title} was deleted.` : `You are no longer in ${title}.`);
    lost(conversation, why === "removed" ? words : undefined);
  });
  client.on("state", onState);
  onState(client.state);
}

/** Once the newest page of the list is here. */
let isLoaded = false;

/** What the list says now, and what came to it while there was no connection. */
let wasOnline = false;
function refreshList({ state }) {
  if (state !== "online") return;
  if (wasOnline) directory.lookAgain().catch(() => {});
  wasOnline = true;
}

function start() {
  paintAvatar(byId("me-avatar"), me, nameOf(me));
  byId("me-name").textContent = nameOf(me);
  byId("me-post").textContent = postOf(me) ?? "";
  byId("app").hidden = false;
  offerColours();
  addEventListener("hashchange", show);
  byId("back").addEventListener("click", () => {
    const { id } = room.conversation;
    addEventListener("hashchange", () => list.focus(id), { once: true });
    location.hash = "";
  });
  byId("hurry").addEventListener("click", () => client.hurry());
  byId("details").addEventListener("click", () => info.show(room.conversation));
  byId("logout").addEventListener("click", async () => {
    logOut();
    await client.close({ timeout: 1_000 });
    location.replace("/");
  });
  listen();
  client.on("state", refreshList);
  untilDone(() => directory.load()).then(
    () => {
      list.suggest(people.filter((user) => user !== me));
      isLoaded = true;
      if (wanted() !== "" && !conversations.has(wanted())) findWanted();
    },
    () => toast("The conversations could not be loaded."),
  );
}

start();
