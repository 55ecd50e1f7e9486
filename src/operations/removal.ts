import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import { SupervisorError } from "../errors.ts";
import { removeFolder } from "../engines/process/folders.ts";
import { userHome } from "../engines/process/private-home.ts";
import type { Registry } from "../auth/registry.ts";
import type { Config } from "../config/config.ts";
import type { Manifests } from "../instances/manifests.ts";
import type { Supervisor } from "../instances/supervisor.ts";
import type { Sessions } from "../sessions/sessions.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Tokens } from "../tokens/tokens.ts";

export interface RemovalParts {
  config: Pick<Config, "dataDir">;
  registry: Registry;
  tokens: Tokens;
  supervisor: Supervisor;
  manifests: Pick<Manifests, "forget">;
  sessions: Pick<Sessions, "closeUser">;
  log: Logger;
}

/** How many of each went, and how many homes were kept. */
export interface RemovedUser {
  user: string;
  removed: {
    keys: number;
    sessions: number;
    instances: number;
    tokens: number;
    homes: number;
    keptHomes: number;
  };
}

/** Beside a user's homes while a removal that is to keep them goes on, so that a start after a crash knows. */
const KEEP_MARK = ".keep";

/** `keep` is what the admin said; undefined for a removal that is taken up again. */
function markHomes(dataDir: string, user: string, keep: boolean | undefined): void {
  if (keep === undefined) return;
  const folder = userHome(dataDir, user);
  const mark = join(folder, KEEP_MARK);
  if (!keep) {
    if (existsSync(mark)) rmSync(mark);
    return;
  }
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  writeFileSync(mark, "");
}

/** Deletes a user's private homes, one for each server, but for those that are to be kept; resolves with how many there were. */
async function settleHomes(
  dataDir: string,
  user: string,
): Promise<{ homes: number; keptHomes: number }> {
  const folder = userHome(dataDir, user);
  const found = await lstat(folder).catch(() => undefined);
  if (found === undefined) return { homes: 0, keptHomes: 0 };
  const names = await readdir(folder);
  const count = names.filter((name) => !name.startsWith(".")).length;
  if (names.includes(KEEP_MARK)) return { homes: 0, keptHomes: count };
  // One by one, so that each is emptied by its own account.
  for (const name of names) await removeFolder(join(folder, name));
  await removeFolder(folder);
  return { homes: count, keptHomes: 0 };
}

async function removeInOrder(
  parts: RemovalParts,
  user: string,
  keepData: boolean | undefined,
): Promise<RemovedUser> {
  const { registry, sessions, supervisor, manifests, tokens, config } = parts;
  const keys = registry.listKeys(user).length;
  const rows = supervisor.list({ user });
  const instances = rows.filter(({ state }) => state !== "stopped").length;
  // A session may be there before its instance runs.
  const open = rows.reduce((sum, row) => sum + row.sessions, 0);
  markHomes(config.dataDir, user, keepData);
  // Keys first: from here on nobody can open a stream, or ask for a child, that the rest would miss.
  registry.beginRemoval(user);
  sessions.closeUser(user);
  await supervisor.forget({ user }, "stopped: the user is removed");
  manifests.forget({ user });
  const cleared = tokens.clearAll(user);
  const { homes, keptHomes } = await settleHomes(config.dataDir, user);
  // Files that are kept keep their owner, who must not become somebody else's child.
  if (keptHomes === 0) supervisor.releaseAccounts(user);
  registry.finishRemoval(user);
  return {
    user,
    removed: { keys, sessions: open, instances, tokens: cleared, homes, keptHomes },
  };
}

/**
 * A function that removes a user whole: keys, streams, children, tokens, private homes (unless
 * `keepData`), row.
 *
 * The row says `removing` from the first step to the last, so that a start after a crash finishes
 * what was begun. Calls for the same user share one removal. Rejects with USER_NOT_FOUND, or with
 * STORE_FAILED when the homes cannot be deleted; a later call tries again.
 */
export function createRemoval(
  parts: RemovalParts,
): (user: string, keepData?: boolean) => Promise<RemovedUser> {
  const running = new Map<string, Promise<RemovedUser>>();
  return async (name, keepData) => {
    const { name: user } = parts.registry.requireUser(name);
    const removal =
      running.get(user) ?? removeInOrder(parts, user, keepData).finally(() => running.delete(user));
    running.set(user, removal);
    try {
      return await removal;
    } catch (cause) {
      if (cause instanceof SupervisorError) throw cause;
      const details = cause instanceof Error ? [cause.message] : [];
      throw new SupervisorError("STORE_FAILED", `${user}: the removal could not be finished`, {
        cause,
        details,
      });
    }
  };
}

/** Finishes removals that a killed daemon left; one that fails is logged and stays for the next start. */
export async function finishRemovals(parts: RemovalParts): Promise<void> {
  const remove = createRemoval(parts);
  for (const { name, state } of parts.registry.listUsers()) {
    if (state !== "removing") continue;
    try {
      await remove(name);
      parts.log.info({ user: name }, "finished a removal that was cut short");
    } catch (error) {
      parts.log.error({ user: name, err: error }, "a removal could not be finished");
    }
  }
}
