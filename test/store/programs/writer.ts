/** Adds users until it is killed, and writes a user's name to stdout when the row is acknowledged. */
import { writeSync } from "node:fs";
import { openStore } from "../../../src/store/store.ts";

const store = openStore(process.argv[2]!);
const round = process.argv[3]!;
for (let i = 0; ; i += 1) {
  const name = `u${round}-${i}`;
  store.users.insert(name, Date.now());
  writeSync(1, `${name}\n`);
}
