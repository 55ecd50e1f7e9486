import path from "node:path";
import type { TestContext } from "node:test";
import { DATABASE_FILE, openStore } from "../../src/store/store.ts";
import type { Store } from "../../src/store/store.ts";
import { temporaryFolder } from "./temporary-folder.ts";

export { temporaryFolder };

/** A real store in a folder of its own. */
export function temporaryStore(t: TestContext): { store: Store; folder: string; file: string } {
  const folder = temporaryFolder(t);
  const file = path.join(folder, DATABASE_FILE);
  const store = openStore(file);
  t.after(() => store.close());
  return { store, folder, file };
}

/** Names that must never become a user's or a server's. */
export const BAD_NAMES: Record<string, string> = {
  empty: "",
  "with a slash": "ada/bob",
  "two dots": "..",
  "with dots": "a..b",
  "with NUL": "ada\0",
  "with a line break": "ada\n",
  "with a space": "ada bob",
  "in capitals": "Ada",
  "with a Cyrillic a": "\u0430da",
  "with a full-width letter": "\uff41da",
  "with a combining accent": "ada\u0301",
  "with a zero-width joiner": "ada\u200d",
  "beginning with a dash": "-ada",
  "64 characters long": "a".repeat(64),
  "one megabyte long": "a".repeat(2 ** 20),
  "percent encoded": "%2e%2e",
  "of the prototype": "__proto__",
};
