// Schemas of the AsyncAPI document as readable things: what type a field has, and an example of how a frame looks.

const SCHEMAS = "#/components/schemas/";
const EVENT = /^#\/components\/messages\/event\.(.+)\/payload$/;

/** The name of the type that a reference refers to. */
function nameOf(schema) {
  return schema.$ref?.startsWith(SCHEMAS) ? schema.$ref.slice(SCHEMAS.length) : undefined;
}

export class Schemas {
  #all;

  constructor(document) {
    this.#all = document.components.schemas;
  }

  get names() {
    return Object.keys(this.#all).sort();
  }

  /** The schema itself, where this refers to one. */
  of(schema) {
    const name = nameOf(schema);
    return name === undefined ? schema : this.#all[name];
  }

  /** Its type as parts: text, and names of types and events as `{ name, id }` with the id of where they are described. */
  type(schema) {
    const name = nameOf(schema);
    if (name !== undefined) return [{ name, id: `types-${name}` }];
    const event = schema.$ref?.match(EVENT)?.[1];
    if (event !== undefined) return [{ name: event, id: `events-${event}` }];
    if ("const" in schema) return [JSON.stringify(schema.const)];
    if (schema.oneOf) return schema.oneOf.flatMap((one, at) => [...(at > 0 ? [" or "] : []), ...this.type(one)]);
    if (schema.type === "array") return ["list of ", ...this.type(schema.items)];
    if (Array.isArray(schema.type)) return [schema.type.join(" or ")];
    return [schema.type];
  }

  /** An object or a choice: its fields, or its values. */
  fields(schema) {
    const { properties = {}, required = [] } = this.of(schema);
    return Object.entries(properties).map(([name, field]) => ({
      name, field, isRequired: required.includes(name), description: field.description ?? "",
    }));
  }

  values(schema) {
    return this.of(schema).enum ?? [];
  }
}
