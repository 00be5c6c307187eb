// Who one is: a demo user, one for each tab, whose tokens the server gives to this page. On a server without demo users
// there is nothing to log in with here.

import { NoToken } from "/sdk/switchyard.js";
import { avatar, byId, make } from "./dom.js";
import { postOf, rolesAre } from "./kinds.js";
import { nameIs } from "./words.js";

const KEY = "switchyard.user";

/** Gives the user of this tab: the one who was chosen before, or who is chosen now; and all there are to choose from. */
export async function logIn() {
  const users = await demoUsers();
  for (const { user, name, roles } of users) {
    nameIs(user, name);
    rolesAre(user, roles);
  }
  const people = users.map(({ user }) => user);
  const before = sessionStorage.getItem(KEY);
  const me = people.includes(before) ? before : await choose(users);
  sessionStorage.setItem(KEY, me);
  return { me, people };
}

/** The next page of this tab asks again. */
export function logOut() {
  sessionStorage.removeItem(KEY);
}

/** A token for this user. */
export async function token(user) {
  const answer = await fetch("/demo/token", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ user }),
  });
  if (answer.status === 404 || answer.status === 403) throw new NoToken("this server has no demo users any more");
  if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
  return (await answer.json()).token;
}

async function demoUsers() {
  const answer = await fetch("/demo/users");
  return answer.ok ? (await answer.json()).users : [];
}

function choose(users) {
  byId("login").hidden = false;
  if (users.length === 0) {
    byId("login-lead").textContent = "This server runs. It has no demo users: people come to it from the applications that use it.";
    byId("login-note").hidden = true;
  }
  return new Promise((resolve) => {
    byId("login-users").replaceChildren(...users.map(({ user, name }) => {
      const button = make("button", { type: "button", className: "person" }, avatar(user, name), make("bdi", {}, name));
      const post = postOf(user);
      if (post) button.append(make("span", { className: "label" }, post));
      button.addEventListener("click", () => {
        byId("login").hidden = true;
        resolve(user);
      });
      return make("li", {}, button);
    }));
  });
}
