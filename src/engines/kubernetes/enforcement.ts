import type { PodServer } from "../../config/child-servers.ts";
import { SupervisorError } from "../../errors.ts";
import { passed } from "../../platform/abort.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { Ref } from "../engine.ts";
import type { Enforcement, PolicyTrial } from "./policy-trial.ts";

/** Between two tries to find it out. */
const AGAIN_MS = 60_000;

const WHY_NOT: Readonly<Record<Exclude<Enforcement, "enforced">, string>> = {
  open: "this cluster enforces no network policies: a throw-away pod that may reach nothing reached the apiserver",
  unknown: "whether this cluster enforces network policies could not be found out",
};
const WHAT_TO_DO =
  'use a network plug-in that enforces them; where yours does, say so by "networkPolicy": "assumed" in "kubernetes"';

/** Lets only such servers run whose `network` the cluster holds their pods to. */
export class NetworkEnforcement {
  readonly #trial: Pick<PolicyTrial, "verdict" | "last">;

  constructor(trial: Pick<PolicyTrial, "verdict" | "last">) {
    this.#trial = trial;
  }

  get last(): Enforcement {
    return this.#trial.last;
  }

  /** Finds out what the cluster does, and warns where that is nothing. Ends when it is known, or the signal aborts. */
  async findOut(signal: AbortSignal, log: Pick<Logger, "warn">): Promise<void> {
    while (!signal.aborted) {
      const found = await this.#trial.verdict(signal).catch((error: unknown) => {
        if (!signal.aborted) log.warn({ err: error }, `kubernetes: ${WHY_NOT.unknown} yet`);
        return "unknown" as const;
      });
      if (found === "open")
        log.warn(
          `kubernetes: ${WHY_NOT.open}. Pods reach each other, and all that the cluster reaches: ${WHAT_TO_DO}`,
        );
      if (found !== "unknown") return;
      await passed(AGAIN_MS, signal).catch(() => {});
    }
  }

  /** Rejects with ISOLATION_UNAVAILABLE where a server that may reach nothing would reach something. */
  async require(
    { user, server }: Ref,
    { network, pod }: PodServer,
    signal: AbortSignal,
  ): Promise<void> {
    if (network !== "none" || pod.networkPolicy === "assumed") return;
    const found = await this.#trial.verdict(signal);
    if (found === "enforced") return;
    throw new SupervisorError(
      "ISOLATION_UNAVAILABLE",
      `${user}/${server}: its "network": "none" cannot be had, for ${WHY_NOT[found]}; ${WHAT_TO_DO}`,
    );
  }
}
