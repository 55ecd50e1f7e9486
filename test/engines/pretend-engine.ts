import { PassThrough } from "node:stream";
import { createInterface } from "node:readline";
import { SupervisorError } from "../../src/errors.ts";
import { OutputShare } from "../../src/platform/output-share.ts";
import type { ChildServer } from "../../src/config/config.ts";
import type { EndedLeft, Engine, Exit, Left, Running } from "../../src/engines/engine.ts";
import type { StartOptions, Workload } from "../../src/engines/engine.ts";

/** What a child does with a line that it is sent: the lines that it answers with. */
type Program = (line: string) => string[];

/** A server over stdio, in as few words as there can be. */
function answer(line: string): string[] {
  const { id, method } = JSON.parse(line) as { id?: number; method: string };
  if (id === undefined) return [];
  const serverInfo = { name: "pretend", version: "1" };
  const greeting = { protocolVersion: "2025-06-18", capabilities: {}, serverInfo };
  const result = method === "initialize" ? greeting : {};
  return [JSON.stringify({ jsonrpc: "2.0", id, result })];
}

const PROGRAMS: Record<string, Program> = {
  echo: (line) => [line],
  stubborn: (line) => [line],
  silent: () => [],
  ends: () => [],
  server: answer,
};

/** A child that is a few objects. It ends when it is told to, or by itself. */
class Pod {
  readonly place: string;
  readonly program: string;
  readonly stdin = new PassThrough();
  readonly stdout = new PassThrough();
  readonly exited: Promise<Exit>;
  hasEnded = false;
  #end!: (exit: Exit) => void;

  constructor(place: string, program: string) {
    this.place = place;
    this.program = program;
    this.exited = new Promise((resolve) => (this.#end = resolve));
    createInterface({ input: this.stdin }).on("line", (line) => {
      for (const said of PROGRAMS[program]!(line)) this.stdout.write(`${said}\n`);
    });
    if (program === "ends") setImmediate(() => void this.end({ code: 3, signal: null }));
  }

  end(how: Pick<Exit, "code" | "signal">): Promise<Exit> {
    if (!this.hasEnded) {
      this.hasEnded = true;
      this.#end({ ...how, at: Date.now(), limit: null });
      this.stdin.destroy();
      this.stdout.end();
    }
    return this.exited;
  }
}

/** Where pods run, daemon or not. */
export class Pods {
  readonly all = new Set<Pod>();
  count = 0;
}

/** An engine that knows no system at all: its children are objects in another place than the daemon. */
export class PretendEngine implements Engine<ChildServer> {
  readonly #pods: Pods;
  readonly #own = new Set<Pod>();

  constructor(pods = new Pods()) {
    this.#pods = pods;
  }

  readonly level = "pod";
  readonly capacity = { starts: 4 };

  levelOf(): string {
    return this.level;
  }

  forgetUser(): void {}

  async start({ ref, def }: Workload<ChildServer>, { signal }: StartOptions): Promise<Running> {
    await Promise.resolve();
    signal.throwIfAborted();
    const { user, server } = ref;
    if (PROGRAMS[def.command] === undefined)
      throw new SupervisorError("INSTANCE_SPAWN_FAILED", `${user}/${server}: no such program`);
    const pod = new Pod(`pod ${++this.#pods.count}`, def.command);
    this.#pods.all.add(pod);
    return this.#running(pod);
  }

  findLeft(): Promise<Left[]> {
    const left = [...this.#pods.all].filter((pod) => !this.#own.has(pod));
    return Promise.resolve(
      left.map((pod) => ({
        place: pod.place,
        adopt: () => Promise.resolve(this.#running(pod)),
      })),
    );
  }

  async endLeft(): Promise<EndedLeft> {
    const left = [...this.#pods.all].filter((pod) => !this.#own.has(pod));
    for (const pod of left) await this.#end(pod, "SIGKILL");
    return { count: left.length, left: [] };
  }

  killAll(): void {
    for (const pod of this.#own) void this.#end(pod, "SIGKILL");
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  async #end(pod: Pod, signal: NodeJS.Signals): Promise<Exit> {
    const exit = await pod.end({ code: null, signal });
    this.#pods.all.delete(pod);
    return exit;
  }

  #running(pod: Pod): Running {
    this.#own.add(pod);
    const kill = (): Promise<Exit> => this.#end(pod, "SIGKILL");
    return {
      endpoint: { kind: "pipes", stdin: pod.stdin, stdout: pod.stdout },
      pid: null,
      place: null,
      output: new OutputShare(),
      exited: pod.exited,
      get isSpent() {
        return pod.hasEnded;
      },
      disconnected: new Promise(() => {}),
      strained: new Promise(() => {}),
      drained: pod.exited.then(() => {}),
      // One that takes no notice has to be killed, and in this place that is at once.
      stop: () => (pod.program === "stubborn" ? kill() : this.#end(pod, "SIGTERM")),
      kill,
      isGone: () => pod.hasEnded,
      isEnding: () => Promise.resolve(pod.hasEnded),
      listeners: () => Promise.resolve({ ours: [], foreign: [] }),
      cpuLoad: () => null,
      onBusy: () => {},
      rssBytes: () => Promise.resolve(null),
    };
  }
}
