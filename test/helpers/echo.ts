import { fileURLToPath } from "node:url";

const ECHO = fileURLToPath(new URL("../../bench/echo-http.mjs", import.meta.url));

/** The recipe of an echo server (tools echo, blob, sleep, progress) that speaks both transports. */
export function echoServer(type: "sse" | "http", ...args: string[]): Record<string, unknown> {
  return { type, command: process.execPath, args: [ECHO, "--port", "${port}", ...args] };
}
