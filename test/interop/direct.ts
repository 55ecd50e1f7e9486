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

export interface Program {
  command: string;
  args: string[];
  cwd?: string;
  env: NodeJS.ProcessEnv;
}

/** Starts a server as a child of this process, without a supervisor; resolves once its port answers. */
export async function startServer(
  program: (port: number) => Program,
  path: string,
): Promise<DirectChild> {
  const port = await freePort();
  const { command, args, cwd, env } = program(port);
  const child = spawn(command, args, { cwd, stdio: ["ignore", "pipe", "pipe"], env });
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
    if (child.exitCode !== null) throw new Error(`${command} ${args.join(" ")} ended\n${said}`);
    return await fetch(`http://127.0.0.1:${port}/`).then(
      () => true,
      () => false,
    );
  };
  try {
    await until(listens, `${command} listens`, 120_000);
  } catch (error) {
    await close();
    throw error;
  }
  return { url: `http://127.0.0.1:${port}${path}`, close };
}

/** Starts the FastMCP server. */
export async function startDirect(
  python: Python,
  transport: "sse" | "http",
  token: string,
): Promise<DirectChild> {
  const env = {
    ...SETTINGS,
    PATH: `${python.bin}:${process.env["PATH"] ?? ""}`,
    USER_ACCESS_TOKEN: token,
    PYTHONDONTWRITEBYTECODE: "1",
  };
  const argsFor = transport === "sse" ? sseArgs : httpArgs;
  return await startServer(
    (port) => ({ command: "python", args: argsFor(String(port)), cwd: MCP_SERVER, env }),
    transport === "sse" ? "/sse" : "/mcp",
  );
}
