// Types of the browser SDK. Data has the names of the wire (snake_case); what is the SDK's own has JavaScript's.

/** Connects by itself; requests wait until it has. */
export function connect(options: Options): Client;

export interface Options {
  /** `wss://host/v1/ws`. Without it, the broker that served this module. */
  url?: string;
  /** Asked for a token when there is none, and again before it runs out. It may take its time, and fail: then it is asked
   * again. Throw `NoToken` to end the client. */
  token: string | (() => string | Promise<string>);
  /** Whose unsent messages are kept on this device, so that they outlive the page: any text, another one for each user.
   * Without it they are kept in memory alone. */
  account?: string;
  /** This device's own name, for the user's other sessions. */
  device?: string;
}

export class Client {
  constructor(options: Options);

  /** How the connection is now; `state` tells when it changes. */
  readonly state: State;
  /** Waits until the server knows who is here, or until it is clear that it never will. */
  ready(): Promise<Welcome>;
  /** Somebody is waiting: does not wait for the next attempt to connect. */
  hurry(): void;
  /** Sends what waits, then ends. What is unsent after so long stays kept, if there is an `account`. */
  close(options?: { timeout?: number }): Promise<void>;

  /** Calls the listener for each event of this name; gives a function that ends it. */
  on<Name extends keyof Events>(name: Name, listener: (event: Events[Name]) => void): () => void;
  off<Name extends keyof Events>(name: Name, listener: (event: Events[Name]) => void): void;

  /** Gets or makes the one direct conversation with somebody (in this context), or makes a group. */
  create(conversation: NewConversation): Promise<{ conversation: Conversation; created: boolean }>;
  get(conversation: string): Promise<Conversation>;
  /** A page of messages: newest first, or oldest first with `after` and `after_time_ms`. */
  history(conversation: string, page?: HistoryPage): Promise<Page>;
  /** What happened after the number `after`, other than messages too, oldest first: a page of 500 events at most, of a
   * conversation that is subscribed; its subscription goes on where it is. Live ones come by `on`. */
  events(conversation: string, page?: { after?: number }): Promise<EventPage>;

  /** Sends a message, and again until it has a final answer. Messages of one conversation are stored in the order of these
   * calls. */
  send(conversation: string, draft: string | Draft): Promise<Sent>;
  /** The same, and says at once under which id. `done` may be ignored: the events `sent` and `failed` tell it too. */
  post(conversation: string, draft: string | Draft): { clientId: string; done: Promise<Sent> };
  /** Gives an own message another text. A message is named by its `id`, here and below. */
  edit(message: string, text: string, more?: { mentions?: string[] }): Promise<Changed>;
  /** Deletes a message for all: an own one, or anybody's for an admin or moderator of a group. */
  delete(message: string): Promise<Changed>;
  /** Gives a message an emoji, or takes an own one away. */
  react(message: string, emoji: string): Promise<Changed>;
  unreact(message: string, emoji: string): Promise<Changed>;
  /** Puts a message among the pinned ones of its conversation, or takes it from there. */
  pin(message: string): Promise<Changed>;
  unpin(message: string): Promise<Changed>;
  /** Messages that have no final answer yet, oldest first. */
  unsent(conversation?: string): Unsent[];

  /** Events of this conversation from now on: all that follow the number `after` (0 for all that are kept), or from the
   * present end. One that is read already goes on where it is, if no number is given. Waits until the server has confirmed it, however long that takes. */
  subscribe(conversation: string, options?: { after?: number }): Promise<{ conversation: string; head: number }>;
  unsubscribe(conversation: string): Promise<void>;
  /** Events of all conversations of the user from now on, the newest 1,000 of them, and of those that come later: `listed`
   * and `unlisted` tell of them. Gives those that are read, each with the number from which its events come; older ones
   * come by `list` and `history`. Those that are subscribed already go on where they are. */
  subscribeAll(): Promise<SubscribedAll>;
  /** The conversations that are shown now, in place of those before: 8 at most, each subscribed. */
  open(conversations: string[]): Promise<{ opened: (Typing & { error?: WireError })[] }>;
  /** The user types, or has stopped. To be called with every key. */
  typing(conversation: string, on: boolean): void;

