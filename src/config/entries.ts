export type Entries = Record<string, unknown>;

/** The keys of an object as it stands in the file; none of what is no object, which is the schema's to tell. */
export const entriesOf = (value: unknown): Entries =>
  typeof value === "object" && value !== null ? (value as Entries) : {};
