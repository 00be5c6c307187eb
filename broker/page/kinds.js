// What people are in the tenant, and which conversations there are between whom. What is offered follows from it; what is
// allowed, the server decides, by their tokens.

const STAFF = ["SUPPORT", "MANAGER", "ADMIN"];

const roles = new Map();

/** Learns what somebody is, by the roles in their token. */
export function rolesAre(id, theirs) {
  roles.set(id, theirs);
}

const rolesOf = (id) => roles.get(id) ?? [];

/** Support staff of any rank. */
export const isStaff = (id) => rolesOf(id).some((role) => STAFF.includes(role));
export const isSeller = (id) => rolesOf(id).includes("SELLER");
/** Whoever is nothing else is a customer. */
export const isCustomer = (id) => rolesOf(id).includes("USER") || !(isStaff(id) || isSeller(id));

/** What somebody is, for people; nothing of a customer. */
export function postOf(id) {
  const names = { ADMIN: "Administrator", MANAGER: "Manager", SUPPORT: "Support", SELLER: "Seller" };
  return Object.keys(names).filter((role) => rolesOf(id).includes(role)).map((role) => names[role])[0];
}

/** By which rules a conversation goes: of two for good, with members and roles, or a matter for the support. */
export function shapeOf({ kind, name }, peer, count) {
  if (kind === "customer_support" || kind === "seller_support") return "desk";
  if (kind === "group") return "group";
  if (kind !== "internal") return "pair";
  return peer || (!name && count === 2) ? "pair" : "group";
}

/** What stands beside the name of a conversation of this kind, for this user: who the others are. */
export function labelOf(kind, me) {
  switch (kind) {
    case "customer_seller": return isCustomer(me) && !isSeller(me) ? "Seller" : "Customer";
    case "customer_support": return isStaff(me) ? "Customer" : "Support";
    case "seller_support": return isStaff(me) ? "Seller" : "Support";
    case "internal": return "Internal";
    default: return "";
  }
}

/** What this user begins with that one, and in which words that is offered; nothing for the support, which is not asked by name. */
export function beginningWith(me, other) {
  if (isStaff(me)) {
    if (isStaff(other)) return { kind: "internal", words: "Talk among staff" };
    return isSeller(other) ? { kind: "seller_support", words: "Help this seller" } : { kind: "customer_support", words: "Help this customer" };
  }
  if (isStaff(other)) return undefined;
  if (isSeller(me) === isSeller(other)) return { kind: "direct", words: "Start a chat" };
  return { kind: "customer_seller", words: isSeller(other) ? "Ask the seller" : "Write to this customer" };
}

/** What somebody who is no staff asks the support by. */
export const supportKind = (me) => (isSeller(me) && !isCustomer(me) ? "seller_support" : "customer_support");

/** What one can choose from to begin, each with whom it is: `many` may be chosen, or one. */
export function beginnings(me) {
  const people = { id: "people", label: "People", who: () => true, many: true };
  const seller = { id: "seller", label: "A seller", who: isSeller, kind: "customer_seller" };
  const customer = { id: "customer", label: "A customer", who: isCustomer, kind: "customer_seller" };
  if (!isStaff(me)) {
    const other = isSeller(me) && !isCustomer(me) ? customer : seller;
    return [people, other, { id: "support", label: "Support", kind: supportKind(me) }];
  }
  return [
    people,
    { ...customer, kind: "customer_support" },
    { ...seller, kind: "seller_support" },
    { id: "staff", label: "Staff", who: isStaff, kind: "internal", many: true },
    { id: "reference", label: "By reference" },
  ];
}
