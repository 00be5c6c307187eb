// How times, people and errors are said.

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const DAY = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const SHORT_DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
export const SHORT_DATE = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });
const DAY_MS = 24 * 3_600 * 1_000;

const people = new Map();

/** Learns how somebody is called. */
export function nameIs(id, name) {
  people.set(id, name);
}

export function nameOf(id) {
  return people.get(id) ?? id;
}

/** Everybody whose name is known. */
export function knownPeople() {
  return [...people.keys()];
}

export function clock(time) {
  return CLOCK.format(time);
}

/** The day's number, in this place's own time. */
export function dayNumber(time) {
  const date = new Date(time);
  return Math.floor((time - date.getTimezoneOffset() * 60_000) / DAY_MS);
}

export function day(time) {
  const ago = dayNumber(Date.now()) - dayNumber(time);
  if (ago === 0) return "Today";
  return ago === 1 ? "Yesterday" : DAY.format(time);
}

/** When, in a list: the time today, the day before that. */
export function when(time) {
  return dayNumber(time) === dayNumber(Date.now()) ? clock(time) : SHORT_DAY.format(time);
}

/** When, to the minute: the time today, with the day before that. */
export function moment(time) {
  return dayNumber(time) === dayNumber(Date.now()) ? clock(time) : `${SHORT_DAY.format(time)}, ${clock(time)}`;
}

/** How it is with somebody. */
export function presenceWords(presence, user) {
  if (presence?.online) return "Online";
  if (presence?.last_seen_ms) return `Last seen ${moment(presence.last_seen_ms)}`;
  return nameOf(user) === user ? "" : `@${user}`;
}

/** How many are in a group, and how many of them are there. */
export function groupWords(count, online) {
  const members = count === 1 ? "1 member" : `${count} members`;
  return online > 1 ? `${members}, ${online} online` : members;
}

/** Who is there in a support conversation. */
export function deskWords({ agents, count, online }, me) {
  const others = [...agents].filter((user) => user !== me);
  if (agents.has(me)) return groupWords(count, online);
  return others.length > 0 ? `With ${joinNames(others)}` : "Nobody of the support is here yet";
}

/** Who types. */
export function typingText(users, more) {
  const names = users.map(nameOf);
  if (names.length === 0) return "";
  if (names.length === 1 && more === 0) return `${names[0]} is typing…`;
  if (names.length === 2 && more === 0) return `${names[0]} and ${names[1]} are typing…`;
  return `${names.length + more} people are typing…`;
}

export function joinNames(ids, say = nameOf) {
  const names = ids.map((id) => say(id));
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

const REASONS = {
  CLOSED: "The conversation is closed.",
  CONFLICT: "That does not go with what is there: the last admin stays, and nobody is a member twice.",
  FORBIDDEN: "That is not allowed here.",
  NOT_FOUND: "It is not there, or you are not a member any more.",
  BAD_REQUEST: "That is not possible.",
  TOO_LARGE: "It is too long.",
  RATE_LIMITED: "That was too much at once. Try again in a moment.",
  TIMED_OUT: "There was no answer.",
  UNKNOWN_OUTCOME: "It is not known whether this was done.",
  ID_EXPIRED: "It waited too long to be sent.",
};

/** Why something did not work, for people. */
export function reason(error) {
  return REASONS[error.code] ?? "It did not work.";
}

/** Why a conversation of this kind could not be begun with somebody, for people. */
export function whyNotBegun(kind, user, error) {
  if (error.code !== "FORBIDDEN" || !user || kind === "direct" || kind === "group") return reason(error);
  return `That does not go between you and ${nameOf(user)}. The server knows what somebody is once they have come in: has ${nameOf(user)}?`;
}
