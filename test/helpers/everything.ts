import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { endWithUs } from "./end-with-us.ts";
import { freePort } from "./free-port.ts";
import { until } from "./until.ts";

/** The program of `@modelcontextprotocol/server-everything`, for a config or for `spawn`. */
export const EVERYTHING = fileURLToPath(
  new URL(
    "../../node_modules/@modelcontextprotocol/server-everything/dist/index.js",
    import.meta.url,
  ),
);

export interface Everything {
  url: URL;
  close: () => Promise<void>;
}

/** Starts server-everything on a free port, without a gateway. Rejects if it does not listen. */
export async function startEverything(transport: "sse" | "http"): Promise<Everything> {
  const [mode, path] = transport === "sse" ? ["sse", "/sse"] : ["streamableHttp", "/mcp"];
  const port = await freePort();
  const child = spawn(process.execPath, [EVERYTHING, mode], {
    stdio: ["ignore", "ignore", "pipe"],
    env: { ...process.env, PORT: String(port) },
  });
  endWithUs(child);
  const ended = once(child, "close");
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => (said += chunk));
  const close = async () => {
    child.kill("SIGKILL");
    await ended;
  };
  try {
    await until(() => /(listening|running) on port/.test(said), "server-everything listens");
  } catch (error) {
    await close();
    throw error;
  }
  return { url: new URL(`http://127.0.0.1:${port}${path}`), close };
}
