import type { CpuLoad } from "../engine.ts";
import { CpuMeter } from "../process/cpu-meter.ts";
import type { Measures } from "./shim.ts";

/** Shims are asked this often. */
const LOOK_MS = 5000;

/** Whether a pod uses all the CPU that it may, and since when, by what its shim measures. */
export class PodCpu {
  readonly #measures: () => Measures | null;
  readonly #meter: CpuMeter;
  readonly #timer: NodeJS.Timeout;

  /** `limit`: in cores. */
  constructor(measures: () => Measures | null, limit: number | undefined) {
    this.#measures = measures;
    this.#meter = new CpuMeter(limit);
    this.#timer = setInterval(() => this.look(), LOOK_MS).unref();
  }

  /** Null unless it does, and has for a while. */
  get load(): CpuLoad | null {
    return this.#meter.load();
  }

  /** See `CpuMeter.onBusy`. */
  onBusy(tell: (load: CpuLoad) => void): void {
    this.#meter.onBusy(tell);
  }

  look(): void {
    const cpuSeconds = this.#measures()?.cpuSeconds;
    if (cpuSeconds === undefined) return;
    // How often it was held back a shim does not tell.
    const use = { usedMs: cpuSeconds * 1000, periods: 0, throttled: 0 };
    this.#meter.countGroup(use, performance.now());
  }

  close(): void {
    clearInterval(this.#timer);
  }
}
