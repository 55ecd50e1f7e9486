// Users who all come within a minute, each to a child that sleeps and takes a second to start.
//   node bench/storm.mjs [users] [spawnConcurrency]     this row alone
import { fileURLToPath } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";
import { initialize } from "./clients.mjs";
import { atShare, table, tell } from "./report.mjs";
import { openSleepers } from "./sleepers.mjs";

const PER_SECOND = 5;
const CHILD_START_S = 1;

/** The limits are those of a config that says nothing, so that beyond 200 children idle ones make room. */
export async function storm(users, limits = {}) {
  const opened = await openSleepers(users, { limits, startSeconds: CHILD_START_S });
  const { daemon, sleepers } = opened;
  const begins = [];
  const calls = [];
  const failures = [];
  let mostWaiting = 0;
  const visit = async (sleeper) => {
    const ask = async (session, message, took) => {
      const begun = performance.now();
      const answer = await opened.ask(sleeper, session, message);
      took?.push(performance.now() - begun);
      if (answer.status >= 300) failures.push(`${message.method}: ${answer.status} ${answer.body}`);
      return answer;
    };
    const { session } = await ask(undefined, initialize, begins);
    if (session === undefined) return;
    await ask(session, { method: "notifications/initialized" });
    await ask(session, { id: 1, method: "tools/list" }, calls);
    const params = { name: "echo", arguments: {} };
    await ask(session, { id: 2, method: "tools/call", params }, calls);
  };
  try {
    const visits = [];
    const first = performance.now();
    for (const [i, sleeper] of sleepers.entries()) {
      await sleep(Math.max(0, first + (i * 1000) / PER_SECOND - performance.now()));
      visits.push(visit(sleeper).catch((error) => failures.push(error.message)));
      if (i % PER_SECOND === 0) {
        const { queue } = await daemon.api("GET", "/api/status");
        mostWaiting = Math.max(mostWaiting, queue.waiting);
      }
    }
    await Promise.all(visits);
    return { begins, calls, failures, mostWaiting };
  } finally {
    await opened.close();
  }
}

/** The rows of a storm of so many users. */
export async function stormRows(users, limits) {
  const { begins, calls, failures, mostWaiting } = await storm(users, limits);
  const what = `${users} sleeping users within ${users / PER_SECOND} s, children that take ${CHILD_START_S} s to start`;
  const ms = (took, share) => `${Math.round(atShare(took, share))} ms`;
  const failed = String(failures.length);
  tell(`${what}: requests that failed`, failed, "0", failures.length === 0);
  const [half, most] = [ms(begins, 0.5), ms(begins, 0.99)];
  tell(
    "the same: `initialize`, p50 and p99",
    `${half}, ${most}`,
    "≤ 100 ms",
    atShare(begins, 0.99) <= 100,
  );
  tell("the same: p99 of later requests", ms(calls, 0.99), "–");
  console.error(`most starts that waited for their turn: ${mostWaiting}`, failures.slice(0, 3));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [users = 300, spawnConcurrency] = process.argv.slice(2).map(Number);
  await stormRows(users, spawnConcurrency === undefined ? {} : { spawnConcurrency });
  console.log(table());
}
