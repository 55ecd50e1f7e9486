import { DAY_MS } from "../../platform/durations.ts";
import { OutputShare } from "../../platform/output-share.ts";
import type { Endpoint, Exit, Running } from "../engine.ts";
import type { Suspect } from "./fence.ts";
import { PodCpu } from "./pod-cpu.ts";
import { CHILD_PORT } from "./pod-spec.ts";
import type { PortDoor } from "./port-door.ts";
import type { ShimLink } from "./shim.ts";

/** What a running child's engine sees to. */
export interface Keeper {
  /** Resolves when nothing of one that cannot be asked can live any more. */
  untilGone(suspect: Suspect): Promise<Omit<Exit, "at">>;
  /** Nothing of it lives: its Pod and what is known of it may go. */
  forget(name: string): void;
}

export interface PodRunningInput {
  readonly link: ShimLink;
  readonly place: string;
  readonly suspect: Omit<Suspect, "lastSentAt">;
  /** The way to its port; undefined for a child that is spoken to over pipes. */
  readonly door: PortDoor | undefined;
  readonly stopTimeoutMs: number;
  readonly keeper: Keeper;
  /** An earlier daemon has started it. */
  readonly isAdopted: boolean;
  /** Epoch ms. */
  readonly bornAt: number;
  /** In cores. */
  readonly cpuLimit: number | undefined;
  readonly epoch: number;
}

/** A child in a pod that its shim has started, or has kept for this daemon. */
export function podRunning(input: PodRunningInput): Running {
  const { link, place, suspect, door, stopTimeoutMs, keeper, isAdopted, epoch } = input;
  const cpu = new PodCpu(() => link.measures(), input.cpuLimit);
  let isSpent = false;
  const lost = link.lost.then((why) => {
    isSpent = true;
    return `cannot be reached any more: ${why}`;
  });
  const exited = endOf(input).then((exit) => {
    isSpent = true;
    door?.close();
    cpu.close();
    keeper.forget(suspect.name);
    return { ...exit, at: Date.now() };
  });
  // Whichever says it first: one that is lost meanwhile answers nothing.
  const end = async (ask: Promise<Exit>): Promise<Exit> => {
    ask.catch(() => {});
    return await exited;
  };
  return {
    endpoint: endpointOf(link, door),
    pid: null,
    place,
    output: new OutputShare(),
    exited,
    get isSpent() {
      return isSpent;
    },
    lost,
    leaving: Promise.race([
      link.terminating.then(() => "restarted: its node ends its pod"),
      aged(input.bornAt, exited),
    ]),
    disconnected: new Promise(() => {}),
    strained: new Promise(() => {}),
    drained: exited.then(() => {}),
    stop: () => end(link.stop(stopTimeoutMs)),
    kill: () => end(link.kill()),
    leave: () => {
      door?.close();
      cpu.close();
      link.close();
    },
    keepsake: {
      found: isAdopted ? link.noted : null,
      leave: (note) => link.note(note),
      epoch,
    },
    isGone: () => isSpent,
    isEnding: () => Promise.resolve(isSpent),
    listeners: () => Promise.resolve({ ours: ["127.0.0.1"], foreign: [] }),
    cpuLoad: () => cpu.load,
    onBusy: (tell) => cpu.onBusy(tell),
    rssBytes: () => Promise.resolve(isSpent ? null : (link.measures()?.rssBytes ?? null)),
  };
}

/** Its certificate is good for 90 days; long before that another pod takes over. */
const REPLACED_AFTER_MS = 60 * DAY_MS;
const LOOK_MS = 3_600_000;

/** Resolves when a pod is old enough to be replaced; never, if it ends before that. */
async function aged(bornAt: number, exited: Promise<unknown>): Promise<string> {
  return await new Promise((resolve) => {
    const timer = setInterval(() => {
      if (Date.now() - bornAt < REPLACED_AFTER_MS) return;
      clearInterval(timer);
      resolve("restarted: its pod's certificate is to be renewed");
    }, LOOK_MS).unref();
    void exited.then(() => clearInterval(timer));
  });
}

/** By the shim's word, or where that cannot be had any more by the kubelet's, or by time. */
async function endOf({ link, suspect, keeper }: PodRunningInput): Promise<Omit<Exit, "at">> {
  const isLost = link.lost.then(() => undefined);
  const told = await Promise.race([link.exited, isLost]);
  if (told !== undefined) return told;
  const gone = keeper.untilGone({ ...suspect, lastSentAt: link.lastSentAt() });
  return await Promise.race([link.exited, gone]);
}

function endpointOf(link: ShimLink, door: PortDoor | undefined): Endpoint {
  if (door === undefined) return { kind: "pipes", stdin: link.stdin, stdout: link.stdout };
  return { kind: "port", port: CHILD_PORT, socketPath: door.path, isPinned: false };
}
