import { toSupervisorError } from "../errors.ts";
import { allDone } from "../platform/all-done.ts";

/** As `allDone`, of work on instances: what is removed meanwhile is no failure, since a session's own goes with its session. */
export async function allThere(work: readonly Promise<unknown>[]): Promise<void> {
  await allDone(work.map((one) => one.catch(unlessRemoved)));
}

function unlessRemoved(error: unknown): void {
  if (toSupervisorError(error).code !== "INSTANCE_NOT_FOUND") throw error;
}
