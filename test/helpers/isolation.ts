import { accessSync, constants } from "node:fs";
import { fileURLToPath } from "node:url";
import { findTool } from "../../src/engines/process/programs.ts";
import { call, fixture } from "./fixtures.ts";
import { ask, EventStream } from "./raw-http.ts";
import { bearer, initialize, json } from "./fixtures.ts";
import { until } from "./until.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

function hasTun(): boolean {
  try {
    accessSync("/dev/net/tun", constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** For `skip`: why this machine cannot show a level, false when it can. */
export const noSandbox = findTool("bwrap") === undefined ? "bubblewrap is not installed" : false;
export const noOutbound =
  noSandbox ||
  (findTool("slirp4netns") === undefined ? "slirp4netns is not installed" : false) ||
  (hasTun() ? false : "/dev/net/tun is closed to this account");
export const notRoot = process.getuid!() === 0 ? false : "it takes root to give accounts";

/** A fixture whose files are all that the checkout has. */
export function boxed(name: string, more: object = {}): Record<string, unknown> {
  return { ...fixture("http", name), network: "none", ...more, cwd: root };
}

/** Calls a tool of a user's server over Streamable HTTP, in a session of its own. */
export async function callOver(
  port: number,
  { user, secret, server }: { user: string; secret: string; server: string },
  name: string,
  args: object = {},
): Promise<string> {
  const headers = [...bearer(secret), ...json];
  const path = `/u/${user}/${server}/mcp`;
  const opened = await ask(port, { method: "POST", path, headers, body: initialize() });
  const session = String(opened.headers["mcp-session-id"] ?? "");
  if (session === "") throw new Error(`no session: ${opened.status} ${opened.body}`);
  const stream = await EventStream.open(port, {
    method: "POST",
    path,
    headers: [...headers, "mcp-session-id", session],
    body: call(1, name, args),
  });
  await until(() => stream.isEnded, "the answer is whole", 30_000);
  // Which of the two a gateway answers with is its own choice.
  const text = /^data: (\{.*\})\r?$/m.exec(stream.text)?.[1] ?? stream.text;
  const { result } = JSON.parse(text) as { result?: { content: { text: string }[] } };
  if (result === undefined) throw new Error(`no result: ${stream.status} ${stream.text}`);
  return result.content[0]!.text;
}
