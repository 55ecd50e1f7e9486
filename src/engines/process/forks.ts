import { fork } from "node:child_process";
import type { ChildProcess, Serializable } from "node:child_process";
import { once } from "node:events";
import type { Socket } from "node:net";
import path from "node:path";
import { limited } from "./guard.ts";
import { sendSignal } from "./signal.ts";
import { sendWithHandle, socketOn } from "../../platform/node-inside.ts";
import type { Handle } from "../../platform/node-inside.ts";

const PROGRAM = path.join(import.meta.dirname, `fork-server${path.extname(import.meta.filename)}`);
/** It makes next to no garbage. */
const NODE_OPTIONS = ["--no-warnings", "--max-semi-space-size=1"];

export interface ForkInput {
  argv: readonly [string, ...string[]];
  cwd: string;
  env: Readonly<Record<string, string>>;
  /** By descriptor; "entrance" is the handle below. */
  stdio: readonly ("pipe" | "ignore" | "entrance")[];
  entrance?: Handle | undefined;
}

export type ForkRequest = { readonly id: number } &
  /** Comes with the handle, and before the child; a handle that gets lost takes its message along. */
  (
    | { readonly is: "entrance" }
    | ({ readonly is: "child" } & Omit<ForkInput, "entrance">)
    /** All pipes of it have arrived. */
    | { readonly is: "taken" }
  );

export type ForkReply = { readonly id: number } & (
  | {
      readonly is: "refused";
      readonly code: string | undefined;
      readonly errno: number | undefined;
    }
  | { readonly is: "pipe"; readonly fd: number }
  /** After all of its pipes. */
  | { readonly is: "started"; readonly pid: number }
  | { readonly is: "exited"; readonly code: number | null; readonly signal: NodeJS.Signals | null }
);

export interface End {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A child that runs, as the leader of a session and group of its own. */
export interface Forked {
  readonly pid: number;
  /** Our ends of its pipes, by descriptor. The first carries nothing back but how it ends. */
  readonly pipes: readonly (Socket | undefined)[];
  /** The leader's end; also resolves, with SIGKILL, when the process that started it is gone. */
  readonly exited: Promise<End>;
}

/** One child on its way, and later until its end. */
interface Waiting {
  readonly wanted: number;
  readonly pipes: (Socket | undefined)[];
  readonly resolve: (pid: number) => void;
  readonly reject: (error: unknown) => void;
  readonly end: (end: End) => void;
}

/** The process that starts all children of this one. */
export class ForkServer {
  readonly #process: ChildProcess;
  readonly #children = new Map<number, Waiting>();
  #ids = 0;

  private constructor(process: ChildProcess) {
    this.#process = process;
    process.on("message", (reply: Serializable, handle: unknown) =>
      this.#heard(reply as ForkReply, handle),
    );
    process.once("exit", () => this.#ended());
    // A request that could not be written: the end of the process tells of it.
    process.on("error", () => {});
    this.#rest();
  }

  /** Rejects when it cannot be started. */
  static async start(): Promise<ForkServer> {
    const [shell, ...begin] = limited([process.execPath, ...NODE_OPTIONS]);
    const server = fork(PROGRAM, [], {
      execPath: shell,
      execArgv: begin,
      cwd: "/",
      env: {},
      // Away from the terminal's signals.
      detached: true,
      stdio: ["pipe", "ignore", "inherit", "ipc"],
    });
    await once(server, "spawn");
    return new ForkServer(server);
  }

  get pid(): number {
    return this.#process.pid!;
  }

  get isAlive(): boolean {
    return this.#process.connected && this.#process.exitCode === null;
  }

  /** Rejects with the system's error when the child cannot be started. */
  async fork({ entrance, ...input }: ForkInput): Promise<Forked> {
    if (!this.isAlive) throw gone();
    const id = ++this.#ids;
    const wanted = input.stdio.filter((kind) => kind === "pipe").length;
    const pipes: (Socket | undefined)[] = [];
    let end!: (end: End) => void;
    const exited = new Promise<End>((resolve) => (end = resolve));
    const pid = await new Promise<number>((resolve, reject) => {
      this.#children.set(id, { wanted, pipes, resolve, reject, end });
      this.#process.ref();
      this.#process.channel?.ref();
      if (entrance !== undefined) this.#tell({ id, is: "entrance" }, entrance);
      this.#tell({ id, is: "child", ...input });
    });
    return { pid, pipes, exited };
  }

  /** Its children must have ended. Resolves when it has. */
  async close(): Promise<void> {
    if (!this.isAlive) return;
    const exit = once(this.#process, "exit");
    this.#process.ref();
    this.#process.stdin!.destroy();
    await exit;
  }

  #tell(request: ForkRequest, handle?: Handle): void {
    sendWithHandle(this.#process, request, handle);
  }

  #heard(reply: ForkReply, handle: unknown): void {
    const child = this.#children.get(reply.id);
    if (child === undefined) {
      (handle as Handle | undefined)?.close();
      return;
    }
    switch (reply.is) {
      case "pipe":
        child.pipes[reply.fd] = socketOn(handle as Handle, {
          readable: true,
          writable: reply.fd !== 1 && reply.fd !== 2,
          // What closes its end of its input has not closed ours.
          allowHalfOpen: reply.fd === 0,
        });
        return;
      case "started":
        this.#tell({ id: reply.id, is: "taken" });
        return this.#started(child, reply.pid);
      case "refused":
        child.reject(Object.assign(new Error("the system refused it"), reply));
        return this.#forget(reply.id);
      case "exited":
        child.end(reply);
        return this.#forget(reply.id);
    }
  }

  #started(child: Waiting, pid: number): void {
    const arrived = child.pipes.filter((pipe) => pipe !== undefined);
    if (arrived.length === child.wanted) return child.resolve(pid);
    // This process had no descriptor left for one of them.
    for (const pipe of arrived) pipe.destroy();
    sendSignal(-pid, "SIGKILL");
    child.reject(Object.assign(new Error("a pipe got lost"), { code: "EMFILE" }));
  }

  #ended(): void {
    for (const child of this.#children.values()) {
      child.reject(gone());
      child.end({ code: null, signal: "SIGKILL" });
    }
    this.#children.clear();
  }

  #forget(id: number): void {
    this.#children.delete(id);
    this.#rest();
  }

  /** Without children, it keeps nobody from ending. */
  #rest(): void {
    if (this.#children.size > 0) return;
    this.#process.unref();
    this.#process.channel?.unref();
    (this.#process.stdin as Socket | null)?.unref();
  }
}

/** The next child starts another one. */
const gone = () =>
  Object.assign(new Error("the process that starts children ended"), { code: "EAGAIN" });

let current: Promise<ForkServer> | undefined;

/** The one of this process; started when it is needed first, and again after an end by accident. Rejects when it cannot be. */
export async function forkServer(): Promise<ForkServer> {
  const asked = (current ??= ForkServer.start());
  const server = await asked.catch((error: unknown) => {
    if (current === asked) current = undefined;
    throw error;
  });
  if (server.isAlive) return server;
  if (current === asked) current = undefined;
  return await forkServer();
}

/** Ends it. Its children must have ended. */
export async function closeForkServer(): Promise<void> {
  const server = await current?.catch(() => undefined);
  current = undefined;
  await server?.close();
}
