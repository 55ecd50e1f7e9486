import { onAbort } from "../../platform/abort.ts";
import type { Exit, Ref } from "../engine.ts";
import { podState } from "./pod-state.ts";
import type { Pods } from "./pods.ts";

/** Beside the shim's own time: what it takes to kill, and what two clocks differ in. */
const MARGIN_MS = 10_000;

/** Before there is what is to be ended. */
const NOTHING = (): void => {};

/** A pod that nobody can ask any more, and that may still live. */
export interface Suspect {
  readonly name: string;
  readonly ref: Ref;
  readonly orphanTimeoutMs: number;
  readonly memoryLimit: number | undefined;
  /** When it was sent its last byte, as `performance.now()`: from then on its shim counts. */
  readonly lastSentAt: number;
}

interface Held extends Suspect {
  readonly over: Promise<Omit<Exit, "at">>;
}

const UNKNOWN_END = { code: null, signal: "SIGKILL", limit: null } as const;
const keyOf = ({ user, server, variant }: Ref): string => `${user}/${server}/${variant}`;

/**
 * Whose successor may not start yet, because one of theirs may live where nobody can ask it. It is over
 * when a kubelet says so, or when its shim has heard nothing for so long that it has ended all by itself.
 * That a Pod has vanished proves nothing.
 */
export class Fence {
  readonly #pods: Pick<Pods, "follow">;
  readonly #held = new Map<string, Held>();

  constructor(pods: Pick<Pods, "follow">) {
    this.#pods = pods;
  }

  /** Resolves with its end when nothing of it can live any more. */
  async hold(suspect: Suspect): Promise<Omit<Exit, "at">> {
    const known = this.#held.get(suspect.name);
    if (known !== undefined) return await known.over;
    const over = this.#over(suspect).finally(() => this.#held.delete(suspect.name));
    this.#held.set(suspect.name, { ...suspect, over });
    return await over;
  }

  /** Until when, as epoch ms, something of this user's (and server's) may live that cannot be reached; undefined where nothing does. */
  until(user: string, server?: string): number | undefined {
    const ends = [...this.#held.values()]
      .filter(({ ref }) => ref.user === user && (server ?? ref.server) === ref.server)
      .map((suspect) => Date.now() + deadlineOf(suspect) - performance.now());
    return ends.length === 0 ? undefined : Math.round(Math.max(...ends));
  }

  /** Resolves when the next one of this instance may start. Rejects with the signal's reason. */
  async passed(ref: Ref, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const key = keyOf(ref);
    const mine = [...this.#held.values()].filter((held) => keyOf(held.ref) === key);
    if (mine.length === 0) return;
    await new Promise<void>((resolve, reject) => {
      const forget = onAbort(signal, () => reject(signal.reason as Error));
      void Promise.all(mine.map(({ over }) => over)).then(() => {
        forget();
        resolve();
      });
    });
  }

  async #over(suspect: Suspect): Promise<Omit<Exit, "at">> {
    return await new Promise((resolve) => {
      const finish = (exit: Omit<Exit, "at">): void => {
        clearTimeout(timer);
        unfollow();
        resolve(exit);
      };
      const waitMs = Math.max(0, deadlineOf(suspect) - performance.now());
      const timer = setTimeout(() => finish(UNKNOWN_END), waitMs).unref();
      let unfollow = NOTHING;
      unfollow = this.#pods.follow(suspect.name, (pod) => {
        const state = podState(pod, suspect.memoryLimit);
        if (state.kind === "ended" && state.isProven) setImmediate(finish, state.exit);
      });
    });
  }
}

const deadlineOf = ({ lastSentAt, orphanTimeoutMs }: Suspect): number =>
  lastSentAt + orphanTimeoutMs + MARGIN_MS;
