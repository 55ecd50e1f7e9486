// What users in a crash loop cost as many others: errors, and the p99 of their calls with and without.
//   node bench/crash-loop.mjs [seconds] [users of each kind]     this row alone
import { fileURLToPath } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";
import { clients, initialize } from "./clients.mjs";
import { makeFolder, removeFolder, rssMiB, startDaemon } from "./daemon.mjs";
import { atShare, table, tell } from "./report.mjs";

const echo = fileURLToPath(new URL("echo-stdio.mjs", import.meta.url));
const CLIENT_TIMEOUT_MS = 60_000;
const PAUSE_MS = 100;
/** After some 500 calls each child compiles its hot functions anew: a hundred at once, unless that is over. */
const WARM_UP_SECONDS = 60;

/** Each of the users calls some ten times a second, in no step with the others; what each call took, and how many failed. */
async function callAll(post, users, seconds) {
  const took = [];
  let errors = 0;
  const end = performance.now() + seconds * 1000;
  await Promise.all(
    users.map(async (user) => {
      for (let id = 1; ; id++) {
        // An even pause would have all of them wait for one slow moment, and then call as one for ever.
        await sleep(2 * PAUSE_MS * Math.random());
        if (performance.now() > end) return;
        const begun = performance.now();
        const params = { name: "echo", arguments: { message: "x" } };
        const { status } = await post(user, { id, method: "tools/call", params }).catch(() => ({}));
        if (status !== 200) errors++;
        took.push(performance.now() - begun);
      }
    }),
  );
  return { errors, took };
}

/** Each of the users asks for a child that crashes, again and again, soon after it was answered. */
async function crashAll(post, users, isOver) {
  let refusals = 0;
  await Promise.all(
    users.map(async (user) => {
      while (!isOver()) {
        // As many users have as many machines: this one is not to open all connections in one moment.
        await sleep(4 * PAUSE_MS * Math.random());
        await post(user, initialize).catch(() => undefined);
        refusals++;
      }
    }),
  );
  return refusals;
}

/** The rows of so many users of each kind, the crashing ones there for so long. */
async function crashRows(seconds, count) {
  const folder = makeFolder(
    {
      well: { command: process.execPath, args: [echo] },
      broken: { command: process.execPath, args: ["-e", "process.exit(3)"] },
    },
    { limits: { children: 2 * count }, logLevel: "info" },
  );
  const daemon = await startDaemon(folder);
  const { post, close } = clients(folder.url, CLIENT_TIMEOUT_MS);
  const addUsers = async (server) => {
    const users = [];
    for (let i = 0; i < count; i++) {
      const { user, key } = await daemon.api("POST", "/api/users", { user: `${server}${i}` });
      users.push({ user, server, secret: key.secret });
    }
    return users;
  };
  try {
    const [well, broken] = [await addUsers("well"), await addUsers("broken")];
    for (let i = 0; i < well.length; i += 4)
      await Promise.all(
        well.slice(i, i + 4).map(async (user) => {
          user.session = (await post(user, initialize)).session;
        }),
      );
    await callAll(post, well, WARM_UP_SECONDS);
    const before = await callAll(post, well, seconds / 2);
    let isOver = false;
    const crashing = crashAll(post, broken, () => isOver);
    const beside = await callAll(post, well, seconds);
    isOver = true;
    const refusals = await crashing;
    // On both sides, so that a machine that gets slower or faster meanwhile counts for neither.
    const after = await callAll(post, well, seconds / 2);
    const alone = [...before.took, ...after.took];
    const [p99Alone, p99] = [atShare(alone, 0.99), atShare(beside.took, 0.99)];
    const ratio = p99 / p99Alone;
    tell(
      `${count} users beside ${count} in a crash loop for ${seconds} s: their p99 of their p99 alone`,
      `${ratio.toFixed(2)} (${p99Alone.toFixed(1)} → ${p99.toFixed(1)} ms)`,
      "≤ 1.5",
      ratio <= 1.5,
    );
    const errors = before.errors + beside.errors + after.errors;
    tell(
      "the same: calls of the others that failed",
      `${errors} of ${alone.length + beside.took.length}`,
      "0",
      errors === 0,
    );
    console.error(
      `p50 ${atShare(alone, 0.5).toFixed(1)} → ${atShare(beside.took, 0.5).toFixed(1)} ms, ${refusals} messages refused, daemon ${rssMiB(daemon.pid).toFixed(0)} MiB`,
    );
    return errors === 0 && ratio <= 1.5;
  } finally {
    close();
    await daemon.stop();
    removeFolder(folder);
  }
}

const [seconds = 60, users = 100] = process.argv.slice(2).map(Number);
const isHeld = await crashRows(seconds, users);
console.log(table());
process.exitCode = isHeld ? 0 : 1;
