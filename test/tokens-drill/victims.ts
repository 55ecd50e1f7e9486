import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { Life } from "../torture/life.ts";
import { SERVER, USERS } from "./names.ts";

const HOLDER = fileURLToPath(new URL("holder.ts", import.meta.url));

/** Who refreshes all the time, and is ended in the midst of it. */
export interface Victim {
  /** Resolves when it is gone; fails where a SIGTERM did not end it in good order. */
  end: (signal: NodeJS.Signals) => Promise<void>;
}

export type VictimName = keyof typeof VICTIMS;

export const VICTIMS = { holder: beginHolder, daemon: beginDaemon };

/** The rooms that refresh, in a process of their own. */
async function beginHolder(configFile: string): Promise<Victim> {
  const child = spawn(process.execPath, ["--no-warnings", HOLDER, configFile]);
  child.stderr.pipe(process.stderr);
  const closed = once(child, "close");
  await once(child.stdout, "data");
  return {
    end: async (signal) => {
      child.kill(signal);
      const [code] = (await closed) as [number | null];
      if (signal === "SIGTERM") assert.equal(code, 0, "the holder ends in good order");
    },
  };
}

/** The built daemon, asked by its control API. */
async function beginDaemon(configFile: string): Promise<Victim> {
  const life = new Life(configFile);
  await life.serves();
  const ending = new AbortController();
  const refreshAlways = async (user: string): Promise<void> => {
    while (!ending.signal.aborted)
      await life.control("POST", `/users/${user}/refresh?server=${SERVER}`).catch(() => undefined);
  };
  const all = USERS.map(refreshAlways);
  return {
    end: async (signal) => {
      ending.abort();
      life.process.kill(signal);
      await life.ended;
      await Promise.all(all);
      if (signal === "SIGTERM") assert.equal(life.process.exitCode, 0, life.log);
    },
  };
}
