import { randomBytes } from "node:crypto";
import type { PodSettings } from "../../config/types.ts";
import { aborted, passed } from "../../platform/abort.ts";
import type { ApiClient } from "./api/client.ts";
import { ApiFailure } from "./api/failure.ts";
import type { List, Pod } from "./api/objects.ts";
import { LABELS } from "./names.ts";
import { trialPod } from "./pod-spec.ts";

/** Whether the cluster keeps to network policies; `unknown` where the trial told nothing. */
export type Enforcement = "enforced" | "open" | "unknown";

export interface PolicyTrialOptions {
  readonly client: Pick<ApiClient, "ask">;
  readonly namespace: string;
  readonly installation: string;
  /** What the throw-away pods are made of, and where they run. */
  readonly recipe: PodSettings;
  /** Aborts when the daemon ends. */
  readonly signal: AbortSignal;
  /** Between two looks at them. */
  readonly lookMs?: number;
  /** How long they may take, waits for a node and an image included. */
  readonly patienceMs?: number;
}

/** Its role, by which neither the watch nor a policy of children takes it for one. */
const TRIAL = "trial";
const LOOK_MS = 500;
const PATIENCE_MS = 120_000;
/** A policy may come into force a while after its pod runs. */
const WITHIN = "20s";

/** What a throw-away pod tries, and tells by its exit code. */
type Try = "connected" | "blocked";

/**
 * Many clusters take network policies and enforce none, and say so nowhere. So it is tried: a throw-away pod
 * that no policy chooses reaches the apiserver, and one that may reach nothing must not.
 */
export class PolicyTrial {
  readonly #options: PolicyTrialOptions;
  #running: Promise<Enforcement> | undefined;
  #last: Enforcement = "unknown";

  constructor(options: PolicyTrialOptions) {
    this.#options = options;
  }

  /** What was found last; `unknown` before. */
  get last(): Enforcement {
    return this.#last;
  }

  /** What the cluster does, tried once; a trial that told nothing, or could not be made, is made again for who asks next. Rejects with an ApiFailure or the signal's reason. */
  async verdict(signal: AbortSignal): Promise<Enforcement> {
    if (this.#last !== "unknown") return this.#last;
    this.#running ??= this.#try().finally(() => (this.#running = undefined));
    return await Promise.race([this.#running, aborted(signal)]);
  }

  /** Resolves when no trial is under way. */
  async settled(): Promise<void> {
    await this.#running?.catch(() => {});
  }

  async #try(): Promise<Enforcement> {
    await this.#clear();
    const [isReached, isBlocked] = await Promise.all([
      this.#tell("connected"),
      this.#tell("blocked"),
    ]);
    this.#last = judge(isReached, isBlocked);
    return this.#last;
  }

  /** What a trial has left that was cut short. */
  async #clear(): Promise<void> {
    const { client, installation, signal } = this.#options;
    const labelSelector = `${LABELS.installation}=${installation},${LABELS.role}=${TRIAL}`;
    const call = { method: "GET", path: this.#pods, query: { labelSelector }, signal } as const;
    const { items } = await client.ask<List<Pod>>(call);
    for (const { metadata } of items) await this.#remove(metadata.name);
  }

  get #pods(): string {
    return `/api/v1/namespaces/${this.#options.namespace}/pods`;
  }

  /** The next trial removes one that cannot be removed now; it has ended by then, and holds nothing. */
  async #remove(name: string): Promise<void> {
    const path = `${this.#pods}/${name}`;
    await this.#options.client.ask({ method: "DELETE", path }).catch((error: unknown) => {
      if (!(error instanceof ApiFailure)) throw error;
    });
  }
  /** Whether a pod's try came out so; undefined where it told nothing within the time. */
  async #tell(what: Try): Promise<boolean | undefined> {
    const { client, signal, patienceMs = PATIENCE_MS, lookMs = LOOK_MS } = this.#options;
    const name = `mcps-trial-${randomBytes(8).toString("hex")}`;
    const path = `${this.#pods}/${name}`;
    const until = performance.now() + patienceMs;
    try {
      await client.ask({ method: "POST", path: this.#pods, body: this.#pod(name, what), signal });
      while (performance.now() < until) {
        const { status } = await client.ask<Pod>({ method: "GET", path, signal });
        if (status?.phase === "Succeeded") return true;
        if (status?.phase === "Failed") return codeIn(status) === 1 ? false : undefined;
        await passed(lookMs, signal);
      }
      return undefined;
    } finally {
      await this.#remove(name);
    }
  }

  #pod(name: string, what: Try): object {
    const { installation, recipe, patienceMs = PATIENCE_MS } = this.#options;
    const own = { [LABELS.installation]: installation, [LABELS.role]: TRIAL };
    const labels = what === "blocked" ? { ...own, [LABELS.network]: "none" } : own;
    const command = ["/shim", "reach", `--until=${what}`, `--within=${WITHIN}`];
    return trialPod({ name, labels, command, recipe, seconds: Math.ceil(patienceMs / 1000) });
  }
}

/** Where nobody gets through it is not the policy that holds one up. */
function judge(isReached: boolean | undefined, isBlocked: boolean | undefined): Enforcement {
  if (isReached !== true || isBlocked === undefined) return "unknown";
  return isBlocked ? "enforced" : "open";
}

/** With 1 it says that its try came out otherwise; anything else is an accident. */
const codeIn = (status: NonNullable<Pod["status"]>): number | undefined =>
  status.containerStatuses?.[0]?.state?.terminated?.exitCode;
