import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { SupervisorError } from "../../errors.ts";

/** Lets nothing of the caller's setting change what the programs print. */
export const ENVIRONMENT = {
  PATH: `${process.env["PATH"] ?? ""}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin`,
  LC_ALL: "C",
  SYSTEMD_COLORS: "0",
  SYSTEMD_PAGER: "",
};

export interface Ran {
  code: number | null;
  /** What it printed, on both streams. */
  said: string;
}

/** Runs a program of the system to its end; undefined where it is not installed. */
export function run(
  program: string,
  args: readonly string[],
  options: object = {},
): Ran | undefined {
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    encoding: "utf8",
    env: ENVIRONMENT,
    timeout: 120_000,
    ...options,
  });
  if (error !== undefined && "code" in error && error.code === "ENOENT") return undefined;
  return { code: status, said: `${stdout}${stderr}`.trim() };
}

/** As `run`, and SERVICE_REFUSED with what the program said unless it succeeds. */
export function must(program: string, args: readonly string[]): string {
  const ran = run(program, args);
  if (ran?.code === 0) return ran.said;
  throw new SupervisorError(
    "SERVICE_REFUSED",
    ran === undefined ? `${program} is not installed` : `${program} ${args.join(" ")} failed`,
    { details: ran === undefined ? [] : ran.said.split("\n") },
  );
}

/** sd_booted(3). */
export const isRunBySystemd = (): boolean => existsSync("/run/systemd/system");

/** LoadCredential= came with it. */
const OLDEST_SYSTEMD = 247;

/** SERVICE_REFUSED unless this is root on a machine that systemd runs. */
export function requireSystem(): void {
  if (process.geteuid?.() !== 0)
    throw new SupervisorError("SERVICE_REFUSED", "only root may change the services of a machine", {
      details: ["run it with sudo; `service print` and `service install --dry-run` need no root"],
    });
  if (!isRunBySystemd())
    throw new SupervisorError("SERVICE_REFUSED", "systemd does not run on this machine", {
      details: ["`mcp-supervisor serve` runs in the foreground, under any other service manager"],
    });
  const version = Number(/^systemd (\d+)/.exec(must("systemctl", ["--version"]))?.[1]);
  if (version < OLDEST_SYSTEMD)
    throw new SupervisorError(
      "SERVICE_REFUSED",
      `this is systemd ${version}; ${OLDEST_SYSTEMD} or newer is needed`,
    );
}

export interface Account {
  uid: number;
  gid: number;
}

/** The uid and primary gid of an account, or undefined where there is none. */
export function findAccount(name: string): Account | undefined {
  const [uid, gid] = ["-u", "-g"].map((flag) => run("id", [flag, name]));
  if (uid?.code !== 0 || gid?.code !== 0) return undefined;
  return { uid: Number(uid.said), gid: Number(gid.said) };
}

/** What systemd itself thinks of unit files: its complaints, and how exposed the service is (0 to 10, less is better); null where it cannot say. */
export function examine(files: readonly string[]): {
  complaints: string[];
  isRefused: boolean;
  exposure: number | null;
} {
  const verified = run("systemd-analyze", ["verify", ...files]);
  // It looks at units that these refer to, too, and they are none of our business.
  const complaints = (verified?.said ?? "")
    .split("\n")
    .filter((line) => line.includes("mcp-supervisor"));
  const scored = run("systemd-analyze", ["security", "--offline=yes", files[0] ?? ""]);
  const score = /Overall exposure level for \S+: ([\d.]+)/.exec(scored?.said ?? "")?.[1];
  return {
    complaints,
    isRefused: verified !== undefined && verified.code !== 0 && complaints.length > 0,
    exposure: score === undefined ? null : Number(score),
  };
}
