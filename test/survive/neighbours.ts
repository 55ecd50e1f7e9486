// node test/survive/neighbours.ts [--rounds 50] [--only NAME]: the same faults on gateways that other people wrote
// and on this one, with the same clients and the same server over stdio; prints a table for docs/.
// Gets them by itself, into node_modules/.cache.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { isListening } from "../helpers/daemon.ts";
import { endWithUs } from "../helpers/end-with-us.ts";
import { freePort } from "../helpers/free-port.ts";
import { isAlive } from "../helpers/leaks.ts";
import { notingServer } from "../helpers/notes-calls.ts";
import type { Notes, NotingServer } from "../helpers/notes-calls.ts";
import { until } from "../helpers/until.ts";
import { cacheFolder, must } from "../interop/programs.ts";
import { FAULTS, ride } from "./faults.ts";
import type { Fault, Stand, Tally } from "./faults.ts";
import { openStands } from "./own-stands.ts";
import { byItself } from "./rig.ts";
import type { Front } from "./rig.ts";
import { typescriptClients } from "./sdk-clients.ts";

/** Who answers does so within milliseconds. */
const PATIENCE_MS = 3000;
const PACKAGES = { npm: ["supergateway@4.0.0", "mcp-proxy@6.7.19"], pip: "mcp-proxy==0.13.0" };

interface Neighbour {
  name: string;
  fronts: readonly Front[];
  /** Its command, before this server is started by it. */
  argv: (port: number, server: readonly string[]) => string[];
}

async function install(): Promise<{ bin: string; python: string }> {
  const folder = cacheFolder("neighbours");
  await mkdir(folder, { recursive: true });
  const quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"];
  const npm = ["install", "--prefix", folder, ...quiet, ...PACKAGES.npm];
  await must("the neighbours cannot be had from npm", "npm", npm);
  const python = join(folder, "python");
  await must("a virtual environment cannot be made", "python3", ["-m", "venv", python]);
  const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", PACKAGES.pip];
  await must("mcp-proxy cannot be had from PyPI", join(python, "bin", "python"), pip);
  return { bin: join(folder, "node_modules", ".bin"), python: join(python, "bin") };
}

function neighboursIn({ bin, python }: { bin: string; python: string }): Neighbour[] {
  const node = (name: string): string[] => [process.execPath, join(bin, name)];
  const supergateway = (port: number, server: readonly string[], ...more: string[]) => [
    ...node("supergateway"),
    "--stdio",
    server.join(" "),
    "--port",
    String(port),
    "--logLevel",
    "none",
    ...more,
  ];
  return [
    {
      name: PACKAGES.npm[0]!.replace("@", " "),
      fronts: ["sse"],
      argv: (port, server) => supergateway(port, server, "--outputTransport", "sse"),
    },
    {
      name: `${PACKAGES.npm[0]!.replace("@", " ")} --stateful`,
      fronts: ["mcp"],
      argv: (port, server) =>
        supergateway(port, server, "--outputTransport", "streamableHttp", "--stateful"),
    },
    {
      name: `${PACKAGES.npm[1]!.replace("@", " ")} (npm)`,
      fronts: ["sse", "mcp"],
      argv: (port, server) => [...node("mcp-proxy"), "--port", String(port), "--", ...server],
    },
    {
      name: `${PACKAGES.pip.replace("==", " ")} (PyPI)`,
      fronts: ["sse", "mcp"],
      argv: (port, server) => [join(python, "mcp-proxy"), "--port", String(port), "--", ...server],
    },
  ];
}

/** A neighbour that runs, with the server that it starts. */
class Running {
  readonly #argv: readonly string[];
  readonly #port: number;
  readonly #notes: Notes;
  #child: ChildProcess | undefined;

  constructor({ argv }: Neighbour, port: number, { notes, entry }: NotingServer) {
    const { command, args } = entry as { command: string; args: string[] };
    this.#argv = argv(port, [command, ...args]);
    this.#port = port;
    this.#notes = notes;
  }

