// Clients and servers that other people wrote, in three parts: Python clients at Python servers,
// first directly, then through the gateway, where two users have the same server with different
// tokens; SSE servers whose endpoint events differ, two of them made with Go; mcp-remote as a client.
// Gets what it needs by itself, into node_modules/.cache.
import assert from "node:assert/strict";
import { type DaemonProcess, startDaemonProcess } from "../helpers/daemon-process.ts";
import { type DirectChild, startDirect } from "./direct.ts";
import { visitEndpoints } from "./endpoints.ts";
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

/** Every way with the secret in either place, for one user. */
function visitsOf(user: (typeof USERS)[number], origin: string, key: string): Visit[] {
  return WAYS.flatMap((way) => {
    const path = way.transport === "sse" ? "gmail/sse" : "gmail-http/mcp";
    const url = `${origin}/u/${user}/${path}`;
    const visit = { ...way, name: nameOf(way) };
    return [
      { ...visit, url, key },
      { ...visit, url: `${url}?token=${key}` },
    ];
  });
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
    check(`${user}: ${visit.name} ${place} sees ${user}'s token only`, () => {
      const sight = seen(outcomes[at]);
      sawOnly(TOKENS[user], visit, sight);
      assert.ok(!sight.me.names.includes("INTEROP_CANARY"), "sees the daemon's environment");
      const { progress, tools, version } = direct[visit.name] ?? {};
      assert.deepEqual(
        { progress: sight.progress, tools: sight.tools, version: sight.version },
        { progress, tools, version },
        "differs from the visit without the gateway",
      );
      const whose = `${user} over ${visit.transport}`;
      pids.set(whose, (pids.get(whose) ?? new Set()).add(sight.me.pid));
    });
  }
  check("each user had one child per server, and no child served two users", () => {
    const all = [...pids.values()].flatMap((set) => [...set]);
    assert.equal(pids.size, USERS.length * TRANSPORTS.length);
    assert.equal(all.length, pids.size);
    assert.equal(new Set(all).size, all.length);
  });
}

async function visitForeignPaths(python: Python, daemon: DaemonProcess, keys: Keys): Promise<void> {
  const visits = visitsOf("alice", daemon.origin, keys.bob);
  const outcomes = await makeVisits(python, visits);
  for (const [at, visit] of visits.entries()) {
    const place = visit.key === undefined ? "with ?token=" : "with the header";
    check(`bob's key on alice's path: ${visit.name} ${place} is refused`, () => {
      const outcome = outcomes[at];
      assert.ok(outcome && "refused" in outcome, "was let in");
    });
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
    { isolation: "none", defaultServer: "gmail", servers: SERVERS },
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
    await visitOwnPaths(python, daemon, keys, direct);
    await visitForeignPaths(python, daemon, keys);
  } finally {
    await daemon.stop();
  }
}

for (const part of [visitWithPython, visitInSandbox, visitEndpoints, visitWithMcpRemote]) {
  try {
    await part();
  } catch (error) {
    // What one part lacks is no reason to leave out the others.
    if (!(error instanceof MissingError)) throw error;
    miss(error.message);
  }
}
finish();
