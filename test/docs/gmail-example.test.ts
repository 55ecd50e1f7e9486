import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { createServer } from "node:net";
import type { AddressInfo, Server } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { runCli, startDaemon } from "../helpers/daemon.ts";
import { noSandbox } from "../helpers/isolation.ts";
import { ROOT } from "./pages.ts";

const EXAMPLE = join(ROOT, "examples", "gmail");
const NO_PYTHON = "python3 of 3.8 or newer is not installed";
const CONFIG = join(EXAMPLE, "supervisor.config.json");

interface Recipe {
  command: string;
  cwd: string;
  env: Record<string, string>;
  reach: number[];
}

type Config = { servers: Record<string, Recipe>; defaultServer: string };

/** What the servers call: where it is, and what mail came out of them. */
interface Services {
  env: Record<string, string>;
  reach: number[];
  sent: () => string;
}

/**
 * Python itself: a wrapper such as pyenv's finds its versions by the HOME that a child does not have.
 * That of the system comes first, which every account may read.
 */
function python(): string | undefined {
  const asked = ["-c", "import sys; print(sys.executable if sys.version_info >= (3, 8) else '')"];
  const found = ["/usr/bin/python3", "python3"].map(
    (program) => spawnSync(program, asked, { encoding: "utf8" }).stdout?.trim() ?? "",
  );
  return found.find((path) => path !== "");
}

async function listen(t: TestContext, server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

/** A mail service in miniature: whose token it is, what is in the mailbox, and what was sent. */
async function startServices(t: TestContext): Promise<Services> {
  const api = createHttpServer((req, res) => {
    const person = /^Bearer tok_(\w+)$/.exec(req.headers.authorization ?? "")?.[1];
    res.statusCode = person === undefined ? 401 : 200;
    const messages = [{ from: "carol@example.com", subject: `Hello ${person}` }];
    res.end(JSON.stringify(req.url === "/me" ? { email: `${person}@example.com` } : messages));
  });
  let sent = "";
  const smtp = createServer((socket) => {
    socket.setEncoding("utf8").write("220 ready\r\n");
    let isData = false;
    socket.on("data", (text: string) => {
      sent += text;
      if (isData && !sent.endsWith("\r\n.\r\n")) return;
      isData = /^data/i.test(text);
      const isEnd = /^quit/i.test(text);
      socket.write(isData ? "354 go on\r\n" : isEnd ? "221 bye\r\n" : "250 ok\r\n");
      if (isEnd) socket.end();
    });
  });
  const [apiPort, smtpPort] = [await listen(t, api), await listen(t, smtp)];
  const url = `http://localhost:${apiPort}`;
  const env = { AUTH_API_URL: url, API_PROXY_URL: url, MAILPIT_SMTP_PORT: String(smtpPort) };
  return { env, reach: [apiPort, smtpPort], sent: () => sent };
}

/** The example's servers, with the Python and the ports that there are here. */
function configFor(command: string, { env, reach }: Services, more: object = {}): Config {
  const { servers, defaultServer } = JSON.parse(readFileSync(CONFIG, "utf8")) as Config;
  const here = (recipe: Recipe): Recipe => ({
    ...recipe,
    command,
    cwd: join(EXAMPLE, recipe.cwd),
    env: { ...recipe.env, ...env },
    reach,
    ...more,
  });
  return {
    servers: Object.fromEntries(
      Object.entries(servers).map(([name, recipe]) => [name, here(recipe)]),
    ),
    defaultServer,
  };
}

/** Calls a tool as an ordinary client does; what it says. */
async function callTool(url: string, secret: string, name: string, args: object): Promise<string> {
  const options = { requestInit: { headers: { Authorization: `Bearer ${secret}` } } };
  const client = new Client({ name: "reader", version: "1" });
  await client.connect(
    url.endsWith("/sse")
      ? new SSEClientTransport(new URL(url), options)
      : new StreamableHTTPClientTransport(new URL(url), options),
  );
  const result = await client.callTool({ name, arguments: { ...args } });
  await client.close();
  return (result.content as { text: string }[])[0]!.text;
}

test("the config of the mail server's example is valid, and nothing is odd about it", async () => {
  const checked = await runCli(["config", "check", "--config", CONFIG, "--json"]);
  const { servers, warnings } = checked.json<{ servers: string[]; warnings: string[] }>();
  assert.deepEqual(servers, ["gmail", "gmail-sse"]);
  assert.deepEqual(warnings, []);
});

test("each user of the mail server's example sees the own mailbox, over stdio and over SSE", async (t) => {
  const command = python();
  if (command === undefined) return t.skip(NO_PYTHON);
  const services = await startServices(t);
  const daemon = await startDaemon(t, { config: configFor(command, services) });
  for (const name of ["alice", "bob"]) {
    const { key } = await daemon.addUser(name, `tok_${name}`);
    for (const path of ["sse", "mcp", "gmail-sse/sse", "gmail-sse/mcp"]) {
      const url = `${daemon.origin}/u/${name}/${path}`;
      assert.equal(await callTool(url, key.secret, "whoami", {}), `${name}@example.com`, path);
      const messages = await callTool(url, key.secret, "list_messages", { limit: 5 });
      assert.match(messages, new RegExp(`"Hello ${name}"`), path);
    }
    const message = { to: "carol@example.com", subject: "Hi", text: "Good morning" };
    const url = `${daemon.origin}/u/${name}/mcp`;
    const told = await callTool(url, key.secret, "send_message", message);
    assert.equal(told, "sent to carol@example.com");
    assert.match(services.sent(), new RegExp(`From: ${name}@example.com`));
  }
});

test(
  "the mail server's example reaches its services out of a sandbox, too",
  { skip: noSandbox },
  async (t) => {
    const command = python();
    if (command === undefined) return t.skip(NO_PYTHON);
    const services = await startServices(t);
    const more = { isolation: "sandbox", network: "none" };
    const daemon = await startDaemon(t, { config: configFor(command, services, more) });
    const { key } = await daemon.addUser("alice", "tok_alice");
    for (const path of ["mcp", "gmail-sse/mcp"]) {
      const url = `${daemon.origin}/u/alice/${path}`;
      assert.equal(await callTool(url, key.secret, "whoami", {}), "alice@example.com", path);
    }
  },
);
