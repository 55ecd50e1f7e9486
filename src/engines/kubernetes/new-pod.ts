import { setTimeout as delay } from "node:timers/promises";
import { fillTemplate } from "../../config/template.ts";
import type { PodServer } from "../../config/child-servers.ts";
import { SupervisorError } from "../../errors.ts";
import { onAbort } from "../../platform/abort.ts";
import type { Ref, Workload } from "../engine.ts";
import { CHILD_PORT, HOME, SHIM_PORT, TMP } from "./pod-spec.ts";
import { podState } from "./pod-state.ts";
import type { PodState } from "./pod-state.ts";
import type { Pods } from "./pods.ts";
import type { ConnectShim, ShimLink, ShimTarget, StartOrder } from "./shim.ts";

/** Between two calls of a shim that does not answer yet. */
const CALL_AGAIN_MS = 50;

/** Before there is what is to be ended. */
const NOTHING = (): void => {};

export interface Waiting {
  readonly pods: Pick<Pods, "follow">;
  readonly name: string;
  readonly ref: Ref;
  readonly memoryLimit: number | undefined;
  readonly signal: AbortSignal;
  /** Told what it waits for, each time that this is something else. */
  readonly onWaiting: (why: string | null) => void;
}

/** Where a pod is called: resolves as soon as it has an address. Rejects with INSTANCE_SPAWN_FAILED where it will never have one, or the signal's reason. */
export async function addressOf(
  waiting: Waiting,
): Promise<{ address: string; node: string | null }> {
  const { pods, name, memoryLimit, signal, onWaiting } = waiting;
  return await new Promise((resolve, reject) => {
    let unfollow = NOTHING;
    const forget = onAbort(signal, () => finish(() => reject(signal.reason as Error)));
    const finish = (settle: () => void): void => {
      forget();
      // It may be told of within the call that makes it.
      setImmediate(() => unfollow());
      settle();
    };
    if (signal.aborted) return;
    let last: string | null = null;
    unfollow = pods.follow(name, (pod, isGone) => {
      const state = podState(pod, memoryLimit);
      const failure = failureOf(waiting, state, isGone);
      if (failure !== undefined) return finish(() => reject(failure));
      const address = state.kind === "ended" ? null : state.address;
      const node = pod.spec?.nodeName ?? null;
      if (address !== null) return finish(() => resolve({ address, node }));
      const why = state.kind === "pending" ? state.why : null;
      if (why !== last) onWaiting((last = why));
    });
  });
}

/** Calls a shim until it answers. Rejects with what it refuses us with, with INSTANCE_SPAWN_FAILED when its pod is over, or with the signal's reason. */
export async function callShim(
  connect: ConnectShim,
  target: ShimTarget,
  waiting: Waiting,
): Promise<ShimLink> {
  const over = new AbortController();
  let isRunning = false;
  const unfollow = waiting.pods.follow(waiting.name, (pod, isGone) => {
    const state = podState(pod, waiting.memoryLimit);
    const failure = failureOf(waiting, state, isGone);
    if (failure !== undefined) over.abort(failure);
    else waiting.onWaiting(state.kind === "pending" ? state.why : null);
    isRunning = state.kind === "running";
  });
  const signal = AbortSignal.any([waiting.signal, over.signal]);
  try {
    for (;;) {
      signal.throwIfAborted();
      try {
        return await connect({ ...target, signal });
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof SupervisorError) throw error;
        if (isRunning) waiting.onWaiting(unreached(target, error as NodeJS.ErrnoException));
        await delay(CALL_AGAIN_MS, undefined, { signal }).catch(() => signal.throwIfAborted());
      }
    }
  } finally {
    unfollow();
  }
}

const unreached = ({ address, port }: ShimTarget, { code, message }: NodeJS.ErrnoException) =>
  `it runs, and ${address}:${port} cannot be reached from here (${code ?? message})`;

/** Why a pod in this state will never answer; undefined while it may. */
function failureOf(
  waiting: Waiting,
  state: PodState,
  isGone: boolean,
): SupervisorError | undefined {
  if (isGone) return failed(waiting, "was deleted before it ran");
  if (state.kind === "ended") return failed(waiting, `ended: ${state.why}`);
  if (state.kind === "pending" && state.isHopeless)
    return failed(waiting, `cannot run: ${state.why}`);
  return undefined;
}

const failed = ({ ref, name }: Waiting, what: string): SupervisorError =>
  new SupervisorError(
    "INSTANCE_SPAWN_FAILED",
    `${ref.user}/${ref.server}: its pod ${name} ${what}`,
  );

/** What the shim is told to start: templates filled, the token in the environment and nowhere else. */
export function startOrder({ ref, def, token }: Workload<PodServer>, graceMs: number): StartOrder {
  const { pod, transport } = def;
  const port = transport === "stdio" ? undefined : CHILD_PORT;
  const fill = (text: string): string => fillTemplate(text, { port, user: ref.user });
  const own = Object.entries(def.env).map(([name, value]) => [name, fill(value)]);
  const env: Record<string, string> = { HOME, TMPDIR: TMP, ...Object.fromEntries(own) };
  if (token !== undefined) env[def.tokenEnv] = token;
  return {
    argv: [def.command, ...def.args.map(fill)],
    env,
    cwd: pod.cwd,
    stdio: transport === "stdio" ? "pipes" : "none",
    orphanMs: pod.orphanTimeoutMs,
    graceMs,
  };
}

/** Of a shim in that pod. */
export const targetOf = (target: Omit<ShimTarget, "port">): ShimTarget => ({
  ...target,
  port: SHIM_PORT,
});
