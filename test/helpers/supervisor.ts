import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { TestContext } from "node:test";
import { parseConfig } from "../../src/config/config.ts";
import { createLogger } from "../../src/telemetry/logger.ts";
import type { PodEngine } from "../../src/instances/instance-context.ts";
import type { Engine } from "../../src/engines/engine.ts";
import { Isolation } from "../../src/engines/process/isolation.ts";
import { ProcessEngine } from "../../src/engines/process/process-engine.ts";
import { killAllTrees } from "../../src/engines/process/process-tree.ts";
import type { ProcessTrees } from "../../src/engines/process/process-trees.ts";
import { startProcess } from "../../src/engines/process/start-process.ts";
import { BuiltinEngine } from "../../src/engines/builtin/builtin-engine.ts";
import { RemoteEngine } from "../../src/engines/remote/remote-engine.ts";
import { Supervisor } from "../../src/instances/supervisor.ts";
import type { ChildServer, Config } from "../../src/config/config.ts";
import type { Live, Ref } from "../../src/instances/supervisor.ts";
import { requireHttp } from "../../src/links/target.ts";
import type { HttpTarget } from "../../src/links/target.ts";
import { assertNoneLeft } from "./leaks.ts";

/** An entry of `servers` that runs one of the fixtures. */
export function fixture(name: string, args: string[] = [], more: object = {}): object {
  const file = path.resolve(import.meta.dirname, "../fixtures/servers", `${name}.ts`);
  return {
    type: "sse",
    command: process.execPath,
    args: [file, "--port", "${port}", ...args],
    ...more,
  };
}

export interface TestSupervisor {
  supervisor: Supervisor;
  config: Config;
  dataDir: string;
  /** Tokens by `user/server`, to be changed at will. */
  tokens: Map<string, string>;
  /** What the daemon's log got. */
  logged: Record<string, unknown>[];
}

// Test files run side by side, so each process takes its ports from a place of its own.
let nextPort = 18_000 + (process.pid % 140) * 100;

/** Process trees that no other life of the daemon knows of, for what needs no journal. */
const unrecordedTrees = (): ProcessTrees => ({
  controllers: new Set(),
  delegationFailure: undefined,
  findLeft: () => Promise.resolve([]),
  endLeft: () => Promise.resolve({ count: 0, left: [] }),
  start: (spec, onLine) => startProcess(spec, onLine),
  killAll: killAllTrees,
  close: () => Promise.resolve(),
});

/** A supervisor on a data folder of its own; after the test it is stopped and none of its processes may live. */
export function openSupervisor(
  t: TestContext,
  servers: Record<string, object>,
  settings: object = {},
  engine?: Engine<ChildServer>,
): TestSupervisor {
  const dataDir = mkdtempSync(path.join(tmpdir(), "supervisor-"));
  const config = parseConfig(
    {
      dataDir,
      isolation: "none",
      defaultServer: Object.keys(servers)[0],
      ports: { from: nextPort, to: nextPort + 9 },
      startTimeout: "15s",
      stopTimeout: "2s",
      servers,
      ...settings,
    },
    dataDir,
  );
  nextPort += 10;
  const tokens = new Map<string, string>();
  const logged: Record<string, unknown>[] = [];
  const log = createLogger("info", {
    destination: {
      write: (line: string) => void logged.push(JSON.parse(line) as Record<string, unknown>),
    },
  });
  const isolation = new Isolation(config);
  const child = engine ?? new ProcessEngine({ config, isolation, log, trees: unrecordedTrees() });
  const supervisor = new Supervisor({
    config,
    version: "0.0.0",
    servers: (name, user) => (user === "stranger" ? undefined : config.servers[name]),
    secretsFor: ({ user, server }) => Promise.resolve(tokens.get(`${user}/${server}`)),
    secretNow: ({ user, server }) => tokens.get(`${user}/${server}`),
    log,
    engines: {
      child,
      pods: engine !== undefined && "hasLeft" in engine ? (engine as PodEngine) : undefined,
      remote: new RemoteEngine(),
      builtin: new BuiltinEngine({ serve: assert.fail }),
    },
  });
  t.after(async () => {
    await supervisor.stopAll();
    await child.close();
    assertNoneLeft(`HOME=${dataDir}/`);
    rmSync(dataDir, { recursive: true, force: true });
  });
  return { supervisor, config, dataDir, tokens, logged };
}

export const ref = (user: string, server: string, variant = ""): Ref => ({ user, server, variant });

/** Where a child on a port, or a remote, is. */
export function targetOf({ target }: Live): HttpTarget {
  return requireHttp(target);
}

/** Calls a tool of a fixture by its /mcp route, which all of the well-behaved ones have. */
export async function callTool(live: Live, name: string, args: object = {}): Promise<string> {
  const url = new URL("/mcp", targetOf(live).url);
  const post = async (body: object, session?: string) => {
    const headers = {
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
    };
    return await fetch(url, {
      method: "POST",
      headers: session === undefined ? headers : { ...headers, "mcp-session-id": session },
      body: JSON.stringify({ jsonrpc: "2.0", ...body }),
    });
  };
  const opened = await post({ id: 1, method: "initialize", params: {} });
  await opened.text();
  const session = opened.headers.get("mcp-session-id") ?? "";
  const called = await post(
    { id: 2, method: "tools/call", params: { name, arguments: args } },
    session,
  );
  const data = (await called.text()).split("\n").find((line) => line.startsWith("data: "));
  const message = JSON.parse(data!.slice(6)) as { result: { content: { text: string }[] } };
  return message.result.content[0]!.text;
}
