import { SupervisorError } from "../errors.ts";
import type { Live } from "../instances/supervisor.ts";

/** The failure of a link, told as the end of the child where that is why it broke. */
export async function explainFailure(error: SupervisorError, live: Live): Promise<SupervisorError> {
  // Known already, and the exit is only what follows.
  if (error.code === "STOPPING") return error;
  const ended = await live.ending();
  if (ended === undefined) return error;
  if (ended.failure !== undefined) return ended.failure;
  const { user, server } = live.ref;
  return new SupervisorError(
    "INSTANCE_EXITED",
    `${user}/${server}: the child ${ended.reason} before it had answered`,
    { cause: error, data: { reason: ended.reason } },
  );
}

/** Why the child ended, as a predicate of it, where that is known. */
export const reasonIn = ({ data, message }: SupervisorError): string =>
  typeof data?.["reason"] === "string" ? data["reason"] : message;

/** What a call is answered with that was under way when the daemon stopped. `refusal`: what new ones hear. */
export const cutByStop = (refusal: SupervisorError): SupervisorError =>
  new SupervisorError("INSTANCE_EXITED", "the daemon stopped before the server had answered", {
    cause: refusal,
    data: { reason: "was stopped with the daemon" },
  });
