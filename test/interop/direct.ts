import { spawn } from "node:child_process";
import { once } from "node:events";
import { endWithUs } from "../helpers/end-with-us.ts";
import { freePort } from "../helpers/free-port.ts";
import { until } from "../helpers/until.ts";
import type { Python } from "./python.ts";
import { httpArgs, MCP_SERVER, SETTINGS, sseArgs } from "./seed.ts";

export interface DirectChild {
  url: string;
  close: () => Promise<void>;
}

/** Starts the FastMCP server as a child of this process, without a supervisor. */
export async function startDirect(
  python: Python,
  transport: "sse" | "http",
  token: string,
): Promise<DirectChild> {
  const port = await freePort();
  const args = transport === "sse" ? sseArgs(String(port)) : httpArgs(String(port));
  const child = spawn("python", args, {
    cwd: MCP_SERVER,
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      ...SETTINGS,
      PATH: `${python.bin}:${process.env["PATH"] ?? ""}`,
      USER_ACCESS_TOKEN: token,
      PYTHONDONTWRITEBYTECODE: "1",
    },
  });
  endWithUs(child);
  const ended = once(child, "close");
  let said = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (chunk: string) => (said += chunk));
  const close = async () => {
    child.kill("SIGKILL");
    await ended;
  };
  const listens = async () => {
    if (child.exitCode !== null) throw new Error(`python ${args.join(" ")} ended\n${said}`);
    return await fetch(`http://127.0.0.1:${port}/`).then(
      () => true,
      () => false,
    );
  };
  try {
    await until(listens, "the FastMCP child listens", 30_000);
  } catch (error) {
    await close();
    throw error;
  }
  return { url: `http://127.0.0.1:${port}/${transport === "sse" ? "sse" : "mcp"}`, close };
}
