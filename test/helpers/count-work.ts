// Loaded into a daemon with --import: counts what it does for its messages, and writes the counts to
// the file that COUNTS_FILE names whenever it gets SIGUSR2.
import { renameSync, writeFileSync } from "node:fs";
import { Socket } from "node:net";

export interface Counts {
  /** How often this was written; the first time is 1. */
  turn: number;
  /** Writes that reach the system, by where they go. */
  toClients: number;
  toServers: number;
  toStdin: number;
  /** Timers that the project's own code has set, but for those that gather what many calls leave behind. */
  timers: number;
}

/** They set one timer for all that comes within it, which on a slow machine may be one call. */
const GATHERS = /\/dist\/(?:audit|telemetry)\//;

const counts: Counts = { turn: 0, toClients: 0, toServers: 0, toStdin: 0, timers: 0 };

function count(socket: Socket): void {
  if ((socket as { server?: unknown }).server != null) counts.toClients += 1;
  else if (socket.remotePort !== undefined) counts.toServers += 1;
  else counts.toStdin += 1;
}

for (const name of ["_write", "_writev"] as const) {
  const write = Socket.prototype[name] as (this: Socket, ...args: unknown[]) => void;
  Object.assign(Socket.prototype, {
    [name](this: Socket, ...args: unknown[]) {
      count(this);
      write.apply(this, args);
    },
  });
}

for (const name of ["setTimeout", "setInterval"] as const) {
  const set = globalThis[name] as (...args: unknown[]) => unknown;
  Object.assign(globalThis, {
    [name](...args: unknown[]) {
      if (!GATHERS.test(new Error().stack ?? "")) counts.timers += 1;
      return set(...args);
    },
  });
}

const file = process.env["COUNTS_FILE"];
if (file !== undefined)
  process.on("SIGUSR2", () => {
    counts.turn += 1;
    writeFileSync(`${file}.new`, JSON.stringify(counts));
    renameSync(`${file}.new`, file);
  });
