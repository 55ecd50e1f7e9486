import path from "node:path";
import type { ServerDef } from "./types.ts";

const RUNNERS = new Set(["npx", "bunx", "pnpx", "uvx"]);
/** Programs that fetch and run with a word of their own. */
const WORDS: Readonly<Record<string, RegExp>> = {
  npm: /^(?:exec|x)\b/,
  pnpm: /^(?:dlx|exec)\b/,
  yarn: /^dlx\b/,
  bun: /^x\b/,
  uv: /^(?:tool run|run .*--with)\b/,
  pipx: /^run\b/,
};

/**
 * Whether the recipe fetches its package at every start, as `npx -y PACKAGE` and `uvx PACKAGE` do:
 * each user waits for it and keeps a cache of it in the private home, and its version is whatever is
 * newest then. `package install` fetches it once for all.
 */
export function fetchesAtStart(server: ServerDef): boolean {
  if (server.kind !== "child") return false;
  const program = path.basename(server.command);
  const line = server.args.join(" ");
  if (/^(?:ba|da)?sh$/.test(program)) return /\b(?:npx|bunx|pnpx|uvx) /.test(line);
  return RUNNERS.has(program) || (WORDS[program]?.test(line) ?? false);
}
