import { setTimeout as delay } from "node:timers/promises";
import { SupervisorError, toSupervisorError } from "../errors.ts";
import { describeExit } from "./describe-exit.ts";
import { portOf } from "./instance-types.ts";
import type { Attempt, FailedTry } from "./launch-types.ts";

/** How long the last words of a child that exited may take to arrive: a grandchild may keep the pipe open. */
const LAST_WORDS_MS = 200;
const DETAIL_LINES = 20;

/** Why the child did not become ready; `missing`: what it had not done when it was last looked at. */
export async function failureOfLaunch(
  attempt: Attempt,
  error: unknown,
  missing: string,
): Promise<Pick<FailedTry, "failure" | "isPortStolen" | "hasEnded">> {
  const { input, deadline, exit, broken, offers } = attempt;
  // What it said first is what tells why: what came after it is about other versions.
  const refusal = offers.refusal?.message;
  if (input.signal.aborted) {
    const failure = toSupervisorError(input.signal.reason);
    return { failure, isPortStolen: false, hasEnded: exit.aborted };
  }
  if (exit.aborted) return { ...(await exitFailure(attempt, refusal)), hasEnded: true };
  if (deadline.aborted) {
    const what = `was not ready within ${input.startTimeoutMs / 1000} s: ${refusal ?? missing}`;
    const failure = childFailure(attempt, "INSTANCE_START_TIMEOUT", what);
    return { failure, isPortStolen: false, hasEnded: false };
  }
  const cause = toSupervisorError(error);
  const why = broken.aborted ? cause.message : (refusal ?? cause.message);
  const what = `was ended before it was ready: ${why}`;
  const failure = childFailure(attempt, "INSTANCE_EXITED", what, cause);
  return { failure, isPortStolen: false, hasEnded: cause.code === "UPSTREAM_RESET" };
}

async function exitFailure(
  attempt: Attempt,
  refusal: string | undefined,
): Promise<Pick<FailedTry, "failure" | "isPortStolen">> {
  const { running } = attempt;
  const how = describeExit(await running.exited);
  const isPortStolen = (await running.listeners()).foreign.length > 0;
  await Promise.race([running.drained, delay(LAST_WORDS_MS)]);
  const thief = isPortStolen ? `, and another process holds port ${portOf(running)}` : "";
  const said = refusal === undefined ? "" : `: ${refusal}`;
  const what = `${how} before it was ready${thief}${said}`;
  return { failure: childFailure(attempt, "INSTANCE_EXITED", what), isPortStolen };
}

/** `what` is a predicate of the child. */
function childFailure(
  { input, startedAt }: Attempt,
  code: "INSTANCE_EXITED" | "INSTANCE_START_TIMEOUT",
  what: string,
  cause?: SupervisorError,
): SupervisorError {
  const { ref, output } = input;
  const details = output.tail(input, DETAIL_LINES, startedAt);
  const message = `${ref.user}/${ref.server}: the child ${what}`;
  return new SupervisorError(code, message, { cause, details });
}
