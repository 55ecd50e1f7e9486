import type { CpuLoad } from "../engine.ts";
import type { Measures } from "./shim.ts";

/** Shims are asked this often. */
const LOOK_MS = 5000;
/** So much of its limit is all of it. */
const ALL = 0.9;
/** Programs that start, and calls that compute for a moment, are no news. */
const SUSTAINED_MS = 10_000;

interface Look {
  readonly at: number;
  readonly cpuSeconds: number;
}

/** Whether a pod uses all the CPU that it may, and since when, by what its shim measures. */
export class PodCpu {
  readonly #measures: () => Measures | null;
  /** In cores. */
  readonly #limit: number | null;
  readonly #timer: NodeJS.Timeout;
  #last: Look | undefined;
  #busySince: number | undefined;
  #cores = 0;
  #isTold = false;
  #tell: (load: CpuLoad) => void = () => {};

  constructor(measures: () => Measures | null, limit: number | undefined) {
    this.#measures = measures;
    this.#limit = limit ?? null;
    this.#timer = setInterval(() => this.look(), LOOK_MS).unref();
  }

  /** Null unless it does, and has for a while. */
  get load(): CpuLoad | null {
    if (this.#busySince === undefined) return null;
    const forMs = performance.now() - this.#busySince;
    if (forMs < SUSTAINED_MS) return null;
    const since = Date.now() - Math.round(forMs);
    return { since, cores: this.#cores, limit: this.#limit, isStarved: false };
  }

  /** Tells each time that it begins to. */
  onBusy(tell: (load: CpuLoad) => void): void {
    this.#tell = tell;
    this.#isTold = false;
    this.#news();
  }

  look(): void {
    const cpuSeconds = this.#measures()?.cpuSeconds;
    if (cpuSeconds === undefined) return;
    const now = { at: performance.now(), cpuSeconds };
    const last = this.#last;
    this.#last = now;
    if (last === undefined || now.at === last.at) return;
    this.#cores = ((cpuSeconds - last.cpuSeconds) * 1000) / (now.at - last.at);
    if (this.#cores < ALL * (this.#limit ?? 1)) {
      this.#busySince = undefined;
      this.#isTold = false;
    } else this.#busySince ??= last.at;
    this.#news();
  }

  close(): void {
    clearInterval(this.#timer);
    this.#busySince = undefined;
  }

  #news(): void {
    const { load } = this;
    if (load === null || this.#isTold) return;
    this.#isTold = true;
    this.#tell(load);
  }
}
