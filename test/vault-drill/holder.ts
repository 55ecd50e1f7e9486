// Holds a data folder as a daemon does: reads and writes tokens all the time, and changes the key when
// it is told so on stdin ("rotate"). Prints a JSON line for each second, and one when all is sealed anew.
// node holder.ts DATA_DIR USERS
import { join } from "node:path";
import { createInterface } from "node:readline";
import { openDataDir } from "../../src/store/store.ts";
import { tokensOver } from "../helpers/tokens.ts";
import { openVault } from "../../src/vault/vault.ts";
import { tokenOf } from "./seed.ts";

const [dataDir = "", users = "0"] = process.argv.slice(2);
const count = Number(users);
const READS_A_SECOND = 200;
const WRITES_A_SECOND = 20;

const { store } = openDataDir(dataDir);
// Shorter rests than those of a daemon, so that kills within seconds meet every part of a rotation.
const vault = openVault({ keyFile: join(dataDir, "vault.key"), store, restFactor: 8 });
const tokens = tokensOver({ store, vault });
const say = (told: object): void => void process.stdout.write(`${JSON.stringify(told)}\n`);

/** A prime apart from one another, so that every part of the table has its turn. */
let turn = 0;
const nextUser = (): number => (turn = (turn + 7919) % count);
const failures: string[] = [];
const attempt = (work: () => void): void => {
  try {
    work();
  } catch (error) {
    failures.push((error as Error).message);
  }
};
setInterval(() => {
  const user = nextUser();
  attempt(() => {
    if (tokens.secretFor(`u${user}`, "echo") !== tokenOf(user)) throw new Error("another token");
  });
}, 1000 / READS_A_SECOND);
setInterval(() => {
  const user = nextUser();
  attempt(() => tokens.set(`u${user}`, null, tokenOf(user)));
}, 1000 / WRITES_A_SECOND);

async function rotate(): Promise<void> {
  const startedAt = performance.now();
  const id = vault.keyring.rotate();
  say({ rotated: id });
  await vault.keyring.resealed();
  say({ resealed: id, ms: Math.round(performance.now() - startedAt), failures });
}

vault.keyring.resume();
say({ opened: true });
createInterface({ input: process.stdin }).on("line", (line) => {
  if (line === "rotate") void rotate();
});
