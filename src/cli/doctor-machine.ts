import type { Command } from "commander";
import type { Config } from "../config/config.ts";
import type { MachineReport } from "../api/types.ts";
import { SupervisorError, counted, isClosed, toSupervisorError } from "../errors.ts";
import { isRoot } from "../engines/process/levels.ts";
import type { ServerLevel } from "../engines/process/levels.ts";
import { apiPath, createControlClient } from "./client.ts";
import { running } from "../api/daemon-checks.ts";
import { nextStepOf } from "./explain.ts";
import { ok, warn } from "../api/finding.ts";
import type { Finding } from "../api/finding.ts";
import { findingScreen } from "./finding-screen.ts";
import * as checks from "../api/machine-checks.ts";
import { accountLike, probe, probeAs, wantedBy } from "./probe.ts";
import type { Probed } from "./probe.ts";
import { keyFileOf, serviceOf } from "./service/installed.ts";
import { DEFAULT_USER } from "./service/place.ts";
import { isRunBySystemd } from "./service/system.ts";
import { answer, globalsOf } from "./output.ts";
import { viewHere } from "./view.ts";

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

/**
 * What children get where no daemon runs. Not of this process's account where that is root: it gets
 * what the service never will. `uids` in the config are for a daemon that is root.
 */
async function probeFor(
  config: Config,
  user = DEFAULT_USER,
): Promise<Probed & { whose: Finding[] }> {
  const wanted = wantedBy(config);
  const isOurs = !isRoot() || config.uids !== null || !isRunBySystemd();
  if (isOurs) return { ...(await probe(wanted)), whose: [] };
  const account = accountLike(user);
  try {
    const whose = [ok("account", `isolation is what ${account.name} of the service gets`)];
    return { ...probeAs(account, wanted), whose };
  } catch (error) {
    const { message, details } = toSupervisorError(error);
    const whose = [warn("account", `${message}: isolation is what root gets`, details.at(-1)!)];
    return { ...(await probe(wanted)), whose };
  }
}

/** What only a daemon knows, and the level of each server, as the daemon has it or would. */
async function aboutDaemon(config: Config): Promise<[Finding[], readonly ServerLevel[]]> {
  const said = await askDaemon(config);
  return said instanceof SupervisorError
    ? await withoutDaemon(config, said)
    : [running(said), said.levels];
}

/** What can be told without a daemon: as it would be for a child of its account. */
async function withoutDaemon(
  config: Config,
  said: SupervisorError,
): Promise<[Finding[], readonly ServerLevel[]]> {
  const service = serviceOf(config);
  const { machine, gaps, whose } = await probeFor(config, service?.user);
  const levels = checks.levelsHere(config, machine);
  const next = isClosed(said.cause) ? nextStepOf(said) : undefined;
  const findings = [
    warn(
      "daemon",
      said.message,
      next ?? "mcp-supervisor serve; what only a running daemon knows is not checked",
    ),
    ...whose,
    ...levels.map(checks.level),
    ...checks.gaps(gaps),
    checks.vaultKey({ dataDir: config.dataDir, keyFile: keyFileOf(config, service) }),
  ];
  return [findings, levels];
}

/** Checks the machine and the config; works without a daemon. The exit code is 1 where something failed. */
export async function doctorMachine(command: Command): Promise<void> {
  const { loadConfig } = await import("../config/config.ts");
  const config = loadConfig({ path: globalsOf(command).config, isServed: true });
  const [ofDaemon, levels] = await aboutDaemon(config);
  const findings = [...ofDaemon, ...checks.ofConfig(config, levels)];
  const failed = findings.filter(({ outcome }) => outcome === "failed");
  const warnings = findings.filter(({ outcome }) => outcome === "warning");
  const isOk = failed.length === 0;
  const [worst] = failed;
  const verdict =
    worst === undefined
      ? `nothing failed${warnings.length === 0 ? "" : `; ${counted(warnings.length, "warning")}`}`
      : `${worst.check}: ${worst.found}`;
  answer(command, { ok: isOk, findings }, findingScreen(verdict, findings, viewHere()));
  if (!isOk) process.exitCode = 1;
}
