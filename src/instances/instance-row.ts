import { NOWHERE } from "./instance-types.ts";
import { describeFlood, describeLoad } from "./describe-exit.ts";
import type { Generation } from "./generation.ts";
import { isInUse, newUsage } from "./usage.ts";
import type { Usage } from "./usage.ts";
import type { InstanceRow, InstanceState, Ref, StateName } from "./instance-types.ts";

export interface RowInput {
  ref: Ref;
  state: InstanceState;
  usage: Usage;
  generation: number;
  restarts: number;
  failures: number;
  /** Null for a remote. */
  isolation: InstanceRow["isolation"];
  /** Why what serves was not replaced yet, and when (`performance.now()`) that is tried again. */
  unreplaced?: { readonly reason: string; readonly retryAt: number } | undefined;
}

/** What an admin is shown of an instance. */
export function rowOf({ ref, state, usage, ...rest }: RowInput): InstanceRow {
  const { sessions, inFlight, lastMessageAt } = usage;
  const idleMs = lastMessageAt === null ? null : performance.now() - lastMessageAt;
  const retryAt = "retryAt" in state ? state.retryAt : rest.unreplaced?.retryAt;
  const { pid, place, port } = "pid" in state ? state : NOWHERE;
  return {
    ...ref,
    state: state.name,
    since: state.since,
    reason: reasonOf(state, rest.unreplaced?.reason ?? null),
    // Told by the wall clock of now, so that it stays true when that is set.
    retryAt: retryAt === undefined ? null : Math.round(Date.now() + retryAt - performance.now()),
    pid,
    place,
    port,
    generation: rest.generation,
    restarts: rest.restarts,
    failures: rest.failures,
    sessions,
    inFlight,
    idleSeconds: idleMs === null ? null : isInUse(usage) ? 0 : Math.floor(idleMs / 1000),
    isolation: rest.isolation,
  };
}

/** Why it is in this state, or what it does in it that an admin should know. */
function reasonOf(state: InstanceState, unreplaced: string | null): string | null {
  const reason = "reason" in state ? state.reason : null;
  const running = state.name === "ready" ? state.running : undefined;
  const load = running?.cpuLoad() ?? null;
  const floodingMs = running?.output.floodingMs ?? null;
  const all = [
    unreplaced,
    reason,
    floodingMs === null ? null : describeFlood(floodingMs),
    load === null ? null : describeLoad(load),
  ];
  return all.filter((one) => one !== null).join("; ") || null;
}

/** Whether it ever served somebody, or is about to: a client's path alone makes a row as well. */
export const hasBegun = ({
  state,
  generation,
  sessions,
}: Pick<InstanceRow, "state" | "generation" | "sessions">): boolean =>
  state !== "stopped" || generation > 0 || sessions > 0;

/** Nothing of an instance in this state runs, nor is on its way up or out. */
export function isDown(state: StateName): boolean {
  return state === "stopped" || state === "backing-off" || state === "parked";
}

/** One generation of an instance, for whoever shows it. */
export interface Part {
  row(): InstanceRow;
  /** Memory of the whole process tree, null where none is alive or it cannot be read. */
  rssBytes(): Promise<number | null>;
}

/** A generation that is not the one that its instance is about. */
export const partOf = (
  generation: Generation,
  restarts: number,
  isolation: () => string | null,
): Part => ({
  row: () => {
    const { ref, state, work, number } = generation;
    const usage = { ...newUsage(), inFlight: work.inFlight };
    const own = { ref, state, usage, generation: number };
    return rowOf({ ...own, restarts, failures: 0, isolation: isolation() });
  },
  rssBytes: () => generation.rssBytes(),
});
