// The readable form of the live protocol: made from the document that the server has of itself, so that there is no second
// account of it.

import { offerColours } from "./colours.js";
import { byId, make } from "./dom.js";
import { Schemas } from "./schema.js";

const described = await (await fetch("/asyncapi.json")).json();
const schemas = new Schemas(described);
const { messages } = described.components;

/** What can be found: `{ name, words, section, element, link }`, in the section with this id, and its line in the contents. */
const entries = [];

/** A comment as nodes: names of fields stand in backticks there. */
function prose(text) {
  return text.split("`").map((part, at) => (at % 2 === 1 ? make("code", {}, part) : part)).filter((part) => part !== "");
}

function section(id, title, lead, parts) {
  const element = make("section", { id, className: "part" }, make("h2", {}, title), ...(lead ? [make("p", {}, lead)] : []), ...parts);
  byId("sections").append(element);
  const list = make("ul", {});
  byId("contents").append(make("div", {}, make("h3", {}, link(`#${id}`, title)), list));
  for (const entry of entries.filter((one) => one.section === id)) {
    entry.link = make("li", {}, link(`#${entry.element.id}`, entry.name));
    if (entry.element.tagName !== "TR") list.append(entry.link);
  }
}

function link(href, ...words) {
  return make("a", { href }, ...words);
}

/** Something with a name of its own. */
function article(sectionId, name, summary, ...parts) {
  const element = make("article", { id: `${sectionId}-${name}` }, make("h3", {}, link(`#${sectionId}-${name}`, name)),
    ...(summary && summary.toLowerCase() !== name ? [make("p", {}, ...prose(summary))] : []), ...parts);
  entries.push({ name, section: sectionId, element, words: element.textContent.toLowerCase() });
  return element;
}

/** A type, with links to what it names. */
function type(schema) {
  const parts = schemas.type(schema).map((part) => (part.id ? link(`#${part.id}`, part.name) : part));
  return make("code", {}, ...parts);
}

function table(head, rows) {
  const cells = (tag, cells_) => make("tr", {}, ...cells_.map((cell) => make(tag, tag === "th" ? { scope: "col" } : {}, ...[cell].flat())));
  const body = rows.map((row) => cells("td", row));
  const scroll = make("div", { className: "table", tabIndex: 0, role: "region", ariaLabel: "Fields" },
    make("table", {}, make("thead", {}, cells("th", head)), make("tbody", {}, ...body)));
  return { scroll, body };
}

/** The fields of an object, or what else it may be. */
function shape(schema) {
  const values = schemas.values(schema);
  if (values.length > 0) return [make("p", {}, "One of ", ...values.flatMap((value, at) => [...(at > 0 ? [", "] : []), make("code", {}, value)]), ".")];
  const { oneOf } = schemas.of(schema);
  if (oneOf) return [make("p", {}, type(schemas.of(schema)))];
  const fields = schemas.fields(schema);
  if (fields.length === 0) return [make("p", { className: "note" }, "No fields.")];
  return [table(["Field", "Type", ""], fields.map(({ name, field, isRequired, description }) => [
    [make("code", {}, name), ...(isRequired ? [make("span", { className: "always" }, " always")] : [])], type(field), prose(description),
  ])).scroll];
}

/** A frame as it looks, with the names of its types. */
function sample(text) {
  return make("pre", {}, make("code", {}, text));
}

function requests() {
  const names = Object.entries(described.operations).filter(([, { action }]) => action === "receive").map(([name]) => name);
  return names.map((name) => {
    const { summary, payload } = messages[name];
    const data = messages[`${name}.reply`].payload.properties.data;
    const asked = payload.properties[name];
    return article("requests", name, summary,
      sample(`> {"id":1,"${name}":{…}}\n< {"id":1,"ok":true,"data":{…}}`),
      make("h4", {}, "Asks"), ...shape(asked),
      make("h4", {}, "Answer: ", type(data)), ...shape(data));
  });
}

function events() {
  const names = Object.keys(messages).filter((name) => name.startsWith("event."));
  return names.map((name) => {
    const { summary, payload } = messages[name];
    const inner = Object.keys(payload.properties).filter((field) => field !== "event");
    const words = inner.map((field) => `"${field}":…`).join(",");
    return article("events", name.slice("event.".length), summary, sample(`< {"event":"${name.slice(6)}"${words ? `,${words}` : ""}}`), ...shape(payload));
  });
}

function types() {
  return schemas.names.map((name) => {
    const reference = { $ref: `#/components/schemas/${name}` };
    return article("types", name, schemas.of(reference).description ?? "", ...shape(reference));
  });
}

function rows(sectionId, head, list, cells) {
  const made = table(head, list.map(cells));
  list.forEach((one, at) => {
    const name = String(one.code ?? one.reason ?? one.name);
    made.body[at].id = `${sectionId}-${name}`;
    entries.push({ name, section: sectionId, element: made.body[at], words: made.body[at].textContent.toLowerCase() });
  });
  return [made.scroll];
}

const again = (retry) => (retry ? "yes" : "no");
const code = (text) => make("code", {}, String(text));

function show() {
  byId("about").textContent = described.info.description;
  const { live } = described.channels;
  section("connect", "Connecting", live.description, [sample(`ws://…${live.address}     subprotocol switchyard.v1.json or switchyard.v1.proto`)]);
  section("requests", "Requests", "Each request carries an id that the client chose and gets exactly one reply with it: what is written under "
    + "it, or an error. Hello comes first.", requests());
  section("events", "Events", "What the server tells unasked. Numbered ones have a place in their conversation's timeline, seq.", events());
  section("errors", "Error codes", messages.error.summary, [
    sample("< {\"id\":1,\"ok\":false,\"error\":{\"code\":\"NOT_FOUND\",\"number\":2003,\"message\":\"…\"}}"),
    ...rows("errors", ["Code", "Number", "May succeed later", ""], described["x-errors"],
      ({ code: name, number, retry, description }) => [code(name), String(number), again(retry), prose(description)]),
  ]);
  section("closes", "Close codes", "Why the server closes the connection.",
    rows("closes", ["Number", "Reason", "Come again", ""], described["x-closes"],
      ({ number, reason, retry, description }) => [String(number), code(reason), again(retry), prose(description)]));
  section("limits", "Limits", "Those that a session meets are in the answer to hello, too.",
    rows("limits", ["Limit", "Value", ""], described["x-limits"],
      ({ name, value, description }) => [code(name), value.toLocaleString(), prose(description)]));
  section("types", "Types", "What requests, answers and events are made of.", types());
}

/** Shows what has this in it, and hides the rest. */
function find() {
  const wanted = byId("find").value.trim().toLowerCase();
  let count = 0;
  for (const { name, words, element, link: inContents } of entries) {
    const fits = name.toLowerCase().includes(wanted) || words.includes(wanted);
    element.hidden = inContents.hidden = !fits;
    count += fits ? 1 : 0;
  }
  for (const part of document.querySelectorAll(".part")) {
    const own = entries.filter((one) => one.section === part.id);
    part.hidden = wanted !== "" && !own.some(({ element }) => !element.hidden);
    document.querySelector(`#contents a[href="#${part.id}"]`).closest("div").hidden = part.hidden;
  }
  byId("found").textContent = wanted === "" ? "" : `${count} found`;
}

show();
byId("find").addEventListener("input", find);
offerColours();
// What the address names is there only now.
if (location.hash !== "") document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
