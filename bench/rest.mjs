// A daemon with many users of whom nobody is there.
import { setTimeout as sleep } from "node:timers/promises";
import { echoServer, makeFolder, removeFolder, rssMiB, startDaemon } from "./daemon.mjs";
import { median, tell } from "./report.mjs";

const STARTS = 5;
const AT_ONCE = 16;

export async function restRows(users) {
  const folder = makeFolder({ "by-sse": echoServer("sse") });
  let daemon = await startDaemon(folder);
  try {
    let next = 0;
    const addSome = async () => {
      while (next < users) {
        const user = `user-${next++}`;
        await daemon.api("POST", "/api/users", { user, token: `token-of-${user}` });
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, addSome));
    const starts = [];
    for (let round = 0; round < STARTS; round++) {
      await daemon.stop();
      daemon = await startDaemon(folder);
      starts.push(daemon.startMs);
    }
    await sleep(3_000);
    const rss = rssMiB(daemon.pid);
    const { instances } = await daemon.api("GET", "/api/status");
    const count = users.toLocaleString("en");
    tell(`at rest, ${count} users: memory`, `${rss.toFixed(0)} MiB`, "≤ 100 MiB", rss <= 100);
    const children = instances.length;
    tell(`at rest, ${count} users: children`, String(children), "0", children === 0);
    tell(`${count} users: start until it answers`, `${Math.round(median(starts))} ms`, "–");
  } finally {
    await daemon.stop();
    removeFolder(folder);
  }
}
