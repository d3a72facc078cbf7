/** Settings: read as their JSON Schema says, which operators see and Balm keeps. */

import { Failed } from "./input.js";

/** One setting. */
export type Property = { readonly description: string } & (
  | { readonly type: "integer"; readonly minimum?: number; readonly maximum?: number; readonly default?: number }
  | { readonly type: "string"; readonly default?: string }
  | { readonly type: "boolean"; readonly default?: boolean }
  | { readonly type: "array"; readonly items: { readonly type: "string" }; readonly default?: readonly string[] }
);

/** The part of JSON Schema that is understood here: an object of such properties. One without a default must be given. */
export type Schema = Readonly<Record<string, Property>>;

/** Read settings, with defaults, or say what is wrong with them and how to mend it. */
export function read(schema: Schema, json: string): Record<string, unknown> {
  const given: unknown = JSON.parse(json);
  if (given === null || typeof given !== "object" || Array.isArray(given)) throw new Failed("settings must be a table");
  const unknown = Object.keys(given).find((key) => !Object.hasOwn(schema, key));
  if (unknown !== undefined) {
    throw new Failed(`there is no setting "${unknown}"; there are ${Object.keys(schema).join(", ")}`);
  }
  const values = new Map<string, unknown>(Object.entries(given));
  const settings = Object.entries(schema).map(([key, property]) => {
    const value = values.get(key) ?? property.default;
    if (value === undefined) throw new Failed(`settings: ${key} is missing`);
    const wrong = wrongWith(property, value);
    if (wrong !== undefined) throw new Failed(`settings: ${key} ${wrong}`);
    return [key, value];
  });
  return Object.fromEntries(settings);
}

function wrongWith(property: Property, value: unknown): string | undefined {
  switch (property.type) {
    case "integer":
      if (!Number.isInteger(value)) return "is no whole number";
      if (property.minimum !== undefined && (value as number) < property.minimum) return `is below ${property.minimum}`;
      if (property.maximum !== undefined && (value as number) > property.maximum) return `is above ${property.maximum}`;
      return undefined;
    case "array":
      return Array.isArray(value) && value.every((item) => typeof item === "string") ? undefined : "is no list of texts";
    default:
      return typeof value === property.type ? undefined : `is no ${property.type}`;
  }
}

/** The JSON Schema, for the manifest. */
export function schemaOf(schema: Schema): string {
  const required = Object.keys(schema).filter((key) => schema[key]?.default === undefined);
  return JSON.stringify({ type: "object", properties: schema, required, additionalProperties: false });
}
