import { SupervisorError } from "../errors.ts";
import type { Instance, Live } from "../instances/supervisor.ts";
import type { Link, LinkEvents } from "../links/link.ts";
import type { ModernStdio } from "../links/modern-stdio.ts";
import type { BuiltinTarget, Target } from "../links/target.ts";
import type { Survival } from "../telemetry/survival.ts";
import { MAX_SENDS } from "./resend.ts";
import type { Resend } from "./resend.ts";
import type { OpenLink } from "./session-options.ts";

/** What is asked of a server of 2026-07-28 itself, for all its callers. */
type ModernHub = Pick<ModernStdio, "versions" | "paramHeaders" | "isSafe" | "notify" | "ask">;

/** A ready child that speaks 2026-07-28 over stdio, or a server that is part of the daemon. */
export interface ModernServing {
  readonly live: Live;
  readonly hub: ModernHub;
  readonly connect: (events: LinkEvents) => Link;
}

export interface ModernServerOptions {
  readonly instance: Instance;
  readonly resend: Resend;
  readonly connect: OpenLink;
  readonly survival?: Survival | undefined;
}

/** What is part of the daemon takes no headers and no notifications, and none of its calls is made twice. */
const hubOfBuiltin = ({ server }: BuiltinTarget): ModernHub => ({
  versions: server.versions,
  paramHeaders: () => Promise.resolve([]),
  isSafe: () => false,
  notify: () => Promise.resolve(),
  ask: () => Promise.reject(new SupervisorError("INTERNAL", "nobody asks it on his own")),
});

function hubOf(target: Target): ModernHub | undefined {
  if (target.transport === "builtin") return hubOfBuiltin(target);
  return target.transport === "stdio" && target.era === "modern" ? target.hub : undefined;
}

/** A server that speaks 2026-07-28 and has its requests brought, as one user has it, whichever generation of it serves. */
export class ModernServer {
  readonly instance: Instance;
  readonly resend: Resend;
  /** Who is told how requests fare when their child ends. */
  readonly survival: Survival | undefined;
  readonly #connect: OpenLink;

  constructor({ instance, resend, connect, survival }: ModernServerOptions) {
    this.instance = instance;
    this.resend = resend;
    this.survival = survival;
    this.#connect = connect;
  }

  /** The child of now, which is started where there is none. Rejects with what keeps it from starting. */
  async ready(): Promise<ModernServing> {
    return this.on(this.instance.live ?? (await this.instance.ensure()));
  }

  /**
   * Asks the child of now what changes nothing, and the next one where that ends over it; at most
   * three. Rejects as `ready` does, and as the question does.
   */
  async ask<T>(question: (serving: ModernServing) => Promise<T>): Promise<T> {
    for (let asked = 1; ; asked++) {
      const serving = await this.ready();
      try {
        return await question(serving);
      } catch (error) {
        if (asked === MAX_SENDS || (await serving.live.ending()) === undefined) throw error;
      }
    }
  }

  /** Throws INTERNAL for a child of another era. */
  on(live: Live): ModernServing {
    const hub = hubOf(live.target);
    if (hub === undefined)
      throw new SupervisorError("INTERNAL", "a modern request was led to another child");
    // To one of these at once.
    const connect = (events: LinkEvents) => this.#connect(live, events) as Link;
    return { live, hub, connect };
  }
}
