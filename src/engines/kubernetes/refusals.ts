import { SupervisorError } from "../../errors.ts";
import type { Ref } from "../engine.ts";
import { ApiFailure } from "./api/failure.ts";

/** When there may be room again nobody knows. */
const RETRY_AFTER_SECONDS = 10;

interface Remedy {
  readonly matches: RegExp;
  readonly words: string;
}

/** What an admin has to do about a refusal, by the apiserver's words for it. */
const REMEDIES: readonly Remedy[] = [
  {
    matches: /RuntimeClass/i,
    words: "the cluster has no such RuntimeClass: make it, or change kubernetes.runtimeClass",
  },
  {
    matches: /violates PodSecurity/i,
    words: "the namespace refuses it by Pod Security: it has to admit the level `restricted`",
  },
  {
    matches: /admission webhook|denied the request|ValidatingAdmissionPolicy/i,
    words: "an admission policy of the cluster refuses it",
  },
  {
    matches: /cannot \w+ resource/i,
    words: "the daemon's role lacks a right: apply the role of deploy/kubernetes",
  },
  {
    matches: /namespaces? ".*" not found/i,
    words: "there is no such namespace: make it, or change kubernetes.namespace",
  },
];

/** A quota is full. */
export const isNoRoom = (error: unknown): boolean =>
  error instanceof ApiFailure && /exceeded quota|maximum number of pods/i.test(error.message);

/** Why a pod could not be made, for who waits for it. */
export function refusalOf({ user, server }: Ref, error: unknown): SupervisorError {
  const who = `${user}/${server}: `;
  if (error instanceof SupervisorError) return told(error, who);
  if (!(error instanceof ApiFailure))
    return new SupervisorError("INSTANCE_SPAWN_FAILED", `${who}its pod could not be started`, {
      cause: error,
    });
  const { message, status } = error;
  const again = { cause: error, retryAfterSeconds: RETRY_AFTER_SECONDS };
  if (isNoRoom(error))
    return new SupervisorError(
      "INSTANCE_LIMIT",
      `${who}the cluster has no room for its pod: ${message}`,
      again,
    );
  if (error.isUnknown || status === 429)
    return new SupervisorError(
      "RESOURCES_EXHAUSTED",
      `${who}its pod could not be made: ${message}`,
      again,
    );
  const remedy = REMEDIES.find(({ matches }) => matches.test(message))?.words;
  const why = remedy === undefined ? message : `${remedy} (${message})`;
  const options = { cause: error };
  return new SupervisorError("INSTANCE_SPAWN_FAILED", `${who}its pod was refused: ${why}`, options);
}

/** The same, as that of a child which it is known whose it is. */
function told(error: SupervisorError, who: string): SupervisorError {
  const { code, message, details } = error;
  if (message.startsWith(who)) return error;
  return new SupervisorError(code, who + message, { cause: error, details });
}

/** Of a pod that was given up; `why`: what it waited for last. */
export function notRunning(
  { user, server }: Pick<Ref, "user" | "server">,
  patienceMs: number,
  why: string | undefined,
): SupervisorError {
  const seconds = Math.round(patienceMs / 1000);
  const what = `${user}/${server}: its pod was not running within ${seconds} s (kubernetes.pendingTimeout)`;
  return new SupervisorError("INSTANCE_SPAWN_FAILED", why === undefined ? what : `${what}: ${why}`);
}
