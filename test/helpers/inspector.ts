import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";

const INSPECTOR = fileURLToPath(new URL("../../node_modules/.bin/mcp-inspector", import.meta.url));

interface Result {
  tools: { name: string }[];
  content: { text: string }[];
}

interface Inspected {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs the Inspector's command line as a script in CI does: no terminal, no stored logins, no browser. */
async function inspect(args: string[]): Promise<Inspected> {
  const storage = await mkdtemp(join(tmpdir(), "inspector-"));
  const child = spawn(
    process.execPath,
    [INSPECTOR, "--cli", ...args, "--format", "json", "-q", "--stored-auth-only"],
    {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, HOME: storage, MCP_STORAGE_DIR: storage },
    },
  );
  const ended = once(child, "close") as Promise<[number | null]>;
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const [code] = await ended;
  await rm(storage, { recursive: true, force: true });
  return { code, stdout, stderr };
}

function resultOf({ code, stdout, stderr }: Inspected): Result {
  assert.equal(code, 0, stderr);
  return (JSON.parse(stdout) as { result: Result }).result;
}

/** A server-everything behind a gateway, and the keys of alice and bob, whose tokens are token-of-alice and token-of-bob. */
export interface Inspectable {
  origin: string;
  /** `SERVER/sse` or `SERVER/mcp`. */
  path: string;
  alice: string;
  bob: string;
}

/** Fails unless the Inspector's command line works for each of the two, and is told when a key is wrong. */
export async function inspectServer({ origin, path, alice, bob }: Inspectable): Promise<void> {
  const run = async (user: string, secret: string, method: string, ...tool: string[]) => {
    const where = ["--server-url", `${origin}/u/${user}/${path}`];
    const transport = ["--transport", path.endsWith("/sse") ? "sse" : "http"];
    const header = ["--header", `Authorization: Bearer ${secret}`];
    return await inspect([...where, ...transport, ...header, "--method", method, ...tool]);
  };
  const call = async (user: string, secret: string, ...tool: string[]) =>
    resultOf(await run(user, secret, "tools/call", "--tool-name", ...tool)).content[0]!.text;

  const { tools } = resultOf(await run("alice", alice, "tools/list"));
  assert.ok(tools.some((tool) => tool.name === "get-env"));
  assert.equal(await call("alice", alice, "echo", "--tool-arg", "message=hi"), "Echo: hi");
  for (const [user, secret] of Object.entries({ alice, bob })) {
    const env = JSON.parse(await call(user, secret, "get-env")) as Record<string, string>;
    assert.equal(env["USER_ACCESS_TOKEN"], `token-of-${user}`);
  }
  // 3 is the Inspector's "authorization needed": for what is no key, and for another user's.
  assert.equal((await run("alice", `${alice}x`, "tools/list")).code, 3);
  assert.equal((await run("alice", bob, "tools/list")).code, 3);
}

/** The tools of a server in a file of the Inspector's. */
export async function toolsByFile(file: string, server: string): Promise<string[]> {
  const named = ["--config", file, "--server", server];
  const { tools } = resultOf(await inspect([...named, "--method", "tools/list"]));
  return tools.map(({ name }) => name);
}
