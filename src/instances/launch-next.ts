import type { ChildServer } from "../config/config.ts";
import { toSupervisorError } from "../errors.ts";
import type { Generation } from "./generation.ts";
import { engineOf } from "./instance-context.ts";
import type { InstanceContext } from "./instance-context.ts";
import type { Ref } from "./instance-types.ts";
import { launchChild } from "./launch.ts";
import type { Launched, NotLaunched } from "./launch-types.ts";
import type { OutputLog } from "./output-log.ts";

export interface NextChild {
  ref: Ref;
  def: ChildServer;
  generation: Generation;
  capabilities: string;
  wanted: string | undefined;
  output: OutputLog;
  signal: AbortSignal;
}

/**
 * Launches the child of an instance's next generation, with the token of now; where the cluster has no room
 * for it, once more for each idle pod that can go. Never rejects; see `launchChild`.
 */
export async function launchNext(
  context: InstanceContext,
  next: NextChild,
): Promise<Launched | NotLaunched> {
  const outcome = await launchOnce(context, next);
  const isNoRoom = !outcome.isReady && outcome.failure.code === "INSTANCE_LIMIT";
  if (!isNoRoom || next.signal.aborted || !(await context.makeRoom(next.generation)))
    return outcome;
  return await launchNext(context, next);
}

async function launchOnce(
  { config, version, versions, engines, secretsFor, events }: InstanceContext,
  { generation, ...next }: NextChild,
): Promise<Launched | NotLaunched> {
  const { ref, def, output } = next;
  const token = await generation.takeToken(secretsFor, next.signal);
  const outcome = await launchChild({
    ...next,
    version,
    versions,
    token,
    generation: generation.number,
    startTimeoutMs: def.startTimeoutMs,
    resumeWindowMs: config.resumeWindowMs,
    engine: engineOf(engines, def),
    onWaiting: (why) => generation.waits(why),
    onLine: (stream, text) =>
      events.emit("line", {
        ref,
        line: output.add({ ref, generation: generation.number }, stream, text),
      }),
    onSpawn: (running) => generation.spawned(running),
  });
  if (!outcome.isReady || !next.signal.aborted) return outcome;
  // A stop or a new token came in the very moment it became ready.
  const { running } = outcome;
  const failure = toSupervisorError(next.signal.reason);
  return { isReady: false, failure, running, gone: running.stop() };
}
