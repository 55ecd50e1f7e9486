import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { FIXTURE } from "../conformance/fixture.ts";
import { type DaemonProcess, startDaemonProcess } from "../helpers/daemon-process.ts";
import { EVERYTHING, startEverything } from "../helpers/everything.ts";
import { type FlowName, runFlows } from "../helpers/flows.ts";
import { cacheFolder, must } from "./programs.ts";
import { check } from "./report.ts";

/** The program that desktop clients which know nothing but stdio are told to run. */
const MCP_REMOTE = "mcp-remote@0.15.1";

const everything = (type: string, mode: string) => ({
  type,
  command: process.execPath,
  args: [EVERYTHING, mode],
  env: { PORT: "${port}" },
});

const SERVERS = {
  "over-sse": everything("sse", "sse"),
  "over-http": everything("http", "streamableHttp"),
  "over-stdio": { command: process.execPath, args: [EVERYTHING, "stdio"] },
  modern: {
    type: "http",
    command: process.execPath,
    args: ["--no-warnings", FIXTURE, "--port", "${port}"],
  },
};

const FRONTS = [
  { transport: "sse", path: "/u/alice/over-sse/sse" },
  { transport: "http", path: "/u/alice/over-http/mcp" },
] as const;

/** What a start of mcp-remote wants to know. */
interface Start {
  url: string;
  /** Travels in an environment variable, as its documentation advises. */
  key?: string;
  flags?: string[];
}

type Opener = (start: Start) => StdioClientTransport;

async function install(): Promise<string> {
  const folder = cacheFolder("interop-node");
  await mkdir(folder, { recursive: true });
  // npm sees by itself what is there already.
  const quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"];
  const args = [
    "install",
    "--prefix",
    folder,
    ...quiet,
    "--prefer-offline",
    "--save-exact",
    MCP_REMOTE,
  ];
  await must(`interop cannot get ${MCP_REMOTE} from the package registry`, "npm", args);
  return join(folder, "node_modules", "mcp-remote", "dist", "proxy.js");
}

const openerOf =
  (program: string, home: string): Opener =>
  ({ url, key, flags = [] }) =>
    new StdioClientTransport({
      command: process.execPath,
      args: [
        "--no-warnings",
        program,
        url,
        ...(key === undefined ? [] : ["--header", "Authorization:${AUTHORIZATION}"]),
        ...flags,
      ],
      // Without a PATH it finds no browser to open, should it ever want to.
      env: {
        HOME: home,
        PATH: "",
        MCP_REMOTE_CONFIG_DIR: home,
        AUTHORIZATION: `Bearer ${key ?? ""}`,
      },
      stderr: "pipe",
    });

type Played = Awaited<ReturnType<typeof runFlows>> | Error;

const FEW: FlowName[] = ["ping", "progress", "sampling"];

async function playFlows(open: Opener, daemon: DaemonProcess, key: string): Promise<void> {
  const play = async (start: Start, names?: FlowName[]): Promise<Played> =>
    await runFlows(() => open(start), names).catch((error: Error) => error);
  const compare = (sentence: string, [direct, through]: Played[]) =>
    check(sentence, () => {
      for (const played of [direct, through]) if (played instanceof Error) throw played;
      assert.deepEqual(through, direct);
    });

  for (const { transport, path } of FRONTS) {
    const child = await startEverything(transport);
    const [direct, through] = [{ url: child.url.href }, { url: daemon.origin + path, key }];
    try {
      // By itself it tries Streamable HTTP first, which the SSE front has to refuse in the right way.
      const all = await Promise.all([play(direct), play(through)]);
      compare(`mcp-remote at ${path}: the nine flows are those without the gateway`, all);
      const flags = ["--transport", `${transport}-only`];
      const few = [await play({ ...direct, flags }, FEW), await play({ ...through, flags }, FEW)];
      compare(
        `mcp-remote at ${path}, ${flags.join(" ")}: flows are those without the gateway`,
        few,
      );
    } finally {
      await child.close();
    }
  }
}

/** The same against a stdio child, which needs no mcp-remote to be visited directly. */
async function playFlowsOverStdio(open: Opener, daemon: DaemonProcess, key: string): Promise<void> {
  const direct = await runFlows(
    () =>
      new StdioClientTransport({
        command: process.execPath,
        args: [EVERYTHING, "stdio"],
        stderr: "ignore",
      }),
    FEW,
  );
  for (const path of ["/u/alice/over-stdio/sse", "/u/alice/over-stdio/mcp"]) {
    const through = await runFlows(() => open({ url: daemon.origin + path, key }), FEW).catch(
      (error: Error) => error,
    );
    check(`mcp-remote at ${path}: flows are those of the stdio child`, () => {
      if (through instanceof Error) throw through;
      assert.deepEqual(through, direct);
    });
  }
}

interface Seen {
  /** The server's name, or why there was none. */
  server: string | undefined;
  said: string;
}

/** Connects, calls the echo and leaves; resolves with what mcp-remote said meanwhile. */
async function look(open: Opener, start: Start): Promise<Seen> {
  const client = new Client({ name: "interop", version: "1.0.0" });
  const transport = open(start);
  const said = text(transport.stderr as Readable);
  let server: string | undefined;
  try {
    await client.connect(transport, { timeout: 20_000 });
    await client.callTool({ name: "test_echo", arguments: { text: "here" } });
    server = client.getServerVersion()?.name;
  } catch {
    // What it said is told by the check.
  } finally {
    await client.close();
  }
  return { server, said: await said };
}

async function visitModern(open: Opener, daemon: DaemonProcess, key: string): Promise<void> {
  const url = `${daemon.origin}/u/alice/modern/mcp`;
  const { server, said } = await look(open, { url, key, flags: ["--protocol", "auto"] });
  check("mcp-remote at /u/alice/modern/mcp, --protocol auto: speaks 2026-07-28", () => {
    assert.equal(server, "dual-era-fixture", said);
    assert.match(said, /Remote server speaks MCP 2026-07-28/);
  });
}

async function visitForeignPaths(open: Opener, daemon: DaemonProcess, bobs: string): Promise<void> {
  for (const { path } of FRONTS) {
    const { server, said } = await look(open, { url: daemon.origin + path, key: bobs });
    check(`mcp-remote at ${path} with bob's key is refused and told why`, () => {
      assert.equal(server, undefined);
      assert.match(said, /USER_MISMATCH/);
    });
  }
  const url = daemon.origin + FRONTS[1].path;
  const { server, said } = await look(open, { url, key: "mcps_nobody" });
  check("mcp-remote with a key that is none ends, and asks nobody to sign in", () => {
    assert.equal(server, undefined);
    assert.match(said, /Fatal error/);
    assert.doesNotMatch(said, /authorize this client|open.*browser/i);
  });
}

/** mcp-remote, which carries stdio to a URL, against both fronts of the gateway. */
export async function visitWithMcpRemote(): Promise<void> {
  const program = await install();
  const daemon = await startDaemonProcess({
    isolation: "none",
    defaultServer: "over-sse",
    servers: SERVERS,
  });
  const home = await mkdtemp(join(tmpdir(), "mcp-remote-"));
  try {
    const open = openerOf(program, home);
    const alices = (await daemon.addUser("alice")).key.secret;
    const bobs = (await daemon.addUser("bob")).key.secret;
    await playFlows(open, daemon, alices);
    await playFlowsOverStdio(open, daemon, alices);
    await visitModern(open, daemon, alices);
    await visitForeignPaths(open, daemon, bobs);
  } finally {
    await daemon.stop();
    await rm(home, { recursive: true, force: true });
  }
}