  async start(): Promise<void> {
    const [command, ...args] = this.#argv;
    this.#child = spawn(command!, args, { stdio: "ignore" });
    endWithUs(this.#child);
    await until(() => isListening(this.#port), `${command} listens`);
  }

  /** Its servers may outlive it. */
  async stop(): Promise<void> {
    const child = this.#child!;
    if (child.exitCode === null && child.signalCode === null) {
      const ended = once(child, "close");
      child.kill("SIGTERM");
      const deadline = setTimeout(() => child.kill("SIGKILL"), PATIENCE_MS);
      await ended;
      clearTimeout(deadline);
    }
    for (const pid of this.#servers()) process.kill(pid, "SIGKILL");
  }

  async again(): Promise<void> {
    await this.stop();
    await this.start();
  }

  async killServers(): Promise<void> {
    const pids = this.#servers();
    for (const pid of pids) process.kill(pid, "SIGKILL");
    await until(() => !pids.some(isAlive), "the killed are gone");
  }

  /** Those that have ever got a message, and live. */
  #servers(): number[] {
    const pids = new Set(this.#notes.received().map(({ pid }) => pid));
    return [...pids].filter(isAlive);
  }
}

/** One row of the table: what became of the sessions of all clients. */
interface Row {
  who: string;
  front: Front;
  fault: Fault;
  tallies: Tally[] | undefined;
}

async function rideNeighbour(neighbour: Neighbour, rounds: number): Promise<Row[]> {
  const folder = await mkdtemp(join(tmpdir(), "neighbours-"));
  const rows: Row[] = [];
  try {
    for (const front of neighbour.fronts) {
      const server = await notingServer("stdio", join(folder, front));
      const port = await freePort();
      const running = new Running(neighbour, port, server);
      await running.start();
      const stand: Stand = {
        name: neighbour.name,
        door: {
          url: (of) => `http://127.0.0.1:${port}/${of}`,
          headers: {},
          patienceMs: PATIENCE_MS,
        },
        notes: server.notes,
        // A new token reaches a server only by a new start of the gateway.
        faults: { killed: () => running.killServers(), replaced: () => running.again() },
        revive: () => running.again(),
      };
      try {
        rows.push(...(await rideFront(stand, front, rounds)));
      } finally {
        await running.stop();
      }
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  return rows;
}

async function rideFront(stand: Stand, front: Front, rounds: number): Promise<Row[]> {
  const rows: Row[] = [];
  for (const fault of FAULTS) {
    if (stand.faults[fault] === undefined) continue;
    const clients = typescriptClients().filter((client) => client.front === front);
    const tallies = await ride(stand, clients, fault, rounds).catch((error: Error) => {
      console.error(`${stand.name} /${front} ${fault}: ${error.message}`);
      return undefined;
    });
    rows.push({ who: stand.name, front, fault, tallies });
  }
  return rows;
}

async function rideOwn(rounds: number): Promise<Row[]> {
  const { stands, rig } = await openStands(byItself, "stdio");
  const rows: Row[] = [];
  try {
    for (const stand of stands)
      for (const front of ["sse", "mcp"] as const)
        rows.push(...(await rideFront({ ...stand, name: "mcp-supervisor" }, front, rounds)));
  } finally {
    await rig.close();
  }
  return rows;
}

const COLUMNS = [
  ["call under way has a result", "results"],
  ["an error", "errors"],
  ["no answer", "unanswered"],
  ["done twice", "duplicated"],
  ["read failed", "failedReads"],
  ["next call failed", "failedCalls"],
  ["session lost", "begunAnew"],
  ["gateway had to be restarted", "revived"],
] as const;

function printed(rows: readonly Row[]): string {
  const cells = rows.map(({ who, front, fault, tallies }) => {
    const sum = (key: (typeof COLUMNS)[number][1]): string =>
      tallies === undefined ? "?" : String(tallies.reduce((total, one) => total + one[key], 0));
    return [who, `/${front}`, fault, ...COLUMNS.map(([, key]) => sum(key))];
  });
  const head = ["gateway", "front", "server", ...COLUMNS.map(([words]) => words)];
  return [head, head.map(() => "---"), ...cells].map((row) => `| ${row.join(" | ")} |`).join("\n");
}

const { values } = parseArgs({
  options: { rounds: { type: "string", default: "50" }, only: { type: "string" } },
});
const rounds = Number(values.rounds);
const only = (name: string): boolean => values.only === undefined || name.includes(values.only);
const rows = only("mcp-supervisor") ? await rideOwn(rounds) : [];
for (const neighbour of neighboursIn(await install()))
  if (only(neighbour.name)) rows.push(...(await rideNeighbour(neighbour, rounds)));
console.log(printed(rows));
// The clients of sessions that are lost try for a while to listen again.
process.exit();
