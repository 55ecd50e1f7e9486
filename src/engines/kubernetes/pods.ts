import { aborted, passed } from "../../platform/abort.ts";
import { withDeadline } from "../../platform/deadline.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { ApiClient } from "./api/client.ts";
import { ApiFailure } from "./api/failure.ts";
import type { List, Meta, Pod } from "./api/objects.ts";
import { PodWatch } from "./api/pod-watch.ts";
import { ANNOTATIONS, LABELS, selectorOf } from "./names.ts";

/** Between two tries to delete what is to go. */
const AGAIN_MS = 5000;
/** So long an apiserver that does not answer holds up the daemon's end. */
const LAST_CALLS_MS = 2000;

export interface PodsOptions {
  readonly client: ApiClient;
  readonly namespace: string;
  readonly installation: string;
  readonly log: Logger;
}

type Named = { readonly metadata: Meta };
type Listener = (pod: Pod, isGone: boolean) => void;

/** The pods of this installation, as the cluster has them: made, looked at, and deleted. */
export class Pods {
  readonly #options: PodsOptions;
  readonly #watch: PodWatch;
  readonly #listeners = new Map<string, Set<Listener>>();
  readonly #closing = new AbortController();
  readonly #deleting = new Map<string, Promise<void>>();
  /** Those that are to go, and are there still: a quota counts them. */
  readonly #going = new Set<string>();
  #whenGone = Promise.withResolvers<void>();
  #onAny: (pod: Pod) => void = () => {};

  constructor(options: PodsOptions) {
    this.#options = options;
    const { client, namespace, installation, log } = options;
    this.#watch = new PodWatch({
      client,
      namespace,
      selector: selectorOf(installation),
      onPod: (pod, isGone) => {
        const { name } = pod.metadata;
        for (const tell of this.#listeners.get(name) ?? []) tell(pod, isGone);
        if (!isGone) this.#onAny(pod);
        if (isGone && this.#going.delete(name)) this.#tellGone();
      },
      onTrouble: (failure) =>
        failure === undefined
          ? log.info("kubernetes: the apiserver answers again")
          : log.warn({ err: failure }, "kubernetes: the cluster's pods cannot be watched"),
    });
    this.#watch.begin();
  }

  /** Resolves once all that there is has been listed. */
  get synced(): Promise<void> {
    return this.#watch.synced;
  }

  /** Tells of all that there are, and of each change of one. */
  followAll(tell: (pod: Pod) => void): void {
    this.#onAny = tell;
    for (const pod of this.#watch.all()) tell(pod);
  }

  find(name: string): Pod | undefined {
    return this.#watch.find(name);
  }

  /** Rejects with an ApiFailure. */
  async create(spec: object, signal: AbortSignal): Promise<Pod> {
    const pod = await this.#post<Pod>("pods", spec, signal);
    this.#watch.learn(pod);
    return pod;
  }

  async createSecret(secret: object, signal: AbortSignal): Promise<void> {
    await this.#post("secrets", secret, signal);
  }

  /** One that is there already is taken. */
  async ensureClaim(claim: object, signal: AbortSignal): Promise<void> {
    await this.#post("persistentvolumeclaims", claim, signal).catch((error: unknown) => {
      if (!(error instanceof ApiFailure && error.reason === "AlreadyExists")) throw error;
    });
  }

  /** Deletes the volumes of a user's homes. Rejects with an ApiFailure. */
  async deleteClaimsOf(user: string): Promise<void> {
    const { client, installation } = this.#options;
    const kind = "persistentvolumeclaims";
    const query = { labelSelector: `${LABELS.installation}=${installation}` };
    const { signal } = this.#closing;
    const all = { method: "GET", path: this.#path(kind), query, signal } as const;
    const { items } = await client.ask<List<Named>>(all);
    for (const { metadata } of items)
      if (metadata.annotations?.[ANNOTATIONS.user] === user)
        await this.#delete(kind, metadata.name);
  }

  /** Tells of the pod now, where it is known, and of each change, until the returned function is called. */
  follow(name: string, tell: Listener): () => void {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(tell));
    const pod = this.find(name);
    if (pod !== undefined) tell(pod, false);
    return () => {
      listeners.delete(tell);
      if (listeners.size === 0) this.#listeners.delete(name);
    };
  }

  /** Resolves with true when one that was on its way out is gone, and with false at once where none is. Rejects with the signal's reason. */
  async roomMade(signal: AbortSignal): Promise<boolean> {
    if (this.#going.size === 0) return false;
    await Promise.race([this.#whenGone.promise, aborted(signal)]);
    return true;
  }

  /**
   * Resolves when the apiserver has taken note that the pod is to go, or does not know it; asks until it
   * has. Rejects only when the daemon ends first.
   */
  async remove(name: string): Promise<void> {
    const known = this.#deleting.get(name);
    if (known !== undefined) return await known;
    if (this.find(name) !== undefined) this.#going.add(name);
    const removed = this.#remove(name).finally(() => this.#deleting.delete(name));
    this.#deleting.set(name, removed);
    await removed;
  }

  /** What has ended goes first, as far as the apiserver answers in time; the rest is the next daemon's. */
  async close(): Promise<void> {
    await withDeadline(Promise.allSettled(this.#deleting.values()), LAST_CALLS_MS, () => []);
    this.#closing.abort(new Error("the daemon is stopping"));
    await this.#watch.close();
    this.#options.client.close();
  }

  #tellGone(): void {
    const { resolve } = this.#whenGone;
    this.#whenGone = Promise.withResolvers();
    resolve();
  }

  async #remove(name: string): Promise<void> {
    for (;;) {
      try {
        return await this.#delete("pods", name);
      } catch (error) {
        this.#closing.signal.throwIfAborted();
        this.#options.log.warn(
          { err: error, pod: name },
          "kubernetes: a pod cannot be deleted yet",
        );
        await passed(AGAIN_MS * (0.5 + Math.random()), this.#closing.signal);
      }
    }
  }

  async #delete(kind: string, name: string): Promise<void> {
    const { client } = this.#options;
    const { signal } = this.#closing;
    const call = { method: "DELETE", path: `${this.#path(kind)}/${name}`, signal } as const;
    await client.ask(call).catch((error: unknown) => {
      if (!(error instanceof ApiFailure && error.status === 404)) throw error;
    });
  }

  async #post<T>(kind: string, body: object, signal: AbortSignal): Promise<T> {
    const path = this.#path(kind);
    return await this.#options.client.ask<T>({ method: "POST", path, body, signal });
  }

  #path(kind: string): string {
    return `/api/v1/namespaces/${this.#options.namespace}/${kind}`;
  }
}
