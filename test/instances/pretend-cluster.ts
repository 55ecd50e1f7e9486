import type { ChildServer } from "../../src/config/config.ts";
import type { Exit, Keepsake, Left, Running } from "../../src/engines/engine.ts";
import type { Ref, StartOptions, Workload } from "../../src/engines/engine.ts";
import type { PodEngine } from "../../src/instances/instance-context.ts";
import { PretendEngine } from "../engines/pretend-engine.ts";

/** What outlives a daemon: a child, whose it is, and the note that lies with it. */
interface Kept {
  readonly ref: Ref;
  readonly running: Running;
  note: Uint8Array | null;
}

/** The machines that pods run on. */
export class Machines {
  readonly kept: Kept[] = [];
}

/** An engine whose children wait for a node, get lost, and outlive the daemon, as the test says. */
export class PretendCluster extends PretendEngine implements PodEngine {
  /** What a start waits for before it begins; undefined for nothing. */
  waitsFor: { readonly why: string; readonly over: Promise<void> } | undefined;
  /** When one that is lost can be told to have ended. */
  isGone: Promise<void> = Promise.resolve();
  unreached: { readonly user: string; readonly until: number } | undefined;
  lose: (why: string) => void = () => {};
  readonly #machines: Machines;

  constructor(machines = new Machines()) {
    super();
    this.#machines = machines;
  }

  override async start(workload: Workload<ChildServer>, options: StartOptions): Promise<Running> {
    const { kept } = this.#machines;
    const left = kept.find(({ ref }) => ref.user === workload.ref.user);
    if (left !== undefined) return this.#podOf(left, left.note);
    if (this.waitsFor !== undefined) {
      options.onWaiting?.(this.waitsFor.why);
      await this.waitsFor.over;
    }
    const running = await super.start(workload, options);
    const made = { ref: workload.ref, running, note: null };
    kept.push(made);
    return this.#podOf(made, null);
  }

  /** Of those that nobody reaches. */
  mayLiveUntil(user: string): number | undefined {
    return user === this.unreached?.user ? this.unreached.until : undefined;
  }

  hasLeft({ ref }: Workload<ChildServer>): boolean {
    return this.#machines.kept.some((left) => left.ref.user === ref.user);
  }

  override findLeft(): Promise<(Left & { ref: Ref })[]> {
    return Promise.resolve(this.#machines.kept.map(({ ref }) => ({ ref, place: "n1/pod" })));
  }

  override endLeft(): Promise<{ count: number; left: Left[] }> {
    return Promise.resolve({ count: 0, left: [] });
  }

  #podOf(kept: Kept, found: Uint8Array | null): Running {
    const { running } = kept;
    const lost = new Promise<string>((resolve) => (this.lose = resolve));
    const keepsake: Keepsake = { found, epoch: 7, leave: (note) => void (kept.note = note) };
    const end = async (how: Promise<Exit>): Promise<Exit> => {
      await this.isGone;
      this.#machines.kept.splice(this.#machines.kept.indexOf(kept), 1);
      return await how;
    };
    return Object.assign(Object.create(running) as Running, {
      place: "n1/pod",
      lost,
      keepsake,
      leave: () => {},
      stop: () => end(running.stop()),
      kill: () => end(running.kill()),
    });
  }
}
