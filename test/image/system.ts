import { spawn, spawnSync } from "node:child_process";
import type { ChildProcessWithoutNullStreams, SpawnSyncReturns } from "node:child_process";
import { once } from "node:events";
import { chownSync, mkdirSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { must } from "../helpers/pack.ts";
import { until } from "../helpers/until.ts";
import { imageConfig } from "./dockerfile.ts";

const ENTER = fileURLToPath(new URL("enter.sh", import.meta.url));
/** `node` of the base image. */
const UID = 1000;
const PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** Fresh volumes, with the owner that the image's folders have. */
export function makeVolumes(folder: string): string {
  for (const volume of ["data", "key"]) {
    mkdirSync(join(folder, volume), { recursive: true, mode: 0o700 });
    chownSync(join(folder, volume), UID, UID);
  }
  return folder;
}

export interface ContainerOptions {
  root: string;
  volumes: string;
  isMasked?: boolean;
  /** In the place of the image's own. */
  configFile?: string;
}

/** As an engine starts a process for the image's account. */
const AS_USER = [
  "/usr/bin/setpriv",
  `--reuid=${UID}`,
  `--regid=${UID}`,
  "--clear-groups",
  "--bounding-set=-all",
  "--inh-caps=-all",
  "--no-new-privs",
  "--",
];

const SPACES = ["--mount", "--pid", "--net", "--ipc", "--uts", "--fork", "--kill-child"];

/** Runs one command in the place of the image's own, as `docker run --entrypoint` does. */
export function runOnce(
  { root, volumes }: ContainerOptions,
  command: readonly string[],
  input: Buffer | string = "",
): SpawnSyncReturns<Buffer> {
  const argv = [PATH, ...imageConfig().env, ...AS_USER, ...command];
  return spawnSync("unshare", [...SPACES, "sh", ENTER, root, volumes, "unmasked", ...argv], {
    input,
  });
}

/** A running container of the image. */
export class Container {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #ended: Promise<[number | null]>;
  readonly #env: string[];
  output = "";

  constructor({ root, volumes, isMasked = false, configFile }: ContainerOptions) {
    const { env, entrypoint, command } = imageConfig();
    const own = configFile === undefined ? [] : [`MCP_SUPERVISOR_CONFIG=${configFile}`];
    this.#env = [PATH, ...env, ...own];
    const argv = [...this.#env, ...AS_USER, ...entrypoint, ...command];
    const enter = ["sh", ENTER, root, volumes, isMasked ? "masked" : "unmasked", ...argv];
    this.#child = spawn("unshare", [...SPACES, ...enter]);
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream.setEncoding("utf8").on("data", (text: string) => (this.output += text));
    this.#ended = once(this.#child, "close") as Promise<[number | null]>;
  }

  async serves(): Promise<void> {
    await until(
      () => this.output.includes("serves http") || this.#child.exitCode !== null,
      "the container serves",
      30_000,
    );
    if (this.#child.exitCode !== null) throw new Error(this.output);
  }

  /** The first process in it, by its number on this machine. */
  get #first(): number {
    const pid = this.#child.pid!;
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
    return Number(children.split(" ")[0]);
  }

  /** Runs a command in it, as `docker exec` does. */
  exec(command: readonly string[], input = ""): SpawnSyncReturns<string> {
    const into = ["--target", String(this.#first), "--mount", "--pid", "--net", "--ipc", "--uts"];
    const argv = ["/usr/bin/env", "-i", ...this.#env, ...AS_USER, ...command];
    return spawnSync("nsenter", [...into, "--", ...argv], { encoding: "utf8", input });
  }

  /** State and name of each process in it, and whose it is. */
  processes(): { pid: number; state: string; name: string; uid: number }[] {
    const space = (pid: string | number): string => {
      try {
        return must("readlink", [`/proc/${pid}/ns/pid`]).trim();
      } catch {
        return "";
      }
    };
    const own = space(this.#first);
    return readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name) && space(name) === own)
      .flatMap((name) => {
        try {
          const status = readFileSync(`/proc/${name}/status`, "utf8");
          const field = (key: string) =>
            new RegExp(`^${key}:\\s+(\\S+)`, "m").exec(status)?.[1] ?? "";
          return [
            {
              pid: Number(name),
              state: field("State"),
              name: field("Name"),
              uid: Number(field("Uid")),
            },
          ];
        } catch {
          return [];
        }
      });
  }

  /** As `docker stop`: SIGTERM to the first process; how long it took, and the exit code. */
  async stop(): Promise<{ ms: number; code: number | null }> {
    const startedAt = performance.now();
    if (this.#child.exitCode === null) process.kill(this.#first, "SIGTERM");
    const [code] = await this.#ended;
    return { ms: performance.now() - startedAt, code };
  }

  async ended(): Promise<number | null> {
    return (await this.#ended)[0];
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }
}
