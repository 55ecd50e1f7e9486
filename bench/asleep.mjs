// A user who comes again and again to a child that sleeps, and would take three seconds to start.
//   node bench/asleep.mjs [times]     this row alone
import { fileURLToPath } from "node:url";
import { initialize } from "./clients.mjs";
import { atShare, table, tell } from "./report.mjs";
import { openSleepers } from "./sleepers.mjs";

const CHILD_START_S = 3;
const MOST_MS = 20;

/** What a client waits for that begins with `initialize` and `tools/list`, each time with the child asleep. */
export async function asleepRow(times) {
  const opened = await openSleepers(1, { startSeconds: CHILD_START_S });
  const [sleeper] = opened.sleepers;
  const took = [];
  const timed = async (session, message) => {
    const begun = performance.now();
    const answer = await opened.ask(sleeper, session, message);
    took.push(performance.now() - begun);
    if (answer.status !== 200) throw new Error(`${answer.status} ${answer.body}`);
    return answer;
  };
  try {
    for (let i = 0; i < times; i++) {
      const { session } = await timed(undefined, initialize);
      await opened.ask(sleeper, session, { method: "notifications/initialized" });
      await timed(session, { id: 1, method: "tools/list" });
      await opened.daemon.api("POST", `/api/users/${sleeper.user}/stop`, {});
    }
  } finally {
    await opened.close();
  }
  const [half, most] = [0.5, 0.99].map((share) => atShare(took, share));
  tell(
    `a sleeping user, a child that takes ${CHILD_START_S} s to start: \`initialize\` and \`tools/list\`, p50 and p99`,
    `${half.toFixed(1)} ms, ${most.toFixed(1)} ms`,
    `≤ ${MOST_MS} ms`,
    most <= MOST_MS,
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [times = 100] = process.argv.slice(2).map(Number);
  await asleepRow(times);
  console.log(table());
}
