import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import { parseConfig } from "../config/config.ts";
import type { Config } from "../config/config.ts";
import type { AddedUser, Status } from "../api/types.ts";
import { openDaemon } from "../daemon.ts";
import { createLogger } from "../telemetry/logger.ts";
import { Scrubber } from "../telemetry/scrubber.ts";
import { apiPath, createControlClient } from "./client.ts";
import type { ControlClient } from "./client.ts";
import { look, statusWithKey } from "./demo-client.ts";
import { answer, globalsOf, orDash } from "./output.ts";
import { superviseProcess } from "./process-events.ts";
import { table } from "./table.ts";
import type { Column } from "./table.ts";
import { readVersion } from "./version.ts";
import { viewHere } from "./view.ts";
import type { Line } from "./view.ts";

const USERS = ["alice", "bob"] as const;
const FRONTS = ["sse", "http"] as const;

/** What one client saw over one front. */
interface Sight {
  user: string;
  server: string;
  front: (typeof FRONTS)[number];
  url: string;
  pid: number | null;
  port: number | null;
  given: string;
  seen: string | null;
  isOwnOnly: boolean;
}

interface Guest {
  user: string;
  token: string;
  key: string;
  fingerprint: string;
  urls: AddedUser["urls"];
}

interface Show {
  ok: boolean;
  sights: Sight[];
  /** What bob's access key gets on alice's URL. */
  refusal: number;
  guests: Guest[];
}

/** server-everything as this package's own dependency, wherever it is installed. */
function demoConfig(folder: string): Config {
  const packageFile = createRequire(import.meta.url).resolve(
    "@modelcontextprotocol/server-everything/package.json",
  );
  const script = join(packageFile, "..", "dist", "index.js");
  const command = process.execPath;
  return parseConfig(
    {
      dataDir: "./data",
      listen: { host: "127.0.0.1", port: 0 },
      // In writing, because "auto" never means none once there is more.
      isolation: "none",
      defaultServer: "everything",
      servers: {
        everything: { command, args: [script, "stdio"] },
        "everything-http": {
          type: "http",
          command,
          args: [script, "streamableHttp"],
          env: { PORT: "${port}" },
        },
      },
    },
    folder,
  );
}

async function invite(client: ControlClient, user: string): Promise<Guest> {
  const token = `demo-${user}-${randomBytes(12).toString("hex")}`;
  const added = await client.call<AddedUser>("POST", apiPath(["users"]), { user, token });
  const shown = await client.call<{ tokens: { fingerprint: string }[] }>(
    "GET",
    apiPath(["users", user, "token"]),
  );
  const fingerprint = shown.tokens[0]?.fingerprint ?? "";
  return { user, token, key: added.key.secret, fingerprint, urls: added.urls };
}

async function play(client: ControlClient): Promise<Show> {
  const guests = await Promise.all(USERS.map((user) => invite(client, user)));
  const tokens = guests.map(({ token }) => token);
  const visits = guests.flatMap((guest) =>
    guest.urls.flatMap((row) => FRONTS.map((front) => ({ guest, row, front }))),
  );
  const reports = await Promise.all(
    visits.map(async ({ guest, row, front }) => {
      const { server, [front]: url } = row;
      const environment = await look(front, url, guest.key);
      const found = tokens.filter((token) => JSON.stringify(environment).includes(token));
      const seen = environment["USER_ACCESS_TOKEN"];
      return {
        user: guest.user,
        server,
        front,
        url,
        given: guest.fingerprint,
        seen: guests.find(({ token }) => token === seen)?.fingerprint ?? null,
        isOwnOnly: seen === guest.token && found.length === 1,
      };
    }),
  );
  const status = await client.call<Status>("GET", apiPath(["status"]));
  const sights = reports.map((report) => {
    const row = status.instances.find(
      ({ user, server }) => user === report.user && server === report.server,
    );
    return { ...report, pid: row?.pid ?? null, port: row?.port ?? null };
  });
  const [alice, bob] = guests;
  const refusal = await statusWithKey(alice?.urls[0]?.sse ?? "", bob?.key ?? "");
  // One child a user and server, whichever front a client comes by.
  const pids = new Set(sights.map(({ pid }) => pid));
  const isApart = pids.size === sights.length / FRONTS.length;
  const ok = refusal === 403 && isApart && sights.every(({ isOwnOnly }) => isOwnOnly);
  return { ok, sights, refusal, guests };
}

const COLUMNS: readonly Column<Sight>[] = [
  { title: "USER", cell: ({ user }) => user },
  { title: "SERVER", cell: ({ server }) => server },
  { title: "BY", cell: ({ front }) => (front === "sse" ? "/sse" : "/mcp") },
  { title: "PID", cell: ({ pid }) => orDash(pid), leaves: 1 },
  { title: "PORT", cell: ({ port }) => orDash(port), leaves: 2 },
  { title: "TOKEN GIVEN", cell: ({ given }) => given },
  { title: "TOKEN SEEN", cell: ({ seen }) => orDash(seen) },
  {
    title: "VERDICT",
    cell: ({ isOwnOnly }) => (isOwnOnly ? "own token, nobody else's" : "WRONG"),
    tone: ({ isOwnOnly }) => (isOwnOnly ? "good" : "bad"),
  },
];

function summary({ ok, sights, refusal }: Show): Line[] {
  return [
    "Two users, each with an own token; real MCP clients asked each child for its environment:",
    "",
    ...table(COLUMNS, sights, viewHere()),
    "",
    `bob's access key on alice's URL: ${refusal}${refusal === 403 ? " (refused, as it must be)" : " (WRONG)"}`,
    `The demo's config says isolation "none": the children run as this account.`,
    ok ? "All as promised." : "Something is wrong.",
  ];
}

function invitation({ guests }: Show): string[] {
  return [
    "",
    "Serving on, for clients of yours; Ctrl-C ends it and leaves nothing behind.",
    ...guests.flatMap(({ user, key, urls }) => [
      `  ${user}, access key ${key}`,
      ...urls.flatMap(({ sse, http }) => [`    ${sse}`, `    ${http}`]),
    ]),
  ];
}

/** Resolves with whether every user saw the own token only. */
async function present(command: Command, controlSocket: string, isOnce: boolean): Promise<boolean> {
  if (!globalsOf(command).json)
    process.stderr.write("Starting a daemon, two users and their four children …\n");
  const show = await play(createControlClient(controlSocket));
  const { ok, sights, refusal } = show;
  answer(command, { ok, sights, refusal }, [...summary(show), ...(isOnce ? [] : invitation(show))]);
  return ok;
}

/** Runs the demo in a folder of its own; resolves with the exit code when nothing of it is left. */
export async function runDemo(command: Command, isOnce: boolean): Promise<number> {
  const scrubber = new Scrubber();
  const log = createLogger("error", { scrubber, format: "auto" });
  const events = superviseProcess(log);
  const folder = await mkdtemp(join(tmpdir(), "mcp-supervisor-demo-"));
  try {
    const config = demoConfig(folder);
    const daemon = await openDaemon({ config, log, scrubber, version: readVersion() });
    events.hold(daemon);
    try {
      const shown = present(command, config.controlSocket, isOnce);
      // Ctrl-C in the middle of the show ends it there.
      const isAsPromised = await Promise.race([shown, events.asked.then(() => undefined)]);
      if (isAsPromised !== undefined && !isOnce) await events.asked;
      return isAsPromised === true ? 0 : 1;
    } finally {
      await events.close();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
