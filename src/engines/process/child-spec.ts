import { TOKEN_FILE_ENV } from "../../config/server-schema.ts";
import { fillTemplate } from "../../config/template.ts";
import type { ChildServer } from "../../config/config.ts";
import type { Confinement } from "./confinement.ts";
import type { RunSpec } from "./run-spec.ts";
import type { Ref } from "../engine.ts";
import type { PrivateHome } from "./private-home.ts";

/** What a child gets of the daemon's own environment. The rest may hold secrets that are not the child's. */
const INHERITED = ["PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ"];

// Servers over a port take no notice of stdin; the few that do end at once.
const PORT_CHILD_EOF_GRACE_MS = 250;
// For servers over stdio the end of their input is the order to end (MCP, stdio, shutdown).
const STDIO_CHILD_EOF_GRACE_MS = 1_500;

export interface ChildSpecInput {
  ref: Ref;
  def: ChildServer;
  /** Undefined for a stdio child, which has none. */
  port: number | undefined;
  home: PrivateHome;
  confinement: Confinement;
  token: string | undefined;
  /** The path of a file that holds it, for a child that gets it so. */
  tokenFile: string | undefined;
  stopTimeoutMs: number;
}

/** How to run this child: templates filled, the token in its environment and nowhere else. */
export function childSpec(input: ChildSpecInput): RunSpec {
  const { ref, def, port, home, confinement, token, tokenFile, stopTimeoutMs } = input;
  const fill = (text: string) => fillTemplate(text, { port, user: ref.user });
  const env: Record<string, string> = {};
  for (const name of INHERITED) {
    const value = process.env[name];
    if (value !== undefined) env[name] = value;
  }
  env["HOME"] = home.home;
  env["TMPDIR"] = home.tmp;
  for (const [name, value] of Object.entries(def.env)) env[name] = fill(value);
  if (tokenFile !== undefined) env[TOKEN_FILE_ENV] = tokenFile;
  else if (token !== undefined) env[def.tokenEnv] = token;
  const isStdio = def.transport === "stdio";
  return {
    argv: [def.command, ...def.args.map(fill)],
    cwd: def.cwd,
    env,
    confinement,
    limits: def.limits,
    stdout: isStdio ? "messages" : "lines",
    eofGraceMs: isStdio ? STDIO_CHILD_EOF_GRACE_MS : PORT_CHILD_EOF_GRACE_MS,
    stopTimeoutMs,
  };
}
