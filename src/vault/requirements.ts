import { createSecretKey } from "node:crypto";
import { setImmediate as nextTurn } from "node:timers/promises";
import { SupervisorError, counted } from "../errors.ts";
import type { RowKey, SealedColumn, SealedRows, Store } from "../store/store.ts";
import { keyIdOf, unseal } from "./box.ts";
import { Checks } from "./checks.ts";
import { SEALED_COLUMNS } from "./columns.ts";
import { refuseKeyFile } from "./key-file.ts";
import type { VaultKey } from "./key-list.ts";

/** What is asked of a database or of a copy of one; an older schema may lack a column. */
interface Sealed {
  meta: Store["meta"];
  sealed: (column: SealedColumn) => SealedRows | undefined;
}

interface KeyFile {
  keyFile: string;
  keys: readonly VaultKey[];
}

const BELONG_TOGETHER = "put back the key file and the database that belong together";

const boxesOf = (database: Sealed): SealedRows[] =>
  SEALED_COLUMNS.flatMap((column) => database.sealed(column) ?? []);

/** KEY_FILE_REFUSED unless these are the keys that the database was written with. */
export function requireKeysOf(database: Sealed, { keyFile, keys }: KeyFile): void {
  const checks = new Checks(database.meta);
  const fits = keys.map(({ id, bytes }) => ({ id, is: checks.fits(id, createSecretKey(bytes)) }));
  const wrong = fits.find(({ is }) => is === false);
  if (wrong !== undefined)
    throw refuseKeyFile(
      keyFile,
      keys.length === 1
        ? "is not the key that the database was written with"
        : `its key ${wrong.id} is not the key ${wrong.id} that the database was written with`,
      BELONG_TOGETHER,
    );
  const heads = boxesOf(database).flatMap((rows) => rows.distinctHeads());
  const needed = new Set([...checks.ids(), ...heads.flatMap((head) => keyIdOf(head) ?? [])]);
  const lacking = [...needed].filter((id) => keys.every((key) => key.id !== id));
  if (lacking.length > 0)
    throw refuseKeyFile(
      keyFile,
      `lacks the key ${lacking.toSorted((one, other) => one - other).join(", ")} that the database was written with`,
      "put back the key file that has it, or its line, at its place in the file",
    );
  if (fits.every(({ is }) => is === undefined))
    throw refuseKeyFile(
      keyFile,
      "is not the key that the database was written with",
      BELONG_TOGETHER,
    );
}

/** A function that opens boxes with these keys, and keeps no byte of them that others could see. */
export function openerOf(
  keys: readonly VaultKey[],
): (box: Buffer, place: string) => string | undefined {
  const byId = new Map(keys.map(({ id, bytes }) => [id, createSecretKey(bytes)]));
  return (box, place) => {
    const key = byId.get(keyIdOf(box) ?? -1);
    return key && unseal(key, box, place);
  };
}

const ROWS_AT_ONCE = 200;
/** Boxes are opened for no longer before others have their turn. */
const STEP_MS = 3;

/**
 * STORE_FAILED unless every box of the database opens, and says of which place the first one is that
 * does not. Leaves room for other work.
 */
export async function requireAllToOpen(
  database: Sealed,
  open: (box: Buffer, place: string) => string | undefined,
): Promise<void> {
  const unopened: string[] = [];
  let until = performance.now() + STEP_MS;
  for (const rows of boxesOf(database)) {
    let after: RowKey | undefined;
    let page = rows.after(after, ROWS_AT_ONCE);
    while (page.length > 0) {
      for (const { key } of page) {
        const row = rows.find(key);
        if (row !== undefined && open(row.box, row.place) === undefined) unopened.push(row.place);
        if (performance.now() < until) continue;
        await nextTurn();
        until = performance.now() + STEP_MS;
      }
      after = page.at(-1)!.key;
      page = rows.after(after, ROWS_AT_ONCE);
    }
  }
  const [first] = unopened;
  if (first === undefined) return;
  throw new SupervisorError(
    "STORE_FAILED",
    `${counted(unopened.length, "sealed row")} cannot be opened, the first of them ${first}`,
    { details: ["somebody changed the database; set or clear what is named, and try again"] },
  );
}
