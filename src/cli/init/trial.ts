import { randomBytes } from "node:crypto";
import { existsSync, readdirSync, rmSync, rmdirSync } from "node:fs";
import { basename, join } from "node:path";
import type { ListedTools, Status } from "../../api/types.ts";
import { parseConfig } from "../../config/config.ts";
import { openDaemon } from "../../daemon.ts";
import { installsFolder } from "../../platform/installs-folder.ts";
import { aborted } from "../../platform/abort.ts";
import { hasDatabase } from "../../store/store.ts";
import { createLogger } from "../../telemetry/logger.ts";
import { Scrubber } from "../../telemetry/scrubber.ts";
import { apiPath, createControlClient } from "../client.ts";
import type { ControlClient } from "../client.ts";
import { readVersion } from "../version.ts";

/** Who the servers are tried for: nobody who is there already. */
const GUEST = `init-${randomBytes(4).toString("hex")}`;

export interface Trial {
  server: string;
  /** What stood around the child; null for a remote. */
  isolation: string | null;
  tools: string[];
  /** Why it does not work, null where it does. */
  problem: string | null;
  /** The last lines that its child wrote, where it does not. */
  lines: string[];
}

export interface TrialWish {
  /** As it goes into the file. */
  config: object;
  /** Relative paths are against it. */
  baseDir: string;
  /** By server, what to try it with. */
  tokens: ReadonlyMap<string, string>;
  /** Aborted where nobody waits any more. */
  signal: AbortSignal;
}

/**
 * Starts each server once, by a daemon on the data folder that is to be: at the isolation level, with
 * the limits and behind the checks that it will have. Resolves when nothing of it is left, but the
 * packages in that folder. Rejects as `openDaemon` does: with ISOLATION_UNAVAILABLE where the machine
 * has no level.
 */
export async function tryServers({
  config: wished,
  baseDir,
  tokens,
  signal,
}: TrialWish): Promise<Trial[]> {
  // Longer than usual: the first start of a program fills caches.
  const start = { startTimeout: "60s", listen: { host: "127.0.0.1", port: 0 } };
  const config = parseConfig({ ...wished, ...start }, baseDir);
  const { dataDir, controlSocket } = config;
  const isNew = !hasDatabase(dataDir);
  try {
    const scrubber = new Scrubber();
    const log = createLogger("silent", { scrubber });
    const daemon = await openDaemon({ config, log, scrubber, version: readVersion() });
    const work = visit(controlSocket, Object.keys(config.servers), tokens);
    try {
      return await Promise.race([work, aborted(signal)]);
    } finally {
      work.catch(() => undefined);
      await daemon.close();
    }
  } finally {
    if (isNew) sweep(dataDir);
  }
}

/** All but the packages goes, and the folder with it where there are none. */
function sweep(dataDir: string): void {
  if (!existsSync(dataDir)) return;
  const kept = basename(installsFolder(dataDir));
  const names = readdirSync(dataDir);
  for (const name of names)
    if (name !== kept) rmSync(join(dataDir, name), { recursive: true, force: true });
  if (!names.includes(kept)) rmdirSync(dataDir);
}

async function visit(
  socket: string,
  servers: readonly string[],
  tokens: ReadonlyMap<string, string>,
): Promise<Trial[]> {
  const client = createControlClient(socket);
  await client.call("POST", apiPath(["users"]), { user: GUEST });
  try {
    return await askAll(client, servers, tokens);
  } finally {
    await client.call("DELETE", apiPath(["users", GUEST])).catch(() => undefined);
  }
}

async function askAll(
  client: ControlClient,
  servers: readonly string[],
  tokens: ReadonlyMap<string, string>,
): Promise<Trial[]> {
  for (const [server, token] of tokens)
    await client.call("PUT", apiPath(["users", GUEST, "token"], { server }), { token });
  return await Promise.all(
    servers.map(async (server): Promise<Trial> => {
      const path = apiPath(["users", GUEST, "tools"], { server });
      const { tools, errors } = await client.call<ListedTools>("GET", path);
      const { instances } = await client.call<Status>("GET", apiPath(["status"], { server }));
      const problem = errors[0]?.message.replace(`${GUEST}/${server}: `, "") ?? null;
      const logs = apiPath(["users", GUEST, "logs"], { server, limit: "10" });
      const said =
        problem === null ? [] : (await client.call<{ logs: { text: string }[] }>("GET", logs)).logs;
      return {
        server,
        isolation:
          instances.find(({ pid, place }) => pid !== null || place !== null)?.isolation ?? null,
        tools: tools.map(({ name }) => name),
        problem,
        lines: said.map(({ text }) => text),
      };
    }),
  );
}
