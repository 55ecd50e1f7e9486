import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { childServers } from "../config/child-servers.ts";
import type { Config } from "../config/config.ts";
import { SupervisorError } from "../errors.ts";
import { gapsOf } from "../api/gaps.ts";
import { UNTRIED, isRoot, probeMachine } from "../engines/process/levels.ts";
import { NOBODY } from "../engines/process/confinement.ts";
import type { Gap } from "../api/types.ts";
import type { Machine, NamedServer } from "../engines/process/levels.ts";
import { ENVIRONMENT, findAccount } from "./service/system.ts";
import type { Account } from "./service/system.ts";

/** The account of that name, or one that stands for it until it is made: what one without rights gets, all of them get. */
export function accountLike(name: string): { name: string } & Account {
  return { name: `the account ${name}`, ...(findAccount(name) ?? { uid: NOBODY, gid: NOBODY }) };
}

/** What the levels of a config depend on. */
export interface Wanted {
  dataDir: string;
  uids: Config["uids"];
  servers: NamedServer[];
}

/** What one account gets on this machine. */
export interface Probed {
  machine: Machine;
  gaps: Gap[];
}

export const wantedBy = (config: Config): Wanted => ({
  dataDir: config.dataDir,
  uids: config.uids,
  servers: childServers(Object.values(config.servers)).map(({ name, isolation, network }) => ({
    name,
    isolation,
    network,
  })),
});

/** Tries what works for this process, with real processes in a folder of its own. */
export async function probe({ dataDir, uids, servers }: Wanted): Promise<Probed> {
  if (servers.every(({ isolation }) => isolation === "none"))
    return { machine: UNTRIED, gaps: gapsOf(UNTRIED, servers) };
  const folder = mkdtempSync(join(tmpdir(), "mcps-doctor-"));
  try {
    const socketDir = join(folder, "run");
    mkdirSync(socketDir, { mode: 0o700 });
    // An account that stands for the service's has no way into its folders.
    const machine = await probeMachine({ uids, dataDir: isRoot() ? dataDir : folder, socketDir });
    return { machine, gaps: gapsOf(machine, servers) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const PROGRAM = join(import.meta.dirname, `probe-here${extname(import.meta.filename)}`);

/**
 * As `probe`, for an account that this process, which is root, can become. SERVICE_REFUSED where that
 * cannot run this program: a Node of some user's own (nvm and the like) is often closed to others.
 */
export function probeAs(account: { name: string } & Account, wanted: Wanted): Probed {
  const { name, uid, gid } = account;
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [...process.execArgv, PROGRAM, JSON.stringify(wanted)],
    { uid, gid, cwd: "/", env: ENVIRONMENT, encoding: "utf8", timeout: 60_000 },
  );
  if (status === 0) return JSON.parse(stdout) as Probed;
  throw new SupervisorError(
    "SERVICE_REFUSED",
    `${name} cannot run ${process.execPath} ${PROGRAM}`,
    {
      details: [
        ...(stderr ?? "").split("\n").filter((line) => line !== ""),
        "install Node and this package where every account can read them, such as below /usr/local",
      ],
    },
  );
}
