import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import type { IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { assert as check, asyncModelRun, asyncProperty, commands, constantFrom } from "fast-check";
import type { Arbitrary, AsyncCommand } from "fast-check";
import { loadConfig } from "../../src/config/config.ts";
import { openDaemon } from "../../src/daemon.ts";
import type { Daemon } from "../../src/daemon.ts";
import { createLogger } from "../../src/telemetry/logger.ts";
import { Scrubber } from "../../src/telemetry/scrubber.ts";
import { call, fixture, initialize } from "../helpers/fixtures.ts";
import { assertNoneLeft } from "../helpers/leaks.ts";
import { until } from "../helpers/until.ts";

/** A failing run prints its seed; with it in this variable the same run comes again. */
const SEED = Number(process.env["MODEL_SEED"] ?? Date.now() % 2 ** 31);
const TIME_LIMIT_MS = 35_000;
/** Fewer on a busy machine would show next to nothing. */
const FEWEST_RUNS = 3;
const NAMES = ["ada", "bob", "cyd"] as const;
type Name = (typeof NAMES)[number];

interface User {
  isEnabled: boolean;
  /** Of the last key that was issued, and of one that was revoked. */
  key: { id: string; secret: string } | undefined;
  ended: string | undefined;
}

/** What an admin has done, and so what must be true. */
interface Model {
  users: Map<Name, User>;
  /** Keys of users who are gone. */
  strays: string[];
  greeting: string;
}

interface Row {
  user: string;
  pid: number | null;
  state: string;
  generation: number;
  inFlight: number;
}

interface Answer {
  status: number;
  body: Record<string, unknown>;
}

class Real {
  readonly #folder = mkdtempSync(join(tmpdir(), "mcps-"));
  #daemon: Daemon | undefined;

  async open(): Promise<void> {
    this.configure("hello");
    const config = loadConfig({ path: join(this.#folder, "supervisor.config.json") });
    const scrubber = new Scrubber();
    const log = createLogger("silent", { scrubber });
    this.#daemon = await openDaemon({ config, log, scrubber, version: "0" });
  }

  configure(greeting: string): void {
    const from = 12_000 + (process.pid % 300) * 30;
    const config = {
      dataDir: "./data",
      listen: { host: "127.0.0.1", port: 0 },
      isolation: "none",
      stopTimeout: "2s",
      idleTimeout: "2s",
      log: { level: "silent" },
      ports: { from, to: from + 29 },
      servers: { one: { ...fixture("http", "echo-sse"), env: { GREETING: greeting } } },
    };
    writeFileSync(join(this.#folder, "supervisor.config.json"), JSON.stringify(config));
  }

  async admin(method: string, path: string, body: object = {}): Promise<Answer> {
    const socketPath = join(this.#folder, "data", "control.sock");
    const sent = method === "GET" ? "" : JSON.stringify(body);
    const headers = { "content-type": "application/json", "content-length": sent.length };
    const req = request({ socketPath, method, path, headers });
    req.end(sent);
    const res = await new Promise<IncomingMessage>((resolve, reject) => {
      req.on("response", resolve).on("error", reject);
    });
    const answered = JSON.parse(await text(res)) as Record<string, unknown>;
    return { status: res.statusCode!, body: answered };
  }

  async post(user: Name, secret: string, body: string, session?: string): Promise<Response> {
    return await fetch(`http://127.0.0.1:${this.#daemon!.address.port}/u/${user}/mcp`, {
      method: "POST",
      headers: {
        authorization: `Bearer ${secret}`,
        "content-type": "application/json",
        accept: "application/json, text/event-stream",
        ...(session === undefined ? {} : { "mcp-session-id": session }),
      },
      body,
    });
  }

  async rows(): Promise<Row[]> {
    const { body } = await this.admin("GET", "/api/status");
    return body["instances"] as never;
  }

  async close(): Promise<void> {
    await this.#daemon!.close();
    assertNoneLeft(`HOME=${this.#folder}/`);
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

type Command = AsyncCommand<Model, Real>;

/** A command about one user, run where `makesSense` says that it makes sense. */
function about(
  word: string,
  makesSense: (user: User | undefined) => boolean,
  run: (model: Model, real: Real, name: Name) => Promise<void>,
): Arbitrary<Command> {
  return constantFrom(...NAMES).map((name) => ({
    check: ({ users }: Readonly<Model>) => makesSense(users.get(name)),
    run: async (model: Model, real: Real) => {
      await run(model, real, name);
      const { users } = (await real.admin("GET", "/api/users")).body as { users: { user: Name }[] };
      assert.deepEqual(
        users.map(({ user }) => user).toSorted(),
        [...model.users.keys()].toSorted(),
      );
      for (const row of await real.rows()) {
        const user = model.users.get(row.user as Name);
        assert.ok(user, "only users that are there have instances");
        assert.equal(row.inFlight, 0);
        if (!user.isEnabled) assert.ok(["stopped", "draining"].includes(row.state), row.state);
      }
    },
    toString: () => `${word} ${name}`,
  }));
}

const isThere = (user: User | undefined): boolean => user !== undefined;

async function refused(real: Real, name: Name, secret: string): Promise<void> {
  const answer = await real.post(name, secret, initialize());
  assert.equal(answer.status, 401, await answer.text());
}

const COMMANDS = [
  about(
    "add",
    (user) => user === undefined,
    async (model, real, name) => {
      const added = await real.admin("POST", "/api/users", {
        user: name,
        token: `token-of-${name}`,
      });
      assert.equal(added.status, 201);
      const key = added.body["key"] as User["key"];
      model.users.set(name, { isEnabled: true, key, ended: undefined });
    },
  ),
  about("remove", isThere, async (model, real, name) => {
    const { key } = model.users.get(name)!;
    assert.equal((await real.admin("DELETE", `/api/users/${name}`)).status, 200);
    model.users.delete(name);
    if (key !== undefined) model.strays.push(key.secret);
  }),
  about("disable", isThere, async (model, real, name) => {
    await real.admin("POST", `/api/users/${name}/disable`);
    model.users.get(name)!.isEnabled = false;
  }),
  about("enable", isThere, async (model, real, name) => {
    await real.admin("POST", `/api/users/${name}/enable`);
    model.users.get(name)!.isEnabled = true;
  }),
  about(
    "revoke the key of",
    (user) => user?.key !== undefined,
    async (model, real, name) => {
      const user = model.users.get(name)!;
      assert.equal((await real.admin("DELETE", `/api/keys/${user.key!.id}`)).status, 200);
      user.ended = user.key!.secret;
      user.key = undefined;
    },
  ),
  about("issue a key to", isThere, async (model, real, name) => {
    const issued = await real.admin("POST", `/api/users/${name}/keys`);
    const { id, secret } = issued.body as { id: string; secret: string };
    model.users.get(name)!.key = { id, secret };
  }),
  about("kill the child of", isThere, async (_model, real, name) => {
    const pid = (await real.rows()).find(({ user }) => user === name)?.pid;
    if (typeof pid !== "number") return;
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It ended between the question and the signal.
    }
    // Until the daemon knows, a call may still be led to it, and is told that it was killed.
    const isKnown = async (): Promise<boolean> =>
      (await real.rows()).every((row) => row.user !== name || row.pid !== pid);
    await until(isKnown, "the daemon knows that the child is gone");
  }),
  about(
    "restart",
    (user) => user?.isEnabled === true,
    async (_model, real, name) => {
      assert.equal((await real.admin("POST", `/api/users/${name}/restart`)).status, 200);
    },
  ),
  about("wait until nobody uses the child of", isThere, async (_model, real, name) => {
    const isDown = async (): Promise<boolean> =>
      (await real.rows()).every(({ user, pid }) => user !== name || pid === null);
    await until(isDown, "an idle child is stopped", 20_000);
  }),
  about(
    "reload, and then ask for",
    () => true,
    async (model, real, name) => {
      model.greeting = `hello ${name} ${model.greeting.length}`;
      real.configure(model.greeting);
      const isReady = ({ state }: Row): boolean => state === "ready";
      const before = (await real.rows()).filter(isReady);
      const done = await real.admin("POST", "/api/reload");
      assert.equal(done.status, 200);
      const serve = async (): Promise<boolean> =>
        (await real.rows()).some((row) =>
          before.some(
            (old) => isReady(row) && old.user === row.user && old.generation === row.generation,
          ),
        );
      await until(async () => !(await serve()), "others have taken over");
    },
  ),
  ...Array.from({ length: 4 }, () =>
    about(
      "call of",
      () => true,
      async (model, real, name) => {
        const user = model.users.get(name);
        for (const secret of [user?.ended, ...model.strays]) {
          if (secret !== undefined) await refused(real, name, secret);
        }
        if (user?.key === undefined) return;
        const { secret } = user.key;
        if (!user.isEnabled) return await refused(real, name, secret);
        const opened = await real.post(name, secret, initialize());
        assert.equal(opened.status, 200, await opened.text());
        const session = opened.headers.get("mcp-session-id")!;
        const env = await (await real.post(name, secret, call(1, "env"), session)).text();
        assert.ok(env.includes(`token-of-${name}`), env);
        assert.ok(env.includes(model.greeting), env);
        for (const other of NAMES)
          if (other !== name) assert.ok(!env.includes(`token-of-${other}`));
      },
    ),
  ),
];

test("whatever admins and accidents do, users get what they may, from children of their own", async (t) => {
  t.diagnostic(`MODEL_SEED=${SEED}`);
  let runs = 0;
  const property = asyncProperty(
    commands(COMMANDS, { maxCommands: 40, size: "max" }),
    async (drawn) => {
      runs += 1;
      const real = new Real();
      await real.open();
      try {
        const model: Model = { users: new Map(), strays: [], greeting: "hello" };
        await asyncModelRun(() => ({ model, real }), drawn);
      } finally {
        await real.close();
      }
    },
  );
  await check(property, {
    seed: SEED,
    numRuns: 30,
    interruptAfterTimeLimit: TIME_LIMIT_MS,
    // A busy machine does fewer runs; what it does must be right.
    markInterruptAsFailure: false,
    endOnFailure: true,
  });
  t.diagnostic(`${runs} runs`);
  assert.ok(runs >= FEWEST_RUNS, `${runs} runs in ${TIME_LIMIT_MS} ms`);
});
