import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { Conversation } from "../helpers/conversation.ts";
import type { Place } from "../helpers/conversation.ts";
import { startDaemon } from "../helpers/daemon.ts";
import { runCli, startDaemonProcess } from "../helpers/daemon-process.ts";
import type { Life } from "../helpers/daemon-process.ts";
import { bearer, json } from "../helpers/fixtures.ts";
import { holdListener } from "../helpers/held-listener.ts";
import { isAlive } from "../helpers/leaks.ts";
import { notingServer } from "../helpers/notes-calls.ts";
import type { Kind, Notes, NotingOptions, NotingServer } from "../helpers/notes-calls.ts";
import { ask } from "../helpers/raw-http.ts";
import { instancesOf } from "../helpers/status.ts";
import type { InstanceRow } from "../helpers/status.ts";
import { until } from "../helpers/until.ts";

/** Who has answered has a child; one that failed to answer may have none. */
const PATIENCE_MS = 5000;

export const FRONTS = ["sse", "mcp"] as const;
export type Front = (typeof FRONTS)[number];

/** A daemon as these checks see it, whoever started it. */
export interface Gateway {
  pid: number;
  origin: string;
  socket: string;
  configFile: string;
  /** Runs a command; fails unless it exits 0. A secret goes by `$SECRET`, of which `--token-env` may speak. */
  cli: (args: string[], secret?: string) => Promise<unknown>;
  /** All that `doctor NAME` says. */
  doctor: (user: string) => Promise<string>;
  addUser: (name: string, token: string) => Promise<string>;
  log: () => string;
  /** Ends it; what it has written down stays. */
  end: (signal: NodeJS.Signals) => Promise<void>;
  stop: () => Promise<void>;
}

export type StartGateway = (config: Record<string, unknown>, life?: Life) => Promise<Gateway>;

/** A daemon that ends with the test, which fails if it leaves anything behind. */
export const inTest =
  (t: TestContext): StartGateway =>
  async (config, life) => {
    // What was killed has left behind what the next one finds.
    const daemon = await startDaemon(t, { config, ...life, mayOrphan: life !== undefined });
    return {
      ...daemon,
      configFile: daemon.configPath,
      cli: async (args, secret = "") => {
        const done = await daemon.cli(args, { env: { SECRET: secret } });
        return done.json();
      },
      doctor: async (user) => (await daemon.cli(["doctor", user])).stdout,
      addUser: async (name, token) => (await daemon.addUser(name, token)).key.secret,
      end: async (signal) => void (await daemon.stop(signal)),
      stop: async () => void (await daemon.stop()),
    };
  };

/** A daemon outside of node:test. */
export const byItself: StartGateway = async (config, life) => {
  const own = { isolation: "none", stopTimeout: "2s", ports: { from: 21_000, to: 21_999 } };
  const daemon = await startDaemonProcess({ ...own, ...config }, { life });
  return {
    ...daemon,
    socket: daemon.controlSocket,
    cli: async (args, secret = "") => await daemon.cli(args, { SECRET: secret }),
    doctor: async (user) =>
      JSON.stringify(await runCli(daemon.configFile, ["doctor", user], {}, [0, 1])),
    addUser: async (name, token) => (await daemon.addUser(name, token)).key.secret,
  };
};

export interface Plan extends NotingOptions {
  kind: Kind;
}

const isThere = (pid: number): boolean => existsSync(`/proc/${pid}`);

/** What was ended, and when, by `performance.now()`. */
export interface Fault {
  at: number;
  pids: number[];
}

interface RigParts {
  folder: string;
  servers: ReadonlyMap<string, NotingServer>;
  /** Starts a daemon, the first one or the next. */
  begin: () => Promise<Gateway>;
  /** The port that is held between them. */
  held: ReturnType<typeof holdListener> | undefined;
}

/** A daemon with servers that note their calls, and alice, who uses them. */
export class Rig {
  readonly secrets = new Map<string, string>();
  #gateway: Gateway;
  readonly #parts: RigParts;
  readonly #sessions: Conversation[] = [];

  private constructor(gateway: Gateway, parts: RigParts) {
    this.#gateway = gateway;
    this.#parts = parts;
  }

  get gateway(): Gateway {
    return this.#gateway;
  }

