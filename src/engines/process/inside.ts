import { existsSync } from "node:fs";
import path from "node:path";
import { unsetAdded } from "./guard.ts";
import { shell } from "./programs.ts";
import { OWN_FOLDER } from "./sandbox.ts";

/** The descriptors that a sandbox is started with beside the three of every program. */
export const ENTRANCE_FD = 3;
export const LIFELINE_FD = 4;
/** Read to its end, and closed, before anything inside begins. */
export const FILTER_FD = 5;

/** A program of systemd's that carries connections; small, and on most machines. */
const PROXYD = ["/usr/lib/systemd/systemd-socket-proxyd", "/lib/systemd/systemd-socket-proxyd"];
const MAX_CONNECTIONS = 512;

const FORWARD = path.join(import.meta.dirname, `forward${path.extname(import.meta.filename)}`);
// Shown without the package it belongs to, so that its name has to say that it is a module.
const FORWARD_INSIDE = `${OWN_FOLDER}/forward.m${path.extname(FORWARD).slice(1)}`;
const NODE_INSIDE = `${OWN_FOLDER}/node`;

export interface InsideInput {
  port: number | null;
  /** Port of the loopback inside → unix socket as seen from here. */
  reach: ReadonlyMap<number, string>;
  /** The environment of the child, of which nothing may be lost. */
  env: Readonly<Record<string, string>>;
}

export interface Inside {
  /** What comes before the child's own argv. */
  argv: string[];
  /** Source → place, for the sandbox. */
  extra: Map<string, string>;
}

/**
 * The first steps inside a sandbox: a watch that ends everything in it when the daemon is gone, and
 * whatever carries connections. None of them is a child of the server's program.
 */
export function insideOf({ port, reach, env }: InsideInput): Inside {
  const proxyd = PROXYD.find((file) => existsSync(file));
  const extra = new Map<string, string>();
  const steps = [
    // Killing the namespace's first process is the kernel's promise too (--die-with-parent), but it
    // can be missed by a daemon that dies while the namespace is being made.
    `( { exec </dev/null >/dev/null 2>&1 ${ENTRANCE_FD}<&-; trap '' TERM HUP INT; read -r x <&${LIFELINE_FD}; kill -9 -1; } & )`,
  ];
  if (reach.size === 0 && port !== null && proxyd !== undefined) {
    steps.push(
      `( { trap '' TERM; read -r pid rest </proc/self/stat; exec env -i LISTEN_FDS=1 LISTEN_PID="$pid" ${proxyd} --connections-max=${MAX_CONNECTIONS} 127.0.0.1:${port} </dev/null >/dev/null 2>&1 ${LIFELINE_FD}<&-; } & )`,
    );
  } else if (reach.size > 0 || port !== null) {
    extra.set(process.execPath, NODE_INSIDE);
    extra.set(FORWARD, FORWARD_INSIDE);
    const pairs = [...reach].map(([number, socket], index) => {
      const place = `${OWN_FOLDER}/reach-${index}`;
      extra.set(socket, place);
      return `${number}=${place}`;
    });
    steps.push(
      `[ "$(env -i ${NODE_INSIDE} --no-warnings ${FORWARD_INSIDE} ${port ?? "-"} ${pairs.join(" ")} </dev/null ${LIFELINE_FD}<&- &)" = ready ] || { echo "the ports of the sandbox could not be opened" >&2; exit 125; }`,
    );
  }
  steps.push(...unsetAdded(env), `exec "$@" ${ENTRANCE_FD}<&- ${LIFELINE_FD}<&-`);
  return { argv: [shell(), "-c", steps.join("\n"), "sh"], extra };
}
