import { z } from "zod";
import { describeIssue, formatProblem, toProblems } from "./problems.ts";
import { serverProblems } from "./relations.ts";
import { resolveServer } from "./resolve.ts";
import { server } from "./server-schema.ts";
import type { Config, ServerDef } from "./types.ts";

/** What stands in a config file under a server's name. */
export type ServerEntry = Readonly<Record<string, unknown>>;

let schema: object | undefined;

/**
 * The server that an entry of this config would be, were it in the file; else all that is wrong with
 * the entry, a line each as `key: message`, without any value.
 */
export function readServerEntry(
  name: string,
  entry: ServerEntry,
  config: Config,
): { def: ServerDef } | { problems: string[] } {
  if (!["command", "url", "serverUrl", "builtin"].some((key) => Object.hasOwn(entry, key)))
    return { problems: ['url: is missing, or "command" for a program'] };
  schema ??= z.toJSONSchema(server, { io: "input" });
  const result = server.safeParse(entry, { error: describeIssue });
  const problems = [
    ...(result.success ? [] : toProblems(result.error.issues, schema)),
    ...serverProblems({ name, entry }, { ...config }, config.baseDir),
  ];
  if (!result.success || problems.length > 0)
    return { problems: problems.map(({ path, message }) => formatEntryProblem(path, message)) };
  const { idleTimeoutMs, startTimeoutMs, drainTimeoutMs, dataDir, baseDir } = config;
  const { isolation, engine, kubernetes } = config;
  const forAll = {
    idleTimeout: idleTimeoutMs,
    startTimeout: startTimeoutMs,
    drainTimeout: drainTimeoutMs,
    isolation,
    engine,
    kubernetes,
  };
  const place = { dataDir, baseDir, env: process.env };
  return { def: resolveServer(name, result.data, forAll, place) };
}

const formatEntryProblem = (path: readonly PropertyKey[], message: string): string =>
  path.length === 0 ? `the server ${message}` : formatProblem({ path, message });
