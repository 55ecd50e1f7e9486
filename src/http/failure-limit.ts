import { isLocal, networkOf } from "./client-address.ts";

/** Failures that an address may have in a window before it is told to wait. */
const MAX_FAILURES = 10;
const WINDOW_MS = 60_000;
/** About 1 MB when full. An attacker with more addresses than this gets more tries; at 178 bits a key that is none the worse for it. */
const MAX_NETWORKS = 10_000;

/**
 * Counts requests with a wrong secret by the address they come from.
 *
 * The rule: failures are all that is counted, and failures are all that is refused. Behind one
 * address there may be an office or a proxy, so a request with a valid secret passes whatever others
 * did from there. What an address that keeps failing loses is the answer (429 for 401, whatever is
 * wrong with its secret) and the place in the log. A request without any secret is no failure:
 * clients feel their way like that. Nor are those from this machine counted: what comes from there
 * through a proxy that `trustProxy` does not name is everybody.
 */
export class FailureLimit {
  /** In the order in which their windows began, which is the order in which they end. */
  readonly #windows = new Map<string, { count: number; endsAt: number }>();
  readonly #now: () => number;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  get size(): number {
    return this.#windows.size;
  }

  /** Takes note of a failure; returns the whole seconds that are left of the wait where there were too many. */
  failed(address: string): number | undefined {
    if (isLocal(address)) return undefined;
    const now = this.#now();
    this.#forgetBefore(now);
    const network = networkOf(address);
    let window = this.#windows.get(network);
    if (window === undefined) {
      window = { count: 0, endsAt: now + WINDOW_MS };
      this.#windows.set(network, window);
    }
    window.count += 1;
    return window.count > MAX_FAILURES ? Math.ceil((window.endsAt - now) / 1000) : undefined;
  }

  #forgetBefore(now: number): void {
    for (const [network, { endsAt }] of this.#windows) {
      if (endsAt > now && this.#windows.size < MAX_NETWORKS) return;
      this.#windows.delete(network);
    }
  }
}
