// The page: logs in, connects, and brings together what happens and what is shown.

import { connect } from "/sdk/switchyard.js";
import { offerColours } from "./colours.js";
import { Conversation } from "./conversation.js";
import { Directory } from "./directory.js";
import { byId, paintAvatar, toast } from "./dom.js";
import { Info } from "./info.js";
import { List } from "./list.js";
import { logIn, logOut, token } from "./login.js";
import { Room } from "./room.js";
import { Start } from "./start.js";
import { nameOf } from "./words.js";

const { me, people } = await logIn();
const client = connect({ token: () => token(me), account: me, device: "page" });
const conversations = new Map();
const directory = new Directory(client, found);
const list = new List(me, go);
const room = new Room(client, me);
const info = new Info(client, directory, me);
new Start(directory, me, go);

function found(detail, peer) {
  const conversation = new Conversation(client, me, detail, peer, changed);
  conversations.set(conversation.id, conversation);
  list.show(conversation);
  untilDone(() => conversation.load()).then(
    () => conversation.id === wanted() && show(),
    (error) => console.warn("a conversation could not be read:", error),
  );
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
  const isOpen = room.conversation === conversation;
  if (isOpen && what === "entry") room.showEntry(entry);
  if (isOpen && what === "gone") room.removeEntry(entry);
  if (isOpen && what === "older") room.showOlder(entry);
  if (isOpen && what !== "older") room.showAbout();
  if (what === "about" || what === "members") info.refresh(conversation);
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
  if (room.conversation === conversation) return;
  room.open(conversation);
  client.open(conversation ? [conversation.id] : []).catch(() => {});
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
  if (words) toast(words(conversation.title));
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
  client.on("message", of((conversation, { message }) => conversation.addMessage(message)));
  client.on("sent", of((conversation, { message }) => conversation.addMessage(message)));
  client.on("failed", of((conversation, { clientId, error }) => {
    if (error.code !== "CLIENT_CLOSED") conversation.markFailed(clientId, error);
  }));
  client.on("restored", ({ messages }) => {
    for (const unsent of messages) conversations.get(unsent.conversation)?.addUnsent(unsent);
  });
  client.on("updated", of((conversation, { message }) => conversation.onUpdated(message)));
  client.on("deleted", of((conversation, { deleted }) => conversation.onDeleted(deleted)));
  client.on("reacted", of((conversation, { reacted }) => conversation.onReacted(reacted)));
  client.on("typing", of((conversation, typing) => conversation.setTyping(typing)));
  client.on("members", of((conversation, { seq, members }) => conversation.onMembers(seq, members)));
  client.on("conversation", of((conversation, { seq, change }) => conversation.onChange(seq, change)));
  client.on("gap", of((conversation, gap) => {
    conversation.addTold(gap.first_available - 0.5, Date.now(), "Older messages are no longer kept");
  }));
  client.on("ended", ({ conversation, reason }) => {
    lost(conversation, reason === "removed" ? (title) => `You are no longer in ${title}.` : undefined);
  });
  client.on("state", onState);
  onState(client.state);
}

function start() {
  paintAvatar(byId("me-avatar"), me, nameOf(me));
  byId("me-name").textContent = nameOf(me);
  byId("app").hidden = false;
  offerColours();
  addEventListener("hashchange", show);
  byId("back").addEventListener("click", () => (location.hash = ""));
  byId("hurry").addEventListener("click", () => client.hurry());
  byId("details").addEventListener("click", () => info.show(room.conversation));
  byId("logout").addEventListener("click", async () => {
    logOut();
    await client.close({ timeout: 1_000 });
    location.replace("/");
  });
  listen();
  untilDone(() => directory.load(people.filter((user) => user !== me))).catch(() => toast("The conversations could not be loaded."));
}

start();
