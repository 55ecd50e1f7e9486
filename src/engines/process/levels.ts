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
import { lackText } from "./lacks.ts";
import { WITHOUT_NETWORK, attachLacks, namespaceLacks } from "./namespace-lacks.ts";
import { findTool } from "./programs.ts";
import { startProcess } from "./start-process.ts";
import { NOBODY } from "./confinement.ts";
import type { Level } from "./confinement.ts";
import type { Lack } from "./lacks.ts";

/** What this machine lacks for each thing; nothing where it works. */
export interface Machine {
  user: readonly Lack[];
  sandbox: readonly Lack[];
  /** For a sandbox with `network: "full"`, beside what it lacks for one without. */
  outbound: readonly Lack[];
}

const NOT_TRIED: readonly Lack[] = [{ found: "it was not tried" }];
/** For configs that ask for no isolation: nothing was tried. */
export const UNTRIED: Machine = { user: NOT_TRIED, sandbox: NOT_TRIED, outbound: NOT_TRIED };

/** What a server asks for. */
export interface IsolationOptions {
  isolation: Level | "auto";
  network: "none" | "full";
}

export type NamedServer = IsolationOptions & { name: string };

export type Choice = { level: Level } | ({ level?: undefined } & Missing);

interface Missing {
  /** All that keeps it from a level, in words. */
  missing: readonly string[];
  /** What is to be had for the strongest level that it asks for. */
  lacks: readonly Lack[];
}

const NO_NETWORK_BY_USER: Lack = {
  found: 'level "user" cannot keep a child off the network ("network": "none")',
};

/** The level that this machine gives the server: the one it names, or the strongest that serves it. Never none unless that is named. */
export function chooseLevel(machine: Machine, { isolation, network }: IsolationOptions): Choice {
  const lacks = {
    sandbox: [...machine.sandbox, ...(network === "full" ? machine.outbound : [])],
    user: network === "none" ? [...machine.user, NO_NETWORK_BY_USER] : machine.user,
  };
  if (isolation === "none") return { level: "none" };
  const wanted = isolation === "auto" ? (["sandbox", "user"] as const) : [isolation];
  const level = wanted.find((each) => lacks[each].length === 0);
  if (level !== undefined) return { level };
  const missing = wanted.flatMap((each) => lacks[each].map((lack) => `${each}: ${lackText(lack)}`));
  return { missing: [...new Set(missing)], lacks: lacks[wanted[0]] };
}

/** What one server gets; `level` is null where there is none to be had, and then the rest says why. */
export interface ServerLevel extends Missing {
  server: string;
  asked: Level | "auto";
  level: Level | null;
}

export function levelFor(machine: Machine, def: NamedServer): ServerLevel {
  const choice = chooseLevel(machine, def);
  const { missing, lacks } = choice.level === undefined ? choice : { missing: [], lacks: [] };
  return { server: def.name, asked: def.isolation, level: choice.level ?? null, missing, lacks };
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
  // All that is missing at once: nobody wants to be told of the next thing after each that was installed.
  const means = outboundMeans();
  const outbound = sandbox.length > 0 || means.length > 0 ? means : await trialLacks(input, "full");
  return { sandbox, outbound, user: userLacks(input) };
}

const notInstalled = (name: string, install = name): Lack => ({
  found: `${name} is not installed`,
  install,
});
const NO_SETPRIV: Lack = { found: "setpriv of util-linux is not installed", install: "util-linux" };

async function sandboxLacks(input: ProbeInput): Promise<Lack[]> {
  const isMissing = findTool("bwrap") === undefined;
  const lacks = isMissing ? [notInstalled("bubblewrap")] : [];
  if (isRoot() && findTool("setpriv") === undefined) lacks.push(NO_SETPRIV);
  // Where it will be, so that what keeps it from its work is told before it is there.
  if (isMissing && !isRoot()) lacks.push(...namespaceLacks("/usr/bin/bwrap"));
  return lacks.length > 0 ? lacks : await trialLacks(input, "none");
}

/** What a sandbox with a network that leads out takes beside. */
function outboundMeans(): Lack[] {
  const lacks: Lack[] = [];
  if (findTool("slirp4netns") === undefined) lacks.push(notInstalled("slirp4netns"));
  if (findTool("unshare") === undefined)
    lacks.push({ found: "unshare of util-linux is not installed", install: "util-linux" });
  const tun = tunLack();
  if (tun) lacks.push(tun);
  return lacks.map((lack) => ({ ...lack, next: WITHOUT_NETWORK }));
}

const TUN = "/dev/net/tun";

function tunLack(): Lack | undefined {
  try {
    accessSync(TUN, constants.R_OK | constants.W_OK);
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ENOENT"
      ? { found: `${TUN} is missing`, run: "modprobe tun" }
      : { found: `${TUN} is closed to this account`, run: `chmod 666 ${TUN}` };
  }
}

async function trialLacks(input: ProbeInput, network: "none" | "full"): Promise<Lack[]> {
  const said = await trial(input, network);
  if (said === undefined) return [];
  if (network === "full")
    return attachLacks({ said, unshare: findTool("unshare")!, isRoot: isRoot() });
  return [...namespaceLacks(findTool("bwrap")!), { found: `bubblewrap says: ${said}` }];
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

function userLacks({ uids, dataDir }: ProbeInput): Lack[] {
  if (!isRoot())
    return [{ found: "only a daemon that runs as root can give children accounts of their own" }];
  const lacks: Lack[] = [];
  const [, effective] =
    /^CapEff:\s+(\w+)$/m.exec(readFileSync("/proc/self/status", "latin1")) ?? [];
  const held = BigInt(`0x${effective ?? "0"}`);
  if (CAPABILITIES.some((capability) => ((held >> BigInt(capability)) & 1n) === 0n))
    lacks.push({
      found: "root here lacks the capabilities to change accounts (a container, perhaps)",
    });
  if (findTool("setpriv") === undefined) lacks.push(NO_SETPRIV);
  if (uids === null)
    lacks.push({
      found: '"uids" is not set',
      next: 'give it accounts that nobody has, as {"from": 61001, "to": 61183}',
    });
  else lacks.push(...subordinateLacks(uids), ...closedLacks(dataDir));
  return lacks;
}

function subordinateLacks({ from, to }: { from: number; to: number }): Lack[] {
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
    return isApart ? [] : [{ found: `"uids" overlaps what /etc/subuid gives to ${name}` }];
  });
}

/** A child with an account of its own has to be able to come to its home. */
function closedLacks(dataDir: string): Lack[] {
  for (let folder = path.dirname(dataDir); folder !== "/"; folder = path.dirname(folder)) {
    const found = statSync(folder, { throwIfNoEntry: false });
    // The start makes all that is missing, for the daemon's account alone.
    if (found === undefined)
      return [
        {
          found: `${folder} is not there, and would be closed to other accounts`,
          run: `mkdir -p '${folder}'`,
        },
      ];
    if ((found.mode & 0o001) === 0)
      return [
        {
          found: `${folder} is closed to other accounts`,
          run: `chmod o+x '${folder}'`,
          next: "or move dataDir",
        },
      ];
  }
  return [];
}

/** Lets every account pass through the data folder, but see nothing of it: its files keep their own modes. */
export function openWayToHomes(dataDir: string): void {
  const homes = path.join(dataDir, "homes");
  mkdirSync(homes, { recursive: true, mode: 0o711 });
  for (const folder of [dataDir, homes]) chmodSync(folder, 0o711);
}
