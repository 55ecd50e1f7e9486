import { PassThrough } from "node:stream";
import type { Duplex, Readable, Writable } from "node:stream";
import type { TLSSocket } from "node:tls";
import { setTimeout as delay } from "node:timers/promises";
import { SupervisorError } from "../../errors.ts";
import type { Exit, StreamName } from "../engine.ts";
import { splitLines } from "../process/line-splitter.ts";
import { dialled } from "./dialled.ts";
import type { Identities } from "./identities.ts";
import { openConnection } from "./shim-connection.ts";
import type { Greeting, Opened, Purpose, ShimAddress, Take, WireExit } from "./shim-connection.ts";
import { SentInput } from "./sent-input.ts";
import { jsonFrame } from "./shim-frames.ts";
import { TakenOutput } from "./taken-output.ts";
import type { ConnectShim, Measures, ShimLink, ShimTarget, StartOrder } from "./shim.ts";

const PING_MS = 5000;
/** Three of them without an answer, and nothing is sent any more. */
const SILENCE_MS = 3 * PING_MS;
const AGAIN_MS = 200;

interface Event {
  readonly event: string;
  readonly message?: string;
  readonly bytes?: number;
  readonly memory?: number;
  readonly cpu?: number;
  readonly processes?: number;
  readonly clock?: number;
  readonly exit?: WireExit;
}

/** Calls a pod's shim, as who we are to it. */
export const connectorOf =
  (identities: Pick<Identities, "contextFor">): ConnectShim =>
  async (target) => {
    const context = (): ReturnType<Identities["contextFor"]> =>
      identities.contextFor(target.authority);
    const link = new Link(target, context);
    await link.open();
    return link;
  };

class Link implements ShimLink {
  readonly exited: Promise<Exit>;
  readonly lost: Promise<string>;
  readonly terminating: Promise<void>;
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly #target: ShimTarget;
  readonly #contextOf: () => ReturnType<Identities["contextFor"]>;
  readonly #exited = Promise.withResolvers<Exit>();
  readonly #lost = Promise.withResolvers<string>();
  readonly #terminating = Promise.withResolvers<void>();
  readonly #input = new SentInput((frame) => this.#write(frame));
  readonly #output = new TakenOutput((bytes) => this.#order({ op: "ack", bytes }));
  readonly #errors: TakenLines;
  readonly #lines: TakenLines;
  #isPiped = true;
  #state: ShimLink["state"] = "empty";
  #noted: Uint8Array | null = null;
  #measures: Measures | null = null;
  #socket: TLSSocket | undefined;
  #started: PromiseWithResolvers<void> | undefined;
  #leaving: object | undefined;
  #stopping: object | undefined;
  #heardAt = performance.now();
  #sentAt = performance.now();
  #timer: NodeJS.Timeout | undefined;
  #isOver = false;

  constructor(target: ShimTarget, contextOf: () => ReturnType<Identities["contextFor"]>) {
    this.#target = target;
    this.#contextOf = contextOf;
    this.exited = this.#exited.promise;
    this.lost = this.#lost.promise;
    this.terminating = this.#terminating.promise;
    this.stdin = this.#input.stream;
    this.stdout = this.#output.stream;
    this.#errors = new TakenLines("stderr", target);
    this.#lines = new TakenLines("stdout", target);
  }

  get state(): ShimLink["state"] {
    return this.#state;
  }

  get noted(): Uint8Array | null {
    return this.#noted;
  }

  lastSentAt(): number {
    return this.#sentAt;
  }

  measures(): Measures | null {
    return this.#measures;
  }

  /** The first connection; further ones are made as they break. */
  async open(): Promise<void> {
    const { note } = await this.#connect(this.#target.signal);
    this.#noted = note === undefined ? null : Buffer.from(note, "base64");
    this.#timer = setInterval(() => this.#ping(), PING_MS).unref();
    this.#order({ op: "ping", n: 0 });
  }

