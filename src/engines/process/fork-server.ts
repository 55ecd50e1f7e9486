// A program of its own: starts children for the daemon. A fork copies the tables of all the memory its
// process has, and stands still meanwhile; this process stays small, whatever the daemon holds.
//
// Takes ForkRequests over its IPC channel and answers with ForkReplies. It ends with its
// stdin, which ends with the daemon, and takes its children along.
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { handleOf, sendWithHandle, takePipes } from "../../platform/node-inside.ts";
import { sendSignal } from "./signal.ts";
import type { ForkReply, ForkRequest } from "./forks.ts";
import type { Handle } from "../../platform/node-inside.ts";

const tell = (reply: ForkReply, handle?: Handle): boolean => sendWithHandle(process, reply, handle);

/** Leaders of groups. */
const living = new Set<number>();

/** The pipes that are on their way: closed here once the daemon has them. */
const sending = new Map<number, ChildProcess["stdio"][number][]>();

/** The listening sockets of children that come next. */
const entrances = new Map<number, Handle>();

type ChildRequest = Extract<ForkRequest, { is: "child" }>;

function start({ id, argv, cwd, env, stdio }: ChildRequest): void {
  const [file, ...args] = argv;
  const entrance = entrances.get(id);
  entrances.delete(id);
  if (entrance === undefined && stdio.includes("entrance")) {
    // This process had no descriptor left for it.
    tell({ id, is: "refused", code: "EMFILE", errno: undefined });
    return;
  }
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
    tell({ id, is: "refused", code, errno });
    return;
  } finally {
    entrance?.close();
  }
  child.once("error", ({ code, errno }: NodeJS.ErrnoException) => {
    if (child.pid === undefined) tell({ id, is: "refused", code, errno });
  });
  if (child.pid === undefined) return;
  const { pid } = child;
  living.add(pid);
  child.once("exit", (code, signal) => {
    living.delete(pid);
    tell({ id, is: "exited", code, signal });
  });
  const pipes = takePipes(child);
  sending.set(id, pipes);
  for (const [fd, stream] of pipes.entries()) {
    if (!stream) continue;
    const handle = handleOf(stream);
    // Before this turn ends: nothing the child says may be read here.
    handle.readStop();
    tell({ id, is: "pipe", fd }, handle);
  }
  tell({ id, is: "started", pid });
}

process.on("message", (request: ForkRequest, handle: unknown) => {
  switch (request.is) {
    case "entrance":
      return void entrances.set(request.id, handle as Handle);
    case "child":
      return start(request);
    case "taken":
      for (const stream of sending.get(request.id) ?? []) stream?.destroy();
      return void sending.delete(request.id);
  }
});
// Not the end of the channel: Node does not tell of that while a pipe is on its way.
process.stdin.resume().once("close", () => {
  // The whole group: a parent-death signal reaches the leader alone, and bubblewrap whose first
  // process dies while it makes the namespaces leaves a second one that waits for ever.
  for (const pid of living) sendSignal(-pid, "SIGKILL");
  process.exit();
});
// The daemon is asked to end, and its children are stopped in order before this one goes.
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, () => {});