  /** The user has read everything up to the number `read`, or received everything up to `delivered`. Marks only rise, and
   * what is read is received. To be called with every message: the server is told once a second and conversation, and
   * again after a lost connection. `marked` tells what it made of it, `unmarked` that it is given up. */
  mark(conversation: string, to: { read?: number; delivered?: number }): void;
  /** How far the members have come, in the order of their ids, after one of them; with `seq`, only those who have read that
   * far. `marks` tells when they come farther. */
  marks(conversation: string, page?: { seq?: number; after?: string; limit?: number }): Promise<MarkPage>;
  /** Who has read a message, and when. */
  seenBy(message: string, page?: { after?: string; limit?: number }): Promise<MarkPage>;
  /** How many messages of each of these conversations the user has not read, and of all together; 200 at most. */
  unread(conversations: string[]): Promise<UnreadCounts>;
  /** The same of all the user's conversations, as sums alone; messages of requests to the user do not count. */
  unreadTotal(): Promise<UnreadCounts>;

  /** Watches users with whom there is a direct conversation without a context, or who are in the conversation that is named,
   * which must be subscribed; beside those who are watched already, 200 in all. Gives how it is with each; from then on
   * `presence` tells what changes, also after a reconnect. Of whoever may not be watched, this says what it says of a user who
   * was never there, as of the other in a direct conversation that is a request, or where one has blocked the other; it is asked
   * for again by itself when the request is accepted, they write, or they are unblocked. */
  watch(users: string[], options?: { conversation?: string }): Promise<UserPresence[]>;
  unwatch(users: string[]): void;
  /** How many members of a subscribed conversation are online; from then on `online` tells when it is another number. */
  watchOnline(conversation: string): Promise<number>;
  unwatchOnline(conversation: string): void;
  unwatchAll(): void;

  /** A page of the user's conversations, newest activity first. */
  list(page?: ListPage): Promise<Listed>;
  members(conversation: string, page?: { after?: string; limit?: number }): Promise<{ members: Member[]; more: boolean }>;
  add(conversation: string, members: string[]): Promise<Changed>;
  remove(conversation: string, member: string): Promise<Changed>;
  leave(conversation: string): Promise<Changed>;
  /** What is not given stays; an empty avatar or context takes it away. */
  update(conversation: string, changes: { name?: string; avatar?: string; context?: string }): Promise<Changed>;
  promote(conversation: string, member: string, role?: "moderator" | "admin"): Promise<Changed>;
  demote(conversation: string, member: string, role?: "member" | "moderator"): Promise<Changed>;
  closeConversation(conversation: string): Promise<Changed>;
  reopenConversation(conversation: string): Promise<Changed>;
  /** Wants a direct conversation that somebody else began (`request` is `to_me`); so does a message to it. */
  accept(conversation: string): Promise<Changed>;
  /** Does not want it: who began it writes to it no more, until it is accepted after all. */
  decline(conversation: string): Promise<Changed>;
  /** A group goes, for all, with everything that was said in it; for its admins. */
  erase(conversation: string): Promise<Changed>;
  /** Leaves a conversation out of the user's own list, until it is taken from the archive; nobody else learns of it. */
  archive(conversation: string): Promise<void>;
  unarchive(conversation: string): Promise<void>;
  /** From now on this user and the own one cannot write to each other in their direct conversations, and this user can neither
   * begin one nor bring the own one into a group. */
  block(user: string): Promise<void>;
  unblock(user: string): Promise<void>;
  /** Those who are blocked, in the order of their ids, after one of them. */
  blocks(page?: { after?: string; limit?: number }): Promise<{ users: string[]; more: boolean }>;
  /** The server's time, in milliseconds since 1970. */
  ping(): Promise<number>;
}

