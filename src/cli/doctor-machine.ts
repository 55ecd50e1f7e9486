import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import { childServers } from "../config/child-servers.ts";
import type { Config } from "../config/config.ts";
import type { MachineReport } from "../control/shapes.ts";
import { SupervisorError, counted, isClosed } from "../errors.ts";
import { confinementGaps } from "../runners/gaps.ts";
import { UNTRIED, probeMachine } from "../runners/levels.ts";
import type { Machine, ServerLevel } from "../runners/levels.ts";
import { apiPath, createControlClient } from "./client.ts";
import { SERVICE_UNIT, credentialIn } from "../systemd/unit.ts";
import { running } from "./daemon-checks.ts";
import { nextStepOf } from "./explain.ts";
import { warn } from "./finding.ts";
import type { Finding } from "./finding.ts";
import * as checks from "./machine-checks.ts";
import { UNIT_FOLDER } from "./service/place.ts";
import { answer, globalsOf, printable } from "./output.ts";

const MARKS: Record<Finding["outcome"], string> = { ok: "ok  ", warning: "warn", failed: "FAIL" };

/** What the daemon says, or why none answers. */
async function askDaemon({ controlSocket }: Config): Promise<MachineReport | SupervisorError> {
  try {
    const client = createControlClient(controlSocket);
    return await client.call<MachineReport>("GET", apiPath(["machine"]));
  } catch (error) {
    if (error instanceof SupervisorError && error.code === "DAEMON_UNREACHABLE") return error;
    throw error;
  }
}

/** Tries what works here, with real processes in a folder of its own. */
async function probe(config: Config): Promise<Machine> {
  const { uids, dataDir } = config;
  if (childServers(config).every((def) => def.isolation === "none")) return UNTRIED;
  const folder = mkdtempSync(join(tmpdir(), "mcps-doctor-"));
  try {
    const socketDir = join(folder, "run");
    mkdirSync(socketDir, { mode: 0o700 });
    return await probeMachine({ uids, dataDir, socketDir });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The key that a daemon would have: the service's, where it is installed for this config. */
function keyFileOf({ keyFile, dataDir, path }: Config): string {
  if (path === null || keyFile !== join(dataDir, "vault.key")) return keyFile;
  const unit = join(UNIT_FOLDER, SERVICE_UNIT);
  return (existsSync(unit) && credentialIn(readFileSync(unit, "utf8"), path)) || keyFile;
}

/** What only a daemon knows, and the level of each server, as the daemon has it or would. */
async function aboutDaemon(config: Config): Promise<[Finding[], readonly ServerLevel[]]> {
  const said = await askDaemon(config);
  if (!(said instanceof SupervisorError)) return [running(said), said.levels];
  const machine = await probe(config);
  return [withoutDaemon(config, machine, said), checks.levelsHere(config, machine)];
}

/** What can be told without a daemon: as it would be for a child of this account. */
function withoutDaemon(config: Config, machine: Machine, said: SupervisorError): Finding[] {
  const next = isClosed(said.cause) ? nextStepOf(said) : undefined;
  return [
    warn(
      "daemon",
      said.message,
      next ?? "mcp-supervisor serve; what only a running daemon knows is not checked",
    ),
    ...checks.isolation(config, machine),
    ...checks.gaps(confinementGaps(machine, childServers(config))),
    checks.vaultKey({ dataDir: config.dataDir, keyFile: keyFileOf(config) }),
  ];
}

/** Checks the machine and the config; works without a daemon. The exit code is 1 where something failed. */
export async function doctorMachine(command: Command): Promise<void> {
  const { loadConfig } = await import("../config/config.ts");
  const config = loadConfig({ path: globalsOf(command).config });
  const [ofDaemon, levels] = await aboutDaemon(config);
  const findings = [
    ...ofDaemon,
    checks.database(config),
    checks.fileModes(config),
    ...checks.configMode(config),
    ...checks.oddities(config, levels),
    checks.nodeVersion(),
    checks.clock(config),
    ...checks.addresses(config),
    ...checks.recipes(config),
  ];
  const failed = findings.filter(({ outcome }) => outcome === "failed");
  const warnings = findings.filter(({ outcome }) => outcome === "warning");
  const isOk = failed.length === 0;
  const [worst] = failed;
  const verdict =
    worst === undefined
      ? `nothing failed${warnings.length === 0 ? "" : `; ${counted(warnings.length, "warning")}`}`
      : `${worst.check}: ${worst.found}`;
  const lines = findings.flatMap(({ check, outcome, found, next }) => [
    `${MARKS[outcome]}  ${check}: ${found}`,
    ...(next === null ? [] : [`      → ${next}`]),
  ]);
  answer(command, { ok: isOk, findings }, [verdict, "", ...lines].map(printable));
  if (!isOk) process.exitCode = 1;
}
