import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { isListening } from "./daemon.ts";
import { endWithUs } from "./end-with-us.ts";
import { freePort } from "./free-port.ts";
import { until } from "./until.ts";

const FIXTURE = fileURLToPath(new URL("../fixtures/servers/notes-calls.ts", import.meta.url));

/** Every way in which the gateway reaches a server. */
export const KINDS = [
  "stdio",
  "stdio-session",
  "sse",
  "http",
  "remote-sse",
  "remote-http",
] as const;
export type Kind = (typeof KINDS)[number];

export interface NotedCall {
  tool: string;
  n?: number;
  pid: number;
  token: string | null;
}

export interface NotedMessage {
  pid: number;
  session: string;
  got: {
    id?: unknown;
    method?: string;
    params?: Record<string, unknown>;
    result?: unknown;
    error?: unknown;
  };
}

/** The folder of one such server: what it has written, and what it is to do. */
export class Notes {
  readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
    mkdirSync(folder, { recursive: true });
  }

  /** The calls that were executed. */
  calls(): NotedCall[] {
    return this.#lines<NotedCall>("calls.jsonl");
  }

  /** The messages that it got. */
  received(): NotedMessage[] {
    return this.#lines<NotedMessage>("received.jsonl");
  }

  /** How often a call with this number was executed. */
  count(n: number): number {
    return this.calls().filter((call) => call.n === n).length;
  }

  /** What it does otherwise than usual from now on; see the fixture. */
  behave(behaviour: object): void {
    this.#put("behaviour.json", JSON.stringify(behaviour));
  }

  /** Its tools from now on, the text of a JSON array. */
  showTools(text: string): void {
    this.#put("tools.json", text);
  }

  /** In one move: the server reads it at every call, and must not find half of it. */
  #put(name: string, text: string): void {
    const file = join(this.folder, name);
    writeFileSync(`${file}.new`, text);
    renameSync(`${file}.new`, file);
  }

  /** From now on each start waits, until `letStart`. */
  holdStarts(): void {
    writeFileSync(join(this.folder, "holds-start"), "");
  }

  letStart(): void {
    rmSync(join(this.folder, "holds-start"), { force: true });
  }

  /** The next start fails. */
  failOnce(): void {
    writeFileSync(join(this.folder, "dies-once"), "");
  }

  #lines<T>(name: string): T[] {
    const file = join(this.folder, name);
    if (!existsSync(file)) return [];
    const text = readFileSync(file, "utf8");
    const whole = text.slice(0, text.lastIndexOf("\n") + 1);
    return whole
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as T);
  }
}

/** A server that runs by itself on a port that stays the same. */
export class Remote {
  readonly port: number;
  readonly #argv: string[];
  #child: ChildProcess | undefined;

  private constructor(port: number, argv: string[]) {
    this.port = port;
    this.#argv = argv;
  }

  static async start(folder: string, args: readonly string[] = []): Promise<Remote> {
    const port = await freePort();
    const argv = ["--no-warnings", FIXTURE, "--folder", folder, "--port", String(port), ...args];
    const remote = new Remote(port, argv);
    await remote.begin();
    return remote;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  async begin(): Promise<void> {
    this.#child = spawn(process.execPath, this.#argv, { stdio: ["ignore", "ignore", "inherit"] });
    endWithUs(this.#child);
    await until(() => isListening(this.port), "the remote listens");
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "close");
    child.kill("SIGKILL");
    await ended;
  }
}

export interface NotingServer {
  kind: Kind;
  notes: Notes;
  remote: Remote | undefined;
  /** Its entry in `servers`. */
  entry: Record<string, unknown>;
}

export interface NotingOptions {
  /** Further arguments of the fixture. */
  args?: readonly string[];
  /** Further keys of the entry. */
  more?: Record<string, unknown>;
}

/** A server of this kind that works in this folder; a remote one runs from now on, and is its caller's to kill. */
export async function notingServer(
  kind: Kind,
  folder: string,
  { args = [], more = {} }: NotingOptions = {},
): Promise<NotingServer> {
  const notes = new Notes(folder);
  if (kind === "remote-sse" || kind === "remote-http") {
    const remote = await Remote.start(folder, args);
    const path = kind === "remote-sse" ? "sse" : "mcp";
    const url = `http://127.0.0.1:${remote.port}/${path}`;
    return { kind, notes, remote, entry: { url, ...more } };
  }
  const isPiped = kind === "stdio" || kind === "stdio-session";
  const argv = ["--no-warnings", FIXTURE, "--folder", folder];
  const entry = {
    type: isPiped ? "stdio" : kind,
    command: process.execPath,
    args: [...argv, ...(isPiped ? [] : ["--port", "${port}"]), ...args],
    ...(kind === "stdio-session" ? { sharing: "session" } : {}),
    ...more,
  };
  return { kind, notes, remote: undefined, entry };
}