/** What `on` can be given. Numbered events of a conversation come in the order of their numbers, each once. */
export interface Events {
  state: State;
  /** Numbered. A message was stored: anybody's, also this user's own. */
  message: Numbered & { event: "message"; message: Message };
  /** Numbered. A message has another text or other mentions; it comes as it is now. */
  updated: Numbered & { event: "updated"; message: Message };
  /** Numbered. A message was deleted. */
  deleted: Numbered & { event: "deleted"; deleted: { id: string; by: string; time_ms: number } };
  /** Numbered. Somebody gave a message an emoji, or took it away; `count` is how many have given it now. */
  reacted: Numbered & { event: "reacted"; reacted: Reacted };
  /** Numbered. Members came, went or got another role. */
  members: Numbered & { event: "members"; members: MembersChanged };
  /** Numbered. The name, avatar or context changed, or it was closed or reopened. */
  conversation: Numbered & { event: "conversation"; change: ConversationChanged };
  /** Numbers `missed_from` to `first_available - 1` were not seen and are no longer kept. */
  gap: { event: "gap"; conversation: string; missed_from: number; first_available: number };
  /** Who types in an open conversation, in place of what was told before. */
  typing: Typing & { event: "typing" };
  /** Members have come farther, to where this says now; above 100 members the user's own marks alone. A message is not
   * followed by it, though it moves its sender's marks. The first after a reconnect may tell what is known already. */
  marks: { event: "marks"; conversation: string; marks: MemberMarks[] };
  /** The server has taken a mark of this client: the user's marks as they are now, and what they leave unread. */
  marked: { event: "marked"; conversation: string; marks: MemberMarks; unread: number };
  /** A mark of this client is given up: the server refused it, or the client was closed before it was sent. */
  unmarked: { event: "unmarked"; conversation: string; read: number; delivered: number; error: SwitchyardError };
  /** Somebody who is watched came or went: how it is now. A user is online until the last session has been over for 15 s. */
  presence: UserPresence & { event: "presence" };
  /** Another number of a conversation's members is online. */
  online: { event: "online"; conversation: string; online: number };
  /** After `subscribeAll`: a conversation came to the user's list. `listing` is missing if that was while there was no
   * connection; without `head` its events do not come, as too many conversations are read already. */
  listed: { event: "listed"; conversation: string; listing?: Listing; head?: number };
  /** After `subscribeAll`: a list shows a conversation otherwise, for the user has archived it or taken it from the archive,
   * blocked its other one or unblocked them; perhaps on another device. */
  relisted: { event: "relisted"; conversation: string; listing: Listing };
  /** After `subscribeAll`: a conversation went from the user's list. */
  unlisted: { event: "unlisted"; conversation: string };
  /** No more events come from this conversation: the user was removed or it was erased, or the server refused to go on. */
  ended: { event: "ended"; conversation: string; reason: "removed" | "refused"; error?: SwitchyardError };
  /** A message of this client is stored. */
  sent: Sent & { conversation: string; clientId: string };
  /** A message of this client is given up. */
  failed: Omit<Unsent, "at"> & { error: SwitchyardError };
  /** An earlier visit left unsent messages, which are sent now. */
  restored: { messages: Unsent[] };
}

export type State =
  | { state: "connecting" }
  | { state: "online"; welcome: Welcome }
  | { state: "closed"; closed: Closed };

/** Why a client stopped for good. */
export type Closed =
  | { by: "application" }
  | { by: "server"; code: number; reason: string }
  | { by: "token" | "user"; reason: string };

/** Why a request has no result. */
export class SwitchyardError extends Error {
  /** The server's code, or one of the SDK's own, whose `number` is 0. */
  readonly code: ServerCode | OwnCode;
  readonly number: number;
  readonly retryAfterMs?: number;
  /** For a message of unknown outcome: sent again under its id and with this, it is stored once. */
  readonly since?: number;
  /** For `CLIENT_CLOSED`. */
  readonly closed?: Closed;
  /** For a refusal of one request: its name in the server's logs, for whoever runs the server. */
  readonly trace?: string;
}

