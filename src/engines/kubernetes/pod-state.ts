import type { Exit } from "../engine.ts";
import type { ContainerStatus, Pod } from "./api/objects.ts";

/** What a Pod object says of what runs in it. */
export type PodState =
  | {
      readonly kind: "pending";
      /** What it waits for, in words for an admin; null where it is simply on its way. */
      readonly why: string | null;
      /** It waits for what nobody but an admin can change. */
      readonly isHopeless: boolean;
      readonly address: string | null;
    }
  | { readonly kind: "running"; readonly address: string | null }
  | {
      readonly kind: "ended";
      readonly why: string;
      readonly exit: Omit<Exit, "at">;
      /** A kubelet said that nothing of it runs; else only the cluster has given it up. */
      readonly isProven: boolean;
    };

/** Waits that end only when somebody mends the config or an image. */
const HOPELESS = new Set([
  "InvalidImageName",
  "ErrImageNeverPull",
  "CreateContainerConfigError",
  "CreateContainerError",
  "RunContainerError",
]);
const PULLING = new Set(["ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull"]);
/** What is on its way, and needs no words. */
const ON_ITS_WAY = new Set(["ContainerCreating", "PodInitializing"]);
/** The end of a process by a signal, as runtimes tell it. */
const SIGNALLED = 128;
const SIGNALS: Readonly<Record<number, NodeJS.Signals>> = {
  6: "SIGABRT",
  9: "SIGKILL",
  11: "SIGSEGV",
  15: "SIGTERM",
};

export function podState(pod: Pod, memoryLimit: number | undefined): PodState {
  const { phase, podIP: address = null } = pod.status ?? {};
  if (phase === "Succeeded" || phase === "Failed") return endOf(pod, memoryLimit);
  if (phase === "Running") return { kind: "running", address };
  const waiting = statusesOf(pod).map(({ state }) => state?.waiting);
  const reasons = waiting.flatMap((one) => one?.reason ?? []);
  const isHopeless = reasons.some((reason) => HOPELESS.has(reason));
  return { kind: "pending", why: waitOf(pod), isHopeless, address };
}

const statusesOf = ({ status }: Pod): readonly ContainerStatus[] => [
  ...(status?.initContainerStatuses ?? []),
  ...(status?.containerStatuses ?? []),
];

function waitOf(pod: Pod): string | null {
  for (const { name, state } of statusesOf(pod)) {
    const { reason, message } = state?.waiting ?? {};
    if (reason === undefined || ON_ITS_WAY.has(reason)) continue;
    const said = message === undefined ? reason : `${reason}: ${short(message)}`;
    return PULLING.has(reason) ? `its image cannot be pulled (${name}: ${said})` : said;
  }
  const scheduled = pod.status?.conditions?.find(({ type }) => type === "PodScheduled");
  if (scheduled?.status === "False")
    return `no node takes it (${scheduled.reason ?? "unscheduled"}: ${short(scheduled.message ?? "")})`;
  return null;
}

function endOf(pod: Pod, memoryLimit: number | undefined): PodState {
  const { status } = pod;
  const statuses = statusesOf(pod);
  const ended = statuses.findLast(({ state }) => state?.terminated !== undefined);
  const terminated = ended?.state?.terminated;
  const isOutOfMemory = terminated?.reason === "OOMKilled";
  const limit =
    isOutOfMemory && memoryLimit !== undefined
      ? ({ kind: "memory", bytes: memoryLimit } as const)
      : null;
  const said = status?.message ?? terminated?.message;
  const reason = status?.reason ?? terminated?.reason ?? status?.phase ?? "ended";
  const why = said === undefined || said === "" ? reason : `${reason}: ${short(said)}`;
  // What garbage collection ends nobody has looked at: its node may be there, and only cut off.
  const isGivenUp = status?.conditions?.some(
    ({ type, reason: by }) => type === "DisruptionTarget" && by === "DeletionByPodGC",
  );
  const runs = statuses.some(({ state }) => state?.running !== undefined);
  const isProven = isGivenUp !== true && !runs;
  return { kind: "ended", why, exit: { ...codeOf(terminated?.exitCode), limit }, isProven };
}

function codeOf(exitCode: number | undefined): Pick<Exit, "code" | "signal"> {
  const signal = exitCode === undefined ? "SIGKILL" : SIGNALS[exitCode - SIGNALLED];
  return signal === undefined ? { code: exitCode!, signal: null } : { code: null, signal };
}

const LONGEST_WORDS = 400;

/** One line, and no more than an admin reads. */
function short(text: string): string {
  const line = text.replaceAll(/\s+/g, " ").trim();
  return line.length <= LONGEST_WORDS ? line : `${line.slice(0, LONGEST_WORDS)}…`;
}
