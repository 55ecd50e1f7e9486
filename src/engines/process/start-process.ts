import { statSync } from "node:fs";
import { SupervisorError, shortageOf } from "../../errors.ts";
import { holdAccount } from "./accounts.ts";
import { confine } from "./confine.ts";
import { forkServer } from "./forks.ts";
import { helpersIn } from "./limits.ts";
import { ProcessTree } from "./process-tree.ts";
import { findProgram } from "./programs.ts";
import { ResourceControl } from "./resource-control.ts";
import type { OnLine } from "../engine.ts";
import type { Confined } from "./confine.ts";
import type { StartedProcess } from "./process-tree.ts";
import type { ChildControl } from "./resource-control.ts";
import type { RunSpec } from "./run-spec.ts";

/** Rejects with INSTANCE_SPAWN_FAILED when the system refuses to start the program, RESOURCES_EXHAUSTED or DISK_FULL when it has nothing left for it. */
export type StartProcess = (spec: RunSpec, onLine: OnLine) => Promise<ProcessTree>;

/**
 * Starts a process of this machine as the leader of a session and group of its own, inside its confinement.
 *
 * `resources` makes it known to the daemon's next life, in case this one ends before it.
 *
 * Rejects with INSTANCE_SPAWN_FAILED when the system refuses the program (there is none, it is not
 * executable, no such folder), with RESOURCES_EXHAUSTED when it has no process, descriptor or memory
 * left, with DISK_FULL when it cannot be written down. Never throws later: what the child does
 * afterwards is told by `exited`.
 */
export async function startProcess(
  spec: RunSpec,
  onLine: OnLine,
  resources = new ResourceControl(),
): Promise<ProcessTree> {
  const [command] = spec.argv;
  const found = findProgram(command, spec.cwd, spec.env["PATH"]);
  if (found.file === undefined) throw refusal(spec, command, { code: found.refusal });
  const control = resources.prepareChild(spec.limits ?? {}, helpersIn(spec.confinement));
  const tree = new ProcessTree(await forkConfined(spec, found.file, control), onLine);
  try {
    await tree.takeControl();
  } catch (error) {
    // One that the next life could not know of must not run.
    await tree.kill();
    throw error instanceof SupervisorError ? error : refusal(spec, found.file, error);
  }
  return tree;
}

async function forkConfined(
  spec: RunSpec,
  file: string,
  control: ChildControl,
): Promise<StartedProcess> {
  const { confinement } = spec;
  let confined: Confined | undefined;
  const uid = confinement.level === "user" ? confinement.uid : undefined;
  const releaseAccount = await holdAccount(uid);
  try {
    const forks = await forkServer();
    confined = await confine(spec, file, forks);
    const forked = await forks.fork({
      argv: control.wrap(confined.argv),
      cwd: spec.cwd,
      env: { ...spec.env, ...control.env },
      stdio: ["pipe", "pipe", "pipe", ...confined.descriptors],
      entrance: confined.entrance,
    });
    return { spec, confined, forked, control, releaseAccount };
  } catch (error) {
    control.release();
    confined?.release();
    await releaseAccount();
    throw error instanceof SupervisorError ? error : refusal(spec, file, error);
  }
}

const REFUSALS: Record<string, string> = {
  ENOENT: "there is no such program",
  EACCES: "it may not be executed",
  EPERM: "it may not be executed",
  ENOEXEC: "it is not a program",
  ENOTDIR: "a part of its path is not a folder",
  E2BIG: "its arguments and environment are too long",
};

function refusal(spec: RunSpec, file: string, cause: unknown): SupervisorError {
  const code = (cause as NodeJS.ErrnoException).code ?? "unknown reason";
  const shortage = shortageOf(cause, "could not be started");
  if (shortage) return shortage;
  // The system says ENOENT for a missing folder too.
  const isFolder = statSync(spec.cwd, { throwIfNoEntry: false })?.isDirectory() ?? false;
  const why = isFolder
    ? (REFUSALS[code] ?? `the system refused it (${code})`)
    : "its folder does not exist";
  // Paths are for the admin: the message may reach a client.
  const details = [isFolder ? `program: ${file}` : `folder: ${spec.cwd}`];
  return new SupervisorError("INSTANCE_SPAWN_FAILED", `could not be started: ${why}`, {
    cause,
    details,
  });
}
