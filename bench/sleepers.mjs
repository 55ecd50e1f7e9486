// A server whose children take as long to start as they are told to, and users whose children sleep.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { clients, initialize } from "./clients.mjs";
import { makeFolder, removeFolder, startDaemon } from "./daemon.mjs";

const child = fileURLToPath(new URL("slow-start.sh", import.meta.url));
/** What the official SDKs wait for an answer before they give up. */
const CLIENT_TIMEOUT_MS = 60_000;
/** What a child shows is asked for behind its clients' messages. */
const SHOWN_MS = 1_000;
const AT_ONCE = 8;

/** A daemon with so many users. Each has had a child that showed what it has, and that sleeps now. */
export async function openSleepers(users, { limits = {}, startSeconds }) {
  const folder = makeFolder({ slow: { command: "sh", args: [child, "seconds"] } }, { limits });
  const startsIn = (seconds) => writeFileSync(join(folder.folder, "seconds"), `${seconds}\n`);
  startsIn(0);
  const daemon = await startDaemon(folder);
  const { post, close } = clients(folder.url, CLIENT_TIMEOUT_MS);
  const ask = ({ user, secret }, session, message) =>
    post({ user, server: "slow", secret, session }, message);
  const sleepers = [];
  const seed = async (index) => {
    const { user, key } = await daemon.api("POST", "/api/users", { user: `sleeper${index}` });
    const sleeper = { user, secret: key.secret };
    const { session } = await ask(sleeper, undefined, initialize);
    await ask(sleeper, session, { method: "notifications/initialized" });
    await sleep(SHOWN_MS);
    await daemon.api("POST", `/api/users/${user}/stop`, {});
    sleepers[index] = sleeper;
  };
  let next = 0;
  const seedSome = async () => {
    while (next < users) await seed(next++);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, seedSome));
  startsIn(startSeconds);
  return {
    daemon,
    sleepers,
    ask,
    async close() {
      close();
      await daemon.stop();
      removeFolder(folder);
    },
  };
}