  static async open(
    start: StartGateway,
    plans: Record<string, Plan>,
    config: Record<string, unknown> = {},
    { isHeld = false } = {},
  ): Promise<Rig> {
    const folder = mkdtempSync(join(tmpdir(), "survive-"));
    const servers = new Map<string, NotingServer>();
    for (const [name, { kind, ...options }] of Object.entries(plans))
      servers.set(name, await notingServer(kind, join(folder, name), options));
    const entries = Object.fromEntries([...servers].map(([name, { entry }]) => [name, entry]));
    const whole = {
      defaultServer: Object.keys(plans)[0],
      limits: { streamsPerUser: 1000, childrenPerUser: 100 },
      ...config,
      servers: entries,
    };
    const held = isHeld ? holdListener() : undefined;
    const dir = join(folder, "daemon");
    if (held !== undefined) mkdirSync(dir);
    const begin = () => start(whole, held && { dir, listenFd: held.fd });
    const rig = new Rig(await begin(), { folder, servers, begin, held });
    await rig.addUser("alice", "token-of-alice");
    return rig;
  }

  async addUser(name: string, token: string): Promise<void> {
    this.secrets.set(name, await this.gateway.addUser(name, token));
  }

  notes(server: string): Notes {
    return this.#parts.servers.get(server)!.notes;
  }

  /** The entry of a server that is started here. */
  entry(server: string): { command: string; args: string[] } {
    return this.#parts.servers.get(server)!.entry as { command: string; args: string[] };
  }

  /** Opens a session of alice's, or of whom `more` says. */
  async session(
    server: string,
    front: Front,
    capabilities: object = {},
    more: Partial<Place> = {},
  ): Promise<Conversation> {
    const { origin } = this.gateway;
    const user = more.user ?? "alice";
    const secret = this.secrets.get(user)!;
    const place = { origin, user, secret, server, front, ...more };
    const session = await Conversation.open(place, capabilities);
    this.#sessions.push(session);
    return session;
  }

  async rows(server: string, user = "alice"): Promise<InstanceRow[]> {
    const rows = await instancesOf(this.gateway);
    return rows.filter((row) => row.server === server && row.user === user);
  }

  /** The processes that stand behind a server, of which there is one at least. */
  async pids(server: string): Promise<number[]> {
    const { remote } = this.#parts.servers.get(server)!;
    if (remote !== undefined) return [remote.pid];
    return await until(
      async () => {
        const all = (await this.rows(server)).flatMap(({ pid }) => pid ?? []);
        return all.some(isAlive) ? all.filter(isAlive) : undefined;
      },
      `${server} has a child`,
      PATIENCE_MS,
    );
  }

  /** Kills what stands behind a server, and waits until it is gone; a remote is started again on its port. */
  async end(server: string): Promise<Fault> {
    const { remote } = this.#parts.servers.get(server)!;
    if (remote !== undefined) {
      const fault = { at: performance.now(), pids: [remote.pid] };
      await remote.kill();
      await remote.begin();
      return fault;
    }
    const pids = await this.pids(server);
    const at = performance.now();
    for (const pid of pids) process.kill(pid, "SIGKILL");
    // The dead hold what they had open until all their threads are gone, and the daemon has seen to them.
    await until(() => !pids.some(isThere), "the killed are gone");
    return { at, pids };
  }

  /** Ends the daemon of a port that is held, and starts the next one; `meanwhile` begins when there is none. */
  async succeed(signal: NodeJS.Signals, meanwhile = (): void => {}): Promise<void> {
    await this.gateway.end(signal);
    meanwhile();
    this.#gateway = await this.#parts.begin();
  }

  /** Orders by the CLI, of the user's server. */
  async order(verb: string, server: string, ...flags: string[]): Promise<void> {
    await this.gateway.cli([...verb.split(" "), "alice", "--server", server, ...flags]);
  }

  async setToken(server: string, token: string): Promise<void> {
    const flags = ["--server", server, "--token-env", "SECRET"];
    await this.gateway.cli(["token", "set", "alice", ...flags], token);
  }

  /** Alice replaces her own token, which is in force when this resolves. */
  async putOwnToken(server: string, token: string): Promise<void> {
    const { status, body } = await ask(Number(new URL(this.gateway.origin).port), {
      method: "PUT",
      path: "/u/alice/token",
      headers: [...bearer(this.secrets.get("alice")!), ...json],
      body: JSON.stringify({ token, server }),
    });
    assert.equal(status, 204, body);
  }

  /** Changes an entry of the config, and orders a reload. */
  async reload(server: string, change: (entry: Record<string, unknown>) => void): Promise<void> {
    const { configFile } = this.gateway;
    const config = JSON.parse(readFileSync(configFile, "utf8")) as {
      servers: Record<string, Record<string, unknown>>;
    };
    change(config.servers[server]!);
    writeFileSync(configFile, JSON.stringify(config));
    await this.gateway.cli(["reload"]);
  }

  async close(): Promise<void> {
    for (const session of this.#sessions) session.close();
    await this.gateway.stop();
    this.#parts.held?.close();
    for (const { remote } of this.#parts.servers.values()) await remote?.kill();
    rmSync(this.#parts.folder, { recursive: true, force: true });
  }
}
