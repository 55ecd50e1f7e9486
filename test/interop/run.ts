// Clients and servers that other people wrote, in three parts: Python clients at Python servers,
// first directly, then through the gateway, where two users have the same server with different
// tokens, over its own transport and over stdio; SSE servers whose endpoint events differ, two of them made with Go; mcp-remote
// and the Inspector's command line as clients, and those of Claude Code and Codex.
// Gets what it needs by itself, into node_modules/.cache.
import assert from "node:assert/strict";
import { type DaemonProcess, startDaemonProcess } from "../helpers/daemon-process.ts";
import { EVERYTHING } from "../helpers/everything.ts";
import { visitWithCodingClients } from "./coding-clients.ts";
import { type DirectChild, startDirect } from "./direct.ts";
import { visitEndpoints } from "./endpoints.ts";
import { visitWithInspector } from "./inspector.ts";
import { visitThroughFaults } from "./faults.ts";
import { visitInstalls } from "./installs.ts";
import { visitWithMcpRemote } from "./mcp-remote.ts";
import { MissingError } from "./programs.ts";
import { openPython, type Python } from "./python.ts";
import { visitInSandbox } from "./sandbox.ts";
import { check, finish, miss } from "./report.ts";
import { fingerprint, MCP_SERVER, SERVERS, SETTINGS } from "./seed.ts";
import { makeVisits, type Outcome, type Sight, type Visit, type Way, WAYS } from "./visits.ts";

const TOKENS = { alice: "tok_alice_xxx", bob: "tok_bob_xxx" };
const USERS = ["alice", "bob"] as const;
const TRANSPORTS = ["sse", "http"] as const;

const nameOf = ({ client, transport, mode }: Way) =>
  `${client}${mode === "legacy" ? " (legacy)" : ""} over ${transport}`;

function seen(outcome: Outcome | undefined): Sight {
  assert.ok(outcome, "the visit was not made");
  if ("refused" in outcome) assert.fail(outcome.refused);
  return outcome;
}

/** The visit saw this token, nobody else's, and its own answers only. */
function sawOnly(token: string, visit: Visit, { me, echoed, inbox, message }: Sight): void {
  assert.equal(me.fingerprint, fingerprint(token));
  assert.equal(inbox, `inbox of ${fingerprint(token)}`);
  assert.equal(message, `message 7 of ${fingerprint(token)}`);
  assert.deepEqual(me.settings, SETTINGS);
  assert.deepEqual(
    echoed,
    Array.from({ length: 8 }, (_, nth) => `${visit.url} ${nth}`),
  );
}

async function visitDirectly(python: Python): Promise<Record<string, Sight>> {
  const children = new Map<string, DirectChild>();
  const sights: Record<string, Sight> = {};
  try {
    for (const transport of TRANSPORTS)
      children.set(transport, await startDirect(python, transport, TOKENS.alice));
    const visits: Visit[] = WAYS.map((way) => ({
      ...way,
      name: nameOf(way),
      url: children.get(way.transport)?.url ?? "",
    }));
    const outcomes = await makeVisits(python, visits);
    for (const [at, visit] of visits.entries()) {
      check(`${visit.name} works without the gateway`, () => {
        const sight = seen(outcomes[at]);
        sawOnly(TOKENS.alice, visit, sight);
        sights[visit.name] = sight;
      });
    }
  } finally {
    for (const child of children.values()) await child.close();
  }
  return sights;
}

type Keys = Record<(typeof USERS)[number], string>;

/** Every way to a server of its own transport and to one over stdio, with the secret in either place, for one user. */
function visitsOf(user: (typeof USERS)[number], origin: string, key: string): Visit[] {
  return WAYS.flatMap((way) => {
    const isSse = way.transport === "sse";
    return [isSse ? "gmail" : "gmail-http", "gmail-stdio"].flatMap((server) => {
      const url = `${origin}/u/${user}/${server}/${isSse ? "sse" : "mcp"}`;
      const visit = { ...way, server, name: nameOf(way) };
      return [
        { ...visit, url, key },
        { ...visit, url: `${url}?token=${key}` },
      ];
    });
  });
}

/**
 * Starts what the visits need. Clients give a server ten seconds to say that it knows 2026-07-28 and
 * take it for an earlier one then, which a Python child may need for its start on a busy machine.
 */
async function warmUp(daemon: DaemonProcess, keys: Keys): Promise<void> {
  const version = "2026-07-28";
  const meta = {
    "io.modelcontextprotocol/protocolVersion": version,
    "io.modelcontextprotocol/clientInfo": { name: "interop", version: "1" },
    "io.modelcontextprotocol/clientCapabilities": {},
  };
  const body = { jsonrpc: "2.0", id: 1, method: "server/discover", params: { _meta: meta } };
  for (const user of USERS) {
    for (const server of Object.keys(SERVERS)) {
      await daemon.cli(["start", user, "--server", server]);
      const res = await fetch(`${daemon.origin}/u/${user}/${server}/mcp`, {
        method: "POST",
        headers: {
          authorization: `Bearer ${keys[user]}`,
          "content-type": "application/json",
          accept: "application/json, text/event-stream",
          "mcp-protocol-version": version,
          "mcp-method": "server/discover",
        },
        body: JSON.stringify(body),
      });
      await res.text();
      check(
        `${user}: a request of ${version} to ${server}/mcp is ${server === "gmail" ? "refused" : "answered"}`,
        () => assert.equal(res.status, server === "gmail" ? 400 : 200),
      );
    }
  }
}