  async start(order: StartOrder): Promise<void> {
    this.#started = Promise.withResolvers();
    this.#isPiped = order.stdio === "pipes";
    // Until the shim says otherwise it may.
    this.#state = "running";
    this.#order({ op: "start", ...order });
    const lost = this.lost.then((why) => {
      throw new SupervisorError("INSTANCE_SPAWN_FAILED", `its pod was lost: ${why}`);
    });
    await Promise.race([this.#started.promise, lost]);
  }

  attach(isPiped: boolean): void {
    this.#isPiped = isPiped;
    this.#order({ op: "attach" });
  }

  dial(): Duplex {
    return dialled(async (signal) => await this.#call(DIAL, signal));
  }

  note(data: Uint8Array): void {
    this.#leaving = { op: "note", data: Buffer.from(data).toString("base64") };
    this.#order(this.#leaving);
  }

  async stop(graceMs: number): Promise<Exit> {
    this.#stopping = { op: "stop", graceMs };
    this.#order(this.#stopping);
    return await this.exited;
  }

  async kill(): Promise<Exit> {
    return await this.stop(0);
  }

  close(): void {
    this.#isOver = true;
    clearInterval(this.#timer);
    this.#socket?.destroy();
  }

  async #address(): Promise<ShimAddress> {
    return { ...this.#target, context: await this.#contextOf() };
  }

  /** What is said first on a connection is heard as well, and so it counts as sent. Rejects once nothing may be sent any more. */
  async #call(purpose: Purpose, signal: AbortSignal, take?: Take): Promise<Opened> {
    const to = await this.#address();
    if (this.#isOver) throw new Error(OVER);
    try {
      this.#sentAt = performance.now();
      const opened = await openConnection(to, purpose, signal, take);
      if (!this.#isOver) return opened;
      opened.socket.destroy();
      throw new Error(OVER);
    } finally {
      if (!this.#isOver) this.#sentAt = performance.now();
    }
  }

  async #connect(signal: AbortSignal): Promise<Greeting> {
    const take: Take = (kind, payload) => this.#take(kind, payload);
    const { socket, greeting } = await this.#call(CONTROL, signal, take);
    this.#socket = socket;
    this.#heardAt = performance.now();
    this.#heard(greeting.clock);
    const { state = "empty", acked = 0, stderr = 0, received = 0 } = greeting;
    this.#state = state;
    this.#output.goOnFrom(acked);
    this.#lines.goOnFrom(acked);
    this.#errors.goOnFrom(stderr);
    this.#input.goOnFrom(received);
    socket.on("error", () => {});
    socket.on("close", () => void this.#again());
    // The word of its start may have been lost with the connection before, or the order.
    if (state === "empty")
      this.#started?.reject(new SupervisorError("INSTANCE_SPAWN_FAILED", "its start was lost"));
    else this.#started?.resolve();
    if (state === "ended" && greeting.exit !== undefined) this.#end(greeting.exit);
    return greeting;
  }

  /** Makes a connection again that broke, for as long as nothing is lost. */
  async #again(): Promise<void> {
    this.#socket = undefined;
    while (!this.#isOver) {
      const leftMs = SILENCE_MS - (performance.now() - this.#heardAt);
      if (leftMs <= 0) return this.#lose("its connection broke, and it cannot be called again");
      try {
        await this.#connect(AbortSignal.timeout(Math.ceil(leftMs)));
        this.#order({ op: "attach" });
        // They may have been lost with the connection before, and are the same if they come twice.
        for (const order of [this.#leaving, this.#stopping])
          if (order !== undefined) this.#order(order);
        return;
      } catch (error) {
        if (error instanceof SupervisorError) return this.#lose(error.message);
        await delay(AGAIN_MS);
      }
    }
  }

  #ping(): void {
    if (performance.now() - this.#heardAt > SILENCE_MS) return this.#lose("it does not answer");
    this.#order({ op: "ping", n: 0 });
  }

  #lose(why: string): void {
    if (this.#isOver) return;
    this.close();
    this.#input.close();
    this.#output.close();
    this.#lost.resolve(why);
  }

  /** Gives the shim its clock back: what it was told with is how late it has heard us for sure. */
  #heard(clock: number | undefined): void {
    this.#order({ op: "heard", clock });
  }

  #order(order: object): void {
    this.#write(jsonFrame(order));
  }

  #write(frame: Buffer): void {
    if (this.#isOver || this.#socket?.writable !== true) return;
    this.#sentAt = performance.now();
    this.#socket.write(frame);
  }

  #take(kind: string, payload: Buffer): void {
    this.#heardAt = performance.now();
    if (kind === "E") this.#errors.push(payload);
    else if (kind === "O" && this.#isPiped) this.#output.push(payload);
    else if (kind === "O") this.#lines.push(payload);
    else if (kind === "J") this.#hear(JSON.parse(payload.toString()) as Event);
  }

  #hear(said: Event): void {
    switch (said.event) {
      case "pong": {
        const { memory = 0, cpu = 0, processes = 0 } = said;
        this.#measures = { rssBytes: memory, cpuSeconds: cpu, processes };
        return this.#heard(said.clock);
      }
      case "started":
        this.#state = "running";
        return this.#started?.resolve();
      case "failed":
      case "refused": {
        if (said.event === "failed") this.#state = "empty";
        const what = `in its pod: ${said.message ?? said.event}`;
        return this.#started?.reject(new SupervisorError("INSTANCE_SPAWN_FAILED", what));
      }
      case "taken":
        return this.#input.taken(said.bytes ?? 0);
      case "terminating":
        return this.#terminating.resolve();
      case "stdout-closed":
        return this.#output.close();
      case "ended":
        return this.#end(said.exit ?? { code: null, oom: false });
      default:
    }
  }

  #end({ code, signal, oom }: WireExit): void {
    this.#state = "ended";
    this.close();
    this.#input.close();
    this.#output.close();
    const limit = oom ? ({ kind: "memory", bytes: this.#target.memoryLimit ?? 0 } as const) : null;
    this.#exited.resolve({
      code,
      signal: code === null ? ((signal ?? "SIGKILL") as NodeJS.Signals) : null,
      at: Date.now(),
      limit,
    });
  }
}

/** Ends a call that came too late, and is told to nobody. */
const OVER = "nothing is sent to this pod any more";
const CONTROL = { for: "control" } as const;
const DIAL = { for: "dial", port: 8000 } as const;

/** What a child wrote for the log; what is sent again after a break is passed over. */
class TakenLines {
  readonly #text = new PassThrough();
  #taken = 0;
  #at = 0;

  constructor(stream: StreamName, { onLine }: Pick<ShimTarget, "onLine">) {
    splitLines(this.#text, (line) => onLine(stream, line));
  }

  goOnFrom(offset: number): void {
    this.#at = offset;
  }

  push(payload: Buffer): void {
    const known = Math.max(0, this.#taken - this.#at);
    this.#at += payload.length;
    this.#taken = Math.max(this.#taken, this.#at);
    if (known < payload.length) this.#text.write(payload.subarray(known));
  }
}
