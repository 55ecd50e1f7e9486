// npm run survive [-- --only 1,2]: sessions whose servers are killed, stopped and replaced, from outside.
import { parseArgs } from "node:util";
import { greetWhileAsleep } from "./asleep.ts";
import { stopUnderSessions } from "./idle.ts";
import { endStreamsByErrors } from "./error-answers.ts";
import { rideWithInspector } from "./inspector.ts";
import { cutUnderCalls } from "./cuts.ts";
import { killDuringCalls } from "./in-flight.ts";
import { killUnderSessions } from "./kills.ts";
import { loseSessions } from "./lost.ts";
import { rideWithOthers } from "./others.ts";
import { rotateUnderLoad } from "./rotations.ts";
import { killTheAsking } from "./questions.ts";
import { rawClient } from "./raw-client.ts";
import { endUnderClients } from "./restarts.ts";
import { shareAmongReplicas } from "./replicas.ts";
import { byItself } from "./rig.ts";
import { typescriptClients } from "./sdk-clients.ts";
import { tellTheSilent } from "./silent.ts";
import { keepMany, killAfterHello } from "./stored.ts";
import { replaceUnderLoad } from "./switches.ts";
import { cutBetweenCalls } from "./takeovers.ts";
import { cutTwins } from "./twins.ts";
import { tableOf } from "./sheet.ts";
import type { Sheet } from "./sheet.ts";

const LINES: Record<string, [words: string, run: () => Promise<Sheet>]> = {
  1: ["sessions whose servers are killed", () => killUnderSessions(byItself, 20)],
  2: ["calls whose server is killed", () => killDuringCalls(byItself, { isTimed: true })],
  3: [
    "sessions whose servers are stopped",
    () => stopUnderSessions(byItself, { stops: 10, idleTimeout: "1s" }),
  ],
  4: [
    "servers that are replaced under load",
    () => replaceUnderLoad(byItself, { switches: 10, drainTimeout: "2s", isTimed: true }),
  ],
  5: ["clients that only listen", () => tellTheSilent(byItself, { isTimed: true })],
  6: ["servers that are killed while they ask", () => killTheAsking(byItself)],
  7: [
    "clients that begin while the server sleeps",
    () => greetWhileAsleep(byItself, { startMs: 3000, clients: 100, isTimed: true }),
  ],
  8: ["sessions that cannot go on", () => loseSessions(byItself)],
  9: ["clients of the SDKs, a session each", () => rideWithOthers(byItself, typescriptClients, 50)],
  10: ["the Inspector, a session each", () => rideWithInspector(byItself, 50)],
  11: ["tokens that are replaced under load", () => rotateUnderLoad(byItself, { rotations: 100 })],
  12: ["clients that are cut off", () => cutUnderCalls(byItself, { cuts: 20, calls: 200 })],
  13: [
    "replicas of a tool that end, stand still and are slow",
    () => shareAmongReplicas(byItself, { calls: 2000, isTimed: true }),
  ],
  14: [
    "the same, of replicas that run elsewhere",
    () =>
      shareAmongReplicas(byItself, {
        kinds: ["remote-sse", "remote-http", "remote-sse"],
        calls: 2000,
        // After 5 s without a turn, Node's server closes connections on which there is something to read.
        stillFor: 300,
        isTimed: true,
      }),
  ],
  15: [
    "clients whose daemon ends",
    () => endUnderClients(byItself, { ends: 10, clients: rawAndTypescript }),
  ],
  16: ["clients of the SDKs that lose their streams", () => cutBetweenCalls(byItself, 20)],
  17: ["two clients with one key that are cut off", () => cutTwins(byItself, 20)],
  18: [
    "streams that end with an error",
    () => endStreamsByErrors(byItself, { errors: 1, watchMs: 10_000 }),
  ],
  19: ["daemons that are killed behind an initialize", () => killAfterHello(byItself, 100)],
  20: ["many stored sessions", () => keepMany(byItself)],
};

const rawAndTypescript = () => [rawClient(), rawClient(), ...typescriptClients()];

const { values } = parseArgs({ options: { only: { type: "string" } } });
const chosen = values.only?.split(",") ?? Object.keys(LINES);
let failed = 0;
for (const name of chosen) {
  const [words, run] = LINES[name]!;
  const begun = performance.now();
  const sheet = await run();
  failed += sheet.failed.length;
  const seconds = ((performance.now() - begun) / 1000).toFixed(1);
  console.log(`\n${name}. ${words} (${seconds} s)\n${tableOf(sheet.figures)}`);
}
console.log(failed === 0 ? "\nall of it holds" : `\n${failed} do not hold`);
// The clients of sessions that are lost try for a while to listen again.
process.exit(failed === 0 ? 0 : 1);
