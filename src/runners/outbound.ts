import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import type { Duplex, Readable } from "node:stream";
import { guarded } from "./guard.ts";
import { findTool } from "./programs.ts";

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
    findTool("sh") ?? "/bin/sh",
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

async function firstByte(stream: Readable, process: ChildProcess, what: string): Promise<void> {
  const ended = new Promise<never>((_resolve, reject) => {
    process.once("exit", (code) => reject(new Error(`${what} ended with code ${code}`)));
    process.once("error", reject);
  });
  // The reader of the losing promise must not count as unhandled.
  ended.catch(() => {});
  await within(Promise.race([once(stream, "data"), ended]), what);
}

/**
 * Attaches the network of a child that waits for it, and lets it go on. The helper lives as long as
 * the child: resolves with a function that ends it; it also ends with the daemon, whose end of the
 * pipe that closes. Rejects when the helper cannot do it.
 */
export async function attachNetwork(
  child: ChildProcess,
  lifeline: Duplex,
  isRoot: boolean,
): Promise<() => void> {
  await firstByte(lifeline, child, "the network namespace");
  const pid = String(child.pid);
  const account = isRoot ? ["--enable-sandbox"] : [`--userns-path=/proc/${pid}/ns/user`];
  const [file, ...args] = guarded(
    [
      findTool("slirp4netns") ?? "slirp4netns",
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
  const helper = spawn(file, args, {
    stdio: ["ignore", "ignore", "pipe", "pipe", "pipe"],
    env: {},
    detached: true,
  });
  let said = "";
  helper.stderr!.setEncoding("utf8").on("data", (chunk: string) => {
    if (said.length < 2000) said += chunk;
  });
  const [, , , ready, exit] = helper.stdio;
  const end = () => {
    (exit as Duplex).destroy();
    (ready as Duplex).destroy();
    helper.kill("SIGKILL");
  };
  try {
    await firstByte(ready as Readable, helper, "slirp4netns");
  } catch (cause) {
    end();
    const words = said.trim().split("\n").at(-1) ?? "";
    throw new Error(`${(cause as Error).message}: ${words}`, { cause });
  }
  lifeline.write("go\n");
  return end;
}