/** Thrown by a token provider: there will be no token. */
export class NoToken extends Error {
  constructor(message?: string);
}

export type ServerCode =
  | "AUTH_INVALID" | "FORBIDDEN" | "NOT_FOUND" | "BAD_REQUEST" | "RATE_LIMITED" | "CONFLICT" | "ID_EXPIRED" | "CLOSED"
  | "OVERLOADED" | "UNKNOWN_OUTCOME" | "INTERNAL";
export type OwnCode =
  | "TIMED_OUT" | "UNKNOWN_OUTCOME" | "TOO_MANY_PENDING" | "TOO_LARGE" | "AHEAD_OF_SERVER" | "UNSUBSCRIBED"
  | "USER_CHANGED" | "CLIENT_CLOSED";

export type MessageKind = "TEXT" | "IMAGE" | "FILE" | "SYSTEM" | "VIDEO" | "AUDIO";
export type Role = "member" | "moderator" | "admin";

export interface Draft {
  text: string;
  /** `TEXT` without it; `SYSTEM` is what a token with the role SERVICE sends, and nobody else. */
  kind?: MessageKind;
  /** The `id` of the message of the same conversation that this one answers. */
  reply_to?: string;
  /** Members whom it names. */
  mentions?: string[];
  /** The application's own id: sent twice under it, a message is stored once. */
  client_id?: string;
  /** For a message whose outcome is unknown: the error's `since`. */
  since?: number;
  /** When to give up, in milliseconds. Without it, never. */
  timeout?: number;
}

export interface Sent {
  message: Message;
  /** It was stored by an earlier attempt already. */
  duplicate: boolean;
}

export interface Unsent {
  conversation: string;
  clientId: string;
  kind: MessageKind;
  text: string;
  reply_to?: string;
  /** When it was written, in milliseconds since 1970. */
  at: number;
}

/** Who may have one of the later four with whom follows from the roles in their tokens; the support's need no members. */
export type ConversationKind =
  "direct" | "group" | "customer_seller" | "customer_support" | "seller_support" | "internal";

export interface NewConversation {
  kind: ConversationKind;
  members: string[];
  name?: string;
  avatar?: string;
  context?: string;
}

export interface Conversation {
  id: string;
  kind: ConversationKind;
  name?: string;
  avatar?: string;
  context?: string;
  head: number;
  first_available: number;
  member_count: number;
  /** The asker's. */
  role: Role;
  created_ms: number;
  closed: boolean;
  /** The ids of its pinned messages, in the order in which they were pinned. */
  pins?: string[];
  /** Messages that the asker has not read: not their own, and not SYSTEM. */
  unread: number;
  /** The number up to which they have. */
  read: number;
  /** A direct conversation that one of the two began and the other has not accepted: whose request it is. */
  request?: "to_me" | "by_me";
  /** It was declined: who made it writes to it no more. */
  declined?: boolean;
  /** The asker has archived it. Only `get`, `list` and the events of lists tell it. */
  archived?: boolean;
  /** It is direct, and the asker has blocked the other one. */
  blocked?: boolean;
}

export interface Message {
  id: string;
  conversation: string;
  seq: number;
  client_id: string;
  sender: string;
  kind: MessageKind;
  text: string;
  time_ms: number;
  /** Its place among messages, while `seq` counts every event. */
  ordinal: number;
  reply_to?: string;
  /** The message that it answers, as that is now: its beginning. */
  quote?: { sender: string; kind: MessageKind; text: string; deleted: boolean };
  edited_ms?: number;
  reactions?: Reaction[];
  mentions?: string[];
  pinned?: boolean;
  /** Only its place is left, and who sent it when. */
  deleted?: boolean;
}

/** One emoji of a message. */
export interface Reaction {
  emoji: string;
  count: number;
  /** The asker is among them: in answers only, for an event is the same for all. */
  mine: boolean;
}

