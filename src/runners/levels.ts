import {
  accessSync,
  chmodSync,
  chownSync,
  constants,
  mkdirSync,
  readFileSync,
  rmSync,
} from "node:fs";
import { statSync } from "node:fs";
import path from "node:path";
import { attachLines, namespaceLines } from "./namespace-lines.ts";
import { findTool } from "./programs.ts";
import { startProcess } from "./process-runner.ts";
import { NOBODY } from "./confinement.ts";
import type { Level } from "./confinement.ts";

/** What this machine lacks for each thing, a line for each; nothing where it works. */
export interface Machine {
  user: readonly string[];
  sandbox: readonly string[];
  /** For a sandbox with `network: "full"`, beside what it lacks for one without. */
  outbound: readonly string[];
}

/** For configs that ask for no isolation: nothing was tried. */
export const UNTRIED: Machine = {
  user: ["it was not tried"],
  sandbox: ["it was not tried"],
  outbound: ["it was not tried"],
};

/** What a server asks for. */
export interface Wish {
  isolation: Level | "auto";
  network: "none" | "full";
}

export type NamedWish = Wish & { name: string };

export type Choice = { level: Level } | { level?: undefined; missing: readonly string[] };

const NO_NETWORK_BY_USER = 'level "user" cannot keep a child off the network ("network": "none")';

/** The level that this machine gives the server: the one it names, or the strongest that serves it. Never none unless that is named. */
export function chooseLevel(machine: Machine, { isolation, network }: Wish): Choice {
  const lacks = {
    sandbox: [...machine.sandbox, ...(network === "full" ? machine.outbound : [])],
    user: network === "none" ? [...machine.user, NO_NETWORK_BY_USER] : machine.user,
  };
  if (isolation === "none") return { level: "none" };
  const wanted = isolation === "auto" ? (["sandbox", "user"] as const) : [isolation];
  const level = wanted.find((each) => lacks[each].length === 0);
  if (level !== undefined) return { level };
  const missing = wanted.flatMap((each) => lacks[each].map((line) => `${each}: ${line}`));
  return { missing: [...new Set(missing)] };
}

/** What one server gets; `level` is null where there is none to be had, and then `missing` says why. */
export interface ServerLevel {
  server: string;
  asked: Level | "auto";
  level: Level | null;
  missing: readonly string[];
}

export function levelFor(machine: Machine, def: NamedWish): ServerLevel {
  const choice = chooseLevel(machine, def);
  const missing = choice.level === undefined ? choice.missing : [];
  return { server: def.name, asked: def.isolation, level: choice.level ?? null, missing };
}

export interface ProbeInput {
  /** For `user`, as configured. */
  uids: { from: number; to: number } | null;
  dataDir: string;
  /** A folder of the daemon's own, closed to others. */
  socketDir: string;
}

export const isRoot = (): boolean => process.getuid?.() === 0;

/** Tries, by starting real processes, what works here. Takes some tens of ms. */
export async function probeMachine(input: ProbeInput): Promise<Machine> {
  const sandbox = await sandboxLacks(input);
  const outbound = sandbox.length > 0 ? [] : await outboundLacks(input);
  return { sandbox, outbound, user: userLacks(input) };
}

async function sandboxLacks(input: ProbeInput): Promise<string[]> {
  const bwrap = findTool("bwrap");
  if (bwrap === undefined)
    return ["bubblewrap is not installed (apt install bubblewrap, dnf install bubblewrap)"];
  if (isRoot() && findTool("setpriv") === undefined)
    return ["setpriv of util-linux is not installed"];
  const said = await trial(input, "none");
  return said === undefined ? [] : [...namespaceLines(bwrap), `bubblewrap says: ${said}`];
}

async function outboundLacks(input: ProbeInput): Promise<string[]> {
  const without = 'or set "network": "none"';
  if (findTool("slirp4netns") === undefined)
    return [`slirp4netns is not installed (apt install slirp4netns), ${without}`];
  const unshare = findTool("unshare");
  if (unshare === undefined) return [`unshare of util-linux is not installed, ${without}`];
  try {
    accessSync("/dev/net/tun", constants.R_OK | constants.W_OK);
  } catch {
    return [
      `/dev/net/tun is missing or closed to this account (modprobe tun; chmod 666 /dev/net/tun), ${without}`,
    ];
  }
  const said = await trial(input, "full");
  return said === undefined ? [] : attachLines({ said, unshare, isRoot: isRoot() });
}

