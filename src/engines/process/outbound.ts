import { once } from "node:events";
import type { Socket } from "node:net";
import { guarded } from "./guard.ts";
import { findTool, shell } from "./programs.ts";
import { sendSignal } from "./signal.ts";
import type { ForkServer, Forked } from "./forks.ts";

const READY_MS = 10_000;

/**
 * What runs before the sandbox when it is to have a network that leads out: makes the namespace and
 * waits until it is attached. bwrap cannot make it itself, because it ends in a user namespace that
 * nobody outside may enter.
 */
export function waitsForNetwork(argv: readonly string[], fd: number, isRoot: boolean): string[] {
  const account = isRoot ? [] : ["--user", "--map-current-user"];
  const wait = `echo up >&${fd}; read -r go <&${fd} || exit 125; exec "$@"`;
  return [
    findTool("unshare") ?? "unshare",
    ...account,
    "--net",
    "--",
    shell(),
    "-c",
    wait,
    "sh",
    ...argv,
  ];
}

async function within<T>(work: Promise<T>, what: string): Promise<T> {
  const timer = AbortSignal.timeout(READY_MS);
  const late = once(timer, "abort").then(() => {
    throw new Error(`${what} took more than ${READY_MS / 1000} s`);
  });
  return await Promise.race([work, late]);
}

async function firstByte(stream: Socket, { exited }: Forked, what: string): Promise<void> {
  const ended = exited.then(({ code }) => {
    throw new Error(`${what} ended with code ${code}`);
  });
  // The reader of the losing promise must not count as unhandled.
  ended.catch(() => {});
  await within(Promise.race([once(stream, "data"), ended]), what);
}

export interface NetworkInput {
  child: Forked;
  lifeline: Socket;
  isRoot: boolean;
  forks: ForkServer;
}

/**
 * Attaches the network of a child that waits for it, and lets it go on. The helper lives as long as
 * the child: resolves with a function that ends it; it also ends with the daemon, whose end of the
 * pipe that closes. Rejects when the helper cannot do it.
 */
export async function attachNetwork({
  child,
  lifeline,
  isRoot,
  forks,
}: NetworkInput): Promise<() => void> {
  await firstByte(lifeline, child, "the network namespace");
  const pid = String(child.pid);
  const account = isRoot ? ["--enable-sandbox"] : [`--userns-path=/proc/${pid}/ns/user`];
  // Its own sandbox begins with a mount over /tmp, which would reach the whole machine where /tmp is
  // a mount that is shared, as systemd makes it.
  const apart = [findTool("unshare") ?? "unshare", "--mount", "--"] as const;
  const slirp = findTool("slirp4netns") ?? "slirp4netns";
  const argv = guarded(
    [
      ...(isRoot ? ([...apart, slirp] as const) : ([slirp] as const)),
      "--configure",
      "--mtu=65520",
      "--disable-host-loopback",
      "--enable-seccomp",
      "--ready-fd=3",
      "--exit-fd=4",
      ...account,
      pid,
      "tap0",
    ],
    { env: {} },
  );
  const stdio = ["ignore", "ignore", "pipe", "pipe", "pipe"] as const;
  const helper = await forks.fork({ argv, cwd: "/", env: {}, stdio });
  const [, , stderr, ready, exit] = helper.pipes as [undefined, undefined, Socket, Socket, Socket];
  let said = "";
  stderr.setEncoding("utf8").on("data", (chunk: string) => {
    if (said.length < 2000) said += chunk;
  });
  let hasEnded = false;
  void helper.exited.then(() => (hasEnded = true));
  const end = () => {
    exit.destroy();
    ready.destroy();
    // After its end, its number may be another's.
    if (!hasEnded) sendSignal(helper.pid, "SIGKILL");
  };
  try {
    await firstByte(ready, helper, "slirp4netns");
  } catch (cause) {
    end();
    const words = said.trim().split("\n").at(-1) ?? "";
    throw new Error(`${(cause as Error).message}: ${words}`, { cause });
  }
  lifeline.write("go\n");
  return end;
}
