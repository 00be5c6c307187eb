// Members who are named in a text: `@` and their name or id. Which part of a text names somebody, clients agree on among
// themselves; the server knows whom a message names.

import { make } from "./dom.js";
import { nameOf } from "./words.js";

/** Whom one message may name, at most. */
const MENTIONS_MAX = 50;

/** What continues a name, so that `@bobby` does not name bob. */
const WORD = /[\p{L}\p{N}_]/u;

/** Which of these people a text names. */
export function namedIn(text, ids) {
  if (!text.includes("@")) return [];
  return ids.filter((id) => places(text, id).length > 0).slice(0, MENTIONS_MAX);
}

/** A text as nodes, with what names these people in elements of their own. */
export function withMentions(text, ids, me) {
  const found = ids.flatMap((id) => places(text, id).map((place) => ({ ...place, id })));
  found.sort((a, b) => a.from - b.from || b.to - a.to);
  const nodes = [];
  let at = 0;
  for (const { from, to, id } of found) {
    if (from < at) continue;
    nodes.push(text.slice(at, from), make("span", { className: id === me ? "mention mine" : "mention" }, text.slice(from, to)));
    at = to;
  }
  nodes.push(text.slice(at));
  return nodes.filter((node) => node !== "");
}

/** Where a text names somebody. */
function places(text, id) {
  // A sign whose small form is longer would shift the places behind it.
  const small = text.toLowerCase();
  const lower = small.length === text.length ? small : text;
  const found = [];
  for (const name of new Set([nameOf(id), id])) {
    const wanted = `@${name.toLowerCase()}`;
    for (let from = lower.indexOf(wanted); from >= 0; from = lower.indexOf(wanted, from + 1)) {
      const to = from + wanted.length;
      if (!WORD.test(text[from - 1] ?? "") && !WORD.test(text[to] ?? "")) found.push({ from, to });
    }
  }
  return found;
}
