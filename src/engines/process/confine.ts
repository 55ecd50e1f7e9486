import { SupervisorError } from "../../errors.ts";
import { filterOf } from "./bubblewrap-options.ts";
import { guarded } from "./guard.ts";
import { ENTRANCE_FD, FILTER_FD, LIFELINE_FD, insideOf } from "./inside.ts";
import { attachNetwork, waitsForNetwork } from "./outbound.ts";
import { withinPids } from "./limits.ts";
import { bubblewrap } from "./sandbox.ts";
import { openEntrance, openReach, socketName } from "./sockets.ts";
import type { Sandbox } from "./confinement.ts";
import type { ForkInput, ForkServer, Forked } from "./forks.ts";
import type { Handle } from "../../platform/node-inside.ts";
import type { RunSpec } from "./run-spec.ts";

/** How to start a child inside its confinement. */
export interface Confined {
  argv: readonly [string, ...string[]];
  /** What the child gets beyond stdin, stdout and stderr. */
  descriptors: ForkInput["stdio"];
  /** The listening socket among them. */
  entrance?: Handle | undefined;
  /** The unix socket that leads to its port. */
  socketPath: string | null;
  /** The first process is not the server's: a signal that asks it to end would end the rest at once. */
  isWrapped: boolean;
  /** To be called once it was spawned. Rejects with INSTANCE_SPAWN_FAILED; the child must be killed then. */
  spawned(child: Forked): Promise<void>;
  /** To be called when nothing of it is left, or it was never spawned. */
  release(): void;
}

/**
 * Prepares what the spec's confinement asks for. `program` is the first of its argv, made absolute.
 * Rejects with INSTANCE_SPAWN_FAILED.
 */
export async function confine(
  spec: RunSpec,
  program: string,
  forks: ForkServer,
): Promise<Confined> {
  const { confinement, env } = spec;
  const argv = withinPids(spec, [program, ...spec.argv.slice(1)]);
  if (confinement.level === "sandbox")
    return await inSandbox(spec, confinement, { program, argv, forks });
  const uid = confinement.level === "user" ? confinement.uid : undefined;
  return {
    argv: guarded(argv, { env, uid, parent: forks.pid }),
    descriptors: [],
    socketPath: null,
    isWrapped: false,
    spawned: () => Promise.resolve(),
    release: () => {},
  };
}

async function inSandbox(
  spec: RunSpec,
  sandbox: Sandbox,
  { program, argv, forks }: { program: string; argv: [string, ...string[]]; forks: ForkServer },
): Promise<Confined> {
  const { env } = spec;
  const { port, network, uid } = sandbox;
  const isRoot = uid !== null;
  const closers: (() => void)[] = [];
  const release = () => {
    for (const close of closers.splice(0)) close();
  };
  try {
    const name = socketName(sandbox.socketDir);
    const reach = await openReach(name, sandbox.reach);
    closers.push(() => reach.close());
    const entrance = port === null ? undefined : await openEntrance(name);
    if (entrance)
      closers.push(
        () => entrance.handOver(),
        () => entrance.remove(),
      );
    const inside = insideOf({ port, reach: reach.sockets, env });
    const filter = filterOf(sandbox);
    const boxed = bubblewrap({
      spec,
      sandbox,
      program,
      argv: [...inside.argv, ...argv],
      extra: inside.extra,
      filterFd: filter && FILTER_FD,
      makesNetwork: network === "none",
    });
    const whole = network === "none" ? boxed : waitsForNetwork(boxed, LIFELINE_FD, isRoot);
    const [first, ...rest] = whole;
    return {
      // Inside waits a watch for the end of its lifeline, which finds every death of the daemon.
      argv: guarded([first!, ...rest], { env }),
      descriptors: descriptorsFor({
        hasEntrance: entrance !== undefined,
        hasFilter: filter !== undefined,
      }),
      entrance: entrance?.handle,
      socketPath: entrance?.path ?? null,
      isWrapped: true,
      spawned: async (child) => {
        entrance?.handOver();
        const lifeline = child.pipes[LIFELINE_FD]!;
        // The other end is gone with the child, which is told elsewhere.
        lifeline.on("error", () => {});
        closers.push(() => lifeline.destroy());
        if (filter !== undefined) child.pipes[FILTER_FD]!.on("error", () => {}).end(filter);
        if (network === "none") return;
        closers.push(await attachOrRefuse({ child, lifeline, isRoot, forks }));
      },
      release,
    };
  } catch (error) {
    release();
    throw error;
  }
}

async function attachOrRefuse(input: Parameters<typeof attachNetwork>[0]): Promise<() => void> {
  try {
    return await attachNetwork(input);
  } catch (cause) {
    const what = "could not be started: its network could not be attached";
    const details = [(cause as Error).message];
    throw new SupervisorError("INSTANCE_SPAWN_FAILED", what, { cause, details });
  }
}

function descriptorsFor(has: { hasEntrance: boolean; hasFilter: boolean }): ForkInput["stdio"] {
  const descriptors: ForkInput["stdio"][number][] = [];
  descriptors[ENTRANCE_FD - 3] = has.hasEntrance ? "entrance" : "ignore";
  descriptors[LIFELINE_FD - 3] = "pipe";
  if (has.hasFilter) descriptors[FILTER_FD - 3] = "pipe";
  return descriptors;
}
