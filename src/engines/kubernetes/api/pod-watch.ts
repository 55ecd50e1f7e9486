import { passed } from "../../../platform/abort.ts";
import type { ApiClient } from "./client.ts";
import { ApiFailure } from "./failure.ts";
import type { List, Pod, WatchEvent } from "./objects.ts";

const PAGE = "500";
/** The apiserver ends a watch after so long, and another one begins. */
const WATCH_SECONDS = 300;
/** One that says nothing, no bookmark either, is no watch: the other end is gone. */
const SILENCE_MS = (WATCH_SECONDS + 30) * 1000;
const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 10_000;
/** None is as short by itself. */
const SHORT_MS = 1000;
/** One that went well for so long makes good what failed before. */
const WELL_MS = 10_000;

export interface PodWatchOptions {
  readonly client: Pick<ApiClient, "ask" | "lines">;
  readonly namespace: string;
  /** Of which pods, as a selector of labels. */
  readonly selector: string;
  /** Told of each change, and of each pod that is gone: `pod` as it was seen last. */
  readonly onPod: (pod: Pod, isGone: boolean) => void;
  /** Told when the apiserver cannot be asked, with why, and once it can again. */
  readonly onTrouble: (failure: Error | undefined) => void;
}

/**
 * The pods of this installation, by one list and one watch. While the apiserver is away what was last
 * seen stays, and nobody is told that anything is gone.
 */
export class PodWatch {
  readonly #options: PodWatchOptions;
  readonly #pods = new Map<string, Pod>();
  readonly #ending = new AbortController();
  readonly #synced = Promise.withResolvers<void>();
  #over: Promise<void> = Promise.resolve();
  #isWell = true;

  constructor(options: PodWatchOptions) {
    this.#options = options;
  }

  begin(): void {
    this.#over = this.#run();
  }

  /** Resolves once all that there is has been listed. */
  get synced(): Promise<void> {
    return this.#synced.promise;
  }

  find(name: string): Pod | undefined {
    return this.#pods.get(name);
  }

  all(): Pod[] {
    return [...this.#pods.values()];
  }

  /** What an answer to another request said of it, where that is news. */
  learn(pod: Pod): void {
    if (!this.#pods.has(pod.metadata.name)) this.#put(pod);
  }

  async close(): Promise<void> {
    this.#ending.abort(new Error("the watch is over"));
    await this.#over;
  }

  async #run(): Promise<void> {
    const { signal } = this.#ending;
    let failures = 0;
    let version: string | undefined;
    while (!signal.aborted) {
      const begun = performance.now();
      try {
        version = await this.#follow(version ?? (await this.#list()));
        failures = 0;
        // An apiserver that ends each watch at once is not asked all the time.
        if (performance.now() - begun < SHORT_MS) await this.#rest(2);
      } catch (error) {
        if (signal.aborted) return;
        const failure = error as Error;
        // What it could have gone on from is not there any more, or nobody knows.
        version = undefined;
        if (performance.now() - begun > WELL_MS) failures = 0;
        this.#tell(isExpired(failure) ? undefined : failure);
        await this.#rest(failures++).catch(() => {});
      }
    }
  }

  /** Later and later, and never all daemons at once. */
  async #rest(failures: number): Promise<void> {
    const ms = Math.min(FIRST_WAIT_MS * 2 ** failures, LONGEST_WAIT_MS);
    await passed(ms * (0.5 + Math.random()), this.#ending.signal);
  }

  #tell(failure: Error | undefined): void {
    if ((failure === undefined) === this.#isWell) return;
    this.#isWell = failure === undefined;
    this.#options.onTrouble(failure);
  }

  /** All of them, as they are; returns from where a watch goes on. */
  async #list(): Promise<string> {
    const seen = new Set<string>();
    let more: string | undefined;
    let version = "";
    do {
      const query = { limit: PAGE, ...(more !== undefined && { continue: more }) };
      const { items, metadata } = await this.#ask<List<Pod>>(query);
      for (const pod of items) {
        seen.add(pod.metadata.name);
        this.#put(pod);
      }
      more = metadata.continue || undefined;
      version = metadata.resourceVersion ?? "";
    } while (more !== undefined);
    for (const [name, pod] of this.#pods) if (!seen.has(name)) this.#remove(pod);
    this.#synced.resolve();
    this.#tell(undefined);
    return version;
  }

  /** Follows changes until the apiserver ends that; returns from where the next watch goes on. */
  async #follow(from: string): Promise<string> {
    let version = from;
    const silence = new AbortController();
    let timer: NodeJS.Timeout | undefined;
    const heard = (): void => {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(new ApiFailure("the watch is silent")), SILENCE_MS);
    };
    heard();
    const signal = AbortSignal.any([this.#ending.signal, silence.signal]);
    const query = {
      ...this.#query,
      watch: "true",
      allowWatchBookmarks: "true",
      resourceVersion: from,
      timeoutSeconds: String(WATCH_SECONDS),
    };
    try {
      for await (const line of this.#options.client.lines({ ...this.#get, query, signal })) {
        heard();
        version = this.#take(JSON.parse(line) as WatchEvent<Pod>) ?? version;
      }
    } finally {
      clearTimeout(timer);
    }
    return version;
  }

  #take({ type, object }: WatchEvent<Pod>): string | undefined {
    if (type === "ERROR") {
      const { code = 0, message = "the watch failed", reason = "" } = object as unknown as Status;
      throw new ApiFailure(message, { status: code, reason });
    }
    if (type === "DELETED") this.#remove(object);
    else if (type !== "BOOKMARK") this.#put(object);
    this.#tell(undefined);
    return object.metadata.resourceVersion;
  }

  #put(pod: Pod): void {
    this.#pods.set(pod.metadata.name, pod);
    this.#options.onPod(pod, false);
  }

  #remove(pod: Pod): void {
    this.#pods.delete(pod.metadata.name);
    this.#options.onPod(pod, true);
  }

  async #ask<T>(query: Readonly<Record<string, string>>): Promise<T> {
    const { signal } = this.#ending;
    const { client } = this.#options;
    return await client.ask<T>({ ...this.#get, query: { ...this.#query, ...query }, signal });
  }

  get #query(): { labelSelector: string } {
    return { labelSelector: this.#options.selector };
  }

  get #get(): { method: "GET"; path: string } {
    return { method: "GET", path: `/api/v1/namespaces/${this.#options.namespace}/pods` };
  }
}

interface Status {
  readonly code?: number;
  readonly reason?: string;
  readonly message?: string;
}

const isExpired = (failure: Error): boolean =>
  failure instanceof ApiFailure && (failure.status === 410 || failure.reason === "Expired");
