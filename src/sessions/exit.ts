import { SupervisorError } from "../errors.ts";
import type { Ended, Live } from "../instances/supervisor.ts";

/** A dying child's connections break before its exit is known; this much later it is, on a loaded machine too. */
const EXIT_GRACE_MS = 100;

/** How the generation ended, if it has or is just about to; else undefined. */
export async function exitOf(live: Live): Promise<Ended | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), EXIT_GRACE_MS);
  });
  const ended = await Promise.race([live.exited, late]);
  clearTimeout(timer);
  return ended;
}

/** The failure of a link, told as the exit that caused it where there was one. */
export async function explainFailure(error: SupervisorError, live: Live): Promise<SupervisorError> {
  // Known already, and the exit is only what follows.
  if (error.code === "STOPPING") return error;
  const ended = live.pid === null ? undefined : await exitOf(live);
  if (ended === undefined) return error;
  if (ended.failure !== undefined) return ended.failure;
  const { user, server } = live.ref;
  return new SupervisorError(
    "INSTANCE_EXITED",
    `${user}/${server}: the child ${ended.reason} before it had answered`,
    { cause: error },
  );
}