/** Starts a sandbox with nothing in it; undefined when it works, else what was said last. */
async function trial(input: ProbeInput, network: "none" | "full"): Promise<string | undefined> {
  const { dataDir, socketDir } = input;
  const home = path.join(socketDir, "trial");
  const lines: string[] = [];
  try {
    mkdirSync(home, { recursive: true });
    const uid = isRoot() ? NOBODY : null;
    if (uid !== null) chownSync(home, uid, uid);
    const running = await startProcess(
      {
        argv: ["/bin/true"],
        cwd: "/",
        env: {},
        confinement: {
          level: "sandbox",
          uid,
          home,
          network,
          port: null,
          socketDir,
          reach: [],
          paths: { read: [], write: [] },
          hidden: [dataDir],
          shared: [],
        },
        stdout: "lines",
        eofGraceMs: 5000,
        stopTimeoutMs: 0,
      },
      (_, line) => lines.push(line),
    );
    const { code } = await running.stop();
    await running.drained;
    return code === 0 ? undefined : (lines.at(-1) ?? `code ${code}`);
  } catch (error) {
    const { message, details } = error as Error & { details?: string[] };
    return lines.at(-1) ?? details?.[0] ?? message;
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

/** CHOWN, DAC_OVERRIDE, FOWNER, KILL, SETGID, SETUID: what it takes to give away files and accounts. */
const CAPABILITIES = [0, 1, 3, 5, 6, 7];

function userLacks({ uids, dataDir }: ProbeInput): string[] {
  if (!isRoot()) return ["only a daemon that runs as root can give children accounts of their own"];
  const lines: string[] = [];
  const [, effective] =
    /^CapEff:\s+(\w+)$/m.exec(readFileSync("/proc/self/status", "latin1")) ?? [];
  const held = BigInt(`0x${effective ?? "0"}`);
  if (CAPABILITIES.some((capability) => ((held >> BigInt(capability)) & 1n) === 0n))
    lines.push("root here lacks the capabilities to change accounts (a container, perhaps)");
  if (findTool("setpriv") === undefined) lines.push("setpriv of util-linux is not installed");
  if (uids === null)
    lines.push(
      '"uids" is not set; give it accounts that nobody has, as {"from": 61001, "to": 61183}',
    );
  else lines.push(...subordinateLines(uids), ...closedLines(dataDir));
  return lines;
}

function subordinateLines({ from, to }: { from: number; to: number }): string[] {
  let text: string;
  try {
    text = readFileSync("/etc/subuid", "utf8");
  } catch {
    return [];
  }
  return text.split("\n").flatMap((line) => {
    const [name, first, count] = line.split(":");
    const start = Number(first);
    const isApart = !count || to < start || from >= start + Number(count);
    return isApart ? [] : [`"uids" overlaps what /etc/subuid gives to ${name}`];
  });
}

/** A child with an account of its own has to be able to come to its home. */
function closedLines(dataDir: string): string[] {
  for (let folder = path.dirname(dataDir); folder !== "/"; folder = path.dirname(folder)) {
    const found = statSync(folder, { throwIfNoEntry: false });
    // The start makes all that is missing, for the daemon's account alone.
    if (found === undefined)
      return [
        `${folder} is not there, and would be closed to other accounts: mkdir -p '${folder}'`,
      ];
    if ((found.mode & 0o001) === 0)
      return [`${folder} is closed to other accounts: chmod o+x '${folder}', or move dataDir`];
  }
  return [];
}

/** Lets every account pass through the data folder, but see nothing of it: its files keep their own modes. */
export function openWayToHomes(dataDir: string): void {
  const homes = path.join(dataDir, "homes");
  mkdirSync(homes, { recursive: true, mode: 0o711 });
  for (const folder of [dataDir, homes]) chmodSync(folder, 0o711);
}
