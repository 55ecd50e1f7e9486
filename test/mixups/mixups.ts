import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { endWithUs } from "../helpers/end-with-us.ts";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const LOADER = here("../../bench/mcpload.mjs");

/** Keys of a config whose only server is an echo over stdio, one child for all sessions of a user. */
export const SHARED_CONFIG = {
  isolation: "none",
  defaultServer: "echo",
  servers: { echo: { command: process.execPath, args: [here("../../bench/echo-stdio.mjs")] } },
};

const FRONTS = [
  { transport: "sse", path: "sse" },
  { transport: "http", path: "mcp" },
] as const;

/** What one front's half of the calls brought. */
export interface Tally {
  transport: "sse" | "http";
  sessions: number;
  calls: number;
  callsPerSec: number;
  /** Calls without an answer, or with an answer that is not the asker's own. */
  errors: number;
  errorSamples: string[];
  /** Answers that nobody on their session waited for. */
  strays: number;
}

/**
 * Makes `calls` calls of one user's shared child, over both fronts at the same time, from 8 sessions
 * each that all count their requests from 1. Every call says which front, session and call it is,
 * and is good only if that comes back.
 */
export async function callFromAllSides(
  origin: string,
  user: string,
  secret: string,
  calls: number,
): Promise<Tally[]> {
  return await Promise.all(
    FRONTS.map(async ({ transport, path }) => {
      const mark = `${transport} {s}{c}.`;
      const options = {
        url: `${origin}/u/${user}/${path}`,
        transport,
        sessions: 8,
        calls: calls / FRONTS.length,
        warmup: 0,
        inflight: 32,
        args: JSON.stringify({ message: mark }),
        expect: mark,
        header: `authorization: Bearer ${secret}`,
        // A machine that is busy with other things is no fault of the answers.
        timeout: 120_000,
      };
      const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
      const loader = spawn(process.execPath, [LOADER, ...args], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      endWithUs(loader);
      const ended = once(loader, "close");
      const said = await text(loader.stdout);
      await ended;
      return JSON.parse(said) as Tally;
    }),
  );
}
