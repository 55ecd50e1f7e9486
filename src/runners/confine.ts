import type { ChildProcess } from "node:child_process";
import type { Duplex } from "node:stream";
import { SupervisorError } from "../errors.ts";
import { guarded } from "./guard.ts";
import { ENTRANCE_FD, LIFELINE_FD, insideOf } from "./inside.ts";
import { attachNetwork, waitsForNetwork } from "./outbound.ts";
import { withinPids } from "./limits.ts";
import { bubblewrap } from "./sandbox.ts";
import { openEntrance, openReach, socketName } from "./sockets.ts";
import type { Sandbox } from "./confinement.ts";
import type { RunSpec } from "./runner.ts";

/** How to start a child inside its confinement. */
export interface Confined {
  argv: [string, ...string[]];
  /** What the child gets beyond stdin, stdout and stderr. */
  descriptors: readonly ("pipe" | "ignore" | number)[];
  /** The unix socket that leads to its port. */
  socketPath: string | null;
  /** The first process is not the server's: a signal that asks it to end would end the rest at once. */
  isWrapped: boolean;
  /** To be called once it was spawned. Rejects with INSTANCE_SPAWN_FAILED; the child must be killed then. */
  spawned(child: ChildProcess): Promise<void>;
  /** To be called when nothing of it is left, or it was never spawned. */
  release(): void;
}

/**
 * Prepares what the spec's confinement asks for. `program` is the first of its argv, made absolute.
 * Rejects with INSTANCE_SPAWN_FAILED.
 */
export async function confine(spec: RunSpec, program: string): Promise<Confined> {
  const { confinement, env } = spec;
  const argv = withinPids(spec, [program, ...spec.argv.slice(1)]);
  if (confinement.level === "sandbox") return await inSandbox(spec, confinement, { program, argv });
  const uid = confinement.level === "user" ? confinement.uid : undefined;
  return {
    argv: guarded(argv, { env, uid }),
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
  { program, argv }: { program: string; argv: [string, ...string[]] },
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
    const boxed = bubblewrap({
      spec,
      sandbox,
      program,
      argv: [...inside.argv, ...argv],
      extra: inside.extra,
      makesNetwork: network === "none",
    });
    const whole = network === "none" ? boxed : waitsForNetwork(boxed, LIFELINE_FD, isRoot);
    const [first, ...rest] = whole;
    return {
      argv: guarded([first!, ...rest], { env }),
      descriptors: descriptorsFor(entrance?.fd),
      socketPath: entrance?.path ?? null,
      isWrapped: true,
      spawned: async (child) => {
        entrance?.handOver();
        const lifeline = child.stdio[LIFELINE_FD] as Duplex;
        // The other end is gone with the child, which is told elsewhere.
        lifeline.on("error", () => {});
        closers.push(() => lifeline.destroy());
        if (network === "none") return;
        try {
          closers.push(await attachNetwork(child, lifeline, isRoot));
        } catch (cause) {
          throw new SupervisorError(
            "INSTANCE_SPAWN_FAILED",
            "could not be started: its network could not be attached",
            { cause, details: [(cause as Error).message] },
          );
        }
      },
      release,
    };
  } catch (error) {
    release();
    throw error;
  }
}

function descriptorsFor(entrance: number | undefined): ("pipe" | "ignore" | number)[] {
  const descriptors: ("pipe" | "ignore" | number)[] = [];
  descriptors[ENTRANCE_FD - 3] = entrance ?? "ignore";
  descriptors[LIFELINE_FD - 3] = "pipe";
  return descriptors;
}
