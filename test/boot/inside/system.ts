import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync, readdirSync } from "node:fs";
import { text } from "node:stream/consumers";
import { until as untilOnTime } from "../../helpers/until.ts";

/** The product as it was installed from its tarball. */
export const PACKAGE = "/usr/local/lib/node_modules/mcp-supervisor";
export const SERVICE = "mcp-supervisor.service";
export const CGROUP = `/sys/fs/cgroup/system.slice/${SERVICE}`;

/** How many times longer everything takes on this processor than on a real one. */
export const SLOWNESS = Number(process.env["BOOT_SLOWNESS"] ?? 1);

/** As the helper of that name, at the pace of this machine. */
export const until = <T>(
  probe: () => T | Promise<T>,
  what: string,
  timeoutMs = 20_000,
): Promise<NonNullable<T>> => untilOnTime(probe, what, timeoutMs * SLOWNESS);

export interface Ran {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs a program to its end. */
export function run(program: string, args: readonly string[], input = ""): Ran {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: "utf8", input });
  return { code: status, stdout, stderr };
}

/** The one document that a command of ours answers. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- a cast, written once and not at each call
export function ours<T>(args: readonly string[], input = ""): T {
  const { code, stdout, stderr } = run("mcp-supervisor", ["--json", ...args], input);
  assert.equal(code, 0, `mcp-supervisor ${args.join(" ")}: ${stderr}`);
  return JSON.parse(stdout) as T;
}

/** As `ours`, without standing still meanwhile. */
export async function oursAside<T>(args: readonly string[]): Promise<T> {
  const child = spawn("mcp-supervisor", ["--json", ...args], { stdio: ["ignore", "pipe", "pipe"] });
  const ended = once(child, "close");
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const [code] = await ended;
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout) as T;
}

export function systemctl(...args: string[]): string {
  const { code, stderr, stdout } = run("systemctl", args);
  assert.equal(code, 0, `systemctl ${args.join(" ")}: ${stderr}`);
  return stdout.trim();
}

/** As `systemctl`, without standing still meanwhile. */
export async function systemctlAside(...args: string[]): Promise<void> {
  const child = spawn("systemctl", args, { stdio: ["ignore", "ignore", "pipe"] });
  const ended = once(child, "close");
  const complaints = await text(child.stderr);
  const [code] = await ended;
  assert.equal(code, 0, complaints);
}

/** A property of the service, as systemd knows it. */
export const property = (name: string): string => systemctl("show", "--value", "-p", name, SERVICE);
export const mainPid = (): number => Number(property("MainPID"));

/** Every process in the cgroups of the service, by its id and the moment it began. */
export function processes(): string[] {
  const pids: string[] = [];
  const walk = (folder: string): void => {
    for (const entry of readdirSync(folder, { withFileTypes: true }))
      if (entry.isDirectory()) walk(`${folder}/${entry.name}`);
    pids.push(...readFileSync(`${folder}/cgroup.procs`, "utf8").split("\n").filter(Boolean));
  };
  try {
    walk(CGROUP);
  } catch {
    // The service is down, or a cgroup went while it was looked at.
  }
  return pids.map(identity).filter((found) => found !== undefined);
}

/** A process id alone may be given to another process. */
function identity(pid: string): string | undefined {
  try {
    const [, rest = ""] = readFileSync(`/proc/${pid}/stat`, "utf8").split(/\) (?=[^)]*$)/);
    return `${pid}@${rest.split(" ")[19]}`;
  } catch {
    return undefined;
  }
}

export const isAlive = (process: string): boolean => identity(process.split("@")[0]!) === process;

export function health(): Promise<boolean> {
  return fetch("http://127.0.0.1:8040/health", {
    signal: AbortSignal.timeout(5000 * SLOWNESS),
  }).then(
    async (answer) => {
      await answer.text();
      return answer.status === 200;
    },
    () => false,
  );
}

/** Resolves once the service is up as that process or, without one, as any. */
export async function serving(otherThan?: number): Promise<void> {
  await until(
    async () => property("ActiveState") === "active" && mainPid() !== otherThan && (await health()),
    "the service serves",
    60_000,
  );
}
