import { mkdtempSync, rmSync } from "node:fs";
import { request } from "node:http";
import type { IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import type { TestContext } from "node:test";
import { parseConfig } from "../../src/config/config.ts";
import { openDaemon } from "../../src/daemon.ts";
import type { Daemon } from "../../src/daemon.ts";
import { createLogger } from "../../src/telemetry/logger.ts";
import { Scrubber } from "../../src/telemetry/scrubber.ts";
import { fixture } from "../helpers/fixtures.ts";

export interface Answered {
  status: number;
  headers: IncomingMessage["headers"];
  text: string;
  /** The body of a 2xx. */
  body: Record<string, unknown>;
  error: { code: number; type: string; message: string; requestId: string; details?: string[] };
}

export interface AskOptions {
  body?: unknown;
  /** Instead of `body`, as it is. */
  raw?: string | Buffer;
  headers?: Record<string, string | string[]>;
  /** The TCP listener, instead of the socket. */
  tcp?: { host: string; port: number };
}

export interface Rig {
  daemon: Daemon;
  dir: string;
  dataDir: string;
  socket: string;
  logged: () => string;
  ask: (method: string, path: string, options?: AskOptions) => Promise<Answered>;
}

async function askAt(
  socketPath: string,
  method: string,
  path: string,
  { body, raw, headers, tcp }: AskOptions,
): Promise<Answered> {
  const payload = raw ?? (method === "GET" ? undefined : JSON.stringify(body ?? {}));
  const where = tcp ?? { socketPath };
  const res = await new Promise<IncomingMessage>((resolve, reject) => {
    const req = request({
      ...where,
      agent: false,
      method,
      path,
      headers: {
        ...(payload === undefined
          ? {}
          : {
              "content-type": "application/json",
              "content-length": Buffer.byteLength(payload),
            }),
        ...headers,
      },
    });
    req.on("response", resolve).on("error", reject);
    req.end(payload);
  });
  const answered = await text(res);
  const parsed = JSON.parse(answered) as { error: Answered["error"] };
  return {
    status: res.statusCode ?? 0,
    headers: res.headers,
    text: answered,
    body: parsed,
    error: parsed.error,
  };
}

/** A short-named folder, so that a socket in it has a path that the system takes. */
export function shortFolder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), "mcps-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

const SERVERS = {
  defaultServer: "echo",
  servers: {
    echo: fixture("sse", "echo-sse"),
    other: fixture("http", "echo-sse"),
    broken: fixture("sse", "crash-on-start"),
    flood: fixture("sse", "floods-stdout"),
    stubborn: fixture("sse", "ignores-sigterm"),
  },
};

/** A whole daemon in this process, asked over its control API. */
export async function openRig(t: TestContext, settings: object = {}, at?: string): Promise<Rig> {
  const dir = at ?? mkdtempSync(join(tmpdir(), "mcps-"));
  const from = 10_000 + (process.pid % 400) * 20;
  const config = parseConfig(
    {
      listen: { host: "127.0.0.1", port: 0 },
      isolation: "none",
      stopTimeout: "2s",
      ports: { from, to: from + 19 },
      ...SERVERS,
      ...settings,
    },
    dir,
  );
  let logged = "";
  const scrubber = new Scrubber();
  const destination = { write: (line: string) => void (logged += line) };
  const log = createLogger("debug", { scrubber, destination });
  const daemon = await openDaemon({ config, log, scrubber, version: "1.2.3" });
  t.after(async () => {
    await daemon.close();
    if (at === undefined) rmSync(dir, { recursive: true, force: true });
  });
  return {
    daemon,
    dir,
    dataDir: config.dataDir,
    socket: config.controlSocket,
    logged: () => logged,
    ask: (method, path, options = {}) => askAt(config.controlSocket, method, path, options),
  };
}