async function visitOwnPaths(
  python: Python,
  daemon: DaemonProcess,
  keys: Keys,
  direct: Record<string, Sight>,
): Promise<void> {
  const visits = USERS.flatMap((user) =>
    visitsOf(user, daemon.origin, keys[user]).map((visit) => ({ user, visit })),
  );
  const outcomes = await makeVisits(
    python,
    visits.map(({ visit }) => visit),
  );
  const pids = new Map<string, Set<number>>();
  for (const [at, { user, visit }] of visits.entries()) {
    const place = visit.key === undefined ? "with ?token=" : "with the header";
    check(`${user}: ${visit.name} at ${visit.server}, ${place}, sees ${user}'s token only`, () => {
      const sight = seen(outcomes[at]);
      sawOnly(TOKENS[user], visit, sight);
      assert.ok(!sight.me.names.includes("INTEROP_CANARY"), "sees the daemon's environment");
      const { progress, tools, version: own } = direct[visit.name] ?? {};
      // FastMCP answers requests of 2026-07-28 in SSE sessions too; a bridge has no such sessions.
      const isBridgedSse = visit.server === "gmail-stdio" && visit.transport === "sse";
      const version = isBridgedSse ? "2025-11-25" : own;
      assert.deepEqual(
        { progress: sight.progress, tools: sight.tools, version: sight.version },
        { progress, tools, version },
        "differs from the visit without the gateway",
      );
      const whose = `${user} at ${visit.server}`;
      pids.set(whose, (pids.get(whose) ?? new Set()).add(sight.me.pid));
    });
  }
  check(
    "each user had one child per server, of stdio one per era, and no child served two users",
    () => {
      const all = [...pids.values()].flatMap((set) => [...set]);
      const children = [...pids].map(([whose, set]) => `${whose}: ${set.size}`);
      const expected = USERS.flatMap((user) => [
        `${user} at gmail: 1`,
        `${user} at gmail-http: 1`,
        `${user} at gmail-stdio: 2`,
      ]);
      assert.deepEqual(children.toSorted(), expected.toSorted());
      assert.equal(new Set(all).size, all.length);
    },
  );
}

/** A server of an earlier revision over stdio: every client ends up with `initialize`. */
async function visitEverything(
  python: Python,
  { origin }: DaemonProcess,
  key: string,
): Promise<void> {
  const visits = WAYS.map((way) => {
    const url = `${origin}/u/alice/everything/${way.transport === "sse" ? "sse" : "mcp"}`;
    return { ...way, name: nameOf(way), url, key, everything: true };
  });
  const outcomes = await makeVisits(python, visits);
  for (const [at, { name, url }] of visits.entries()) {
    check(`${name} at server-everything over stdio gets its own answers`, () => {
      const { echoed, progress, version } = seen(outcomes[at]);
      assert.deepEqual(
        echoed,
        Array.from({ length: 8 }, (_, nth) => `Echo: ${url} ${nth}`),
      );
      assert.deepEqual(
        progress,
        [1, 2, 3].map((step) => [step, 3]),
      );
      assert.equal(version, "2025-11-25");
    });
  }
}

async function visitForeignPaths(python: Python, daemon: DaemonProcess, keys: Keys): Promise<void> {
  const visits = visitsOf("alice", daemon.origin, keys.bob);
  const outcomes = await makeVisits(python, visits);
  for (const [at, visit] of visits.entries()) {
    const place = visit.key === undefined ? "with ?token=" : "with the header";
    check(
      `bob's key on alice's path: ${visit.name} at ${visit.server}, ${place}, is refused`,
      () => {
        const outcome = outcomes[at];
        assert.ok(outcome && "refused" in outcome, "was let in");
      },
    );
  }
  const places = new Map(visits.map((visit) => [visit.url, visit.key]));
  for (const [url, key] of places) {
    const headers = { ...(key && { authorization: `Bearer ${key}` }) };
    const { status } = await fetch(url, { headers });
    const path = new URL(url).pathname + (key ? "" : "?token=…");
    check(`bob's key on alice's path: ${path} answers 403`, () => assert.equal(status, 403));
  }
}

async function visitWithPython(): Promise<void> {
  const python = await openPython();
  const direct = await visitDirectly(python);
  const daemon = await startDaemonProcess(
    {
      isolation: "none",
      startTimeout: "2m",
      defaultServer: "gmail",
      servers: {
        ...SERVERS,
        everything: { command: process.execPath, args: [EVERYTHING, "stdio"] },
      },
    },
    {
      env: {
        PATH: `${python.bin}:${process.env["PATH"] ?? ""}`,
        INTEROP_CANARY: "not for children",
      },
      beside: { mcp_server: MCP_SERVER },
    },
  );
  try {
    const keys: Keys = { alice: "", bob: "" };
    for (const user of USERS) keys[user] = (await daemon.addUser(user, TOKENS[user])).key.secret;
    await warmUp(daemon, keys);
    await visitOwnPaths(python, daemon, keys, direct);
    await visitEverything(python, daemon, keys.alice);
    await visitForeignPaths(python, daemon, keys);
  } finally {
    await daemon.stop();
  }
}

for (const part of [
  visitWithPython,
  visitInSandbox,
  visitInstalls,
  visitThroughFaults,
  visitEndpoints,
  visitWithMcpRemote,
  visitWithInspector,
  visitWithCodingClients,
]) {
  try {
    await part();
  } catch (error) {
    // What one part lacks is no reason to leave out the others.
    if (!(error instanceof MissingError)) throw error;
    miss(error.message);
  }
}
finish();