export interface Reacted {
  /** The message's. */
  id: string;
  user: string;
  emoji: string;
  removed: boolean;
  count: number;
  time_ms: number;
}

export interface HistoryPage {
  before?: number;
  after?: number;
  before_time_ms?: number;
  after_time_ms?: number;
  limit?: number;
}

export interface Page {
  messages: Message[];
  first_available: number;
  head: number;
  /** There are more in the direction that was asked for. */
  more: boolean;
}

export interface EventPage {
  events: Events["message" | "updated" | "deleted" | "reacted" | "members" | "conversation"][];
  /** The oldest number that is still there. */
  first_available: number;
  head: number;
  /** There are more before `head`. */
  more: boolean;
}

export interface ListPage {
  /** 50 if it is not given, and 100 at most. */
  limit?: number;
  /** Where the page before ended, with the same narrowing. */
  cursor?: string;
  kind?: ConversationKind;
  /** Part of its name, or of the other's id in a direct conversation, whatever the case. */
  name?: string;
  /** Each conversation is in one of them. */
  state?: "open" | "closed" | "pending" | "declined";
  /** Only what is archived; else what is not. */
  archived?: boolean;
}

export interface Listed {
  conversations: Listing[];
  /** There are older ones: ask again with the cursor. */
  more: boolean;
  cursor?: string;
}

/** A conversation in a list. */
export interface Listing {
  conversation: Conversation;
  /** Its newest message, if there is one. */
  last?: Message;
  /** When its newest event happened; lists are sorted by it. */
  activity_ms: number;
  /** The other one in a direct conversation. */
  peer?: string;
}

export interface SubscribedAll {
  subscribed: { conversation: string; head: number; error?: WireError }[];
  /** How many conversations the user has; with an error the server could not say. */
  all: { total: number; error?: WireError };
}

/** How far a member has come, and when. */
export interface MemberMarks {
  user: string;
  read: number;
  read_ms: number;
  delivered: number;
  delivered_ms: number;
  /** In the answer of `seenBy`, and of `marks` with a number: when the read mark first passed that. */
  passed_ms?: number;
  /** It did then at the latest, perhaps before. */
  passed_earlier?: boolean;
}

/** Whether a user has a session. */
export interface UserPresence {
  user: string;
  online: boolean;
  /** When the last session ended of one who is not online; not of one who was never seen. */
  last_seen_ms?: number;
  /** In the answer of `watch`: why nothing is known, and nothing will be told. */
  error?: SwitchyardError;
}

export interface MarkPage {
  marks: MemberMarks[];
  more: boolean;
}

export interface UnreadCounts {
  conversations: { conversation: string; unread: number; read: number; error?: WireError }[];
  total: number;
  /** How many of them have something unread. */
  unread: number;
  /** How many requests to the user wait for an answer: with the sums of all. */
  requests?: number;
}

export interface Member {
  user: string;
  role: Role;
}

export interface Changed {
  conversation: string;
  seq: number;
}

export interface Numbered {
  conversation: string;
  seq: number;
}

export interface MembersChanged {
  added: Member[];
  removed: string[];
  promoted: Member[];
  by: string;
  time_ms: number;
}

export interface ConversationChanged {
  name?: string;
  avatar?: string;
  context?: string;
  closed?: boolean;
  /** It was erased: this is its last event. */
  erased?: boolean;
  /** The request that it was is accepted, or declined. */
  accepted?: boolean;
  /** The id of a message that was pinned, or taken from the pinned ones. */
  pinned?: string;
  unpinned?: string;
  by: string;
  time_ms: number;
}

export interface Typing {
  conversation: string;
  users: string[];
  more: number;
}

export interface Welcome {
  session: string;
  user: string;
  tenant: string;
  heartbeat_ms: number;
  server_time_ms: number;
  limits: Record<string, number>;
}

export interface WireError {
  code: ServerCode;
  number: number;
  message: string;
  retry_after_ms?: number;
}
