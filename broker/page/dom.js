// Making elements. What people wrote gets into the page here and by `textContent` alone: it is text, whatever it says.

const SVG = "http://www.w3.org/2000/svg";

/** The element with this id, which index.html has. */
export function byId(id) {
  return document.getElementById(id);
}

/** An element with these properties and children; texts become text nodes. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== undefined));
  return element;
}

/** One of the pictures in index.html. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

/** Somebody's initials on a colour of their own. */
export function paintAvatar(element, id, name, isGroup = false) {
  const words = name.trim().split(/\s+/);
  const letters = words.slice(0, 2).map((word) => [...word][0] ?? "");
  element.textContent = letters.join("").toUpperCase() || "?";
  element.style.setProperty("--hue", hueOf(id));
  element.classList.toggle("group", isGroup);
  return element;
}

export function avatar(id, name, isGroup) {
  return paintAvatar(make("span", { className: "avatar", ariaHidden: "true" }), id, name, isGroup);
}

/** A colour that an id always has. */
export function hueOf(id) {
  let hash = 7;
  for (const character of id) hash = (hash * 31 + character.codePointAt(0)) % 360_007;
  return (hash * 47) % 360;
}

/** Asks whether something that cannot be undone is meant, and does it then. */
export function whenSure(question, act) {
  const sure = byId("sure");
  byId("sure-title").textContent = question;
  sure.onclose = () => sure.returnValue === "yes" && act();
  sure.returnValue = "";
  sure.showModal();
}

/** Says something for a moment, aloud too. */
export function toast(text) {
  const element = make("div", { className: "toast" }, text);
  byId("toasts").append(element);
  setTimeout(() => element.remove(), 4_500);
}
