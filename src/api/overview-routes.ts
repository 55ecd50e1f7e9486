import { setImmediate as nextTurn } from "node:timers/promises";
import type { Router } from "express";
import type { User } from "../auth/registry.ts";
import { hasBegun } from "../instances/instance-row.ts";
import { memoryOf } from "../instances/memory.ts";
import type { Supervisor } from "../instances/supervisor.ts";
import { DAY_MS, MINUTE_MS } from "../platform/durations.ts";
import { mount } from "./answers.ts";
import { causeNow } from "./diagnose.ts";
import { isFailing } from "./failing.ts";
import { readCount } from "./input.ts";
import type { ControlParts } from "./parts.ts";
import { scrubbed } from "./scrubbed.ts";
import type { FailingUser, History, NowTrouble, Overview, ServerUse } from "./panel-types.ts";

/** All who ask within this time get one answer: fifty open panels cost what one costs. */
const SHARED_MS = 2_000;
const MAX_FAILING = 50;
/** Longer, and a start may hang. */
const SLOW_START_MS = 3_000;
const MAX_SPAN_MS = 8 * DAY_MS;
/** As many points as a plot has columns. */
const DEFAULT_POINTS = 360;
const MAX_POINTS = 1_500;

/** Users of instances that somebody may have to look at. */
function strained(supervisor: Pick<Supervisor, "list" | "fallen">): string[] {
  const now = Date.now();
  return [...supervisor.list(), ...supervisor.fallen()]
    .filter(
      (row) =>
        isFailing(row) ||
        row.retryAt !== null ||
        (row.state === "starting" && now - row.since > SLOW_START_MS),
    )
    .map(({ user }) => user);
}

/** Users with a token that is over, and instances that have it. */
function withOldToken({ registry, supervisor }: ControlParts): string[] {
  const now = Date.now();
  const used = new Set(supervisor.list().map(({ user }) => user));
  return registry
    .overview()
    .filter(({ name, tokenExpiresAt }) => used.has(name) && (tokenExpiresAt ?? Infinity) <= now)
    .map(({ name }) => name);
}

/** Whoever may be failing: a look at every user would cost as much as they are. */
function suspects(parts: ControlParts): User[] {
  const { registry, supervisor, journal } = parts;
  const names = [...strained(supervisor), ...journal.unlucky(), ...withOldToken(parts)];
  return [...new Set(names)].toSorted().flatMap((name) => registry.findUser(name) ?? []);
}

async function failingNow(parts: ControlParts): Promise<FailingUser[]> {
  const failing: FailingUser[] = [];
  for (const user of suspects(parts)) {
    const cause = causeNow(parts, user);
    if (cause !== undefined) failing.push({ user: user.name, ...cause });
    // Requests of others come in between.
    await nextTurn();
  }
  return failing;
}

/** The servers that have instances, by name. */
function serversInUse({ supervisor }: ControlParts): ServerUse[] {
  const rows = Map.groupBy(supervisor.rows().filter(hasBegun), ({ server }) => server);
  return Array.from(rows, ([server, own]) => {
    const instances: ServerUse["instances"] = {};
    for (const { state } of own) instances[state] = (instances[state] ?? 0) + 1;
    const sessions = own.reduce((sum, row) => sum + row.sessions, 0);
    return { server, users: new Set(own.map(({ user }) => user)).size, sessions, instances };
  }).toSorted((a, b) => (a.server < b.server ? -1 : 1));
}

const shownTrouble = ({
  kind,
  user,
  server,
  endsAt,
  reason,
  connectUrl,
}: NowTrouble): NowTrouble => ({ kind, user, server, endsAt, reason, connectUrl });

async function overviewOf(parts: ControlParts): Promise<Overview> {
  const { supervisor, registry, sessions, metrics, notices, config, version } = parts;
  const failing = await failingNow(parts);
  const sizes = await supervisor.status();
  const figures = metrics.callTimes.lastMinute();
  const overview: Overview = {
    at: Date.now(),
    version,
    uptimeSeconds: Math.floor(process.uptime()),
    users: registry.countUsers(),
    instances: supervisor.counts(),
    servers: serversInUse(parts),
    memory: {
      usedBytes: memoryOf(sizes),
      limitBytes: config.limits.memoryBytes,
    },
    queue: supervisor.queue(),
    children: { limit: config.limits.children },
    commands: config.admin !== false && config.admin.commands === true,
    sessions: sessions.count,
    streams: sessions.open.streamCount,
    calls: { ...figures, perSecond: Math.round((figures.calls / 60) * 100) / 100 },
    failing: failing.slice(0, MAX_FAILING),
    failingUsers: failing.length,
    troubles: notices.troubles.map(shownTrouble),
  };
  return scrubbed(parts, overview);
}

/** The answer of one call serves all who ask while it is fresh; what failed is asked again. */
function shared<T>(ask: () => Promise<T>, forMs: number): () => Promise<T> {
  let answer: Promise<T> | undefined;
  let until = 0;
  return () => {
    if (answer !== undefined && performance.now() < until) return answer;
    until = Infinity;
    const asked = ask().finally(() => (until = performance.now() + forMs));
    asked.catch(() => (answer = undefined));
    return (answer = asked);
  };
}

export function addOverviewRoutes(router: Router, parts: ControlParts): void {
  const overview = shared(async () => await overviewOf(parts), SHARED_MS);
  mount(router, "/overview", {
    get: async () => ({ body: await overview() }),
  });
  mount(router, "/history", {
    get: (req): { body: History } => {
      const now = Date.now();
      const since = Math.max(readCount(req, "since") ?? 0, now - MAX_SPAN_MS);
      const points = Math.max(1, readCount(req, "points", MAX_POINTS) ?? DEFAULT_POINTS);
      const minutes = Math.max(1, Math.floor((now - since) / MINUTE_MS));
      const stepMs = Math.ceil(minutes / points) * MINUTE_MS;
      return { body: { stepMs, points: parts.store.history.list(since, stepMs) } };
    },
  });
}
