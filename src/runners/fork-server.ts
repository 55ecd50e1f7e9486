// A program of its own: starts children for the daemon. A fork copies the tables of all the memory its
// process has, and stands still meanwhile; this process stays small, whatever the daemon holds.
//
// Takes a ForkRequest a child over its IPC channel and answers with ForkReplies. It ends with that
// channel, and its children with it, where the guard could give them a parent-death signal.
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import type { Handle, ForkReply, ForkRequest } from "./forks.ts";

const send = process.send!.bind(process) as (reply: ForkReply, handle?: unknown) => boolean;

/** The pipes that are on their way: closed here once the daemon has them. */
const sending = new Map<number, ChildProcess["stdio"][number][]>();

const handleOf = (stream: unknown): Handle => (stream as Record<string, Handle>)["_handle"]!;

/** At a child's end, Node would close or read what it has of its pipes, which are the daemon's to do. */
function takePipes(child: ChildProcess): ChildProcess["stdio"][number][] {
  const pipes = [...child.stdio];
  Object.assign(child, { stdin: null, stdout: null, stderr: null, stdio: [] });
  return pipes;
}

function start({ id, argv, cwd, env, stdio }: ForkRequest, entrance: Handle | undefined): void {
  const [file, ...args] = argv;
  let child: ChildProcess;
  try {
    child = spawn(file, args, {
      cwd,
      env,
      stdio: stdio.map((kind) => (kind === "entrance" ? entrance!.fd : kind)),
      detached: true,
    });
  } catch (error) {
    const { code, errno } = error as NodeJS.ErrnoException;
    send({ id, is: "refused", code, errno });
    return;
  } finally {
    entrance?.close();
  }
  child.once("error", ({ code, errno }: NodeJS.ErrnoException) => {
    if (child.pid === undefined) send({ id, is: "refused", code, errno });
  });
  if (child.pid === undefined) return;
  child.once("exit", (code, signal) => send({ id, is: "exited", code, signal }));
  const pipes = takePipes(child);
  sending.set(id, pipes);
  for (const [fd, stream] of pipes.entries()) {
    if (!stream) continue;
    const handle = handleOf(stream);
    // Before this turn ends: nothing the child says may be read here.
    handle.readStop();
    send({ id, is: "pipe", fd }, handle);
  }
  send({ id, is: "started", pid: child.pid });
}

process.on("message", (message: ForkRequest | { id: number; is: "taken" }, handle: unknown) => {
  if (!("is" in message)) return start(message, handle as Handle | undefined);
  for (const stream of sending.get(message.id) ?? []) stream?.destroy();
  sending.delete(message.id);
});
process.once("disconnect", () => process.exit());
// The daemon is asked to end, and its children are stopped in order before this one goes.
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, () => {});
