// The figures that this project holds, as ratios of runs in turn on one machine.
//   npm run bench                         all rows
//   npm run bench -- --only relay,bridge  those alone, by the names below
//   npm run bench -- --quick              fewer rounds, for a look
//   npm run bench -- --markdown           all rows, and the table of docs/performance.md renewed with them
import { readFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import { parseArgs } from "node:util";
import { asleepRow } from "./asleep.mjs";
import { bridgeRows } from "./bridge.mjs";
import { coldRows } from "./cold.mjs";
import { httpClientRow } from "./http-client.mjs";
import { idleRows } from "./idle.mjs";
import { levelRows } from "./levels.mjs";
import { panelRows } from "./panels.mjs";
import { relayRows } from "./relay.mjs";
import { renewFigures, table, tell, tellThoseOf } from "./report.mjs";
import { restRows } from "./rest.mjs";
import { slowClients } from "./slow.mjs";
import { spawnRow } from "./spawn.mjs";
import { stormRows } from "./storm.mjs";
import { toolsAsleepRows } from "./tools-asleep.mjs";
import { toolRows } from "./tools.mjs";
import { userRows } from "./users.mjs";

const { values: given } = parseArgs({
  options: {
    only: { type: "string" },
    quick: { type: "boolean", default: false },
    markdown: { type: "boolean", default: false },
  },
});
const isQuick = given.quick;
const ROUNDS = isQuick ? 2 : 5;
const CALLS = isQuick ? 4_000 : 10_000;

const tellAll = (rows) => rows.forEach((row) => tell(...row));

/** Each tells its rows; those that count them return how many answers were wrong or lost. */
const PARTS = {
  relay: () => relayRows({ count: ROUNDS, calls: CALLS }),
  bridge: () => bridgeRows({ count: ROUNDS, calls: CALLS }),
  users: () => userRows({ users: 256, count: isQuick ? 2 : 3, calls: CALLS / 2 }),
  panels: () => panelRows({ count: isQuick ? 2 : ROUNDS, calls: CALLS * 6 }),
  client: () => httpClientRow(ROUNDS, CALLS),
  cold: () => coldRows(isQuick ? 5 : 15),
  idle: idleRows,
  rest: () => restRows(isQuick ? 1_000 : 10_000),
  slow: () => slowClients(isQuick ? 1 : 3, 10),
  tools: async () => tellAll(await toolRows(ROUNDS, CALLS)),
  asleep: () => asleepRow(isQuick ? 20 : 100),
  "tools-asleep": () => toolsAsleepRows(isQuick ? 5 : 15),
  storm: () => stormRows(isQuick ? 60 : 300),
  "crash-loop": () => tellThoseOf("./crash-loop.mjs", isQuick ? 10 : 60, isQuick ? 20 : 100),
  levels: async () => tellAll(await levelRows(isQuick ? 5 : 15)),
  spawn: async () => tell(...(await spawnRow(isQuick ? 100 : 300))),
};

const names = given.only?.split(",") ?? Object.keys(PARTS);
const unknown = names.filter((name) => !Object.hasOwn(PARTS, name));
if (unknown.length > 0) {
  console.error(
    `no rows are called ${unknown.join(", ")}; there are ${Object.keys(PARTS).join(", ")}`,
  );
  process.exit(2);
}
if (given.markdown && given.only !== undefined) {
  console.error("the table of the page is renewed with all rows only");
  process.exit(2);
}

let wrong = 0;
for (const name of names) wrong += (await PARTS[name]()) ?? 0;
tell("answers lost or delivered to another session", String(wrong), "0", wrong === 0);

const model =
  /model name\s*: (.*)/.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1] ?? "unknown processor";
const machine = `${cpus().length} cores (${model}), ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release().split(".", 2).join(".")}, Node ${process.versions.node}; loader, gateway and child share the cores; medians of ${ROUNDS} rounds in turns.`;
const text = `${machine}\n\n${table()}\n`;
console.log(`\n${text}`);
if (given.markdown) renewFigures(text);
process.exit(wrong === 0 ? 0 : 1);
